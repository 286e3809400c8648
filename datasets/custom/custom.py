"""Custom dataset, described in a YAML file without any Python: --dataset custom --data_yaml FILE."""

import os
import re
from pathlib import Path

from config import cfg
from datasets.base import Dataset, registered
from datasets.collection.layout import make_items
from datasets.custom.categories import read_categories
from datasets.custom.classes import read_classes
from datasets.custom.mistakes import Mistake, check_keys, counted_names
from datasets.custom.pixels import read_pixels
from datasets.custom.places import FOLDERS, LISTS, SHARES, read_places
from datasets.custom.splits import ListFile, Names, share_of
from utils.cli.wording import by_ending, counted, listed
from utils.cli.yaml_file import read_yaml
from utils.files.archives import locate

KEYS = tuple('root images labels splits channels range ignore unlisted classes categories'.split())


def name_of(file) -> str:
    """The name of the data set that a file of --data_yaml describes, fit for file names."""
    return 'custom_' + re.sub(r'[^\w.-]+', '_', Path(os.path.expanduser(file)).stem)


class DataFile:
    """The content of the file of --data_yaml: classes, color_map, categories, places (of files), splits; channels and
    value_range of the images are None where it does not say.

    Raises FileNotFoundError, or ValueError that names the file and the key.
    """

    def __init__(self):
        if not cfg.DATASET.DATA_YAML:
            raise ValueError(
                '--dataset custom needs --data_yaml FILE, which says where images and labels are and what the classes'
                ' are (docs/datasets.md)'
            )
        self.file = Path(os.path.expanduser(cfg.DATASET.DATA_YAML))
        try:
            values = read_yaml(
                self.file,
                '--data_yaml',
                'the keys root, images, labels, splits, classes (docs/datasets.md); what begins with * or { needs'
                ' quotes',
            )
            check_keys(values, KEYS, '')
            self.classes, self.color_map = read_classes(values)
            self.categories = read_categories(values.get('categories'), self.classes.names)
            self.places = read_places(values, self.file.parent)
            self.channels, self.value_range = read_pixels(values)
        except Mistake as error:
            raise ValueError(f'{self.file}: {error}') from None
        self.ignores_unlisted = values.get('unlisted') == 'ignore'
        self.splits = (
            tuple(self.places.splits) if self.places.kind != SHARES else tuple({'train': 1, **self.places.splits})
        )


