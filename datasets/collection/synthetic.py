"""Synthetic street, rendered in the layout of Cityscapes: small, every class present; for first steps and tests."""

from datasets.base import registered
from datasets.collection.cityscapes import Cityscapes


@registered
class Synthetic(Cityscapes):
    """The classes, ids and folds of Cityscapes on drawn scenes; made by `python -m datasets.prepare synthetic`."""

    name = 'synthetic'
    directory_key = 'SYNTHETIC_DIR'
    other_directories = ()
    remedy = (
        'render it with `python -m datasets.prepare synthetic --root ROOT` and give the same ROOT as'
        ' --override_dataset_root'
    )
