"""The three networks that came first on every small trunk, closely; test_every_arch.py walks all of them."""

import copy
import io

import pytest
import standin
import torch
from narrow import NARROW
from torch import nn

from config import scope
from network import ARCHS, get_net, head_keys
from network.options import complete

TRAINING = {
    'basic.HRNet': ['pred'],
    'ocrnet.HRNet': ['pred', 'aux'],
    'ocrnet.HRNet_Mscale': ['pred', 'aux', 'pred_05x', 'pred_10x', 'attn_05x'],
}
NAMES = sorted(TRAINING)


@pytest.fixture(params=NAMES)
def net(request, small_net):
    return small_net(request.param)


def test_training_outputs_come_in_the_order_of_output_names(net):
    outputs = net.train()(torch.randn(2, 3, 64, 96))
    assert list(outputs) == TRAINING[net.arch]
    assert net.output_names == tuple(name for name in outputs if not name.startswith('attn'))
    for name, maps in outputs.items():
        size = (32, 48) if name.endswith('05x') else (64, 96)
        assert maps.shape == (2, 1 if name.startswith('attn') else 5, *size), name
        assert maps.is_contiguous()


def test_auxiliary_logits_are_for_training_and_in_evaluation_a_step_of_the_prediction(small_net):
    net, images = small_net('ocrnet.HRNet').eval(), torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        assert list(net(images)) == ['pred']
        aux = net.enlarge(net.run_heads(images).aux, (40, 56))
        net.training = True  # the network alone: its norms stay as they are
        assert torch.equal(net(images)['aux'], aux) and aux.shape == (1, 5, 40, 56)


def test_every_parameter_gets_a_gradient(net):
    outputs = net.train()(torch.randn(2, 3, 64, 96))
    sum(outputs[name].square().mean() for name in net.output_names).backward()
    assert [
        name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


@pytest.mark.parametrize('size', [(65, 97), (33, 70), (64, 96)])
def test_any_size_gives_predictions_of_that_size(net, size):
    images = torch.randn(1, 3, *size)
    net.train()(images)['pred'].mean().backward()  # one image is batch enough
    with torch.no_grad():
        pred = net.eval()(images)['pred']
    assert pred.shape == (1, 5, *size)
    assert pred.isfinite().all()


def test_what_is_too_small_is_refused_with_the_minimum(net):
    smallest = 33 if net.arch != 'ocrnet.HRNet_Mscale' else 66
    net.train()(torch.randn(1, 3, smallest, 8))
    with pytest.raises(ValueError, match=f'at least {smallest} pixels, or a larger batch'):
        net(torch.randn(1, 3, smallest - 1, smallest - 1))
    net(torch.randn(2, 3, smallest - 1, smallest - 1))
    if net.arch == 'ocrnet.HRNet_Mscale':
        net.eval()(torch.randn(1, 3, 2, 2))
        with pytest.raises(ValueError, match='1x40 pixels vanish at scale 0.5; both sides must be at least 2 pixels'):
            net(torch.randn(1, 3, 1, 40))


def test_weights_survive_a_round_trip_through_a_file(net, small_net):
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = small_net(net.arch)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(torch.load(file, weights_only=True))
    images = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        assert torch.equal(net.eval()(images)['pred'], other.eval()(images)['pred'])


def test_one_seed_one_network_and_one_forward_pass(net, small_net):
    images = torch.randn(2, 3, 64, 64)
    results = []
    for again in (net, small_net(net.arch)):
        torch.manual_seed(7)  # dropout
        results.append(again.train()(images)['pred'])
    assert torch.equal(*results)


@pytest.mark.parametrize(
    'trunk, arch',
    [
        *(('hrnetv2_w18_small_v2', name) for name in NAMES),
        *(
            pytest.param(trunk, 'ocrnet.HRNet_Mscale', marks=pytest.mark.slow)
            for trunk in ('hrnetv2_w18', 'hrnetv2_w32')
        ),
    ],
)
def test_every_trunk_carries_the_architectures(small_net, arch, trunk):
    net = small_net(arch, trunk=trunk).eval()
    with torch.no_grad():
        pred = net(torch.randn(1, 3, 40, 56))['pred']
    assert pred.shape == (1, 5, 40, 56)
    assert pred.isfinite().all()
    assert net.trunk_name == trunk


def test_memory_order_changes_nothing(net):
    plain = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    images = torch.randn(2, 3, 48, 64)
    with torch.no_grad():
        expected = plain.eval()(images)
        for order in (torch.contiguous_format, torch.channels_last):
            found = net.eval()(images.to(memory_format=order))
            assert list(found) == list(expected)
            for name in found:
                torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_aligned_corners_reach_every_resize(net, small_net):
    corners = small_net(net.arch, align_corners=True)
    corners.load_state_dict(net.state_dict())
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert not torch.allclose(net.eval()(images)['pred'], corners.eval()(images)['pred'], atol=1e-3)
    settings = {
        name: module.align_corners for name, module in corners.named_modules() if hasattr(module, 'align_corners')
    }
    assert set(settings.values()) == {True}
    assert {'', 'backbone.stage4.0'} <= set(settings)


def test_head_keys_are_those_that_change_with_the_number_of_classes(net, small_net):
    other = small_net(net.arch, classes=7).state_dict()
    changed = [key for key, value in net.state_dict().items() if value.shape != other[key].shape]
    assert head_keys(net) == changed
    assert changed


def test_trunk_parameters_are_the_trunks(net):
    trunk = {id(parameter) for parameter in net.trunk_parameters()}
    assert {name.split('.')[0] for name, parameter in net.named_parameters() if id(parameter) in trunk} == {'backbone'}
    assert len(trunk) == sum(name.startswith('backbone.') for name, _ in net.named_parameters())


def test_a_frozen_trunk_trains_its_heads_only(net):
    net.freeze_trunk()
    before = {name: value.clone() for name, value in net.trunk_entries().items()}
    net.train()(torch.randn(2, 3, 64, 64))['pred'].mean().backward()
    # statistics of norms too
    assert all(torch.equal(value, before[name]) for name, value in net.trunk_entries().items())
    assert {name.split('.')[0] for name, parameter in net.named_parameters() if parameter.grad is not None}.isdisjoint(
        {'backbone'}
    )
    assert any(parameter.grad is not None for parameter in net.parameters())


def test_norms_can_be_converted_to_synchronised_ones(net):
    count = sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in converted.modules()) == count > 0


