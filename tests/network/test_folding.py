"""Batch normalisation folded into convolutions: the numbers stay, and what cannot be folded stays too."""

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from network.folding import folded

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def run(net):
    return net(IMAGES)


def trained(*parts):
    """The parts in a row, with batch statistics and weights that are not those of the start."""
    torch.manual_seed(1)
    net = nn.Sequential(*parts)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-1, 1), part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2), nn.init.uniform_(part.bias, -1, 1)
    return net.eval()


def norms(net):
    return sum(isinstance(part, nn.BatchNorm2d) for part in net.modules())


def test_the_convolution_carries_scale_and_shift():
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0)).eval()
    with torch.no_grad():
        net[0].weight.fill_(2), net[1].weight.fill_(3), net[1].bias.fill_(5)
        net[1].running_mean.fill_(1), net[1].running_var.fill_(4)
    found = folded(net, lambda one: one(torch.ones(1, 1, 2, 2)))
    # 3 (2x - 1) / 2 + 5 = 3x + 3.5
    assert (found[0].weight.item(), found[0].bias.item(), norms(found)) == (3, 3.5, 0)
    assert net[0].weight.item() == 2 and norms(net) == 1


def test_what_follows_a_convolution_is_folded_and_the_numbers_stay():
    net = trained(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3, groups=1), nn.BatchNorm2d(5))
    found = folded(net, run)
    assert norms(found) == 0
    torch.testing.assert_close(run(found), run(net), rtol=0, atol=1e-5)


def test_a_batch_norm_of_timm_keeps_its_activation():
    net = trained(nn.Conv2d(3, 4, 3), BatchNormAct2d(4))
    found = folded(net, run)
    assert norms(found) == 0 and run(found).min() == 0
    torch.testing.assert_close(run(found), run(net), rtol=0, atol=1e-5)


def test_a_batch_norm_that_follows_something_else_stays():
    net = trained(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    assert folded(net, run) is net


class ReadTwice(nn.Module):
    """Adds what the convolution gives to what becomes of it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = trained(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def forward(self, images):
        found = self.conv(images)
        return found + self.norm(found)


def test_where_something_else_reads_the_convolution_the_network_stays_as_it_is():
    net = ReadTwice().eval()
    assert folded(net, run) is net


class TwoNorms(nn.Module):
    """One convolution at two places, with a batch norm of each place."""

    def __init__(self):
        super().__init__()
        self.conv, self.first, self.second = trained(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3))

    def forward(self, images):
        return self.second(self.conv(self.first(self.conv(images))))


def test_a_convolution_with_two_batch_norms_stays():
    net = TwoNorms().eval()
    assert folded(net, run) is net


@pytest.mark.parametrize('training', [True, False])
def test_the_copy_is_in_evaluation_mode(training):
    assert not folded(trained(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train(training), run).training
