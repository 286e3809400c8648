"""EoMT against Hugging Face transformers: its files under our names, and the same masks, classes and losses."""

import pytest
import tiny_vits
import torch
from tiny_vits import NAMES, TINY

from loss.mask import CLASS, DICE, MASK, MaskLoss
from network import get_net
from network.conversion import convert
from network.queries import Queries

transformers = pytest.importorskip('transformers')
QUERIES, CLASSES, BLOCKS, POINTS = 9, 5, 2, 40


@pytest.fixture(autouse=True)
def vits(monkeypatch):
    tiny_vits.register(monkeypatch)


def theirs(kind, size, seed=0):
    """A network of transformers with random weights, all of them lively, in evaluation mode."""
    shared = {
        'hidden_size': TINY['embed_dim'],
        'num_hidden_layers': TINY['depth'],
        'num_attention_heads': TINY['num_heads'],
        'patch_size': TINY['patch_size'],
        'image_size': size,
        'num_blocks': BLOCKS,
        'num_queries': QUERIES,
        'num_labels': CLASSES,
        'num_upscale_blocks': 1,
        'train_num_points': POINTS,
    }
    if kind == 'dinov3':
        config = transformers.EomtDinov3Config(intermediate_size=4 * TINY['embed_dim'], **shared)
        net = transformers.EomtDinov3ForUniversalSegmentation(config)
    else:
        registers = 0 if kind == 'dinov2' else 4
        config = transformers.EomtConfig(num_register_tokens=registers, use_swiglu_ffn=kind == 'gated', **shared)
        net = transformers.EomtForUniversalSegmentation(config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in net.named_parameters():
        spread = torch.randn(parameter.shape, generator=generator) * (0.1 if parameter.ndim > 1 else 0.3)
        parameter.data = spread + ('norm' in name and name.endswith('weight'))
    return net.eval()


def ours(net, kind):
    """The network of this project with the weights of one of transformers."""
    found = convert({'state_dict': net.state_dict()}, 'project', trunk=NAMES[kind])
    empty = ['embeddings.register_tokens'] if kind == 'dinov2' else []
    assert found.missing == [] and found.dropped == [*empty, 'criterion.empty_weight']
    options = {key.removeprefix('eomt_').upper(): value for key, value in found.network.items() if 'eomt_' in key}
    mine = get_net(found.arch, found.num_classes, trunk=found.trunk, options={'EOMT': options})
    mine.load_state_dict(found.weights)
    return mine.eval()


@pytest.mark.parametrize('masked', [0.0, 1.0])
@pytest.mark.parametrize('size', [32, 72])
@pytest.mark.parametrize('kind', list(NAMES))
def test_masks_and_classes_equal_those_of_transformers(kind, size, masked):
    net = theirs(kind, size)
    net.attn_mask_probs.fill_(masked)
    mine, images = ours(net, kind), torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, (*before, last) = net(images), mine.predictions(images)[0]
    assert len(before) == BLOCKS * masked
    torch.testing.assert_close(last.masks, expected.masks_queries_logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(last.classes, expected.class_queries_logits, rtol=1e-5, atol=1e-5)


def test_the_loss_and_its_gradient_equal_those_of_transformers_at_the_same_points():
    net, generator = theirs('dinov2', 32), torch.Generator().manual_seed(2)
    masks, classes = (
        torch.randn(*size, generator=generator) for size in ((3, QUERIES, 8, 10), (3, QUERIES, CLASSES + 1))
    )
    labels = torch.randint(0, 3, (3, 4, 5), generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2)
    labels[0, :8], labels[2] = 255, 255  # an image partly, and one wholly of the ignore label
    shown = [image[image < 255].unique() for image in labels]
    truth = [(image == present[:, None, None]).float() for image, present in zip(labels, shown)]

    expected = [masks.clone().requires_grad_(), classes.clone().requires_grad_()]
    torch.manual_seed(5)
    terms = net.get_loss_dict(*expected, truth, shown, None)
    net.get_loss(terms).backward()

    found = [masks.clone().requires_grad_(), classes.clone().requires_grad_()]
    criterion = MaskLoss(CLASSES, points=POINTS)
    torch.manual_seed(5)
    loss = criterion(Queries(*found), labels)
    loss.backward()
    weighted = CLASS * criterion.parts['class'], MASK * criterion.parts['mask'], DICE * criterion.parts['dice']
    names = 'loss_cross_entropy', 'loss_mask', 'loss_dice'
    torch.testing.assert_close(weighted, tuple(terms[name].detach() for name in names), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(loss, sum(terms.values()), rtol=1e-6, atol=1e-6)
    for mine, other in zip(found, expected):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-5, atol=1e-7)


def test_the_sum_over_blocks_in_training_equals_that_of_transformers():
    net = theirs('registers', 32)
    net.attn_mask_probs.fill_(1.0)  # none drawn, so that nothing but the points is random
    mine = ours(net, 'registers').train()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(2).repeat(2, 8).repeat_interleave(2, 1)[:, :, None].expand(2, 32, 32)
    truth = [(image == torch.arange(2)[:, None, None]).float() for image in labels]
    criterion = MaskLoss(CLASSES, points=20000)
    net.criterion.num_points = net.criterion.matcher.num_points = criterion.points
    with torch.no_grad():
        outputs = mine(images)
        expected = net.train()(images, truth, [torch.arange(2)] * 2).loss
        found = sum(criterion(queries, labels) for queries in outputs.values())
    assert len(outputs) == BLOCKS + 1
    assert found.item() == pytest.approx(expected.item(), rel=0.01)  # at other random points
