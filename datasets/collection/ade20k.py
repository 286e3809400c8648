"""ADE20K scene parsing (Zhou et al., CVPR 2017, arXiv 1608.05442) with the 150 classes of the 2016 challenge."""

from datasets.collection.paired import Paired, names_and_palette
from datasets.collection.tables import read_table
from datasets.labels import lookup_table

# With 0, no class, left out. The first name that the challenge gives each class, and the colours of its own code.
CLASSES = read_table('ade20k')


class ADE20K(Paired):
    """20210 train and 2000 val images of many sizes, about 683x512 pixels.

    images/{training,validation}/<stem>.jpg, annotations/{training,validation}/<stem>.png: 0 is no class and ignored,
    i is trainId i - 1.
    """

    name = 'ade20k'
    num_classes = len(CLASSES)
    class_names, palette = names_and_palette(CLASSES)
    id_map = {0: 255, **{trainid + 1: trainid for trainid in range(len(CLASSES))}}
    id_to_trainid = lookup_table(id_map, 255)
    trainid_to_id = lookup_table({trainid: trainid + 1 for trainid in range(len(CLASSES))}, 0)
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
