"""WildDash 2 (Zendel et al., CVPR 2022): difficult traffic scenes from all over the world."""

from datasets.base import registered
from datasets.collection.paired import PairedTrainIds, read_lines, with_stems


@registered
class WildDash(PairedTrainIds):
    """4256 images of 1920x1080 pixels with labels, and those of the benchmark without.

    images/<id>.jpg, semantic_csTrain/<id>_labelIds.png with trainIds (despite its name), which
    `python -m datasets.prepare wilddash` makes. train and val are the ids that random_split/training.txt and
    random_split/validation.txt list, one per line; test is every other image, without labels.
    """

    name = 'wilddash'
    directory_key = 'WILDDASH_DIR'
    other_directories = ('wilddash2', 'WildDash', 'wilddash', '')
    remedy = (
        'unpack wd_public_v2p0.zip of https://wilddash.cc below ROOT/WildDash2, run '
        '`python -m datasets.prepare wilddash --root ROOT`, and give --override_dataset_root ROOT'
    )
    image_folder = 'images'
    label_folders = ('semantic_csTrain',)
    label_ending = '_labelIds.png'
    lists = {'train': 'random_split/training.txt', 'val': 'random_split/validation.txt'}

    def _choose(self, images):
        if self.split in self.lists:
            return with_stems(images, self._listed(self.split), self.directory / self.lists[self.split], self.remedy)
        listed = set(self._listed('train') + self._listed('val'))
        return [image for image in images if image.stem not in listed]

    def _listed(self, split):
        return read_lines(self.directory / self.lists[split], self.remedy)
