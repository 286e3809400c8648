"""Dry run (`--dry_run`): flags, files, data and network of a command are checked, and nothing is computed or written.

Files that are not there are told, all of them, and do not end it: a command can be looked at before its data and
weights have been fetched. Every other mistake is an error, as in the run itself.
"""

from argparse import Namespace
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

import datasets
from datasets.base import DATASETS
from datasets.sampling.coarse import training_qualities
from engine.builders import build_network, epoch_batches
from engine.distributed import Dist
from engine.teacher import build_teacher
from loss import build_criterion, build_validation_criterion, read_class_weights
from loss.optimizer import get_optimizer, get_scheduler
from transforms import build_mixing, build_train_transform, build_val_transform
from utils.cli.flags import with_values
from utils.cli.wording import counted
from utils.outputs.kinds import MASK_SCORES

SPLITS = {'trn': 'train'}
META = torch.device('meta')
# Without the file that they start from, the flags are still those of a command that can be checked.
WITHOUT_START: dict[str, Any] = {'snapshot': None, 'finetune_from': None, 'run': None, 'restore_optimizer': False}
WITHOUT_PLAN: dict[str, Any] = {'recipe': None, 'minutes': None}


class DryRun:
    """What the steps of a program's start found; missing: sentences about files that are not there."""

    def __init__(self):
        self.missing: list[str] = []

    def attempt(self, step: Callable, *args) -> Any:
        """What `step` returns, None where it misses a file."""
        try:
            return step(*args)
        except FileNotFoundError as error:
            self.missing += [str(error)] if str(error) not in self.missing else []
            return None

    def adopt(self, adopt: Callable, args: Namespace) -> Namespace:
        """The flags with those of an earlier run, or without where that is not there."""
        if not args.dry_run:
            return adopt(args)
        return self.attempt(adopt, args) or _without(args, WITHOUT_START)

    def load(self, load_state: Callable, args: Namespace, log: Callable[[str], Any]) -> tuple[Namespace, Any]:
        """(args, state) as load_state has them, without the weights or the plan for which files are missing."""
        resume = 'auto' if args.resume == 'auto' else None
        for left_out in ({}, {**WITHOUT_START, 'resume': resume}, WITHOUT_PLAN):
            args = _without(args, left_out)
            lines: list[str] = []
            found = self.attempt(load_state, args, lines.append)
            if found:
                break
        else:
            raise FileNotFoundError(self.missing[-1])
        for line in lines:
            log(line)
        return found

    def report(self, args: Namespace, run, state) -> int:
        """Build what can be built, say what the command would do; the exit code, 1 where files are missing."""
        classes = datasets.get_classes(args.dataset)
        wanted = [(SPLITS.get(args.eval, args.eval), 'fine')] if args.eval else []
        wanted = wanted or [*(('train', quality) for quality in training_qualities()), ('val', 'fine')]
        sets = [self.attempt(_dataset, args, split, quality) for split, quality in wanted]
        data = next(filter(None, sets), None) or Namespace(
            name=args.dataset,
            classes=classes,
            num_classes=len(classes),
            ignore_label=classes.ignore_label,
            class_weights=getattr(DATASETS.get(args.dataset), 'class_weights', None),
        )
        builder = SimpleNamespace(device=META, log=run.log, dist=Dist())
        plain = with_values(args, pretrained='none', compile=False, syncbn=False)
        with torch.random.fork_rng(devices=()), META:
            net = build_network(plain, data, builder, state, training=not args.eval)
        for (split, quality), found in zip(wanted, sets):
            if found:
                labels = '' if found.labelled else ', without labels'
                run.log(
                    f'data: {found.name} {split}{"" if quality == "fine" else f" ({quality} labels)"},'
                    f' {counted(len(found), "image")}{labels}'
                )
        if args.eval:
            build_val_transform(args, data.ignore_label)
        else:
            self._training(args, run, net, data, sets[:-1])
        task = f'evaluate {args.eval}' if args.eval else 'look for a learning rate' if args.lr_find else 'train'
        run.log(f'would {task} and write to {args.result_dir}')
        for line in self.missing:
            run.log(f'missing: {line}')
        run.log(f'dry run: {counted(len(self.missing), "thing")} missing' if self.missing else 'dry run: all is there')
        return int(bool(self.missing))

    def _training(self, args, run, net, data, sets):
        """Build everything else that a training needs, and tell its length."""
        transform = self.attempt(build_train_transform, args, data.ignore_label)
        build_mixing(args, data.num_classes, data.ignore_label)
        weights = self.attempt(read_class_weights, args.class_weights, data.classes.names)
        numbers = (data.num_classes, data.ignore_label, weights, data.class_weights)
        criterion = build_criterion(args, net.output_names, *numbers, of_queries=net.kind == MASK_SCORES)
        build_validation_criterion(args, *numbers)
        losses = ', '.join(f'{name} x {weight:g}' for name, weight in zip(net.output_names, criterion.weights))
        run.log(f'loss: {losses}')
        self.attempt(build_teacher, args, data.classes, 'cpu', run.log)
        steps = 1
        if all(sets):
            for found in sets if transform else ():
                transform.check_crop(found.sizes())
            coarse = int(sum(map(len, sets[1:])) * args.coarse_portion) if args.quality == 'fine_coarse' else 0
            images, batch = len(sets[0]) + coarse, args.bs_trn * run.dist.world
            if images < batch:
                raise ValueError(f'--bs_trn {args.bs_trn}: a step takes {batch} images, there are {images}')
            steps = -(-min(images // batch, epoch_batches(args) or images) // args.accumulate)
            run.log(
                f'length: {counted(args.max_epoch - args.start_epoch, "epoch")} of {counted(steps, "step")},'
                f' {counted(batch * args.accumulate, "image")} each'
            )
        get_scheduler(get_optimizer(net, args), args, steps_per_epoch=steps)


def _without(args: Namespace, changes: dict) -> Namespace:
    """Flags without where they start; an evaluation then has random weights."""
    return with_values(args, **changes, **({'random_weights': True} if args.eval and changes else {}))


def _dataset(args: Namespace, split: str, quality: str):
    return datasets.get_dataset(args.dataset, split, quality=quality, eval_folder=args.eval_folder)
