"""Weights of the classes (--class_weights): numbers, or those of a verification of the data."""

from itertools import zip_longest
from pathlib import Path

import torch

from utils.cli.wording import listed
from utils.files.limits import parse_json

KINDS = ('inverse', 'balanced', 'median')


def read_class_weights(text: str | None, class_names: list) -> torch.Tensor | None:
    """float64 (K,) of '1,2,0.5,...', one number per class, or of FILE:KIND, a verify.json and one of KINDS.

    From a file they are those of its split train or, where it has none, of other labels for training ('train coarse');
    a class that never occurs there gets 0. None of None. Raises ValueError or FileNotFoundError that names the flag.
    """
    if text is None:
        return None
    values = (
        _from_file(*text.rpartition(':')[::2], class_names) if text.rpartition(':')[2] in KINDS else _from_list(text)
    )
    if len(values) != len(class_names) or not all(0 <= value < float('inf') for value in values) or not any(values):
        raise ValueError(
            f'--class_weights {text}: has {len(values)} weights ({", ".join(f"{value:g}" for value in values[:3])},'
            f' ...); expected {len(class_names)} finite numbers, one for each class, none negative and not all 0'
        )
    return torch.tensor(values, dtype=torch.float64)


def verified_dataset(text: str | None) -> str | None:
    """The name of the dataset whose verification FILE:KIND is; None for numbers and where the file does not say."""
    path, _, kind = (text or '').rpartition(':')
    return parse_json(Path(path).read_bytes()).get('dataset') if kind in KINDS else None


def _from_list(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(',')]
    except ValueError:
        raise ValueError(
            f'--class_weights {text}: expected numbers such as 1,2,0.5, one for each class, or FILE:KIND, where FILE is'
            f' the verify.json of python -m datasets.verify and KIND is {", ".join(KINDS[:-1])} or {KINDS[-1]}'
        ) from None


def _from_file(path: str, kind: str, class_names: list) -> list[float]:
    remedy = 'write it with python -m datasets.verify'
    try:
        splits = parse_json(Path(path).read_bytes())['splits']
        of_training = [split for split in splits if split.split()[0] == 'train']
        if not of_training:
            raise ValueError(f'it has split {", ".join(splits)}')
        classes = splits[of_training[0]]['classes']
        names, values = [str(one['name']) for one in classes], [float(one[f'weight_{kind}'] or 0) for one in classes]
    except FileNotFoundError:
        raise FileNotFoundError(f'--class_weights {path}: no such file; {remedy}') from None
    except OSError as error:
        raise ValueError(f'--class_weights {path}: cannot be read ({error.strerror}); {remedy}') from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(
            f'--class_weights {path}: holds no class weights of split train ({type(error).__name__}: {error}); {remedy}'
        ) from None
    pairs = list(zip_longest(names, class_names))
    differ = [f'class {c} is {one!r}, not {other!r}' for c, (one, other) in enumerate(pairs) if one != other]
    if differ:
        raise ValueError(
            f'--class_weights {path}: its classes are not those of the data set: {listed(differ, 3)}; {remedy}'
            ' --dataset NAME, NAME that of this training'
        )
    return values
