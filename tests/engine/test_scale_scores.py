"""Single scales scored in the pass that blends them, against a pass of each scale alone."""

import pytest
import torch
import torch.nn.functional as F

from engine.distributed import Dist
from engine.evaluator import Evaluator
from engine.scale_scores import ScaleScores
from network.averaging import EvalOptions, average_logits
from utils.metrics import ConfusionMatrix


class Blended(torch.nn.Module):
    """A convolution, and beside its logits those of two scales, as hierarchical networks have them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images, keep_scales=False):
        logits = self.layer(images)
        outputs = {'pred': logits}
        return outputs | {'pred_05x': logits[..., ::2, ::2], 'pred_10x': 2 * logits} if keep_scales else outputs


@pytest.fixture
def images():
    return torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('flip', [False, True])
def test_averaged_scales_alone_are_what_a_pass_of_that_scale_gives(images, flip):
    net, alone = Blended(), {}
    options = EvalOptions(scales=(1.0, 0.5), flip=flip, flip_kind='4way')
    mean, _ = average_logits(net, images, options, alone=alone)
    assert list(alone) == ['averaged_1x', 'hierarchical_0.5x', 'hierarchical_1x', 'averaged_0.5x']
    for scale in (1.0, 0.5):
        single, _ = average_logits(net, images, EvalOptions(scales=(scale,), flip=flip, flip_kind='4way'))
        assert torch.equal(alone[f'averaged_{scale:g}x'], single)
    assert torch.equal(mean, average_logits(net, images, options)[0]), 'the mean is what it is without'


def test_hierarchical_scales_are_those_of_the_pass_brought_to_the_size_of_the_image(images):
    net, alone = Blended(), {}
    average_logits(net, images, EvalOptions(), alone=alone)
    assert list(alone) == ['hierarchical_0.5x', 'hierarchical_1x']
    small = F.interpolate(net(images)['pred'][..., ::2, ::2], size=(16, 24), mode='bilinear')
    torch.testing.assert_close(alone['hierarchical_0.5x'], small)


def test_scales_alone_come_from_a_sliding_window_too(images):
    net = Blended()
    net.layer = torch.nn.Conv2d(3, 4, 1)
    tiled, whole = {}, {}
    mean, _ = average_logits(net, images, EvalOptions(tile=(16, 16)), alone=tiled)
    average_logits(net, images, EvalOptions(), alone=whole)
    torch.testing.assert_close(mean, net(images)['pred'])
    assert list(tiled) == list(whole)
    torch.testing.assert_close(tiled['hierarchical_1x'], whole['hierarchical_1x'])


def test_a_scale_is_scored_by_its_own_prediction(images):
    net, labels = Blended(), torch.randint(0, 4, (2, 16, 24), dtype=torch.uint8)
    batch = {'image': images, 'label': labels, 'name': ['a', 'b'], 'index': [0, 1]}
    evaluator = Evaluator([net], lambda one: one, Dist(), EvalOptions(scales=(1.0, 0.5)), lambda line: None)
    _, [found] = evaluator.run([batch], [ScaleScores(4)])
    matrix = ConfusionMatrix(4)
    matrix.update(average_logits(net, images, EvalOptions(scales=(0.5,)))[0].argmax(1), labels)
    assert (found['averaged_0.5x'] == matrix.counts).all() and found['hierarchical_1x'].sum() == labels.numel()
