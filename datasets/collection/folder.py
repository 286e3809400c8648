"""Folder of images without labels, or an archive of them: something to run a trained network on."""

import os
from pathlib import Path

from datasets.base import Dataset
from datasets.collection.layout import IMAGE_EXTENSIONS, make_items, walk_files
from utils.classes import Classes
from utils.cli.wording import by_ending, counted
from utils.files.archives import locate


class Folder(Dataset):
    """The images below `folder`, named relative to it, with name and classes of a dataset.

    The dataset itself need not be on the disk. Hidden files and folders are left out; files that are no images are
    counted in `notes`. Raises FileNotFoundError or NotADirectoryError for a missing folder or one without images.
    """

    splits = ('folder',)
    has_folds = True  # every fold is the whole folder: the flags of a training may stand here too

    def __init__(self, name: str, classes: Classes, folder):
        self.name, self.classes, self.folder = name, classes, locate(Path(os.path.expanduser(folder)))
        super().__init__('folder')

    def _find_items(self):
        if not self.folder.exists():
            raise FileNotFoundError(
                f'{self.folder}: the folder does not exist; give a folder of images with --eval_folder'
            )
        if not self.folder.is_dir():
            raise NotADirectoryError(
                f'{self.folder}: is a file; give the folder that holds it, or a .zip or .tar file of images, with'
                ' --eval_folder'
            )
        files = walk_files(self.folder)
        images = [path for path in files if path.suffix.lower() in IMAGE_EXTENSIONS]
        if not images:
            kinds = ', '.join(extension[1:] for extension in IMAGE_EXTENSIONS)
            there = f'only {counted(len(files), "other file")} ({by_ending(files)})' if files else 'nothing'
            raise FileNotFoundError(
                f'{self.folder}: holds no images ({kinds}), {there}; give another folder with --eval_folder'
            )
        others = [path for path in files if path.suffix.lower() not in IMAGE_EXTENSIONS]
        if others:
            are = 'is no image and is' if len(others) == 1 else 'are no images and are'
            self.notes.append(f'{self.folder}: {len(others)} of {len(files)} files {are} left out: {by_ending(others)}')
        return self.folder, make_items(images, self.folder)
