"""The networks without OCR against published keys, shapes, sizes and outputs.

`parity/decoders.json` holds, for 19 classes, the parameters of each part outside the trunk and which parts a network
has; `parity/decoders.npz` logits in float64 of filled networks, every eighth pixel.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fill import fill, image
from torch import nn

from network import ARCHS, get_net
from network.options import complete

PARITY = Path(__file__).parent / 'parity'
PUBLISHED = json.loads((PARITY / 'decoders.json').read_text())
# own trunk: channels by stride, as head_strides and skip_strides name them
TRUNKS = {
    'wrn38': ({2: 128, 4: 256, 8: 4096}, (8,), (2, 4)),
    'xception71': ({2: 64, 4: 128, 8: 2048}, (8,), (2, 4)),
    'resnet-50': ({4: 256, 8: 2048}, (8,), (4,)),
    'hrnetv2': ({4: 48, 8: 96, 16: 192, 32: 384}, (4, 8, 16, 32), ()),
}
# parameters and state-dict entries
SIZES = {
    'basic.HRNet_ASP': (72_186_176, 1874),
    'deepv3.DeepV3PlusW38': (137_103_936, 268),
    'deepv3.DeepV3PlusW38I': (137_103_936, 268),
    'deepv3.DeepV3PlusX71': (54_632_240, 825),
    'deepv3.DeepV3PlusR50': (40_351_040, 363),
    'deepv3.DeepV3PlusSRNX50': (42_353_904, 427),
    'deepv3.DeepV3PlusSRNX101': (63_749_424, 801),
    'deepv3.DeepV3R50': (42_259_776, 361),
    'deeper.DeeperW38': (139_719_232, 269),
    'deeper.DeeperX71': (57_240_368, 826),
    'mscale.HRNet': (69_829_696, 1856),
    'mscale.HRNet_ASP': (73_367_104, 1887),
    'mscale.DeepV3R50': (41_642_560, 376),
    'mscale.DeepV3W38': (138_395_456, 281),
    'mscale.DeepV3X71': (55_923_760, 838),
    'mscale.DeepV3W38Fuse': (138_395_456, 281),
    'mscale.DeepV3W38Fuse2': (138_395_712, 281),
    'mscale.DeeperW38': (140_900_160, 282),
    'mscale.DeeperX71': (58_421_296, 839),
    'mscale2.DeepV3R50': (42_342_976, 376),
    'attnscale.DeepV3R50': (44_555_072, 365),
    'attnscale.DeepV3R50B': (43_043_904, 376),
    'attnscale.DeepV3W38': (141_307_968, 270),
    'attnscale.DeepV3R50BP': (42_343_232, 376),
}


class Stub(nn.Module):
    """Says of a trunk what heads ask when they are built."""

    deepest_stride = 8

    def __init__(self, channels, head_strides, skip_strides):
        super().__init__()
        self.channels, self.head_strides, self.skip_strides = channels, head_strides, skip_strides


@pytest.mark.parametrize('arch', PUBLISHED['archs'])
def test_keys_and_shapes_outside_the_trunk_are_those_of_the_published_checkpoints(arch):
    expected = {
        f'{part.split("/")[0]}.{key}': shape
        for part in PUBLISHED['archs'][arch]
        for key, shape in PUBLISHED['parts'][part].items()
    }
    with torch.device('meta'):
        net = ARCHS[arch](19, Stub(*TRUNKS[ARCHS.fact(arch, 'trunk', 'hrnetv2')]), False, complete())
    assert {name: list(parameter.shape) for name, parameter in net.named_parameters()} == expected
    norms = [name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)]
    statistics = {f'{norm}.{name}' for norm in norms for name in ('running_mean', 'running_var', 'num_batches_tracked')}
    assert net.state_dict().keys() == expected.keys() | statistics


@pytest.mark.slow
@pytest.mark.parametrize('arch', SIZES)
def test_sizes_are_the_published_ones(arch):
    with torch.device('meta'):
        net = get_net(arch, 19)
    assert (sum(parameter.numel() for parameter in net.parameters()), len(net.state_dict())) == SIZES[arch]
    assert {key.split('.')[0] for key in net.state_dict()} >= {'trunk' if arch.startswith('deeper') else 'backbone'}


@pytest.mark.parametrize(
    'arch',
    [
        'deepv3.DeepV3PlusR50',
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ('deepv3.DeepV3PlusW38', 'basic.HRNet_ASP', 'mscale.HRNet')
        ),
    ],
)
def test_outputs_are_the_published_ones(arch):
    expected = np.load(PARITY / 'decoders.npz')
    with torch.device('meta'):
        net = get_net(arch, 19)
    net = fill(net.to_empty(device='cpu')).double().eval()
    passes = {'two': (), 'n3': (2.0, 1.0, 0.5)} if arch.startswith('mscale') else {'eval': ()}
    for name, net.n_scales in passes.items():
        with torch.no_grad():
            found = net(image(64, 128))['pred'][..., 1::8, 2::8].numpy()
        reference = expected[f'{arch}/{name}/pred']
        assert np.abs(found - reference).max() < 1e-6 * np.abs(reference).max()
