"""GTA5, "Playing for Data" (Richter et al., ECCV 2016, arXiv 1608.02192): frames of a computer game."""

import io
import zipfile

from datasets.base import registered
from datasets.collection.paired import PairedTrainIds, read_file, with_stems
from utils.files.npz import read_npy


@registered
class GTA5(PairedTrainIds):
    """24964 labelled frames of 1914x1052 pixels (24966 without the two blank ones), in the three splits of the authors.

    images/<5 digits>.png, labels_cityscapes/<5 digits>.png with trainIds, and split.npz with the frame numbers
    trainIds, valIds and testIds. `python -m datasets.prepare gta5` makes the last two.
    """

    name = 'gta5'
    directory_key = 'GTA5_DIR'
    other_directories = ('gta5', 'GTAV', '')
    remedy = (
        'unpack images, labels and split.mat of https://download.visinf.tu-darmstadt.de/data/from_games below'
        ' ROOT/GTA5, run `python -m datasets.prepare gta5 --root ROOT`, and give --override_dataset_root ROOT'
    )
    image_folder = 'images'
    label_folders = ('labels_cityscapes',)
    image_endings = ('.png',)
    labelled_splits = ('train', 'val', 'test')

    def _choose(self, images):
        path = self.directory / 'split.npz'
        try:
            with zipfile.ZipFile(io.BytesIO(read_file(path, self.remedy))) as archive:
                with archive.open(f'{self.split}Ids.npy') as file:
                    frames = [int(frame) for frame in read_npy(file).ravel()]
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            raise ValueError(
                f'{path}: is no NumPy archive of frame numbers trainIds, valIds and testIds; {self.remedy}'
            ) from None
        return with_stems(images, [f'{frame:05d}' for frame in frames], path, self.remedy)
