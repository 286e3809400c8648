"""Paired datasets, whose labels are found from their images: the same path below another folder, another ending."""

import codecs

from datasets.base import Dataset, dataset_root
from datasets.collection.cityscapes_labels import CATEGORIES, TRAINID_CLASSES
from datasets.collection.layout import IMAGE_EXTENSIONS, find_split, make_items, walk_files
from utils.classes import Classes
from utils.cli.wording import by_ending, counted
from utils.files.archives import locate, printed


class Paired(Dataset):
    """Images below one folder, labels below another. A subclass gives, beside the attributes of Dataset, those below.

    {split} in a folder stands for the folder name of the split. Items are named relative to what comes before it, or to
    the whole folder without it. Images are looked for in all sub-folders. Instances add directory, the dataset's
    folder.
    """

    remedy = ''  # what to do when something is missing, the end of the error's sentence

    image_folder = ''
    label_folders = ()  # the first that exists
    markers = ()  # folders by which the dataset is known, where the image folder does not tell it
    folder_names = {}  # split -> its folder, where that has another name
    image_endings = ('.jpg',)
    label_ending = '.png'  # takes the place of the image's ending
    labelled_splits = ('train', 'val')

    def _find_items(self):
        markers = {
            split: [self._of_split(folder, split) for folder in self.markers or (self.image_folder,)]
            for split in self.splits
        }
        self.directory = find_split(dataset_root(), self.directories(), markers, self.split, self.name, self.remedy)
        root = self.directory / self.image_folder.partition('{split}')[0]
        if self.split not in self.labelled_splits:
            self.notes.append(self._without_labels())
        return root, [item for split in self._folders() for item in self._items_of(split, root)]

    def _items_of(self, split: str, root):
        """The items of the folders of `split` that belong to self.split."""
        folder = self.directory / self._of_split(self.image_folder, split)
        images = self._choose(self._images(folder))
        if self.split not in self.labelled_splits:
            return make_items(images, root)
        labels = self._label_folder(split)
        return make_items(
            images, root, lambda image: labels / image.parent.relative_to(folder) / self._label_name(image)
        )

    def _folders(self) -> tuple:
        """The splits in whose folders the images of self.split are: itself, or in a fold others."""
        return (self.split,)

    def _images(self, folder):
        """The images in and below a folder; files of other endings that are images too are counted in the notes."""
        endings = tuple(ending.lower() for ending in self.image_endings)
        found = walk_files(folder, (*endings, *IMAGE_EXTENSIONS))
        images = [path for path in found if path.name.lower().endswith(endings)]
        if len(images) < len(found):
            others = [path for path in found if not path.name.lower().endswith(endings)]
            self.notes.append(
                f'{folder}: {counted(len(others), "image is", "images are")} left out, which do not end in'
                f' {" or ".join(endings)}: {by_ending(others)}'
            )
        return images

    def _of_split(self, folder: str, split: str = '') -> str:
        """A folder with that of `split`, or of self.split, in the place of {split}."""
        split = split or self.split
        return folder.format(split=self.folder_names.get(split, split))

    def _label_folder(self, split: str = ''):
        folders = [self._of_split(folder, split) for folder in self.label_folders]
        for folder in folders:
            if locate(self.directory / folder).is_dir():
                return locate(self.directory / folder)
        raise FileNotFoundError(
            f'{self.directory}: has no folder {" or ".join(folders)}, which holds the labels; {self.remedy}'
        )

    def _without_labels(self) -> str:
        return f'split {self.split!r} of dataset {self.name!r} has no labels, so there is no score'

    def _choose(self, images: list) -> list:
        """The images of self.split among those that were found; all of them when each split has its own folder."""
        return images

    def _label_name(self, image) -> str:
        """The file name of the image's label."""
        ending = next(ending for ending in self.image_endings if image.name.lower().endswith(ending.lower()))
        return image.name[: -len(ending)] + self.label_ending


class PairedTrainIds(Paired):
    """Paired with labels that hold the 19 trainIds of Cityscapes, void 255."""

    classes = TRAINID_CLASSES
    categories = CATEGORIES


def classes_of(rows, **more) -> Classes:
    """The Classes of the rows of a label table (collection/tables), with `name` and `color`; more: see Classes."""
    return Classes(tuple(row['name'] for row in rows), [row['color'] for row in rows], **more)


def read_lines(path, remedy: str) -> list:
    """The lines of a text file without the space around them and without empty ones; FileNotFoundError with
    `remedy`."""
    try:
        text = _decoded(read_file(path, remedy))
    except UnicodeDecodeError:
        raise ValueError(f'{path}: is no text file in UTF-8 or UTF-16; save it as UTF-8, {remedy}') from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _decoded(data: bytes) -> str:
    """Text in UTF-8 or UTF-16, with or without a byte order mark: paths are mostly ASCII, half of whose bytes are zeros
    in UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode('utf-16')
    if data[1:2] == b'\0' or data[:1] == b'\0':
        return data.decode('utf-16-le' if data[1:2] == b'\0' else 'utf-16-be')
    return data.decode('utf-8-sig')


def read_file(path, remedy: str) -> bytes:
    """The bytes of a file; FileNotFoundError naming it and `remedy`."""
    try:
        return locate(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: the file does not exist; {remedy}') from None


def with_stems(images: list, stems, source, remedy: str) -> list:
    """The images whose name without extension stands in `stems`, the list that the file `source` holds.

    Raises FileNotFoundError that counts the listed images that are not there.
    """
    stems = set(map(printed, stems))
    chosen = [image for image in images if printed(image.stem) in stems]
    missing = sorted(stems - {printed(image.stem) for image in chosen})
    if missing:
        raise FileNotFoundError(
            f'{source}: lists {len(stems)} images, of which {len(missing)} are not there, {missing[0]} among them;'
            f' {remedy}'
        )
    return chosen
