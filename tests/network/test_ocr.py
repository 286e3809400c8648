"""The OCR block, by hand and against the plain form."""

import pytest
import torch
from torch import nn

from network.ocr import ObjectAttention, OCRBlock, gather_objects
from network.ocrnet import OCRNet
from network.options import complete
from scripts.baseline_network import plain_ocr


def test_objects_are_means_of_pixels_weighted_by_a_softmax_over_pixels():
    feats = torch.tensor([[[[1.0, 3.0]], [[10.0, 20.0]]]])  # two channels, two pixels
    aux = torch.tensor([[[[0.0, 0.0]], [[0.0, 3.0]]]]).log1p()  # weights 1/2, 1/2 and 1/5, 4/5
    objects = gather_objects(feats, aux)
    assert objects.shape == (1, 2, 2, 1)
    torch.testing.assert_close(objects[0, :, :, 0], torch.tensor([[2.0, 2.6], [15.0, 18.0]]))


@pytest.mark.parametrize('dtype, tolerance', [(torch.bfloat16, 1e-2), (torch.float16, 1e-3)])
def test_objects_in_half_precision_do_not_lose_a_rare_class(dtype, tolerance):
    """131072 pixels: each weight, 7.6e-6, is below what float16 holds with three digits."""
    feats = torch.rand(1, 2, 256, 512).to(dtype)
    objects = gather_objects(feats, torch.zeros(1, 1, 256, 512, dtype=dtype))
    assert objects.dtype == dtype
    torch.testing.assert_close(
        objects.flatten().float(), feats.float().mean(dim=(2, 3)).flatten(), rtol=tolerance, atol=0
    )


def test_the_block_is_the_plain_form_forward_and_backward():
    torch.manual_seed(0)
    options = complete({'OCR': {'MID_CHANNELS': 12, 'KEY_CHANNELS': 8}})
    block = OCRBlock(10, 4, False, options).double()
    block.ocr_distri_head.conv_bn_dropout[2].p = 0.0
    maps = torch.randn(2, 10, 6, 9, dtype=torch.float64, requires_grad=True)
    found, expected = block([maps]), plain_ocr(block, maps)
    signals = [torch.randn_like(part) for part in expected]
    inputs = [maps, *block.parameters()]
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
    for one, other in zip(torch.autograd.grad(found, inputs, signals), torch.autograd.grad(expected, inputs, signals)):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_attention_runs_over_classes_and_is_scaled():
    """With one class its weight is 1 at every pixel whatever the scores: everybody gets the class value."""
    attend = ObjectAttention(6, 4).eval()
    feats, context = torch.randn(1, 6, 3, 5), torch.randn(1, 6, 1, 1)
    with torch.no_grad():
        found = attend(feats, context)
        expected = attend.f_up(attend.f_down(context))
    torch.testing.assert_close(found, expected.expand(1, 6, 3, 5), rtol=1e-5, atol=1e-6)
    assert attend.key_channels**-0.5 == 0.5


def test_dropout_is_the_published_one(small_net):
    drops = [(name, module.p) for name, module in small_net().named_modules() if isinstance(module, nn.Dropout2d)]
    assert drops == [('ocr.ocr_distri_head.conv_bn_dropout.2', 0.05)]


def test_init_decoder_initialises_the_block_with_kaiming(small_net):
    """fan-in 32, gain sqrt 2: standard deviation 0.25; torch's default has 1 / sqrt(3 * 32) = 0.10."""
    plain, decoder = small_net('ocrnet.HRNet'), small_net('ocrnet.HRNet', cfg={'MODEL__INIT_DECODER': True})
    assert isinstance(decoder, OCRNet)
    weight = 'ocr.ocr_distri_head.object_context_block.f_pixel.0.weight'
    assert plain.state_dict()[weight].std() == pytest.approx(0.10, rel=0.15)
    assert decoder.state_dict()[weight].std() == pytest.approx(0.25, rel=0.15)
    assert not decoder.ocr.cls_head.bias.any()