@pytest.mark.parametrize(
    'arch', [pytest.param(name, marks=pytest.mark.slow) if name != 'ocrnet.HRNet_Mscale' else name for name in NAMES]
)
def test_a_network_exports_and_runs_without_this_package(arch):
    scales = {'n_scales': [0.5, 1.0]} if arch == 'ocrnet.HRNet_Mscale' else {}
    with scope(**NARROW):
        net = ARCHS[arch](5, standin.StandIn((4, 8, 16, 32), ()), False, complete(), **scales).eval()
    images = torch.randn(1, 3, 32, 48)
    program = torch.export.export(net, (images,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), net(images), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('training', [True, False])
def test_a_compiled_network_gives_the_same_numbers(small_net, training):
    net = small_net(n_scales=[0.5, 1.0, 2.0]).train(training).double()
    for module in net.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    compiled = torch.compile(copy.deepcopy(net), fullgraph=True)
    expected, found = net(images, keep_scales=True), compiled(images, keep_scales=True)
    assert list(found) == list(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-7, atol=1e-7)


def test_unknown_names_list_the_near_ones():
    with pytest.raises(
        ValueError, match=r"--arch: there is no architecture 'ocrnet.HRnet_MScale'; did you mean ocrnet.HRNet_Mscale"
    ):
        get_net('ocrnet.HRnet_MScale', 19)
    with pytest.raises(ValueError, match=r"--arch: there is no architecture 'zz'; choose one of DeepLabv3, "):
        get_net('zz', 19)
    with pytest.raises(ValueError, match=r"--trunk: there is no trunk 'hrnetv2_w33'; did you mean hrnetv2_w32"):
        get_net('basic.HRNet', 19, trunk='hrnetv2_w33')
    with pytest.raises(ValueError, match='num_classes is 0, expected at least 1'):
        get_net('basic.HRNet', 0)
