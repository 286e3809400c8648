"""Where files lie: the dataset's folder, the images in it, the label of each image.

Every listing is sorted, so that order, splits and sampling do not depend on the file system.
"""
import os
from pathlib import Path

from datasets.base import Item

IMAGE_EXTENSIONS = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff')


def find_directory(root: Path, names, markers, dataset: str, remedy: str) -> Path:
    """The first of root/name that holds one of the folders `markers`; '' as a name is the root itself.

    Raises FileNotFoundError that says what is missing: the root, everything in it, or the dataset in it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f'{root}: the dataset root does not exist; {remedy}')
    names = list(dict.fromkeys(names))
    for name in names:
        if any((root / name / marker).is_dir() for marker in markers):
            return root / name
    present = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith('.'))
    if not present:
        raise FileNotFoundError(f'{root}: the dataset root is empty; {remedy}')
    wanted = ' or '.join(markers)
    for name in names:
        if name and (root / name).is_dir():
            raise FileNotFoundError(f'{root / name}: holds no folder {wanted}, so it is no {dataset} dataset; {remedy}')
    found = ', '.join(present[:5]) + (', ...' if len(present) > 5 else '')
    raise FileNotFoundError(f'{root}: holds no {dataset} dataset (folder {" or ".join(filter(None, names))}), only {found}; {remedy}')


def first_folder(base: Path, names, what: str) -> Path:
    """The first of base/name that exists; FileNotFoundError naming `what` is missing."""
    for name in names:
        if (base / name).is_dir():
            return base / name
    raise FileNotFoundError(f'{base}: has no folder {" or ".join(names)}, which holds the {what}; unpack them there')


def subfolders(folder: Path) -> list:
    """Names of the visible folders in `folder`, sorted; none if it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith('.'))


def list_files(folder: Path, endings) -> list:
    """Visible files of `folder` whose name ends (in any case) with one of `endings`, sorted."""
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: the folder does not exist; unpack the images of this split there')
    endings = tuple(endings)
    return [folder / name for name in sorted(os.listdir(folder)) if name.lower().endswith(endings) and not name.startswith('.')]


def walk_files(folder: Path, endings=('',)) -> list:
    """Visible files in and below `folder` whose name ends (in any case) with one of `endings`, sorted by path.

    Links to folders are followed, each folder is entered once; hidden files and folders are left out.
    """
    found, entered, endings = [], set(), tuple(endings)
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        found += [Path(parent) / name for name in files if name.lower().endswith(endings) and not name.startswith('.')]
    return sorted(found)


def make_items(images, image_root: Path, label_of=None) -> list:
    """Items sorted by name. label_of(image path) -> label path; None: no labels.

    Raises FileNotFoundError that counts the images whose label file does not exist. Label folders are listed once
    instead of asking for each file, which is slow on network disks.
    """
    items = [Item(image, label_of(image) if label_of else None, image.relative_to(image_root).as_posix()) for image in images]
    listed = {}
    for item in items:
        if item.label is not None and item.label.parent not in listed:
            folder = item.label.parent
            listed[folder] = set(os.listdir(folder)) if folder.is_dir() else set()
    missing = [item for item in items if item.label is not None and item.label.name not in listed[item.label.parent]]
    if missing:
        raise FileNotFoundError(
            f'{missing[0].image}: its label {missing[0].label} does not exist ({len(missing)} of the {len(items)} images of this '
            'split have no label); add the missing labels or remove those images')
    return sorted(items, key=lambda item: item.name)
