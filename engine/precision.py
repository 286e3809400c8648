"""Mixed precision: the one that a machine has, and the loss scaling that fp16 needs; the arithmetic is in
network.averaging."""

import torch


def resolve(precision, device, log):
    """The precision for `device`, 'cpu' or 'cuda': fp16 becomes bf16 on a CPU, which has no fast fp16; logged."""
    if precision == 'fp16' and device == 'cpu':
        log('--precision fp16: this is a CPU, computing in bf16 instead')
        return 'bf16'
    return precision


def grad_scaler(device, precision):
    """Loss scaling keeps small gradients above fp16's smallest number; a disabled scaler passes everything through."""
    return torch.amp.GradScaler(device.type, enabled=precision == 'fp16')
