"""Layout of a dataset on the disk: its folder, the images in it, the label of each image.

Every listing is sorted, so that order, splits and sampling do not depend on the file system. A folder may be in a .zip
or .tar file, also one that stands for a folder that is missing (archive.locate); the paths in it are ArchivePaths.
"""

import os
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from datasets.base import Item
from utils.files.archives import SEALED_ENDINGS, ArchivePath, locate, printed

IMAGE_EXTENSIONS = ('.png', '.jpg', '.jpeg', '.jpe', '.jfif', '.webp', '.bmp', '.tif', '.tiff')
# Pictures that nothing here reads: they are told, where text beside the images is not.
UNREAD_PICTURES = ('.gif', '.heic', '.heif', '.avif', '.jxl', '.jp2', '.j2k', '.ppm', '.pgm', '.exr', '.dng', '.raw')


def find_directory(root: Path, names, markers, dataset: str, remedy: str) -> Path:
    """The first of root/name that holds one of the folders `markers`. What is unpacked goes before archives.

    Args:
        names: of the dataset's folder below root; '' is root itself.
        dataset: its name, for the error.
        remedy: the end of the error.

    Raises:
        FileNotFoundError: says what is missing: the root, everything in it, or the dataset in it.
    """
    root = locate(root)
    if not root.is_dir():
        state = 'is a file, not a folder' if root.exists() else 'does not exist'
        raise FileNotFoundError(f'{root}: the dataset root {state}; {remedy}')
    # an archive may be the dataset itself
    names = list(dict.fromkeys([*names, ''] if isinstance(root, ArchivePath) else names))
    for name in names:
        if any((root / name / marker).is_dir() for marker in markers):
            return root / name
    for name in names:
        base = locate(root / name)
        if any(locate(base / marker).is_dir() for marker in markers):
            return base
    present = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith('.'))
    if not present:
        raise FileNotFoundError(f'{root}: the dataset root is empty; {remedy}')
    wanted = ' or '.join(markers)
    for name in names:
        if name and locate(root / name).is_dir():
            raise FileNotFoundError(
                f'{locate(root / name)}: holds no folder {wanted}, so it is no {dataset} dataset; {remedy}'
            )
    found = ', '.join(present[:5]) + (', ...' if len(present) > 5 else '')
    if any(name.lower().endswith(SEALED_ENDINGS) for name in present):
        remedy += '; archives are read in place when they are .zip or .tar, unpack the others'
    raise FileNotFoundError(
        f'{root}: holds no {dataset} dataset (folder {" or ".join(filter(None, names))}), only {found}; {remedy}'
    )


def find_split(root: Path, names, markers: dict, split: str, dataset: str, remedy: str) -> Path:
    """find_directory by the folders markers[split].

    Args:
        markers: {split: folders} of every split of the dataset.
        root, names, dataset, remedy: as in find_directory.

    Raises:
        FileNotFoundError: as find_directory does; where other splits are there, it says which.
    """
    try:
        return find_directory(root, names, markers[split], dataset, remedy)
    except FileNotFoundError:
        for other in markers:
            with suppress(FileNotFoundError):
                base = find_directory(root, names, markers[other], dataset, remedy)
                break
        else:
            raise
    there = [other for other, folders in markers.items() if any(locate(base / folder).is_dir() for folder in folders)]
    raise FileNotFoundError(
        f'{base}: has no folder {" or ".join(markers[split])}, so split {split!r} is missing{only_there(there)};'
        f' {remedy}'
    )


def only_there(splits) -> str:
    """', only train and val are there': the end of a sentence about a split that is missing; '' when no other is
    there."""
    splits = list(splits)
    return f', only {" and ".join(splits)} {"are" if len(splits) > 1 else "is"} there' if splits else ''


def first_folder(base: Path, names, what: str) -> Path:
    """The first of base/name that exists, what is unpacked before archives; FileNotFoundError naming `what` is
    missing."""
    for folder in (*(base / name for name in names), *(locate(base / name) for name in names)):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f'{base}: has no folder {" or ".join(names)}, which holds the {what}; unpack them there')


