"""SHIFT (Sun et al., CVPR 2022, arXiv 2206.08367): discrete shifts, rendered by a driving simulator."""

from shlex import quote

from datasets.base import dataset_root, registered
from datasets.collection.layout import subfolders
from datasets.collection.paired import PairedTrainIds


@registered
class Shift(PairedTrainIds):
    """Images of 1280x800 pixels from every camera view that is there with its labels; test without labels.

    discrete/images/{train,val,test}/<view>/<sequence>/<frame>_img_<view>.jpg,
    discrete/labels_cityscapes/{train,val}/<view>/<sequence>/<frame>_semseg_<view>.png with trainIds, which `python -m
    datasets.prepare shift` makes. SHIFT tells no riders, trucks, buses, trains, motorcycles or bicycles apart.
    """

    name = 'shift'
    directory_key = 'SHIFT_DIR'
    other_directories = ('shift', '')
    remedy = (
        'download groups img and semseg of the discrete images with the script of https://www.vis.xyz/shift below'
        ' ROOT/SHIFT, run `python -m datasets.prepare shift --root ROOT`, and give --override_dataset_root ROOT'
    )
    image_folder = 'discrete/images/{split}'
    label_folders = ('discrete/labels_cityscapes/{split}',)

    def _choose(self, images):
        images = [image for image in images if '_img_' in image.name]
        if self.split not in self.labelled_splits:
            return images
        views = subfolders(self._label_folder())
        chosen = [image for image in images if image.parent.parent.name in views]
        if len(chosen) < len(images):
            others = sorted({image.parent.parent.name for image in images}.difference(views))
            self.notes.append(
                f'{self.directory}: {len(images) - len(chosen)} {self.split} images of views {", ".join(others)} have'
                f' no labels and are left out; `python -m datasets.prepare shift --views {",".join(others)} --root'
                f' {quote(str(dataset_root()))}` makes them'
            )
        return chosen

    def _label_name(self, image):
        return image.stem.replace('_img_', '_semseg_') + self.label_ending
