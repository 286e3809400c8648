"""The W48 networks against numbers of the published implementation, in float64.

`parity/keys.json` holds state-dict keys and shapes for 19 classes, those of the trunk apart; `parity/<arch>.npz`
outputs (every fourth pixel), losses and gradients (of large layers every third value), stored as float32.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fill import IGNORE, fill, image, labels
from torch import nn

from loss import get_criterion
from network import get_net

PARITY = Path(__file__).parent / 'parity'
ARCHS = ['basic.HRNet', 'ocrnet.HRNet', 'ocrnet.HRNet_Mscale']
ALPHA = 0.4


@pytest.fixture(scope='module', params=ARCHS)
def net(request):
    net = get_net(request.param, 19)
    for module in net.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    return fill(net).double()


@pytest.fixture
def expected(net):
    return np.load(PARITY / f'{net.arch}.npz')


def disagreement(found, expected):
    """Largest difference in units of the largest expected value."""
    return np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max()


def sampled(maps):
    return maps[..., 1::4, 2::4]


@pytest.mark.parametrize('arch', ARCHS)
def test_keys_and_shapes_are_those_of_the_published_checkpoints(arch):
    with torch.device('meta'):
        net = get_net(arch, 19)
    groups = json.loads((PARITY / 'keys.json').read_text())
    expected = {f'backbone.{key}': shape for key, shape in groups['backbone'].items()} | groups[arch]
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == expected


@pytest.mark.parametrize(
    'net',
    [pytest.param(arch, marks=() if arch == 'ocrnet.HRNet_Mscale' else pytest.mark.slow) for arch in ARCHS],
    indirect=True,
)
def test_logits_and_attention_in_evaluation(net, expected):
    net.eval()
    passes = {'eval/': ()} if net.arch != 'ocrnet.HRNet_Mscale' else {'two/': (), 'n3/': (2.0, 1.0, 0.5)}
    compared = set()
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-6)):
        net.to(dtype)
        for prefix, net.n_scales in passes.items():
            with torch.no_grad():
                outputs = net(image(64, 128).to(dtype), keep_scales=True)
            for key, maps in outputs.items():
                dotted = prefix + key.replace('_05x', '_0.5x').replace('_10x', '_1.0x').replace('_20x', '_2.0x')
                name = dotted if dotted in expected else prefix + key
                assert maps.dtype == dtype
                assert disagreement(sampled(maps), expected[name]) < tolerance, name
                compared.add(name)
    assert compared == {key for key in expected if not key.startswith('train')}


@pytest.mark.parametrize(
    'net, kind',
    [
        ('ocrnet.HRNet_Mscale', 'rmi'),
        *(
            pytest.param(arch, kind, marks=pytest.mark.slow)
            for arch in ARCHS
            for kind in ('ce', 'rmi')
            if (arch, kind) != ('ocrnet.HRNet_Mscale', 'rmi')
        ),
    ],
    indirect=['net'],
)
def test_loss_and_gradients_in_training(net, expected, kind):
    net.train().zero_grad()
    outputs = net(image(64, 128, batch=2, seed=3))
    target = labels(64, 128, 19, batch=2, seed=3)
    if kind == 'ce':
        loss = sum(
            weight * F.cross_entropy(outputs[name], target, ignore_index=IGNORE)
            for name, weight in (('pred', 1.0), ('aux', ALPHA))
            if name in outputs
        )
    else:
        names = [name for name in ('pred', 'aux') if name in outputs]
        criterion = get_criterion(['rmi', 'bce'][: len(names)], [1.0, ALPHA][: len(names)], 19)
        loss = criterion({name: outputs[name] for name in names}, target)['loss']
    loss.backward()
    assert loss.item() == pytest.approx(float(expected[f'train_{kind}/loss']), rel=2e-6)
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    for key in expected:
        if key.startswith(f'train_{kind}/grad/'):
            gradient = gradients[key.rpartition('/')[2]]
            gradient = gradient if gradient.numel() <= 5000 else gradient.flatten(1)[:, ::3]
            assert disagreement(gradient, expected[key]) < 1e-5, key
