"""BDD100K (Yu et al., CVPR 2020, arXiv 1805.04687): the 10K images with semantic segmentation labels."""

from datasets.base import registered
from datasets.collection.paired import PairedTrainIds


@registered
class BDD100K(PairedTrainIds):
    """7000 train, 1000 val and 2000 test images of 1280x720 pixels from dashboard cameras in the USA; test without
    labels.

    images/10k/{train,val,test}/<stem>.jpg, labels/sem_seg/masks/{train,val}/<stem>.png with trainIds.
    """

    name = 'bdd100k'
    directory_key = 'BDD100K_DIR'
    other_directories = ('BDD100K', 'bdd', '')
    remedy = (
        'unpack the archives "10K Images" and "Segmentation" of https://bdd-data.berkeley.edu below ROOT/bdd100k '
        'and give --override_dataset_root ROOT'
    )
    image_folder = 'images/10k/{split}'
    label_folders = ('labels/sem_seg/masks/{split}',)
