"""Folder of a run as others read it: its flags, curves, scores of classes and pictures. Runs of earlier versions and
those started from Python lack some of these."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from utils.cli.wording import did_you_mean, listed
from utils.files import metrics_csv, stamps
from utils.files.limits import parse_json
from utils.files.metrics_csv import MetricsTable

FLAGS, LOG, SCORES, PICTURES = 'hparams.json', 'logging.log', 'metrics.json', 'best_images'
NO_FLAGS = ('command', 'given', 'source')  # entries of hparams.json that nobody chose
UNSET = 'None'  # a flag that came after a run: it had no value then
_LINE = re.compile(r'\[epoch (\d+)\], \[iter (\d+) / (\d+)\], \[train main loss (\S+)\], \[lr (\S+)\]')


@dataclass
class RunFolder:
    """What a folder says of a run; `read_run` makes it.

    flags: values by name; table: of metrics.csv; steps: {optimizer step: (training loss, learning rate)};
    steps_per_epoch is None where no line of the log tells it; scores: the content of metrics.json.
    """

    path: Path
    flags: dict = field(default_factory=dict)
    table: MetricsTable = field(default_factory=MetricsTable)
    steps: dict = field(default_factory=dict)
    steps_per_epoch: int | None = None
    scores: dict = field(default_factory=dict)

    def scores_of(self, epoch: int) -> dict:
        """{class: IoU in [0, 1]} of a validation; {} where it is not known, nan for a class that is not there."""
        row = self.table.of('iou').get(epoch)
        if row is not None:
            return {name.removeprefix('iou/'): value for name, value in row.items() if name.startswith('iou/')}
        if epoch not in (self.scores.get('epoch'), 0 if 'split' in self.scores else None):
            return {}
        ious = {name: one.get('iou') for name, one in self.scores.get('classes', {}).items()}
        return {name: math.nan if iou is None else iou for name, iou in ious.items()}

    def step_of(self, epoch: int) -> int | None:
        """The optimizer steps that were done at the end of an epoch; None where nothing tells them."""
        done = self.table.of('train').get(epoch, {}).get('step')
        return done if done is not None or self.steps_per_epoch is None else (epoch + 1) * self.steps_per_epoch

    def last(self) -> int | None:
        """The epoch of the last validation."""
        return max(self.table.of('val'), default=None)

    def best(self) -> int | None:
        """The epoch of the first validation of the best mean IoU."""
        scores = {epoch: row.get('mean_iu', math.nan) for epoch, row in self.table.of('val').items()}
        found = {epoch: score for epoch, score in scores.items() if not math.isnan(score)}
        return min(found, key=lambda epoch: (-found[epoch], epoch), default=None)

    def pictures(self) -> dict:
        """{name of an image: (record, {key: file})} of best_images/; what cannot be read there is left out."""
        found, folder = {}, self.path / PICTURES
        for path in sorted(folder.rglob('*.json')):
            try:
                record = parse_json(path.read_bytes())
                files = {layer['key']: folder / layer['file'] for layer in record['layers']}
                name = str(record['name'])
            except (OSError, ValueError, TypeError, KeyError):
                continue
            inside = {key: file for key, file in files.items() if file.resolve().is_relative_to(folder.resolve())}
            found[name] = record, {key: file for key, file in inside.items() if file.is_file()}
        return found


def is_run(path) -> bool:
    """Whether a folder holds what a run leaves."""
    return any((Path(path) / name).is_file() for name in (FLAGS, metrics_csv.NAME))


def read_run(path) -> RunFolder:
    """The run in a folder. Raises FileNotFoundError or ValueError, with names that are near, where there is none."""
    path = Path(path)
    if not path.is_dir():
        beside = [str(folder) for folder in path.parent.glob('*') if is_run(folder)] if path.parent.is_dir() else []
        hint = did_you_mean(path, beside, f'runs beside it: {listed(sorted(beside))}', cutoff=0.7)
        raise FileNotFoundError(f'{path}: there is no such folder; {hint}')
    if not is_run(path):
        below = sorted(str(file.parent) for file in path.glob(f'*/{FLAGS}'))
        raise ValueError(
            f'{path}: is no run, it holds neither {FLAGS} nor {metrics_csv.NAME}; '
            + (f'did you mean {listed(below, 5)}?' if below else 'give the --result_dir of a training or an evaluation')
        )
    remedy = 'copy the run again, or leave it out'
    run = RunFolder(path, stamps.read(path / FLAGS, remedy, 'record of a run') or {})
    run.scores = stamps.read(path / SCORES, remedy, 'list of scores') or {}
    if (path / metrics_csv.NAME).is_file():
        run.table = MetricsTable.read(path / metrics_csv.NAME)
    _read_log(run)
    return run


def _read_log(run):
    """The lines of steps in logging.log; of steps that were taken twice the later ones."""
    accumulate = run.flags.get('accumulate') or 1
    try:
        text = (run.path / LOG).read_text(encoding='utf-8', errors='replace')
    except OSError:
        return
    for epoch, batch, total, loss, rate in _LINE.findall(text):
        run.steps_per_epoch = math.ceil(int(total) / accumulate)
        step = int(epoch) * run.steps_per_epoch + math.ceil(int(batch) / accumulate)
        run.steps[step] = float(loss), float(rate)
    run.steps = dict(sorted(run.steps.items()))


def differing(every: list) -> list:
    """The names of the flags that are not the same in all of some mappings of flags."""
    names = dict.fromkeys(name for flags in every for name in flags)
    return [name for name in names if len({str(flags.get(name, UNSET)) for flags in every}) > 1]
