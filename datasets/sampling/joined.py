"""Which labels a training reads, fine, coarse or both, and two datasets of the same classes as one."""

from itertools import chain

from config import cfg
from datasets.base import Dataset
from utils.settings.coarse import QUALITIES


def training_qualities() -> tuple:
    """The qualities of the datasets that the training images come from, as cfg.DATASET says: fine images first."""
    settings = cfg.DATASET
    if settings.QUALITY not in QUALITIES:
        raise ValueError(f'--quality {settings.QUALITY}: expected {", ".join(QUALITIES)}')
    coarse = 'coarse' if settings.CUSTOM_COARSE_PROB is None else 'customcoarse'
    if settings.QUALITY == 'coarse':
        return (coarse,)
    more = settings.QUALITY == 'fine_coarse' or settings.COARSE_BOOST_CLASSES or settings.ONLY_COARSE
    return ('fine', coarse) if more else ('fine',)


def join(parts) -> Dataset:
    """The datasets `parts` as one: itself when there is one, else a Joined."""
    return parts[0] if len(parts) == 1 else Joined(parts)


class Joined(Dataset):
    """Datasets of the same classes as one. items: those of all parts, part after part; each is loaded as its part loads
    it."""

    _taken_over = (
        'name',
        'split',
        'quality',
        'cv',
        'root',
        'num_classes',
        'ignore_label',
        'class_names',
        'palette',
        'id_map',
        'id_to_trainid',
        'trainid_to_id',
        'color_map',
        'mapper',
        'colors',
    )

    def __init__(self, parts):
        for attribute in self._taken_over:
            setattr(self, attribute, getattr(parts[0], attribute))
        assert all(part.class_names == self.class_names and part.ignore_label == self.ignore_label for part in parts)
        self.parts = list(parts)
        self.label_rules = ' '.join(part.label_rules for part in parts)
        self.notes = [note for part in parts for note in part.notes]
        self.items = [item for part in parts for item in part.items]
        self._part = {item: part for part in parts for item in part.items}
        assert len(self._part) == len(self.items), 'an item of two datasets'

    def load(self, item):
        return self._part[item].load(item)

    def raw_label(self, item):
        return self._part[item].raw_label(item)

    def label_files(self, item):
        return self._part[item].label_files(item)

    def sizes(self):
        return chain.from_iterable(part.sizes() for part in self.parts)
