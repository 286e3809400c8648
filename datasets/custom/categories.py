"""Categories of a custom dataset, groups of classes that are scored together: the key categories of --data_yaml."""

from datasets.custom.mistakes import Mistake, kind_of
from utils.cli.wording import did_you_mean


def read_categories(given, class_names) -> dict[str, tuple[int, ...]]:
    """{category: its trainIds} of the value of the key; {} without it. Every mistake is a Mistake."""
    if given is None:
        return {}
    if not isinstance(given, dict) or not given:
        raise Mistake(f'categories: is {kind_of(given)}, expected such as vehicle: [car, bus] for each')
    owner: dict[str, str] = {}
    for category, members in given.items():
        if not isinstance(category, str) or not isinstance(members, list) or not members:
            raise Mistake(f'categories, {category}: is {members!r}, expected a list of classes, such as [car, bus]')
        for name in members:
            if name not in class_names:
                hint = did_you_mean(str(name), class_names, f'the classes are {", ".join(class_names[:20])}', 2)
                raise Mistake(f'categories, {category}: there is no class {name!r}; {hint}')
            if name in owner:
                both = f'{owner[name]} and {category}' if owner[name] != category else f'{category}, twice'
                raise Mistake(f'categories: class {name!r} is in {both}; give it to one')
            owner[name] = category
    places = {name: place for place, name in enumerate(class_names)}
    return {category: tuple(places[name] for name in members) for category, members in given.items()}
