"""Run directory seen from outside: the checkpoints it holds, and the file of weights that a path stands for."""

import re
from pathlib import Path

from utils.cli.wording import by_ending, counted, listed


def checkpoints(directory, kind: str) -> list[Path]:
    """Every <kind>_checkpoint_ep*.pth of a directory, kind 'best' or 'last', the newest epoch first."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    found = [(re.fullmatch(kind + r'_checkpoint_ep(\d+)\.pth', file.name), file) for file in directory.iterdir()]
    return [file for _, file in sorted(((int(match.group(1)), file) for match, file in found if match), reverse=True)]


def weights_file(path, flag: str = '') -> str:
    """The file of weights that `path` stands for: of a run directory its best checkpoint, anything else itself.

    flag: put before the path in an error. Raises FileNotFoundError for a directory without a best checkpoint.
    """
    if not Path(path).is_dir():
        return str(path)
    best = checkpoints(path, 'best')
    if best:
        return str(best[0])
    last = checkpoints(path, 'last')
    if last:
        raise FileNotFoundError(
            f'{flag} {path}: holds {last[0].name} but no best_checkpoint_ep*.pth, which the first validation'
            f' writes; go on with --resume {path}, or name that file'.lstrip()
        )
    raise FileNotFoundError(no_checkpoint(path, 'best', flag))


def members(path) -> list:
    """The run directories of the folds below `path`, as scripts/train_folds.py makes them, in their order; else `path`
    alone."""
    folder = Path(path)
    if not folder.is_dir() or checkpoints(folder, 'best') or checkpoints(folder, 'last'):
        return [path]
    found = [(re.fullmatch(r'fold_?(\d+)', item.name), item) for item in folder.iterdir() if item.is_dir()]
    return [str(item) for _, item in sorted((int(match.group(1)), item) for match, item in found if match)] or [path]


def no_checkpoint(path, kind: str, flag: str = '') -> str:
    """The sentence about a directory without any <kind>_checkpoint_ep*.pth, which names the runs that are near it."""
    directory = Path(path)
    folders = (directory.parent, *sorted(item for item in directory.iterdir() if item.is_dir()))
    near = [str(folder) for folder in folders if checkpoints(folder, kind)]
    remedy = f'did you mean {listed(near, 3)}?' if near else 'give the --result_dir of a training'
    files = by_ending(item.name for item in directory.iterdir() if item.is_file())
    inside = f'{counted(len(folders) - 1, "folder")}, files: {files}'
    return f'{flag} {path}: holds no {kind}_checkpoint_ep*.pth (holds {inside}); {remedy}'.lstrip()
