"""Parameters without a gradient, which several processes must not wait for."""

from argparse import Namespace

import pytest
import torch
from small import on_two_processes

import train
from engine.builders import idle_parameters, wrap
from engine.distributed import init_from_env
from loss.criterion import get_criterion
from network import loading
from network.registry import ARCHS

SIZE = ['--crop_size', '64,64', '--ocr_mid_channels', '16', '--ocr_key_channels', '8', '--segattn_bot_ch', '8']


def args_of(arch, *more):
    return train.parse_args(['--arch', arch, *SIZE, '--aspp_bot_ch', '8', *more])


@pytest.mark.parametrize('arch', ['ocrnet.HRNet_Mscale', 'FCN_resnet50'])
def test_what_is_idle_is_what_a_real_step_leaves_without_gradient(arch):
    args = args_of(arch, *(['--trunk', 'hrnetv2_w18_small_v1'] if arch.startswith('ocrnet.') else []))
    net = loading.build(vars(args), 3).train()
    for off in range(len(net.output_names)):
        weights = [float(place != off) for place in range(len(net.output_names))]
        net.zero_grad()
        outputs = net(torch.randn(2, 3, 64, 64))
        sum(outputs[name].mean() for name, weight in zip(net.output_names, weights) if weight).backward()
        without = {name for name, parameter in net.named_parameters() if parameter.grad is None}
        assert idle_parameters(args, 3, weights) == without, net.output_names[off]


def sweep(archs, path):
    """Two steps of every network on this rank with each of its weights at zero; the main rank notes what it did."""
    dist = init_from_env(True, 'cpu')
    run = Namespace(dist=dist, device=dist.device)
    torch.manual_seed(dist.rank)
    for arch in archs:
        extra = ['--n_scales', '0.5,1.0'] if arch.startswith('attnscale.') else []
        args = train.parse_args(['--arch', arch, *SIZE, '--crop_size', '64,96', *extra])
        args.trunk = 'hrnetv2_w18_small_v1' if 'HRNet' in arch else None
        net = loading.build(vars(args), 3).train()
        count = len(net.output_names)
        for off in range(count) if count > 1 else ():
            weights = [float(place != off) for place in range(count)]
            criterion = get_criterion(['ce'] * count, weights, 3)
            wrapped = wrap(args, run, net, weights)
            for _ in range(2):
                net.zero_grad(set_to_none=True)
                criterion(wrapped(torch.randn(2, 3, 64, 96)), torch.zeros(2, 64, 96).long())['loss'].backward()
            total = torch.stack([p.grad.double().sum() for p in net.parameters() if p.grad is not None]).sum()
            assert len(set(dist.gather_objects(total.item()))) == 1, 'gradients are averaged'
        if dist.is_main:
            with open(path, 'a') as file:
                file.write(f'{arch}\n')
    dist.shutdown()


@pytest.mark.parametrize(
    'archs',
    [
        ['FCN_resnet50', 'ocrnet.HRNet', 'ocrnet.HRNet_Mscale'],
        pytest.param([name for name in ARCHS.names() if not ARCHS.fact(name, 'tokens')], marks=pytest.mark.slow),
    ],
)
def test_two_processes_step_whichever_weight_is_zero(archs, tmp_path):
    on_two_processes(sweep, archs, tmp_path / 'swept')
    assert (tmp_path / 'swept').read_text().split() == list(archs)
