"""Listing of a dataset's folders: images without labels, labels without images, hidden and foreign files."""

from collections import Counter, defaultdict
from os.path import commonprefix
from typing import NamedTuple

from datasets.base import Dataset
from datasets.collection.layout import IMAGE_EXTENSIONS, every_file, listing_unpaired
from datasets.registry import get_dataset, splits_of
from datasets.sampling.coarse import training_qualities
from datasets.verify.findings import ERROR, NOTE, WARNING, Fault, Finding
from utils.cli.wording import by_ending, counted

# Left behind by operating systems; like hidden files they only take space.
LITTER = ('thumbs.db', 'desktop.ini')
# Annotations that labels are drawn from, and what this program writes: records, and descriptions of the data.
EXPECTED, REPORT = ('.json', '.xml', '.yaml', '.yml'), ('verify.json', 'index.html')


class Split(NamedTuple):
    """A split as it was found. dataset: the pairs that are whole, None when there are none; unpaired: Items whose label
    file does not exist; fault: why nothing could be listed, a sentence."""

    name: str
    quality: str = 'fine'
    dataset: Dataset | None = None
    unpaired: tuple = ()
    fault: str = ''

    @property
    def key(self) -> str:
        return self.name if self.quality == 'fine' else f'{self.name} {self.quality}'


def list_splits(name: str) -> list:
    """A Split for every split that dataset `name` knows, and train once for each kind of labels that a training would
    read; nothing about files is raised."""
    return [
        _list_split(name, split, quality)
        for split in splits_of(name)
        for quality in (training_qualities() if split == 'train' else ('fine',))
    ]


def _list_split(name, split, quality):
    with listing_unpaired() as unpaired:
        try:
            return Split(split, quality, get_dataset(name, split, quality=quality), tuple(unpaired))
        except (OSError, ValueError) as error:
            return Split(split, quality, None, tuple(unpaired), '' if unpaired else str(error))


def check_listing(splits: list, asked: list) -> list:
    """The findings about which files there are, of the splits `asked`; the others only tell which files are used by
    them."""
    findings = []
    for split in asked:
        if split.fault:
            findings.append(Finding(ERROR, 'unlisted_split', f'split {split.key!r} cannot be used: {split.fault}'))
        if split.unpaired:
            missing = tuple(Fault(item.image, f'{item.label} does not exist') for item in split.unpaired)
            found = (
                f'{counted(len(missing), "image has", "images have")} no label; add the missing labels or remove those'
                ' images'
                if split.dataset is not None
                else (
                    f'none of the {counted(len(missing), "image")} has its label where it is looked for; unpack the'
                    ' labels, or correct their place'
                )
            )
            findings.append(Finding(ERROR, 'images_without_label', f'split {split.key!r}: {found}', missing))
        if split.dataset is not None:
            findings += [Finding(NOTE, 'left_out', note) for note in split.dataset.notes]
    return findings + _check_folders([split for split in splits if split.dataset is not None], asked)


class _Folder:
    """What a folder of images or labels is known to hold, from the items of the dataset."""

    def __init__(self):
        self.used, self.stems, self.endings = set(), set(), Counter()
        self.partners = Counter()  # of a folder of labels: (folder of its images, their ending)


def _check_folders(splits, asked):
    images, labels = defaultdict(_Folder), defaultdict(_Folder)
    shown = set()
    for split in splits:
        for item in (*split.dataset.items, *split.unpaired):
            _enter(split, item, images[item.image.parent], item.label and labels[item.label.parent])
            if split in asked:
                shown.update({item.image.parent} | ({item.label.parent} if item.label else set()))
    strays = defaultdict(list)
    for folder in sorted(shown):
        known = [place[folder] for place in (images, labels) if folder in place]
        used = set().union(*(one.used for one in known))
        for file in every_file(folder):
            if file.name not in used and not _is_expected(file):
                strays[_kind(file, images.get(folder), labels.get(folder))].append(file)
    return _say(strays)


def _is_expected(file) -> bool:
    """Whether a file that no split uses needs no word: an annotation, a record, or the page of a verification."""
    is_page = file.name == REPORT[1] and (file.parent / REPORT[0]).is_file()
    return is_page or file.suffix.lower() in EXPECTED and not file.name.startswith('.')


def _enter(split, item, images, labels):
    """Note an item in the folders of its image and its label, with what their names end with after what they share."""
    images.used.add(item.image.name)
    if item.label is None:
        images.endings[item.image.suffix] += 1
        return
    shared = len(commonprefix([item.image.stem, item.label.stem]))
    for folder in (images, labels):
        folder.stems.add(item.image.stem[:shared] or item.image.name)
    images.endings[item.image.name[shared:]] += 1
    labels.used.update(file.name for file in (item.label, *split.dataset.label_files(item)))
    labels.endings[item.label.name[shared:]] += 1
    labels.partners[item.image.parent, item.image.name[shared:]] += 1


def _kind(file, images, labels) -> str:
    """What a file is that no split uses."""
    if file.name.startswith('.') or file.name.lower() in LITTER:
        return 'hidden'
    if labels is not None:
        ending = next((ending for ending in _usual(labels.endings) if file.name.endswith(ending)), None)
        if ending is not None:
            stem = file.name[: -len(ending)]
            return (
                'unused'
                if any((folder / (stem + other)).is_file() for folder, other in _usual(labels.partners))
                else 'label'
            )
    if images is not None and any(file.name.endswith(ending) for ending in _usual(images.endings)):
        return 'unused'
    known = set().union(*(folder.stems for folder in (images, labels) if folder is not None))
    if any(file.name[:end] in known for end in range(1, len(file.name))):
        return 'companion'
    return 'other image' if labels is None and file.suffix.lower() in IMAGE_EXTENSIONS else 'foreign'


def _usual(endings: Counter) -> list:
    """Those that many items share: where labels are not named after their images, each would have its own."""
    return [ending for ending, count in endings.items() if 2 * count >= max(endings.values())]


def _say(strays):
    def finding(level, kind, sentence):
        files = tuple(map(str, strays.pop(kind, ())))
        if files:
            told = sentence.format(count=len(files), endings=by_ending(files))
            yield Finding(level, kind.replace(' ', '_'), told, files)

    return [
        *finding(
            WARNING,
            'label',
            'labels without an image: {count:,} ({endings}); are images missing, or are these left over?',
        ),
        *finding(
            WARNING, 'other image', 'images of another ending than those beside them, not read: {count:,} ({endings})'
        ),
        *finding(
            NOTE, 'hidden', 'hidden files and those of operating systems, not read: {count:,}; they can be removed'
        ),
        *finding(NOTE, 'unused', 'files that belong to no split, not read: {count:,}'),
        *finding(
            NOTE, 'companion', 'files of other endings that go with images or labels, not read: {count:,} ({endings})'
        ),
        *finding(NOTE, 'foreign', 'files of other kinds beside images and labels, not read: {count:,} ({endings})'),
    ]
