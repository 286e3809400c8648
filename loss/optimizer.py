"""Optimizers and learning-rate schedules, chosen by flags.

One parameter group holds every parameter that is trained, so weight decay reaches norms and biases too, as published.
The schedules are factors on --lr as a function of the epoch t out of T = --max_epoch; with --lr_step iter t has a
fraction.
"""

from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LambdaLR

from loss.checks import unknown
from utils.settings import SETTINGS


def get_optimizer(net, args):
    """The optimizer of --optimizer over net's parameters that require a gradient.

    adam has weight decay as L2 in the gradient, adamw and radam (Liu et al., arXiv 1908.03265) apart from it.
    """
    _check_choices(args, 'optimizer')
    if args.amsgrad and args.optimizer not in ('adam', 'adamw'):
        raise ValueError(
            f'--amsgrad is a variant of adam and adamw, not of {args.optimizer}; drop it or give --optimizer adam'
        )
    if args.lr < 0 or args.weight_decay < 0:
        raise ValueError(f'--lr {args.lr} and --weight_decay {args.weight_decay} must not be negative')
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    common = {'lr': args.lr, 'weight_decay': args.weight_decay}
    if args.optimizer == 'sgd':
        return torch.optim.SGD(parameters, momentum=args.momentum, nesterov=False, **common)
    if args.optimizer == 'adam':
        return torch.optim.Adam(parameters, amsgrad=args.amsgrad, **common)
    if args.optimizer == 'adamw':
        return torch.optim.AdamW(parameters, amsgrad=args.amsgrad, **common)
    return torch.optim.RAdam(parameters, decoupled_weight_decay=True, **common)


class Schedule(LambdaLR):
    """Learning rate times a factor of the epoch; call step() once per epoch, or per iteration with interval 'iter'.

    Its state is the position of the run and nothing else, so that a run can enter anywhere: resumed, extended, or at
    --start_epoch.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        factor: Callable[[float], float],
        interval: str = 'epoch',
        steps_per_epoch: int = 1,
    ):
        self.interval = interval
        self.steps_per_epoch = steps_per_epoch if interval == 'iter' else 1
        super().__init__(optimizer, lambda step: factor(step / self.steps_per_epoch))

    def enter(self, epoch: int, step: int = 0):
        """Go to `epoch`, after `step` iterations of it (which count where `interval` is 'iter')."""
        self.last_epoch = epoch * self.steps_per_epoch + (step if self.interval == 'iter' else 0)
        for group, base, factor in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas):
            group['lr'] = base * factor(self.last_epoch)
        self._last_lr = [group['lr'] for group in self.optimizer.param_groups]


def get_scheduler(optimizer, args, steps_per_epoch):
    """The Schedule of --lr_schedule, at epoch 0.

    poly: (1 - t/T)^p, p = --poly_exp. poly2: exponent p before epoch --poly_step, 2p from it on. scl-poly: (1 - t/T)^p
    before epoch r = --rlx_off_epoch, then --rescale * (1 - (t-r)/(T-r))^q, q = --repoly.
    """
    _check_choices(args, 'lr_schedule', 'lr_step')
    if args.max_epoch < 1:
        raise ValueError(f'--max_epoch {args.max_epoch}: expected at least 1')
    if args.lr_schedule == 'scl-poly' and not 0 <= args.rlx_off_epoch < args.max_epoch:
        raise ValueError(
            f'--lr_schedule scl-poly changes its slope at --rlx_off_epoch, which is {args.rlx_off_epoch}; '
            f'give an epoch from 0 to --max_epoch - 1 = {args.max_epoch - 1}'
        )
    return Schedule(optimizer, _factor(args), args.lr_step, steps_per_epoch)


def _check_choices(args, *names):
    for name in names:
        if getattr(args, name) not in SETTINGS[name].choices:
            raise ValueError(unknown(f'--{name}', getattr(args, name), SETTINGS[name].choices))


def _factor(args):
    schedule, last, power = args.lr_schedule, args.max_epoch, args.poly_exp
    change, scale, power_after = args.rlx_off_epoch, args.rescale, args.repoly
    poly_step = args.poly_step

    def left(epoch, first=0):  # never negative: a step after the last epoch has nothing left
        return max(0.0, 1 - (epoch - first) / (last - first))

    def poly(epoch):
        return left(epoch) ** power

    def poly2(epoch):
        return left(epoch) ** (power if epoch < poly_step else 2 * power)

    def scl_poly(epoch):
        return left(epoch) ** power if epoch < change else scale * left(epoch, change) ** power_after

    return {'poly': poly, 'poly2': poly2, 'scl-poly': scl_poly}[schedule]
