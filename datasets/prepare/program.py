"""What a preparation is: the folder of the download, and the jobs that turn it into the layout that its dataset
reads."""

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from config import cfg
from datasets.collection.layout import find_directory
from datasets.loading.threads import usable_cores
from datasets.prepare import runner
from datasets.prepare.jobs import check_unpacked
from datasets.prepare.record import Record
from utils.settings.value_types import positive


class Program(NamedTuple):
    """A preparation, called `name` on the command line.

    details: what it does, for --help. dataset: the class that reads the results and knows the names of the folder below
    --root. markers: folders of which the download has at least one. remedy: what to unpack where, the end of errors.
    aliases: further names, of data sets that are prepared along with it. plan(base, args, made) returns the jobs, all
    with targets below base; made(path) tells whether a file there is the result of an earlier run. add_flags(parser)
    adds flags of its own.
    """

    name: str
    summary: str
    details: str
    dataset: type
    markers: tuple
    remedy: str
    plan: Callable
    add_flags: Callable = lambda parser: None
    aliases: tuple = ()

    def add_to(self, parser: ArgumentParser):
        """Add the flags of this program and those that all preparations share."""
        parser.add_argument(
            '--root',
            metavar='DIR',
            help='folder of the data sets, given to train.py as --override_dataset_root (required)',
        )
        self.add_flags(parser)
        parser.add_argument(
            '--workers',
            type=positive,
            default=usable_cores(),
            metavar='N',
            help='number of processes (default: %(default)s)',
        )
        parser.add_argument('--dry_run', action='store_true', help='only say what would be written')
        parser.add_argument(
            '--overwrite',
            action='store_true',
            help='also replace files in the place of a result that this program did not write',
        )

    def run(self, args) -> int:
        """Prepare the data set below args.root; returns 0, or 1 when some files were refused. Raises ValueError and
        OSError for mistakes."""
        names = (cfg.DATASET[self.dataset.directory_key], *self.dataset.other_directories)
        base = find_directory(Path(args.root).expanduser(), names, self.markers, self.name, self.remedy)
        check_unpacked(base)
        record = Record(base, self.name)
        return runner.run(
            self.name, record, self.plan(base, args, record.made), args.workers, args.dry_run, args.overwrite
        )
