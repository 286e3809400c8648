"""Under autocast the trunk computes in half precision; what decides the class is computed in single."""

import pytest
import torch
from torch import nn

from network.heads import SingleSigmoid
from network.mscale import fuse
from network.resize import resize


def lowp(function, *args):
    with torch.autocast('cpu', torch.bfloat16):
        return function(*args)


@pytest.mark.parametrize(
    'arch, scales',
    [
        ('basic.HRNet', None),
        ('ocrnet.HRNet', None),
        ('ocrnet.HRNet_Mscale', None),
        ('ocrnet.HRNet_Mscale', [0.5, 1.0, 2.0]),
    ],
)
def test_outputs_are_float32_and_near_those_of_float32(small_net, arch, scales):
    net = small_net(arch, n_scales=scales).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected, found = net(images), lowp(net, images)
    for name in expected:
        assert found[name].dtype == expected[name].dtype == torch.float32
        error = (found[name] - expected[name]).abs().max() / expected[name].abs().max()
        assert 0 < error < 0.05, (name, error)


def test_training_under_autocast_has_float32_outputs_and_gradients(small_net):
    net = small_net().train()
    outputs = lowp(net, torch.randn(2, 3, 64, 96))
    assert {maps.dtype for maps in outputs.values()} == {torch.float32}
    sum(maps.square().mean() for maps in outputs.values()).backward()
    assert all(
        parameter.grad.dtype == torch.float32 and parameter.grad.isfinite().all() for parameter in net.parameters()
    )


def test_a_network_in_bfloat16_and_one_in_float64(small_net):
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert small_net().eval().to(torch.bfloat16)(images.bfloat16())['pred'].dtype == torch.float32
        assert small_net().eval().double()(images.double())['pred'].dtype == torch.float64


def test_the_trunk_stays_in_half_precision_between_its_convolutions(small_net):
    """A resize that promoted to float32 would make every following norm, sum and ReLU twice as expensive."""
    net, seen = small_net().eval(), set()
    for module in net.backbone.modules():
        if isinstance(module, nn.BatchNorm2d | nn.ReLU):
            module.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    with torch.no_grad():
        lowp(net, torch.randn(1, 3, 64, 64))
    assert seen == {torch.bfloat16}


def test_resize_keeps_the_dtype_under_autocast():
    assert lowp(resize, torch.zeros(1, 1, 4, 4), (8, 8), False).dtype == torch.float32
    assert lowp(resize, torch.zeros(1, 1, 4, 4).bfloat16(), (8, 8), False).dtype == torch.bfloat16


def test_the_blend_tells_logits_apart_that_bfloat16_cannot():
    logits = torch.tensor([[[[8.0]], [[8.01]]]])  # in bfloat16 both are 8
    blended = lowp(fuse, logits, torch.full((1, 1, 1, 1), 0.5), logits.clone(), False)
    assert blended.dtype == torch.float32
    assert blended.argmax(dim=1).item() == 1


def test_attention_keeps_single_precision():
    maps = torch.tensor([2.0], dtype=torch.bfloat16)
    assert lowp(SingleSigmoid(), maps).item() == pytest.approx(0.8807970779778823, abs=1e-7)
