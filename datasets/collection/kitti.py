"""KITTI semantics (Alhaija et al., IJCV 2018, arXiv 1708.01566): street scenes with the label ids of Cityscapes."""

from datasets.base import registered
from datasets.collection.cityscapes_labels import CLASSES
from datasets.collection.paired import PairedTrainIds


@registered
class Kitti(PairedTrainIds):
    """200 labelled and 200 test images of about 1242x375 pixels; test without labels.

    training/image_2/<scene>_10.png, training/semantic/<scene>_10.png, testing/image_2/<scene>_10.png. There is no
    official val split: val is every fifth labelled image in the order of names, from the first one on (40), train the
    others (160).
    """

    name = 'kitti'
    classes = CLASSES
    directory_key = 'KITTI_DIR'
    other_directories = ('KITTI', 'kitti', 'data_semantics', '')
    remedy = (
        'unpack data_semantics.zip of https://www.cvlibs.net/datasets/kitti/eval_semseg.php below ROOT/KITTI '
        'and give --override_dataset_root ROOT'
    )
    folder_names = {'train': 'training', 'val': 'training', 'test': 'testing'}
    image_folder = '{split}/image_2'
    label_folders = ('{split}/semantic',)
    image_endings = ('_10.png',)  # the scenes of the flow benchmark, if unpacked beside, have a frame _11 too
    label_ending = '_10.png'

    def _choose(self, images):
        if self.split == 'test':
            return images
        return [image for place, image in enumerate(images) if (place % 5 == 0) == (self.split == 'val')]
