"""Mistakes in the file of --data_yaml: one sentence each, which begins with the key."""

from utils.cli.wording import counted, did_you_mean, listed


class Mistake(ValueError):
    """What is wrong in the file, without its name."""


def counted_names(paths, what='image') -> str:
    """'3 images (a, b, c)': how many, and the first of them."""
    return f'{counted(len(paths), what)} ({listed(paths)})'


def check_keys(values: dict, known, where: str):
    """Raise Mistake for a key that is not known."""
    for key in values:
        if key not in known:
            hint = did_you_mean(key, known, f'the keys are {", ".join(known)}', 2, 0.6)
            raise Mistake(f'{where}{key}: there is no such key; {hint}')


def kind_of(value) -> str:
    """What a value is, for a person."""
    return {
        bool: 'yes or no',
        dict: 'a mapping',
        list: 'a list',
        str: 'text',
        int: 'a number',
        float: 'a number',
        type(None): 'empty',
    }.get(type(value), f'a {type(value).__name__}')