def subfolders(folder: Path) -> list:
    """Names of the visible folders in `folder`, sorted; none if it does not exist."""
    folder = locate(folder)
    if not folder.is_dir():
        return []
    entries = folder.iterdir() if isinstance(folder, ArchivePath) else os.scandir(folder)
    return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))


def list_files(folder: Path, endings) -> list:
    """Visible files of `folder` whose name ends (in any case) with one of `endings`, sorted. Links that lead nowhere
    count: reading them is an error, leaving them out would be silence."""
    folder = locate(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: the folder does not exist; unpack the images of this split there')
    endings = tuple(endings)
    return [
        folder / name for name in sorted(_names(folder)) if name.lower().endswith(endings) and not name.startswith('.')
    ]


def _names(folder) -> list:
    return [
        entry.name
        for entry in (folder.iterdir() if isinstance(folder, ArchivePath) else os.scandir(folder))
        if not entry.is_dir()
    ]


def walk_files(folder: Path, endings=('',)) -> list:
    """Visible files in and below `folder` whose name ends (in any case) with one of `endings`, sorted by path.

    Links to folders are followed, each folder is entered once; hidden files and folders are left out.
    """
    found, entered, endings, folder = [], set(), tuple(endings), locate(folder)
    if isinstance(folder, ArchivePath):
        return sorted(
            path
            for path in folder.walk()
            if path.name.lower().endswith(endings) and not _is_hidden(path.relative_to(folder))
        )
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        found += [Path(parent) / name for name in files if name.lower().endswith(endings) and not name.startswith('.')]
    return sorted(found)


def _is_hidden(path) -> bool:
    return any(part.startswith('.') for part in path.parts)


def every_file(folder) -> list:
    """All files of `folder`, hidden ones and those of any ending too, sorted; none if it does not exist."""
    folder = locate(folder)
    if isinstance(folder, ArchivePath):
        return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    return (
        [folder / name for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_file())]
        if folder.is_dir()
        else []
    )


_unpaired = ContextVar('unpaired', default=None)


@contextmanager
def listing_unpaired():
    """In this block make_items leaves images without a label out, as Items in the list that the block gets, and raises
    nothing."""
    token = _unpaired.set([])
    try:
        yield _unpaired.get()
    finally:
        _unpaired.reset(token)


def make_items(images, image_root: Path, label_of=None) -> list:
    """Items sorted by name. label_of(image path) -> label path; None: no labels.

    Raises FileNotFoundError that counts the images whose label file does not exist. Label folders are listed once
    instead of asking for each file, which is slow on network disks.
    """
    items = [
        Item(image, label_of(image) if label_of else None, image.relative_to(image_root).as_posix()) for image in images
    ]
    folders = {folder: locate(folder) for folder in {item.label.parent for item in items if item.label is not None}}
    listed = {
        folder: {printed(name): name for name in _names(folder)} if folder.is_dir() else {}
        for folder in folders.values()
    }
    items = [
        item
        if item.label is None
        else item._replace(label=_as_there(folders[item.label.parent], item.label.name, listed))
        for item in items
    ]
    missing = [
        item for item in items if item.label is not None and printed(item.label.name) not in listed[item.label.parent]
    ]
    if missing and _unpaired.get() is not None:
        _unpaired.get().extend(missing)
        gone = set(missing)
        items = [item for item in items if item not in gone]
    elif missing:
        raise FileNotFoundError(
            f'{missing[0].image}: its label {missing[0].label} does not exist ({len(missing)} of the {len(items)}'
            ' images of this split have no label); add the missing labels or remove those images'
        )
    return sorted(items, key=lambda item: item.name)


def _as_there(folder, name, listed):
    """folder/name by the name that the file has there, where that prints alike. listed: {folder: {printed: name}}."""
    return folder / listed[folder].get(printed(name), name)
