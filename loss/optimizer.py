"""Optimizers and learning-rate schedules, chosen by flags.

The schedules are factors on --lr as a function of the epoch t out of T = --max_epoch; with --lr_step iter t has a
fraction.
"""

import math
from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LambdaLR

from loss.checks import unknown
from loss.parameter_groups import parameter_groups
from utils.settings import SETTINGS


def get_optimizer(net, args):
    """The optimizer of --optimizer over net's parameters that require a gradient.

    adam has weight decay as L2 in the gradient, all but sgd and madgrad apart from it. adamw: Loshchilov and Hutter
    (arXiv 1711.05101). radam: Liu et al. (arXiv 1908.03265). madgrad: Defazio and Jelassi (arXiv 2101.11075). muon:
    orthogonalised momentum for matrices and convolutions, whose steps are as long as those of AdamW, and AdamW for
    vectors (Jordan et al. 2024; Liu et al., arXiv 2502.16982).
    """
    _check_choices(args, 'optimizer')
    if args.amsgrad and args.optimizer not in ('adam', 'adamw'):
        raise ValueError(
            f'--amsgrad is a variant of adam and adamw, not of {args.optimizer}; drop it or give --optimizer adam'
        )
    if args.lr < 0 or args.weight_decay < 0:
        raise ValueError(f'--lr {args.lr} and --weight_decay {args.weight_decay} must not be negative')
    groups = parameter_groups(net, args)
    common = {'lr': args.lr, 'weight_decay': args.weight_decay}
    if args.optimizer == 'sgd':
        return torch.optim.SGD(groups, momentum=args.momentum, nesterov=False, **common)
    if args.optimizer == 'adam':
        return torch.optim.Adam(groups, amsgrad=args.amsgrad, **common)
    if args.optimizer == 'adamw':
        return torch.optim.AdamW(groups, amsgrad=args.amsgrad, **common)
    if args.optimizer == 'radam':
        return torch.optim.RAdam(groups, decoupled_weight_decay=True, **common)
    return _of_timm(args.optimizer)(groups, **common)


def _of_timm(name: str):
    """A class of optimizers that torch lacks, or has for some layers alone: its own Muon takes no convolutions."""
    try:
        import timm.optim
    except ImportError:
        raise ValueError(f'--optimizer {name} needs the package timm; pip install -r requirements.txt') from None
    found = getattr(timm.optim, {'madgrad': 'MADGRAD', 'muon': 'Muon'}[name], None)
    if found is None:
        raise ValueError(f'--optimizer {name}: timm {timm.__version__} is too old for it; pip install --upgrade timm')
    return found


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
        warmup: int = 0,
    ):
        """warmup: steps over which the factor rises to its course on a straight line."""
        self.interval = interval
        self.steps_per_epoch = steps_per_epoch if interval == 'iter' else 1
        super().__init__(
            optimizer, lambda step: factor(step / self.steps_per_epoch) * min(1.0, (step + 1) / (warmup + 1))
        )

    def enter(self, epoch: int, step: int = 0):
        """Go to `epoch`, after `step` iterations of it (which count where `interval` is 'iter')."""
        self.last_epoch = epoch * self.steps_per_epoch + (step if self.interval == 'iter' else 0)
        for group, base, factor in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas):
            group['lr'] = base * factor(self.last_epoch)
        self._last_lr = [group['lr'] for group in self.optimizer.param_groups]


def get_scheduler(optimizer, args, steps_per_epoch):
    """The Schedule of --lr_schedule, at epoch 0.

    poly: (1 - t/T)^p, p = --poly_exp. poly2: exponent p before epoch --poly_step, 2p from it on. scl-poly: (1 - t/T)^p
    before epoch r = --rlx_off_epoch, then --rescale * (1 - (t-r)/(T-r))^q, q = --repoly. cosine: (1 + cos(pi t/T)) / 2
    (Loshchilov and Hutter, arXiv 1608.03983). onecycle: up from 1/25 in the first 0.3 T, then down to almost 0, both
    along half a cosine (Smith and Topin, arXiv 1708.07120). --warmup steps lead up to any of them. In the last
    --swa_epochs the rate is --swa_lr, or what it was when they began; it goes there along half a cosine in
    --swa_anneal_epochs.
    """
    _check_choices(args, 'lr_schedule', 'lr_step')
    if args.max_epoch < 1:
        raise ValueError(f'--max_epoch {args.max_epoch}: expected at least 1')
    if args.lr_schedule == 'scl-poly' and not 0 <= args.rlx_off_epoch < args.max_epoch:
        raise ValueError(
            f'--lr_schedule scl-poly changes its slope at --rlx_off_epoch, which is {args.rlx_off_epoch}; '
            f'give an epoch from 0 to --max_epoch - 1 = {args.max_epoch - 1}'
        )
    return Schedule(optimizer, _factor(args), args.lr_step, steps_per_epoch, args.warmup)


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

    def cosine(epoch):
        return _half_cosine(1 - left(epoch))

    def onecycle(epoch):
        done, rise = 1 - left(epoch), 0.3
        if done < rise:
            return 1 / 25 + (1 - 1 / 25) * (1 - _half_cosine(done / rise))
        return 1e-4 + (1 - 1e-4) * _half_cosine((done - rise) / (1 - rise))

    courses = {'poly': poly, 'poly2': poly2, 'scl-poly': scl_poly, 'cosine': cosine, 'onecycle': onecycle}
    return _held_at_the_end(args, courses[schedule]) if args.swa_epochs else courses[schedule]


def _held_at_the_end(args, course):
    """The course up to the epochs of --swa_epochs, in which the rate is constant."""
    start, anneal = max(0, args.max_epoch - args.swa_epochs), args.swa_anneal_epochs
    before = course(start)
    held = before if args.swa_lr is None or not args.lr else args.swa_lr / args.lr

    def factor(epoch):
        if epoch < start:
            return course(epoch)
        done = min(1.0, (epoch - start) / anneal) if anneal else 1.0
        return held + (before - held) * _half_cosine(done)

    return factor


def _half_cosine(done: float) -> float:
    """1 at 0, 0 at 1."""
    return (1 + math.cos(math.pi * done)) / 2
