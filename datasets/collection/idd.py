"""India Driving Dataset, segmentation (Varma et al., WACV 2019, arXiv 1811.10200), parts I and II."""

from datasets.base import registered
from datasets.collection.paired import PairedTrainIds
from datasets.collection.tables import read_table
from utils.classes import categories_of

LEVEL2 = {row['csTrainId']: row['level2_name'] for row in read_table('idd')}  # trainId -> its group


@registered
class IDD(PairedTrainIds):
    """6993 train, 981 val and 2029 test images of part I in PNG, about as many of part II in JPEG; test without labels.

    leftImg8bit/{train,val,test}/<drive>/<frame>_leftImg8bit.{png,jpg},
    gtFine/{train,val}/<drive>/<frame>_gtFine_labelcsTrainIds.png, which `python -m datasets.prepare idd` draws from the
    polygons.
    """

    name = 'idd'
    categories = categories_of(LEVEL2[trainid] for trainid in range(len(PairedTrainIds.classes)))
    directory_key = 'IDD_DIR'
    other_directories = ('IDD', 'idd', 'idd20k', '')
    remedy = (
        'unpack IDD Segmentation of https://idd.insaan.iiit.ac.in below ROOT/IDD_Segmentation, run '
        '`python -m datasets.prepare idd --root ROOT`, and give --override_dataset_root ROOT'
    )
    image_folder = 'leftImg8bit/{split}'
    label_folders = ('gtFine/{split}',)
    image_endings = ('_leftImg8bit.png', '_leftImg8bit.jpg')
    label_ending = '_gtFine_labelcsTrainIds.png'
