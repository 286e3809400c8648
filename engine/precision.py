"""Mixed precision: the dtype that the network computes in, and the loss scaling that fp16 needs."""

import torch

DTYPES = {'fp16': torch.float16, 'bf16': torch.bfloat16}


def resolve(precision, device, log):
    """The precision for `device`, 'cpu' or 'cuda': fp16 becomes bf16 on a CPU, which has no fast fp16; logged."""
    if precision == 'fp16' and device == 'cpu':
        log('--precision fp16: this is a CPU, computing in bf16 instead')
        return 'bf16'
    return precision


def autocast(device, precision):
    """The autocast context of a precision; fp32 is no context at all."""
    return torch.autocast(device.type, dtype=DTYPES.get(precision), enabled=precision in DTYPES)


def grad_scaler(device, precision):
    """Loss scaling keeps small gradients above fp16's smallest number; a disabled scaler passes everything through."""
    return torch.amp.GradScaler(device.type, enabled=precision == 'fp16')
