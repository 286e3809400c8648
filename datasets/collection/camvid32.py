"""CamVid (Brostow et al., Pattern Recognition Letters 2009) with its own 32 classes and the split of the SegNet
authors."""

from datasets.collection.paired import Paired, names_and_palette
from datasets.collection.tables import read_table

# in the order and with the colours of label_colors.txt, which comes with the labels
CLASSES = read_table('camvid32')
VOID = next(row['id'] for row in CLASSES if row['name'] == 'Void')


class CamVid32(Paired):
    """367 train, 101 val and 233 test frames; folders train, trainannot32, val, valannot32, test, testannot32.

    A label is the PNG of the image's stem and holds places in CLASSES, 0..31. Pixels of Void (30) are ignored, so its
    output is never trained or scored. `python -m datasets.prepare camvid32` makes the labels from the coloured ones.
    """

    name = 'camvid32'
    num_classes = len(CLASSES)
    class_names, palette = names_and_palette(CLASSES)
    id_map = {**{trainid: trainid for trainid in range(len(CLASSES))}, VOID: 255, 255: 255}
    directory_key = 'CAMVID_DIR'
    other_directories = ('camvid', 'CamVid', 'camvid32', 'CamVid32', '')
    remedy = (
        'put the frames into ROOT/camvid/{train,val,test}, run `python -m datasets.prepare camvid32 --root ROOT`, '
        'and give --override_dataset_root ROOT'
    )
    image_folder = '{split}'
    label_folders = markers = ('{split}annot32',)
    image_endings = ('.png', '.jpg', '.jpeg')
    labelled_splits = ('train', 'val', 'test')
