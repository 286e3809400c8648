"""ADE20K scene parsing (Zhou et al., CVPR 2017, arXiv 1608.05442) with the 150 classes of the 2016 challenge."""

from datasets.base import registered
from datasets.collection.paired import Paired, classes_of
from datasets.collection.tables import read_table


@registered
class ADE20K(Paired):
    """20210 train and 2000 val images of many sizes, about 683x512 pixels.

    images/{training,validation}/<stem>.jpg, annotations/{training,validation}/<stem>.png: 0 is no class and ignored,
    i is trainId i - 1. A class is called by the first name that the challenge gives it, in the colours of its own code.
    """

    name = 'ade20k'
    classes = classes_of(read_table('ade20k'), ids=range(1, 151), void_id=0)
    splits = ('train', 'val')
    directory_key = 'ADE20K_DIR'
    other_directories = ('ADE20K/ADEChallengeData2016', 'ADE20K', 'ade20k', '')
    remedy = (
        'unpack http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip below ROOT '
        'and give --override_dataset_root ROOT'
    )
    folder_names = {'train': 'training', 'val': 'validation'}
    image_folder = 'images/{split}'
    label_folders = ('annotations/{split}',)
