"""Cityscapes (arXiv 1604.01685): official split, cross-validation folds, train + val, test; coarse and automatic
labels."""

from config import cfg
from datasets.base import Dataset, dataset_root, registered
from datasets.collection import cityscapes_coarse as coarse
from datasets.collection.cityscapes_labels import CATEGORIES, CLASS_WEIGHTS, CLASSES
from datasets.collection.layout import find_directory, first_folder, list_files, make_items, only_there, subfolders


@registered
class Cityscapes(Dataset):
    """19 classes of street scenes, 2975 train, 500 val and 1525 test images of 2048x1024 pixels.

    cfg.DATASET.CV chooses the folds: 0 is the official split; 1 .. CITYSCAPES_SPLITS - 1 take as many cities as the
    official val split has from further down the list of all cities; CITYSCAPES_SPLITS means all cities in both splits.
    The test split comes without labels. Quality coarse or customcoarse: the images of train_extra (split train),
    whatever the fold; see cityscapes_coarse.

    A dataset in the same layout is a subclass that changes the four attributes below `directory_key`.
    """

    name = 'cityscapes'
    classes = CLASSES
    class_weights = CLASS_WEIGHTS
    categories = CATEGORIES
    qualities = ('fine', *coarse.QUALITIES)
    has_folds = True
    auto_labels = None  # reads the labels of quality customcoarse

    directory_key = 'CITYSCAPES_DIR'
    other_directories = ('Cityscapes', 'cityscapes', '')
    remedy = (
        'give the folder that holds Cityscapes with --override_dataset_root '
        '(leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, unpacked, from https://www.cityscapes-dataset.com)'
    )
    image_folders = ('leftImg8bit_trainvaltest/leftImg8bit', 'leftImg8bit')
    label_folders = ('gtFine_trainvaltest/gtFine', 'gtFine')

    image_ending = '_leftImg8bit.png'
    label_ending = '_gtFine_labelIds.png'

    def raw_label(self, item):
        return self.auto_labels(item) if self.auto_labels else super().raw_label(item)

    def label_files(self, item):
        more = self.auto_labels.files[item] if self.auto_labels else ()
        return (item.label, *filter(None, more))

    def _find_items(self):
        if self.quality != 'fine':
            return self._find_coarse()
        base = find_directory(dataset_root(), self.directories(), self.image_folders, self.name, self.remedy)
        image_root = first_folder(base, self.image_folders, 'images')
        images = self._images(image_root, self._split_cities(image_root))
        if self.split == 'test':
            return image_root, make_items(images, image_root)
        label_root = first_folder(base, self.label_folders, 'labels')

        def label_of(image):
            name = image.name[: -len(self.image_ending)] + self.label_ending
            return label_root / image.parent.relative_to(image_root) / name

        return image_root, make_items(images, image_root, label_of)

    def _find_coarse(self):
        if self.split != 'train':
            raise ValueError(
                f'dataset {self.name!r}: split {self.split!r} has fine labels only; {self.quality!r} labels are for'
                ' training'
            )
        base = find_directory(
            dataset_root(), self.directories(), (*self.image_folders, *coarse.IMAGE_FOLDERS), self.name, self.remedy
        )
        root, items, self.auto_labels, self.notes = coarse.find_coarse(base, self.quality, self.classes)
        if self.auto_labels:
            self.label_rules = self.auto_labels.rules
        self.cv = 0  # the folds are of the fine images
        return root, items

    def _images(self, image_root, folders):
        return [
            image
            for split, city in folders
            for image in list_files(image_root / split / city, [self.image_ending.lower()])
        ]

    def _split_cities(self, image_root):
        cities = {split: [(split, city) for city in subfolders(image_root / split)] for split in self.splits}
        chosen = (
            cities['test']
            if self.split == 'test'
            else choose_cities(cities['train'], cities['val'], self.cv, cfg.DATASET.CITYSCAPES_SPLITS, self.split)
        )
        if not chosen:
            fold, there = (
                f' with --cv {self.cv}' if self.cv else '',
                only_there(split for split in cities if cities[split]),
            )
            raise FileNotFoundError(
                f'{image_root}: has no city folders for split {self.split!r}{fold}{there}; {self.remedy}'
            )
        return chosen


def choose_cities(train: list, val: list, cv: int, splits: int, split: str) -> list:
    """The cities of `split` ('train' or 'val') in fold `cv`, from the sorted official cities.

    All cities stand in one list, val first; fold cv validates on as many of them as `val` has, from place
    cv * count // splits on, and trains on the others.

    Args:
        train, val: the official cities of each.
        cv: the fold; the number `splits`: every city, in both splits.
        splits: how many folds there are.

    Raises:
        ValueError: there is no such fold; it names --cv.
    """
    if not 0 <= cv <= splits:
        raise ValueError(
            f'--cv {cv}: there is no such fold; choose 0 (the official split) to {splits - 1}, or {splits} for train'
            ' + val'
        )
    if cv == 0:
        return {'train': train, 'val': val}[split]
    every = val + train
    if cv == splits:
        return every
    first = cv * len(every) // splits
    held_out = every[first : first + len(val)]
    return held_out if split == 'val' else [city for city in every if city not in held_out]
