"""Forecast of how long a training takes on a CPU: the operations of its network (network.cost) by the speed of a
convolution here, before the first step; after that the speed of the first steps."""

import time

import torch

from network.cost import forward_flops
from network.loading import build

DAY = 86400.0  # seconds; what takes longer is told
PIXELS = 1e9  # of a training that no network of this family turns into days
STEP_PASSES = 3  # a step costs as much as three forward passes
REACHED = 0.4  # of the speed of one large convolution, by a whole network
ADVICE = '--recipe small, --minutes M, or a GPU is quicker'


def tell_if_long(args, num_classes: int, batches: int, log):
    """Log, before a training of `batches` in all on a CPU, that it will take days."""
    pixels = float(batches) * args.bs_trn * args.crop_size[0] * args.crop_size[1]
    if pixels < PIXELS:
        return
    seconds = pixels * STEP_PASSES * operations(args, num_classes) / (REACHED * speed())
    if seconds > DAY:
        log(f'this training will take about {duration(seconds)} on this CPU, by an estimate; {ADVICE}')


def tell_speed(seconds: float, done: int, left: int, log):
    """Log that the `left` steps will take days, where `done` of them took `seconds`."""
    if done and seconds / done * left > DAY:
        log(f'at the speed of the first steps the training will take about {duration(seconds / done * left)}; {ADVICE}')


def operations(args, num_classes: int) -> float:
    """Of a forward pass in training, for each pixel of the crop."""
    with torch.random.fork_rng(devices=()), torch.device('meta'):
        net = build(vars(args), num_classes).train()
    images = torch.empty(2, args.in_channels, *args.crop_size, device='meta')
    return forward_flops(net, images)[''] / (images.numel() / args.in_channels)


def speed(seconds=0.3) -> float:
    """Operations in a second of a 3x3 convolution of 64 channels, with the threads that torch has here."""
    images, weights = torch.ones(1, 64, 128, 128), torch.ones(64, 64, 3, 3)
    count, started = 0, time.monotonic()
    with torch.no_grad():
        while count < 2 or time.monotonic() - started < seconds:
            torch.nn.functional.conv2d(images, weights, padding=1)
            count += 1
    return count * 2 * 9 * 64 * 64 * 128 * 128 / (time.monotonic() - started)


def duration(seconds: float) -> str:
    """'3.2 days', '5.0 hours', '12 minutes'."""
    for unit, name in ((DAY, 'days'), (3600, 'hours')):
        if seconds >= unit:
            return f'{seconds / unit:.1f} {name}'
    return f'{max(1, round(seconds / 60))} minutes'
