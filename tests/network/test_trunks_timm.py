"""Backbones of timm under the heads of this package."""

import socket
import sys

import pytest
import torch
import torch.nn.functional as F
from narrow import NARROW

from config import scope
from network import ARCHS, check_names, get_net
from network.mscale import MultiScale
from network.options import complete
from network.trunks import build_trunk, check_trunk, resnet
from network.trunks.timm_trunk import same_padding, whole_padding

timm = pytest.importorskip('timm')

# networks that read a trunk's maps, not its tokens
MAPS = [name for name in ARCHS.names() if not ARCHS.fact(name, 'tokens', False)]
VIT, VIT14 = 'timm/vit_tiny_patch16_224', 'timm/eva02_tiny_patch14_224'
# name, dilated: channels by stride, strides that heads read
PYRAMIDS = {
    ('timm/resnet10t', False): ({2: 64, 4: 64, 8: 128, 16: 256, 32: 512}, (4, 8, 16, 32)),
    ('timm/resnet10t', True): ({2: 64, 4: 64, 8: 512}, (8,)),
    ('timm/convnext_atto', False): ({4: 40, 8: 80, 16: 160, 32: 320}, (4, 8, 16, 32)),
    ('timm/convnext_atto', True): ({4: 40, 8: 320}, (8,)),
    # which timm cannot dilate
    ('timm/edgenext_xx_small', True): ({4: 24, 8: 48, 16: 88, 32: 168}, (32,)),
    # which has a map of stride 1 too
    ('timm/dla34', False): ({2: 32, 4: 64, 8: 128, 16: 256, 32: 512}, (4, 8, 16, 32)),
    (VIT, False): ({16: 4 * 192}, (16,)),
    (VIT, True): ({16: 4 * 192}, (16,)),
    (VIT14, False): ({14: 4 * 192}, (14,)),
}
HEADS = ['basic.Basic', 'basic.Linear', 'ocrnet.OCR', 'ocrnet.Mscale', 'deepv3.DeepV3Plus']


