"""Recipe file: one of scripts/recipes, or of a person, read and checked. Every mistake names the file and the key."""

import math
import os
from pathlib import Path

from engine.planning.plan import Recipe, Trunk
from utils.cli.run_record import read_value
from utils.cli.wording import did_you_mean
from utils.cli.yaml_file import read_yaml
from utils.settings import SETTINGS

FOLDER = Path(__file__).parents[2] / 'scripts' / 'recipes'
LIKE = f'write it like {FOLDER.name}/small.yaml'


def read_recipe(name: str) -> Recipe:
    """The recipe of that name in scripts/recipes, or of that file.

    Raises FileNotFoundError, or ValueError for a name, key or value that a recipe cannot have.
    """
    known = sorted(path.stem for path in FOLDER.glob('*.yaml'))
    path = FOLDER / f'{name}.yaml' if name in known else Path(os.path.expanduser(name))
    if name not in known and path.suffix not in ('.yaml', '.yml'):
        hint = did_you_mean(name, known, '', 2)
        raise ValueError(
            f'--recipe {name}: there is no such recipe; {hint}{" " if hint else ""}choose one of {", ".join(known)}, or'
            ' give a YAML file like those of scripts/recipes'
        )
    values, what = read_yaml(path, '--recipe', f'the keys of {FOLDER.name}/small.yaml'), f'--recipe {path}'
    _check_keys(values, set(Recipe._fields) - {'name'}, what, 'a recipe')
    low, high = _epochs(values['epochs'], what)
    return Recipe(
        name,
        str(values['about']),
        {flag: _flag(flag, value, what) for flag, value in _of_kind(dict, 'flags', values, what).items()},
        [_trunk(entry, f'{what}: trunks[{n}]') for n, entry in enumerate(_of_kind(list, 'trunks', values, what))],
        epochs=(low, high),
        **{key: int(_number(values[key], what, key)) for key in ('crop_pixels', 'long_edge', 'batch', 'images')},
    )


def _check_keys(values: dict, wanted: set, what: str, of: str):
    if values.keys() != wanted:
        odd = sorted(map(str, values.keys() ^ wanted))[0]
        state = 'is missing' if odd in wanted else f'is no key of {of}'
        raise ValueError(f'{what}: {odd} {state}; the keys are {", ".join(sorted(wanted))}')


def _of_kind(kind, key: str, values: dict, what: str):
    if not isinstance(values[key], kind) or not values[key]:
        expected = 'a mapping of flags to values' if kind is dict else 'a list of trunks'
        raise ValueError(f'{what}: {key}: is {values[key]!r:.60}, expected {expected}; {LIKE}')
    return values[key]


def _number(value, what: str, key: str) -> float:
    try:  # YAML takes 4.8e6 for text
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f'{what}: {key}: is {value!r:.60}, expected a number above 0; {LIKE}')
    return number


def _epochs(value, what: str) -> list[int]:
    given = value if isinstance(value, list) else [value]
    numbers = [int(_number(one, what, 'epochs')) for one in given]
    if len(numbers) != 2 or not 0 < numbers[0] <= numbers[1]:
        raise ValueError(f'{what}: epochs: is {value!r:.60}, expected the fewest and the most, as in [20, 400]')
    return numbers


def _flag(flag, value, what: str):
    """The value of a flag as the command line would give it."""
    if flag not in SETTINGS:
        raise ValueError(f'{what}: flags: there is no flag --{flag}; {did_you_mean(flag, SETTINGS, LIKE)}')
    return read_value(flag, value, f'{what}: flags')


def _trunk(entry, what: str) -> Trunk:
    if not isinstance(entry, dict):
        raise ValueError(f'{what}: is {entry!r:.60}, expected {", ".join(Trunk._fields)}; {LIKE}')
    _check_keys(entry, set(Trunk._fields), what, 'a trunk')
    texts = ('trunk', 'pretrained')
    return Trunk(**{key: str(value) if key in texts else _number(value, what, key) for key, value in entry.items()})
