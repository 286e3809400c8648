"""What every --arch must do. A new architecture is tested by being registered.

Here each stands on a trunk of a few convolutions with narrow heads, where names that differ in their trunk alone are
one network, tested once; the slow tests run each name, and each on its own trunk.
"""

import copy
import io
from argparse import Namespace

import pytest
import standin
import torch
from narrow import NARROW
from torch import nn

from config import scope
from loss import build_criterion
from network import ARCHS, export, get_net, head_keys, takes_scales
from utils.cli import flags
from utils.outputs.kinds import MASK_SCORES, as_logits

CLASSES = 5
EOMT = {'QUERIES': 8, 'BLOCKS': 2, 'PATCH': 8, 'SIZE': 64}
HEADS = {**NARROW, 'MODEL__DECODER_CH': 16, 'MODEL__ASPP_BOT_CH': 8}
HEADS |= {f'MODEL__EOMT__{name}': value for name, value in EOMT.items()}
NAMES = ARCHS.names()
# One name for each builder and stand-in: these are the same network.
DISTINCT = sorted({(ARCHS[name], standin.fitting(name)): name for name in reversed(NAMES)}.values())


def once(names):
    """The names as parameters of a test, slow for a network that has another name too, and for a full-size U-Net that
    differs in its resizes alone."""
    return [
        name if name in DISTINCT and name != 'UNet_bilinear' else pytest.param(name, marks=pytest.mark.slow)
        for name in names
    ]


# The outputs that docs/networks.md promises beside `pred`: in training, in evaluation, in evaluation at scales 0.5,
# 1.0, 2.0.
ONE_SCALE = [], [], None
TWO_SCALES = ['pred_05x', 'pred_10x', 'attn_05x']
HIERARCHICAL = TWO_SCALES, TWO_SCALES, ['pred_05x', 'pred_10x', 'pred_20x', 'attn_05x', 'attn_10x']
BY_PREFIX = {
    'basic.': ONE_SCALE,
    'deepv3.': ONE_SCALE,
    'deeper.': ONE_SCALE,
    'mscale.': HIERARCHICAL,
    'mscale2.': HIERARCHICAL,
    'ocrnet.': (['aux'], [], None),
    'hrnet_ocr': (['aux'], [], None),
    'eomt.': (['pred_block1', 'pred_block2'], [], None),
    'FCN': (['aux'], [], None),
    'DeepLabv3': (['aux'], [], None),
    'hrnet': ONE_SCALE,
    'UNet': ONE_SCALE,
    'UNetDS': (['pred_ds2', 'pred_ds4', 'pred_ds8', 'pred_ds16'], [], None),
    'attnscale.': (
        ['attn_05x', 'attn_10x', 'attn_20x'],
        ['pred_05x', 'pred_10x', 'pred_20x', 'attn_05x', 'attn_10x', 'attn_20x'],
        ['pred_05x', 'pred_10x', 'pred_20x', 'attn_05x', 'attn_10x', 'attn_20x'],
    ),
    'attnscale.DeepV3R50BP': (
        ['attn_05x', 'attn_10x'],
        ['pred_05x', 'pred_10x', 'attn_05x', 'attn_10x'],
        ['pred_05x', 'pred_10x', 'pred_20x', 'attn_05x', 'attn_10x', 'attn_20x'],
    ),
    **dict.fromkeys(
        ['ocrnet.Mscale', 'ocrnet.HRNet_Mscale', 'hrnet_ocr_ms'], (['aux', *TWO_SCALES], *HIERARCHICAL[1:])
    ),
}


def promised(arch):
    """The entry of the longest prefix of `arch`."""
    return BY_PREFIX[max((prefix for prefix in BY_PREFIX if arch.startswith(prefix)), key=len)]


def build(arch, trunk=None, **options):
    torch.manual_seed(0)
    with scope(**HEADS):
        return get_net(arch, CLASSES, trunk=trunk or standin.fitting(arch), **options)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    standin.register(monkeypatch)


@pytest.fixture(params=once(NAMES))
def net(request):
    return build(request.param)


def of_queries(net):
    return net.kind == MASK_SCORES


def values(output):
    """All numbers of an output in one row: of logits, or of the masks and classes of queries."""
    return torch.cat([part.flatten() for part in output]) if isinstance(output, tuple) else output.flatten()


def train_twice(net, size=(64, 80)):
    """The losses of the project's criterion before, between and after two steps on one batch."""
    for module in net.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, *size, generator=generator)
    labels = (images.mean(1) > 0).long() + 255 * (torch.rand(2, *size, generator=generator) < 0.05)
    labels[labels > CLASSES] = 255
    with scope():
        criterion = build_criterion(flags.parse([]), net.output_names, CLASSES, 255, of_queries=of_queries(net))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    losses = []
    net.train()
    for _ in range(3):
        loss = criterion(net(images), labels)['loss']
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def test_two_steps_lower_the_loss(net):
    losses = train_twice(net)
    assert losses[2] < losses[1] < losses[0]


