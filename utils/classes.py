"""The classes of a dataset or a network: names, colours, and what their numbers are in files."""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

COUNTED = 1 << 20  # pixels counted at a time: bincount widens its input eightfold


def pixels_per_class(labels: np.ndarray, count: int) -> np.ndarray:
    """int64 (count,): the pixels of each trainId below `count` in labels, uint8 of any shape."""
    flat, counts = labels.reshape(-1), np.zeros(256, np.int64)
    for begin in range(0, flat.size, COUNTED):
        counts += np.bincount(flat[begin : begin + COUNTED], minlength=256)
    return counts[:count]


def lookup_table(id_map: Mapping[int, int], default: int) -> np.ndarray:
    """uint8 (256,): id_map as a table, `default` for the ids it does not hold."""
    table = np.full(256, default, np.uint8)
    for raw, mapped in id_map.items():
        table[raw] = mapped
    return table


def categories_of(category_of_each) -> dict[str, tuple[int, ...]]:
    """{category: its trainIds}, in the order of the first of each, from the category of each trainId."""
    categories: dict[str, tuple[int, ...]] = {}
    for trainid, category in enumerate(category_of_each):
        categories[category] = (*categories.get(category, ()), trainid)
    return categories


@dataclass(frozen=True, eq=False)
class Classes:
    """K classes in the order of their trainIds, which are the channels of logits.

    names: K texts. colors: uint8 (K, 3) RGB. ignore_label: the trainId of pixels that are neither trained nor scored.
    id_map: every raw id that label files may hold -> trainId or ignore_label. ids: the id written to label files
    for each trainId; void_id: the one for all other pixels. By default ids are trainIds.
    """

    names: tuple[str, ...]
    colors: np.ndarray
    ignore_label: int = 255
    id_map: Mapping[int, int] = field(default_factory=dict)
    ids: tuple[int, ...] = ()
    void_id: int = 255

    def __post_init__(self):
        colors = np.array(self.colors, np.uint8).reshape(-1, 3)
        colors.flags.writeable = False
        count = len(self.names)
        ids = tuple(map(int, self.ids)) or tuple(range(count))
        if not (count and len(colors) == count and len(ids) == count):
            raise ValueError(
                f'classes: {count} names, {len(colors)} colours and {len(ids)} ids; expected one of each per class'
            )
        id_map = {int(raw): int(trainid) for raw, trainid in self.id_map.items()}
        id_map = id_map or {**{i: trainid for trainid, i in enumerate(ids)}, self.void_id: self.ignore_label}
        for name, value in {
            'names': tuple(map(str, self.names)),
            'colors': colors,
            'ids': ids,
            'id_map': id_map,
        }.items():
            object.__setattr__(self, name, value)

    @classmethod
    def numbered(cls, count: int) -> 'Classes':
        """`count` classes of which nothing is known: 'class 0', 'class 1', ... in colours around the colour wheel."""
        wheel = [
            colorsys.hsv_to_rgb(0.618034 * k % 1, 0.55 + 0.2 * (k % 3), 0.95 - 0.2 * (k % 2)) for k in range(count)
        ]
        return cls(tuple(f'class {k}' for k in range(count)), np.rint(np.array(wheel) * 255))

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other) -> bool:
        return isinstance(other, Classes) and self.as_dict() == other.as_dict()

    __hash__ = None

    @property
    def trainid_to_id(self) -> np.ndarray:
        """uint8 (256,): the id that is written for each trainId, void_id for what is none."""
        return lookup_table(dict(enumerate(self.ids)), self.void_id)

    @property
    def id_to_trainid(self) -> np.ndarray:
        """uint8 (256,): the trainId of each raw id, ignore_label for those that id_map does not hold."""
        return lookup_table(self.id_map, self.ignore_label)

    def paint(self, labels: np.ndarray) -> np.ndarray:
        """labels (h, w) of trainIds -> uint8 (h, w, 3) RGB; pixels of no class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colors
        return table[labels]

    def as_dict(self) -> dict:
        """Plain values, for JSON and checkpoints; `from_dict` is the way back."""
        return {
            'names': list(self.names),
            'colors': self.colors.tolist(),
            'ignore_label': self.ignore_label,
            'id_map': [list(pair) for pair in sorted(self.id_map.items())],
            'ids': list(self.ids),
            'void_id': self.void_id,
        }

    @classmethod
    def from_dict(cls, values: Mapping, source: str) -> 'Classes':
        """What `as_dict` made; ValueError naming `source`, the file they come from, for anything else."""
        try:
            colors = np.array(values['colors'], np.int64)
            if colors.size and not 0 <= colors.min() <= colors.max() <= 255:
                raise ValueError('a colour is outside 0 to 255')
            names, id_map, ids = values['names'], dict(values['id_map']), values['ids']
            if not all(isinstance(name, str) for name in names):
                raise ValueError('a name is no text')
            if not all(0 <= int(number) <= 255 for number in (*id_map, *id_map.values(), *ids)):
                raise ValueError('an id is outside 0 to 255')
            return cls(tuple(names), colors, int(values['ignore_label']), id_map, tuple(ids), int(values['void_id']))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f'{source}: its description of the classes is damaged ({type(error).__name__}: {error});'
                ' write the file again with this version'
            ) from error
