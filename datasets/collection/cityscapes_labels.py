"""Label table of Cityscapes (Cordts et al., CVPR 2016, arXiv 1604.01685): ids of the files, trainIds, colours.

License plates have id -1 in the annotations, which no 8-bit label file can hold, so they do not stand here.
"""

from typing import NamedTuple

from utils.classes import Classes, categories_of

IGNORE = 255


class Label(NamedTuple):
    """One kind of thing. id: value in *_labelIds.png; trainid: IGNORE when it is not scored; color: RGB."""

    name: str
    id: int
    trainid: int
    category: str
    has_instances: bool
    color: tuple


LABELS = (
    Label('unlabeled', 0, IGNORE, 'void', False, (0, 0, 0)),
    Label('ego vehicle', 1, IGNORE, 'void', False, (0, 0, 0)),
    Label('rectification border', 2, IGNORE, 'void', False, (0, 0, 0)),
    Label('out of roi', 3, IGNORE, 'void', False, (0, 0, 0)),
    Label('static', 4, IGNORE, 'void', False, (0, 0, 0)),
    Label('dynamic', 5, IGNORE, 'void', False, (111, 74, 0)),
    Label('ground', 6, IGNORE, 'void', False, (81, 0, 81)),
    Label('road', 7, 0, 'flat', False, (128, 64, 128)),
    Label('sidewalk', 8, 1, 'flat', False, (244, 35, 232)),
    Label('parking', 9, IGNORE, 'flat', False, (250, 170, 160)),
    Label('rail track', 10, IGNORE, 'flat', False, (230, 150, 140)),
    Label('building', 11, 2, 'construction', False, (70, 70, 70)),
    Label('wall', 12, 3, 'construction', False, (102, 102, 156)),
    Label('fence', 13, 4, 'construction', False, (190, 153, 153)),
    Label('guard rail', 14, IGNORE, 'construction', False, (180, 165, 180)),
    Label('bridge', 15, IGNORE, 'construction', False, (150, 100, 100)),
    Label('tunnel', 16, IGNORE, 'construction', False, (150, 120, 90)),
    Label('pole', 17, 5, 'object', False, (153, 153, 153)),
    Label('polegroup', 18, IGNORE, 'object', False, (153, 153, 153)),
    Label('traffic light', 19, 6, 'object', False, (250, 170, 30)),
    Label('traffic sign', 20, 7, 'object', False, (220, 220, 0)),
    Label('vegetation', 21, 8, 'nature', False, (107, 142, 35)),
    Label('terrain', 22, 9, 'nature', False, (152, 251, 152)),
    Label('sky', 23, 10, 'sky', False, (70, 130, 180)),
    Label('person', 24, 11, 'human', True, (220, 20, 60)),
    Label('rider', 25, 12, 'human', True, (255, 0, 0)),
    Label('car', 26, 13, 'vehicle', True, (0, 0, 142)),
    Label('truck', 27, 14, 'vehicle', True, (0, 0, 70)),
    Label('bus', 28, 15, 'vehicle', True, (0, 60, 100)),
    Label('caravan', 29, IGNORE, 'vehicle', True, (0, 0, 90)),
    Label('trailer', 30, IGNORE, 'vehicle', True, (0, 0, 110)),
    Label('train', 31, 16, 'vehicle', True, (0, 80, 100)),
    Label('motorcycle', 32, 17, 'vehicle', True, (0, 0, 230)),
    Label('bicycle', 33, 18, 'vehicle', True, (119, 11, 32)),
)

SCORED = tuple(sorted((label for label in LABELS if label.trainid != IGNORE), key=lambda label: label.trainid))
_NAMES_AND_COLORS = tuple(label.name for label in SCORED), [label.color for label in SCORED]
# Of HRNet's published training: rare classes weigh more, with a mean of 1.
CLASS_WEIGHTS = (
    *(0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
    *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
)

CATEGORIES = categories_of(label.category for label in SCORED)

# Of files that hold ids; what is not scored is written as 0, unlabeled.
CLASSES = Classes(
    *_NAMES_AND_COLORS,
    id_map={label.id: label.trainid for label in LABELS},
    ids=[label.id for label in SCORED],
    void_id=0,
)
TRAINID_CLASSES = Classes(*_NAMES_AND_COLORS)  # of files that hold trainIds, with 255 for what is not scored
