"""What trains a ViT: patches, positions, stochastic depth, rates by layer, checkpoints, attention, its cost."""

import copy

import pytest
import torch
import torch.nn.functional as F

from loss.parameter_groups import parameter_groups
from network import cost, get_net
from network.checkpointing import checkpoint_stages
from network.options import complete
from network.trunks import build_trunk
from utils.cli import flags

timm = pytest.importorskip('timm')

VIT = 'timm/test_vit'  # six blocks of 64 channels with two heads, patch 16, trained on 160x160 pixels


def trunk_of(name=VIT, **options):
    torch.manual_seed(0)
    return build_trunk(name, options=complete(options))


@pytest.mark.parametrize('patch', [8, 32])
def test_another_patch_takes_the_weights_of_the_own_one_and_as_many_positions(patch, tmp_path):
    model = timm.create_model('test_vit')
    torch.save(model.state_dict(), tmp_path / 'vit.pth')
    net = get_net('basic.Linear', 3, VIT, pretrained=tmp_path / 'vit.pth', options={'VIT': {'PATCH': patch}})
    vit = net.backbone.model
    assert torch.equal(vit.pos_embed, model.pos_embed)
    expected = timm.layers.resample_patch_embed(model.patch_embed.proj.weight, [patch, patch])
    torch.testing.assert_close(vit.patch_embed.proj.weight, expected)
    assert net.backbone.unit == patch and net.head_strides == (patch,)
    assert net.eval()(torch.randn(1, 3, 40, 70))['pred'].shape == (1, 3, 40, 70)


def test_at_the_size_of_the_training_positions_are_as_learnt_and_else_resized():
    trunk, placed = trunk_of().eval(), []
    vit = trunk.model
    vit.blocks[0].register_forward_pre_hook(lambda module, inputs: placed.append(inputs[0][:, 1:]))  # no class token
    with torch.no_grad():
        for size in ((160, 160), (48, 320)):
            images = torch.randn(1, 3, *size)
            trunk(images)
            positions = placed[-1] - vit.patch_embed(images).flatten(1, 2)
            if size == (160, 160):
                torch.testing.assert_close(positions, vit.pos_embed[:, 1:])
                vit.pos_embed[:, 1:] = 3.0  # one value everywhere is the same at any size
        torch.testing.assert_close(positions, torch.full((1, 3 * 20, 64), 3.0))


def test_stochastic_depth_rises_from_nothing_to_the_rate_of_the_flag_and_is_for_training():
    trunk, images = trunk_of(DROP_PATH=0.5), torch.randn(2, 3, 32, 32)
    rates = [getattr(block.drop_path1, 'drop_prob', 0) for block in trunk.model.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    first, second = (trunk(images)[16] for _ in range(2))
    assert not torch.equal(first, second)
    with torch.no_grad():
        torch.testing.assert_close(trunk.eval()(images), trunk_of().eval()(images))


@pytest.mark.parametrize(
    'name, options, message',
    [
        ('timm/resnet10t', {'VIT': {'PATCH': 8}}, r'--trunk timm/resnet10t: timm cannot build it with --vit_patch'),
        (
            'timm/convnext_atto',
            {'VIT': {'PATCH': 8}},
            '--vit_patch 8: timm/convnext_atto has maps of several strides',
        ),
        ('timm/vgg11', {'DROP_PATH': 0.1}, '--drop_path'),
    ],
)
def test_a_backbone_without_patches_or_branches_is_named_with_the_flag(name, options, message):
    with pytest.raises(ValueError, match=message):
        trunk_of(name, **options)


def test_the_rate_falls_from_block_to_block_of_a_vit():
    net = get_net('basic.UPerNet', 3, VIT, options={'DECODER_CH': 8})
    args = flags.build_parser().parse_args(['--layer_decay', '0.5', '--lr', '1', '--lr_trunk_mult', '0.1'])
    rates = {id(p): group['lr'] for group in parameter_groups(net, args) for p in group['params']}
    vit = net.backbone.model
    assert rates[id(net.final.weight)] == 1
    found = [rates[id(block.mlp.fc1.weight)] for block in vit.blocks]
    assert [later / earlier for earlier, later in zip(found, found[1:])] == pytest.approx([2] * 5)
    assert rates[id(vit.patch_embed.proj.weight)] == rates[id(vit.pos_embed)] == pytest.approx(found[0] / 2)
    assert rates[id(vit.norm.weight)] == pytest.approx(0.1 * 0.5)


@pytest.mark.parametrize('name, blocks', [(VIT, 6), ('timm/vit_tiny_patch16_224', 12)])
def test_every_block_of_a_vit_is_computed_again_and_gradients_stay(name, blocks):
    torch.manual_seed(0)
    net, images = get_net('basic.Linear', 3, name, options={'DROP_PATH': 0.3}).train(), torch.randn(1, 3, 32, 48)
    again, calls = copy.deepcopy(net), []
    assert checkpoint_stages(again) == blocks
    for each in (net, again):
        each.backbone.model.blocks[1].mlp.register_forward_hook(lambda *_: calls.append(1))
        torch.manual_seed(1)
        each(images)['pred'].square().mean().backward()
    assert len(calls) == 1 + 2
    for mine, theirs in zip(net.parameters(), again.parameters()):
        assert torch.equal(mine.grad, theirs.grad)


@pytest.mark.parametrize(
    'name', [VIT, 'timm/test_vit2', 'timm/vit_tiny_patch16_dinov3_qkvb', 'timm/eva02_tiny_patch14_224']
)
def test_attention_is_the_fused_kernel_of_torch(name, monkeypatch):
    if not timm.is_model(name.removeprefix('timm/')):
        pytest.skip('this timm does not know it')
    trunk, calls, kernel = trunk_of(name), [], F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, 'scaled_dot_product_attention', lambda *args, **more: calls.append(1) or kernel(*args, **more)
    )
    trunk(torch.randn(1, 3, 32, 32))
    assert len(calls) == len(trunk.model.blocks)


def test_the_operations_of_a_vit_are_counted_attention_included():
    options = complete({'PLAIN_LINEAR': True, 'VIT': {'DEPTHS': 1}})
    with torch.device('meta'):
        net = get_net('basic.Linear', 3, VIT, options=options)
    tokens, width = 4 * 6 + 1, 64
    embedding = 2 * 24 * width * 3 * 16 * 16
    mlp = net.backbone.model.blocks[0].mlp.fc1.out_features
    block = 2 * tokens * (4 * width * width + 2 * width * mlp) + 2 * (2 * tokens * tokens * width)
    assert cost.count(net, (64, 96)).flops[''] == embedding + 6 * block + 2 * 24 * width * 3


@pytest.mark.slow
@pytest.mark.parametrize('arch', ['basic.UPerNet', 'basic.DPT', 'mscale.Linear'])
def test_a_compiled_vit_network_equals_the_eager_one(arch):
    torch.compiler.reset()
    torch.manual_seed(0)
    net = get_net(arch, 3, VIT, options={'DECODER_CH': 8, 'SEGATTN_BOT_CH': 8}).eval().double()
    images = torch.randn(1, 3, 48, 80, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(net)(images), net(images), rtol=1e-7, atol=1e-7)
