"""ACDC (Sakaridis et al., ICCV 2021, arXiv 2104.13395): streets in fog, at night, in rain and in snow."""

from datasets.base import registered
from datasets.collection.cityscapes_labels import CLASSES
from datasets.collection.layout import only_there, walk_files
from datasets.collection.paired import PairedTrainIds


@registered
class ACDC(PairedTrainIds):
    """1600 train (400 of each condition), 406 val (100, at night 106) and 2000 test images of 1920x1080 pixels; test
    without labels.

    rgb_anon/<condition>/{train,val,test}/<sequence>/<frame>_rgb_anon.png,
    gt/<condition>/{train,val}/<sequence>/<frame>_gt_labelTrainIds.png or, where a split has none of them,
    _gt_labelIds.png.
    """

    name = 'acdc'
    directory_key = 'ACDC_DIR'
    other_directories = ('acdc', '')
    remedy = (
        'unpack rgb_anon_trainvaltest.zip and gt_trainval.zip of https://acdc.vision.ee.ethz.ch below ROOT/ACDC '
        'and give --override_dataset_root ROOT'
    )
    image_folder = 'rgb_anon'
    label_folders = ('gt',)
    image_endings = ('_rgb_anon.png',)
    label_ending = '_gt_labelTrainIds.png'

    def _choose(self, images):
        chosen = self._in_split(images, self.image_folder)
        if images and not chosen:
            there = {self._split_of(image, self.image_folder) for image in images}
            raise FileNotFoundError(
                f'{self.directory / self.image_folder}: split {self.split!r} is missing{only_there(sorted(there))};'
                f' {self.remedy}'
            )
        return chosen

    def _in_split(self, files, folder):
        return [file for file in files if self._split_of(file, folder) == self.split]

    def _split_of(self, file, folder):
        """<split> of <folder>/<condition>/<split>/..."""
        return file.relative_to(self.directory / folder).parts[1]

    def _label_folder(self, split=''):
        folder = super()._label_folder(split)
        if not self._in_split(walk_files(folder, ['_gt_labeltrainids.png']), 'gt'):
            self.label_ending = '_gt_labelIds.png'
            self.classes = CLASSES
            self._map_labels()
        return folder
