"""HRNet's sizes, as the public project has them."""

import pytest
import torch

from network.trunks import build_trunk

# name: width of the finest branch, channels of layer1, modules per stage, blocks per branch
LAYOUTS = {
    'hrnetv2': (48, 256, (1, 4, 3), 4),
    'hrnetv2_w32': (32, 256, (1, 4, 3), 4),
    'hrnetv2_w18': (18, 256, (1, 4, 3), 4),
    'hrnetv2_w18_small_v1': (16, 128, (1, 1, 1), 2),
    'hrnetv2_w18_small_v2': (18, 256, (1, 3, 2), 2),
}


@pytest.mark.parametrize('name', LAYOUTS)
def test_layout(name):
    width, stem, modules, blocks = LAYOUTS[name]
    with torch.device('meta'):
        trunk = build_trunk(name)
    assert trunk.channels == {4: width, 8: 2 * width, 16: 4 * width, 32: 8 * width}
    assert trunk.layer1[-1].bn3.num_features == stem
    assert (len(trunk.stage2), len(trunk.stage3), len(trunk.stage4)) == modules
    assert {
        len(branch)
        for stage in (trunk.stage2, trunk.stage3, trunk.stage4)
        for module in stage
        for branch in module.branches
    } == {blocks}


def test_w48_has_the_published_number_of_parameters():
    with torch.device('meta'):
        trunk = build_trunk('hrnetv2')
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in trunk.named_children()}
    assert sum(counts.values()) == 65_325_120
    assert counts['layer1'] == 286_208
    assert [counts[f'transition{number}'] for number in (1, 2, 3)] == [332_064, 166_272, 664_320]
    assert [counts[f'stage{number}'] for number in (2, 3, 4)] == [878_112, 15_335_040, 47_624_256]


@pytest.mark.parametrize('size', [(64, 96), (65, 97), (1, 1)])
def test_maps_are_as_large_as_their_stride_says_rounded_up(size):
    trunk = build_trunk('hrnetv2_w18_small_v1').eval()
    with torch.no_grad():
        maps = trunk(torch.randn(1, 3, *size))
    assert {stride: tuple(m.shape[1:]) for stride, m in maps.items()} == {
        stride: (trunk.channels[stride], -(-size[0] // stride), -(-size[1] // stride)) for stride in (4, 8, 16, 32)
    }
