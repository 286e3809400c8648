"""Hooks of a cluster (`--on_stop MODULE:NAME`): what it has to know of a training that it stops, or how it stops one.

NAME is a function, called with one dictionary when a training was asked to stop and has saved itself:

    def requeue(details):       # checkpoint and result_dir, epoch and max_epoch, and the reason, such as 'SIGTERM'
        subprocess.run(['scontrol', 'requeue', os.environ['SLURM_JOB_ID']], check=True)

or it has the four calls of the published program's `userlib.auto_resume:AutoResume`: init() and get_resume_details()
before the start, termination_requested() while it trains, request_resume(user_dict, message) after the save.
"""

import importlib
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from utils.cli.flags import with_values
from utils.cli.wording import did_you_mean

CALLS = ('init', 'get_resume_details', 'termination_requested', 'request_resume')
SECONDS = 10.0  # between two questions whether to stop, which may go over a network


class StopHook:
    """The hook that `text`, MODULE:NAME, names. Raises ValueError where there is none."""

    def __init__(self, text: str):
        self.text, self.target = text, _found(text)
        has = [call for call in CALLS if callable(getattr(self.target, call, None))]
        self.is_auto_resume = len(has) == len(CALLS)
        if has and not self.is_auto_resume:
            lacking = ', '.join(call for call in CALLS if call not in has)
            raise ValueError(f'--on_stop {text}: has {", ".join(has)} and lacks {lacking}; it needs all four')
        if not has and not callable(self.target):
            raise ValueError(
                f'--on_stop {text}: is {self.target!r:.40}; give a function of one dictionary, or what has the calls'
                f' {", ".join(CALLS)}'
            )
        self._asked = -SECONDS

    def started(self, args: Namespace, log: Callable[[str], Any]) -> Namespace:
        """The flags with where the cluster says that the training goes on; log: takes a line about it. Raises
        ValueError where it says that wrongly, or its calls fail."""
        if not self.is_auto_resume:
            return args
        try:
            self.target.init()
            details = self.target.get_resume_details()
        except Exception as error:  # of other people's code
            raise ValueError(f'--on_stop {self.text}: {_said(error)} before the start; leave the flag out') from error
        if not details:
            return args
        if not isinstance(details, Mapping) or not {'RESUME_FILE', 'TENSORBOARD_DIR'} <= details.keys():
            raise ValueError(
                f'--on_stop {self.text}: get_resume_details returned {details!r:.80}, expected nothing, or RESUME_FILE'
                ' and TENSORBOARD_DIR'
            )
        file, directory = str(details['RESUME_FILE']), str(details['TENSORBOARD_DIR'])
        log(f'--on_stop {self.text}: goes on from {file} in {directory}')
        resume = 'auto' if Path(file).resolve().parent == Path(directory).resolve() else file
        return with_values(args, resume=resume, result_dir=directory, snapshot=None, exp=None)

    def request(self) -> str | None:
        """Who asks the training to stop, None for nobody; asked every SECONDS at most. What it raises is left to the
        caller."""
        if not self.is_auto_resume or time.monotonic() - self._asked < SECONDS:
            return None
        self._asked = time.monotonic()
        return f'a request of {self.text}' if self.target.termination_requested() else None

    def stopped(self, checkpoint: Path, max_epoch: int, reason: str, log: Callable[[str], Any]):
        """Tell the cluster of a training that has saved `checkpoint` and ends; log: takes a line, of a failure too,
        which costs nothing of the training."""
        epoch, directory = int(checkpoint.stem.rpartition('ep')[2]), str(checkpoint.parent.resolve())
        try:
            if self.is_auto_resume:
                self.target.request_resume(
                    user_dict={
                        'RESUME_FILE': str(checkpoint.resolve()),
                        'TENSORBOARD_DIR': directory,
                        'EPOCH': str(epoch),
                    },
                    message=f'Progress {100 * epoch // max_epoch}% (epoch {epoch} of {max_epoch})',
                )
            else:
                details = {'checkpoint': str(checkpoint.resolve()), 'result_dir': directory, 'epoch': epoch}
                self.target({**details, 'max_epoch': max_epoch, 'reason': reason})
        except Exception as error:
            log(f'--on_stop {self.text}: {_said(error)}; the training is saved, start it again with --resume auto')
            return
        log(f'--on_stop {self.text}: told of {checkpoint.name}')


def _found(text: str):
    name, _, path = text.partition(':')
    if not name or not path:
        raise ValueError(f'--on_stop {text!r}: expected MODULE:FUNCTION, such as cluster:requeue')
    for place in (os.getcwd(), os.environ.get('SUBMIT_SCRIPTS')):  # the second as the published program had it
        if place and place not in sys.path:
            sys.path.append(place)
    try:
        found = importlib.import_module(name)
    except Exception as error:
        raise ValueError(
            f'--on_stop {text}: module {name} {_said(error)}; it is looked for in this folder, on PYTHONPATH and in'
            ' $SUBMIT_SCRIPTS'
        ) from error
    for part in path.split('.'):
        if not hasattr(found, part):
            near = did_you_mean(part, dir(found), f'define it in {name}')
            raise ValueError(f'--on_stop {text}: {name} has no {part}; {near}')
        found = getattr(found, part)
    return found


def _said(error: Exception) -> str:
    return f'failed ({type(error).__name__}: {" ".join(str(error).split())[:200]})'