@pytest.mark.parametrize('name, dilated', PYRAMIDS)
def test_maps_of_every_stride_are_rounded_up_and_every_parameter_is_trained(name, dilated):
    channels, read = PYRAMIDS[name, dilated]
    trunk = build_trunk(name, dilated=dilated)
    assert trunk.training
    assert trunk.channels == channels
    assert trunk.head_strides == read
    assert trunk.skip_strides == tuple(stride for stride in channels if stride < read[0])
    assert trunk.deepest_stride == max(channels)
    maps = trunk(torch.randn(1, 3, 70, 99))
    assert {stride: tuple(m.shape) for stride, m in maps.items()} == {
        stride: (1, c, -(-70 // stride), -(-99 // stride)) for stride, c in channels.items()
    }
    sum(m.square().mean() for m in maps.values()).backward()
    assert [key for key, parameter in trunk.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize('name', ['timm/resnet10t', 'timm/convnext_atto', VIT, VIT14])
def test_sides_are_filled_up_with_the_mean_colour_and_maps_cut_back(name):
    trunk, images = build_trunk(name).eval(), torch.randn(1, 3, 30, 99)
    unit = trunk.deepest_stride
    filled = F.pad(images, (0, -99 % unit, 0, -30 % unit))
    assert filled.shape[-2:] == {32: (32, 128), 16: (32, 112), 14: (42, 112)}[unit]
    with torch.no_grad():
        maps, whole = trunk(images), trunk(filled)
    for stride in maps:
        assert torch.equal(maps[stride], whole[stride][..., : -(-30 // stride), : -(-99 // stride)])


@pytest.mark.parametrize(
    'name, options', [('resnet10t', {}), ('resnet10t', {'output_stride': 8}), ('convnext_atto', {'output_stride': 8})]
)
def test_features_are_those_that_timm_returns(name, options):
    trunk = build_trunk(f'timm/{name}', dilated=bool(options)).eval()
    other = timm.create_model(name, features_only=True, **options).eval()
    values = list(trunk.model.state_dict().values())
    own = other.state_dict()
    assert [value.shape for value in values] == [value.shape for value in own.values()]
    other.load_state_dict(dict(zip(own, values)))
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = dict(zip(other.feature_info.reduction(), other(images)))
        for stride, maps in trunk(images).items():
            torch.testing.assert_close(maps, expected[stride])


@pytest.mark.parametrize(
    'name, patch, prefix', [(VIT, 16, 1), (VIT14, 14, 1), ('timm/vit_tiny_patch16_dinov3_qkvb', 16, 5)]
)
def test_a_vit_gives_the_normed_tokens_of_four_depths_side_by_side(name, patch, prefix):
    if not timm.is_model(name.removeprefix('timm/')):
        pytest.skip('this timm does not know it')
    trunk, tokens = build_trunk(name).eval(), []
    assert len(trunk.model.blocks) == 12
    for index in (2, 5, 8, 11):
        trunk.model.blocks[index].register_forward_hook(
            lambda module, inputs, output: tokens.append(trunk.model.norm(output)[:, prefix:])
        )
    with torch.no_grad():
        found = trunk(torch.randn(2, 3, 3 * patch, 5 * patch))[patch]
    expected = torch.cat(tokens, dim=2).transpose(1, 2).unflatten(2, (3, 5))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('trunk', ['timm/resnet10t', 'timm/convnext_atto', VIT14])
@pytest.mark.parametrize('arch', HEADS)
def test_heads_take_any_size_and_a_batch_of_one(small_net, arch, trunk):
    if trunk == VIT14 and arch == 'deepv3.DeepV3Plus':
        with pytest.raises(ValueError, match='--trunk: DeepLabV3.* adds a finer map'):
            small_net(arch, trunk=trunk)
        return
    net, images = small_net(arch, trunk=trunk), torch.randn(1, 3, 70, 99)
    outputs = net.train()(images)
    assert net.output_names == tuple(name for name in outputs if not name.startswith('attn'))
    sum(outputs[name].square().mean() for name in net.output_names).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
    with torch.no_grad():
        pred = net.eval()(images)['pred']
    assert pred.shape == (1, 5, 70, 99)
    assert pred.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize(
    'trunk', ['timm/resnet10t', 'timm/swin_tiny_patch4_window7_224', 'timm/vit_small_patch14_dinov2']
)
@pytest.mark.parametrize('arch', [name for name in MAPS if ARCHS.fact(name, 'trunk', 'hrnetv2')])
def test_every_architecture_takes_timm_or_says_which_strides_it_lacks(small_net, arch, trunk):
    try:
        net = small_net(arch, trunk=trunk)
    except ValueError as error:
        assert 'stride' in str(error)  # noqa: PT017
        assert trunk != 'timm/resnet10t'  # it has them all
        return
    net.train()(torch.randn(1, 3, 70, 99))['pred'].mean().backward()
    with torch.no_grad():
        assert net.eval()(torch.randn(1, 3, 70, 99))['pred'].shape == (1, 5, 70, 99)


def published_stride_8(small_net):
    with scope(**NARROW):
        return ARCHS['ocrnet.Mscale'](5, resnet.build(1, 1, 1, 1), False, complete())


@pytest.mark.parametrize(
    'trunk, size',
    [(None, (32, 48)), (None, (34, 42)), (VIT, (64, 96)), (VIT, (72, 90)), (VIT14, (56, 84)), (VIT14, (65, 97))],
)
def test_the_shortcut_of_the_largest_scale_is_exact_at_every_stride(small_net, trunk, size):
    """Alone, the largest scale may be enlarged straight to the next; with its own map kept it never is."""
    net = (small_net('ocrnet.Mscale', trunk=trunk) if trunk else published_stride_8(small_net)).double().eval()
    net.n_scales = (2.0, 1.0, 0.5)
    images = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        kept = net(images, keep_scales=True)['pred']
        torch.testing.assert_close(net(images)['pred'], kept, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('factor, exact', [(4, True), (8, True), (12, True), (16, True), (14, False), (10, False)])
def test_where_the_shortcut_applies(factor, exact):
    net = MultiScale.__new__(MultiScale)
    net.align_corners = False
    logits, size, half = torch.zeros(1, 1, 5, 6), (5 * factor, 6 * factor), (5 * factor // 2, 3 * factor)
    assert net._first_size(logits, size, half) == (half if exact else size)


def test_the_linear_probe_is_a_norm_and_a_1x1_convolution_of_the_resized_pyramid(small_net):
    net = small_net('basic.Linear', trunk='timm/convnext_atto')
    for norm in net.norms:
        torch.nn.init.uniform_(norm.running_mean, -1, 1)
    net.double().eval()
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        maps = [F.interpolate(m, (16, 24), mode='bilinear') for m in net.trunk_maps(images)]
        normed = torch.cat([norm(m) for norm, m in zip(net.norms, maps)], dim=1)
        logits = F.conv2d(normed, net.linear.weight, net.linear.bias)
        torch.testing.assert_close(net(images)['pred'], F.interpolate(logits, (64, 96), mode='bilinear'))
    assert net.linear.weight.shape == (5, 40 + 80 + 160 + 320, 1, 1)
    assert (
        sum(p.numel() for name, p in net.named_parameters() if not name.startswith('backbone')) == 600 * 2 + 600 * 5 + 5
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    'trunk, size', [('timm/resnet10t', (64, 64)), ('timm/convnext_atto', (64, 64)), (VIT, (50, 70)), (VIT14, (50, 70))]
)
def test_a_network_on_timm_exports(small_net, trunk, size):
    net = small_net('ocrnet.Mscale', trunk=trunk, n_scales=[0.5, 1.0]).eval()
    images = torch.randn(1, 3, *size)
    program = torch.export.export(net, (images,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), net(images), rtol=1e-4, atol=1e-4)


def test_building_twice_with_a_seed_gives_the_same_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_trunk('timm/convnext_atto', dilated=True).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert all(key.startswith('model.') for key in states[0])


def test_nothing_is_downloaded(monkeypatch):
    def refuse(*args):
        raise AssertionError('a connection was tried')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    assert build_trunk('timm/resnet10t.c3_in1k').channels[32] == 512


def test_unknown_names_list_the_near_ones_before_anything_is_built():
    with pytest.raises(
        ValueError, match=r"--trunk: there is no timm model 'convnext_tinny'; did you mean timm/convnext_tiny or timm/"
    ):
        check_names('ocrnet.Mscale', 'timm/convnext_tinny')
    with pytest.raises(ValueError, match=r"--trunk: there is no timm model ''; timm.list_models\(\) lists the names"):
        check_trunk('timm/')
    with pytest.raises(ValueError, match=r'--trunk timm/resnet10t.nope: timm cannot build it: Invalid pretrained tag'):
        get_net('basic.Basic', 5, trunk='timm/resnet10t.nope')
    with pytest.raises(
        ValueError, match=r"--trunk: there is no trunk 'convnext_atto'; .*; timm has one: timm/convnext_atto"
    ):
        check_trunk('convnext_atto')
    with pytest.raises(ValueError, match=r"--trunk: there is no trunk 'resnet-51'; did you mean resnet-50 or [^;]*\?$"):
        build_trunk('resnet-51')


def test_without_timm_the_error_names_the_requirements(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(
        ValueError, match=r'--trunk timm/resnet10t needs the package timm; pip install -r requirements.txt'
    ):
        check_trunk('timm/resnet10t')


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, unit',
    [
        ('maxvit_rmlp_pico_rw_256', 256),
        ('mobilevitv2_050', 64),
        ('convnext_tiny', 32),
        ('vit_small_patch16_dinov3', 16),
        ('vit_small_patch14_reg4_dinov2', 14),
        ('samvit_base_patch16', 16),
    ],
)
def test_sides_are_filled_up_to_what_the_backbone_divides_by(name, unit):
    trunk = build_trunk(f'timm/{name}').eval()
    assert trunk.unit == unit
    with torch.no_grad():
        maps = trunk(torch.randn(1, 3, 70, 99))
    assert {stride: tuple(m.shape[1:]) for stride, m in maps.items()} == {
        stride: (c, -(-70 // stride), -(-99 // stride)) for stride, c in trunk.channels.items()
    }


def test_a_backbone_of_one_size_is_refused():
    with pytest.raises(
        ValueError,
        match=r'timm/gmixer_12_224: this backbone does not take images of any size \(.*224.*\); choose another one',
    ):
        build_trunk('timm/gmixer_12_224')


def test_padding_in_whole_numbers_is_that_of_timm():
    padding = pytest.importorskip('timm.layers.padding')
    cases = [
        (side, kernel, stride, dilation)
        for side in (7, 8, 9, 32)
        for kernel in (1, 3, 5)
        for stride in (1, 2, 4)
        for dilation in (1, 2)
    ]
    assert [same_padding(*case) for case in cases] == [padding.get_same_padding(*case) for case in cases]
    assert (same_padding(8, 3, 2, 1), same_padding(9, 3, 2, 1), same_padding(7, 1, 4, 1)) == (1, 2, 0)
    own = padding.get_same_padding
    with whole_padding():
        assert padding.get_same_padding is same_padding
    assert padding.get_same_padding is own
