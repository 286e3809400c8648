"""Teacher of a distillation (`--teacher`): trained networks whose classes a student learns at every pixel."""

from collections.abc import Sequence
from itertools import zip_longest

import torch

from engine.stored_teacher import UNFOLLOWED, StoredTeacher, is_stored
from loss.distillation import distillation_loss, pooled
from network.averaging import autocast
from network.loading import load
from transforms.normalize import Normalize
from utils.classes import Classes
from utils.cli.wording import counted, listed
from utils.files.run_directory import weights_file
from utils.outputs.kinds import as_logits, kind_of


class Teacher:
    """Networks in evaluation mode and without gradients, each with the mean and std that it was trained on, and stored
    logits.

    Args:
        nets: of network.load; their scales are those of their evaluation.
        stored: StoredTeachers.
        ignore_label: of the labels, whose pixels do not count.
        temperature, weight: of the divergence, see loss.distillation.
        precision: 'fp32', 'bf16' or 'fp16', of the forward passes.
    """

    def __init__(
        self,
        nets: Sequence,
        ignore_label: int,
        stored: Sequence[StoredTeacher] = (),
        temperature=1.0,
        weight=1.0,
        precision='fp32',
        device='cpu',
    ):
        self.device = torch.device(device)
        self.nets = [net.to(device, memory_format=torch.channels_last).eval().requires_grad_(False) for net in nets]
        self.normalize = [Normalize(net.trained_on.mean, net.trained_on.std, True).to(device) for net in nets]
        self.stored = tuple(stored)
        self.ignore_label, self.temperature, self.weight = ignore_label, temperature, weight
        self.precision = precision

    @torch.no_grad()
    def logits(self, images, stored=None) -> list:
        """Logits (N, K, h, w) of every teacher for images (N, 3, H, W) in [0, 255], as the student sees them. Taken
        before the student's own pass, so that both are never in memory together.

        stored: those of stored_teacher.cut, (N, number, K, h, w).
        """
        found = []
        for net, normalize in zip(self.nets, self.normalize):
            with autocast(self.device, self.precision):
                found.append(as_logits(net(normalize(images))['pred'], kind_of(net)))
        found = [pooled(logits, images.shape[-2:]) for logits in found]
        return found if stored is None else [*found, *stored.to(self.device, non_blocking=True).unbind(1)]

    def check_holds(self, names: Sequence[str]):
        """Raise ValueError unless every folder of stored logits has those of all training images."""
        for teacher in self.stored:
            teacher.check_holds(names)

    def join(self, losses: dict, logits, outputs: dict, labels) -> dict:
        """The losses of a step with the divergence: `weight` times in 'loss', and as 'pred/distill'."""
        divergence = distillation_loss(outputs['pred'], logits, labels, self.temperature, self.ignore_label)
        return {**losses, 'loss': losses['loss'] + self.weight * divergence, 'pred/distill': divergence.detach()}


def build_teacher(args, classes, device, log) -> Teacher | None:
    """The Teacher of the flags for a student of `classes`; None without --teacher; log: takes a line about each.

    Raises FileNotFoundError or ValueError for a file that is not there, tells no network or has other classes.
    """
    if not args.teacher:
        return None
    nets, stored = [], []
    with torch.random.fork_rng(devices=()):  # the student draws what it draws without a teacher
        for file in args.teacher:
            if is_stored(file):
                stored.append(StoredTeacher(file))
                check_classes(file, stored[-1].classes, classes)
                log(f'--teacher {file}: stored logits of {counted(len(stored[-1].entries), "image")}')
                continue
            net = load(weights_file(file.replace('ASSETS_PATH', args.assets_path), '--teacher'))
            check_classes(file, net.trained_on.classes, classes)
            check_images(file, net.in_channels, args.in_channels)
            nets.append(net)
            log(f'--teacher {file}: {net.arch} on {net.trunk_name}')
    unfollowed = [f'--{name}' for name in UNFOLLOWED if stored and getattr(args, name)]
    if unfollowed:
        raise ValueError(
            f'--teacher {stored[0].folder}: stored logits follow scaling, crops and flips, not {listed(unfollowed)};'
            ' leave that out, or give the checkpoint that they are of'
        )
    settings = args.distill_temperature, args.distill_weight, args.precision, device
    return Teacher(nets, classes.ignore_label, stored, *settings)


def check_images(file, channels: int, ours: int):
    """Raise ValueError unless a teacher takes images of as many channels as the student."""
    if channels != ours:
        raise ValueError(
            f'--teacher {file}: takes images of {channels} channels, the student of {ours}; give a teacher of the same'
            ' images'
        )


def check_classes(file, theirs: Classes, ours: Classes):
    """Raise ValueError, naming those that differ, unless a teacher has the classes of the student in their order; of a
    file that names none the number counts alone."""
    has_names = theirs.names != Classes.numbered(len(theirs)).names
    pairs = enumerate(zip_longest(theirs.names, ours.names, fillvalue='none'))
    differ = [f'{place} is {their!r} there and {our!r} here' for place, (their, our) in pairs if their != our]
    if len(theirs) == len(ours) and not (has_names and differ):
        return
    numbers = f'{len(theirs)} classes, the data set has {len(ours)}'
    what = numbers if len(theirs) != len(ours) else f'other classes than the data set, {len(differ)} of {len(ours)}'
    named = f': {listed(differ, 5)}' if has_names else ''
    raise ValueError(f'--teacher {file}: has {what}{named}; give a network that was trained on the same classes')