@registered
class Custom(Dataset):
    """One split of the images that the file of --data_yaml describes; with --folds train and val are one fold and the
    others, of both together.

    Items are named below the folder that all image patterns begin with.
    """

    name = 'custom'

    def __init__(self, split: str, quality: str = 'fine'):
        data, in_folds = DataFile(), cfg.DATASET.FOLDS and split != 'test'
        if split not in data.splits and not in_folds:
            raise ValueError(f'{data.file}: splits: has no {split}, only {", ".join(data.splits)}; add it there')
        self.data, self.file, self.places, self.source = data, data.file, data.places, str(data.file)
        self.classes, self.color_map, self.categories = data.classes, data.color_map, data.categories
        self.splits = tuple(dict.fromkeys((*data.splits, 'train', 'val'))) if in_folds else data.splits
        self.name = self.own_name()
        super().__init__(split, quality)

    def _pixels(self):
        channels, value_range = super()._pixels()
        return self.data.channels or channels, self.data.value_range or value_range

    @classmethod
    def own_name(cls):
        """custom_streets of streets.yaml: two files are two data sets, in file names and records too."""
        return name_of(cfg.DATASET.DATA_YAML) if cfg.DATASET.DATA_YAML else cls.name

    @classmethod
    def describe(cls):
        data = DataFile()
        return data.classes, data.splits

    def _map_labels(self):
        super()._map_labels()
        self.mapper.remedy = f'correct the file, or add them to a class or to ignore in {self.file}'
        if self.colors is not None:
            self.colors.remedy = f'correct the file, or add the colour to a class or to ignore in {self.file}'
            self.colors.strict = not self.data.ignores_unlisted

    def _find_items(self):
        root = locate(self.places.root)
        try:
            if not root.is_dir():
                state = 'is a file, not a folder or archive' if root.exists() else 'does not exist'
                raise Mistake(
                    f'root: {root} {state}; correct root, which starts at the folder of this file unless it begins with'
                    ' / or ~'
                )
            images = self._images(root)
            chosen, labels = (
                self._of_list(root, images)
                if self.places.kind == LISTS
                else self._with_labels(root, self._of_split(images))
            )
            return self._items(root, chosen, labels)
        except Mistake as error:
            raise ValueError(f'{self.file}: {error}') from None

    def _images(self, root) -> dict:
        """{path below the root: Found} of every image that the patterns match, those of other splits among them unless
        splits are folders."""
        images, others, patterns = {}, set(), self._patterns(self.split)
        for pattern in patterns:
            found = pattern.find(root)
            if not found:
                raise Mistake(
                    f'images: {pattern.text!r} matches no image: {pattern.what_is_there(root)}; correct images, root or'
                    ' splits'
                )
            images.update(found)
            others.update(pattern.others)
        if self.places.kind != LISTS:  # which say themselves what is wanted
            self._tell_others(others - images.keys(), patterns)
        return images

    def _tell_others(self, others, patterns):
        """Note how many files of which endings lie among the images and are none of them, nor their labels."""
        labels = self._label_pattern()
        others = [path for path in others if not labels.match(path)]
        if others:
            where = ' or '.join(pattern.text for pattern in patterns)
            self.notes.append(
                f'images ({where}): {counted(len(others), "file there is", "files there are")} left out, no image that'
                f' can be read or of another name: {by_ending(others)}'
            )

    def _patterns(self, split) -> list:
        patterns = self.places.images
        return (
            [pattern.of_split(self.places.splits[split]) for pattern in patterns]
            if self.places.kind == FOLDERS
            else patterns
        )

    def _of_split(self, images) -> dict:
        """The images of the split, by folders or shares."""
        if self.places.kind == SHARES:
            return {path: images[path] for path in share_of(images, self.places.splits, self.places.seed, self.split)}
        for other in [split for split in self.splits if split != self.split]:
            patterns = self._patterns(other)
            self._check_overlap(other, [path for path in images if any(pattern.match(path) for pattern in patterns)])
        return images

    def _check_overlap(self, other, shared):
        if shared:
            raise Mistake(
                f'splits: {self.split} and {other} share {counted_names(shared)}; give each image to one split'
            )

    def _with_labels(self, root, images):
        """(images, {path of an image: its label}), which is where it should be when there is none; None when a test
        split has no labels."""
        pattern = self._label_pattern()
        files, owners, labels = {}, {}, {}
        for path, found in pattern.find(root).items():
            files.setdefault(pattern.key(found), {})[path] = found.file
        for path, found in images.items():
            key = pattern.key(found)
            other, fitting = owners.setdefault(key, path), files.get(key, {})
            if other != path:
                raise Mistake(
                    f'labels: {pattern.text!r} gives {other} and {path} the same label; put {{folder}} into it, the'
                    ' folders of the image'
                )
            if len(fitting) > 1:
                raise Mistake(
                    f'labels: {pattern.text!r} fits {counted_names(fitting, "label")} for the image {path};'
                    ' make it narrower'
                )
            labels[path] = next(iter(fitting.values()), None) or root / pattern.filled(found.folder, found.stem)
        if self.split == 'test' and not any(key in files for key in owners):
            self.notes.append(f'split {self.split!r} of dataset {self.name!r} has no labels, so there is no score')
            return images, None
        return images, labels

    def _label_pattern(self):
        """Where the labels of this split are; None when lists name them."""
        pattern = self.places.labels
        return pattern.of_split(self.places.splits[self.split]) if pattern and self.places.kind == FOLDERS else pattern

    def _of_list(self, root, images):
        """The same for the images that the split's list names; without a pattern of labels it names these too."""
        names, pattern = Names(images), self.places.labels
        lists = {
            split: ListFile(root, self.file.parent, name, f'splits.{split}', pattern is None, names)
            for split, name in self.places.splits.items()
        }
        own = lists[self.split]
        paths = own.paths
        if None in paths:
            raise Mistake(own.why_absent(names, self.places.images))
        for split, other in lists.items():
            if split != self.split:
                self._check_overlap(split, sorted({path for path in other.paths if path is not None} & set(paths)))
        chosen = {path: images[path] for path in paths}
        if len(chosen) < len(paths):
            twice = counted(len(paths) - len(chosen), 'image')
            self.notes.append(f'{own.name} lists {twice} more than once; they are taken once')
        if own.second_columns:
            self.notes.append(
                f'{own.name} names labels too, which are not read, since labels in {self.file.name} says where they'
                ' are; leave it out to read those of the list'
            )
        return self._with_labels(root, chosen) if pattern else (chosen, dict(zip(paths, own.label_files())))

    def _items(self, root, images, labels):
        names = locate(root / os.path.commonpath([f'/{pattern.base}' for pattern in self.places.images])[1:])
        paths = {found.file: path for path, found in images.items()}
        try:
            return names, make_items(paths, names, labels and (lambda file: labels[paths[file]]))
        except FileNotFoundError:
            missing = [path for path, label in labels.items() if not locate(label).is_file()]
        pattern = self._label_pattern()
        if pattern is None:
            raise Mistake(
                f'splits.{self.split}: {self.places.splits[self.split]} lists labels that do not exist for'
                f' {counted_names(missing)}; correct the list'
            )
        there = f', since {pattern.what_is_there(root)}' if len(missing) == len(images) else ''
        raise Mistake(
            f'labels: {pattern.text!r} has no file for {len(missing)} of the {len(images)} images of split {self.split}'
            f' ({listed(missing)}){there}; add the labels, take these images out, or correct labels'
        )