def test_one_image_of_an_odd_size_is_a_batch_to_train_on(net):
    outputs = net.train()(torch.randn(1, 3, 67, 91))
    assert of_queries(net) or outputs['pred'].shape == (1, CLASSES, 67, 91)
    sum(values(outputs[name]).square().mean() for name in net.output_names).backward()
    assert [
        name
        for name, parameter in net.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    ] == []
    assert all(value.isfinite().all() for value in net.state_dict().values())


def test_outputs_are_named_as_documented(net):
    training, evaluation, scales = promised(net.arch)
    images = torch.randn(2, 3, 64, 96)
    assert list(outputs := net.train()(images)) == ['pred', *training]
    assert net.output_names == tuple(name for name in outputs if not name.startswith('attn'))
    with torch.no_grad():
        assert list(outputs := net.eval()(images, keep_scales=True)) == ['pred', *evaluation]
        check_shapes(outputs)
        assert list(net(images)) == ['pred']
    assert takes_scales(net.arch) is bool(scales)


def check_shapes(outputs):
    for name, maps in outputs.items():
        assert maps.shape[:2] == (2, 1 if name.startswith('attn') else CLASSES) and maps.dtype == torch.float32, name
        assert maps.is_contiguous() or name.startswith('attn'), name


@pytest.mark.parametrize('arch', once(name for name in NAMES if promised(name)[2]))
def test_outputs_at_several_scales_are_named_as_documented(arch):
    net = build(arch, n_scales=[1.0, 2.0, 0.5]).eval()
    with torch.no_grad():
        outputs = net(torch.randn(2, 3, 64, 96), keep_scales=True)
    assert list(outputs) == ['pred', *promised(arch)[2]]
    check_shapes(outputs)
    assert outputs['pred'].shape[2:] == (64, 96)


def test_weights_survive_a_file_and_one_seed_makes_one_network(net):
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = build(net.arch)
    for (name, mine), theirs in zip(net.state_dict().items(), other.state_dict().values()):
        assert torch.equal(mine, theirs), name
    for parameter in other.parameters():
        parameter.data.fill_(0.5)
    other.load_state_dict(torch.load(file, weights_only=True))
    images, results = torch.randn(2, 3, 64, 80), []
    for each in (net, other):
        torch.manual_seed(7)  # dropout
        results.append((values(each.train()(images)['pred']), each.eval()(images)['pred']))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_head_keys_are_those_that_change_with_the_number_of_classes(net):
    torch.manual_seed(0)
    with scope(**HEADS):
        other = get_net(net.arch, CLASSES + 2, trunk=net.trunk_name).state_dict()
    changed = [key for key, value in net.state_dict().items() if value.shape != other[key].shape]
    assert head_keys(net) == changed and changed


@pytest.mark.slow
@pytest.mark.parametrize('arch', DISTINCT)
def test_a_compiled_network_equals_the_eager_one(arch):
    # networks share code, of which few versions are kept
    torch.compiler.reset()
    net = build(arch).eval().double()
    compiled = torch.compile(copy.deepcopy(net), fullgraph=True)
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        expected, found = net(images, keep_scales=True), compiled(images, keep_scales=True)
    assert list(found) == list(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-7, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize('arch', DISTINCT)
def test_an_exported_network_equals_the_eager_one(arch, tmp_path):
    net = build(arch, **({'n_scales': [0.5, 1.0, 2.0]} if promised(arch)[2] else {})).eval()
    images = torch.randn(1, 3, 67, 91)
    torch.export.save(torch.export.export(net, (images,)), tmp_path / 'net.pt2')
    with torch.no_grad():
        torch.testing.assert_close(
            torch.export.load(tmp_path / 'net.pt2').module()(images)['pred'], net(images)['pred'], rtol=1e-5, atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize('arch', DISTINCT)
def test_a_network_exported_for_any_size_equals_the_eager_one_at_even_and_odd_ones(arch):
    net = build(arch).eval()
    smallest = export.smallest_side(net)
    program = export.Program(net, None, ('logits',), smallest)
    run = export.traced(program, torch.randn(1, 3, smallest + 35, smallest + 3), Namespace(arch=arch)).module()
    for size in ((smallest, smallest), (smallest + 1, 2 * smallest), (181, 240)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            expected = as_logits(net(images)['pred'], net.kind)
            torch.testing.assert_close(run(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('arch', NAMES)
def test_every_architecture_on_its_own_trunk(arch):
    """Real trunks and heads, small images: forward and backward of one image of an odd size, then evaluation."""
    torch.manual_seed(0)
    net = get_net(arch, 19).train()
    images = torch.randn(1, 3, 97, 129)
    outputs = net(images)
    sum(outputs[name].mean() for name in net.output_names).backward()
    with torch.no_grad():
        pred = net.eval()(images)['pred']
    assert pred.shape == (1, 19, 97, 129) and pred.isfinite().all()
