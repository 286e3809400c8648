"""Small folders of files, and archives of them."""

import tarfile
import zipfile
from pathlib import Path


def pack(folder, target, top='', compress=zipfile.ZIP_DEFLATED):
    """Everything below `folder` as target (.zip or .tar), the names below `top`."""
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    names = [str(Path(top) / path.relative_to(folder)) for path in files]
    if target.suffix == '.zip':
        with zipfile.ZipFile(target, 'w', compress) as archive:
            for path, name in zip(files, names):
                archive.write(path, name)
    else:
        with tarfile.open(target, 'w') as archive:
            for path, name in zip(files, names):
                archive.add(path, name)
    return target


def tree(folder, names):
    """Small files that hold their own name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder
