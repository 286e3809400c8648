"""The submission of the Cityscapes benchmark: label-id PNGs in a folder or a .zip, checked before and read back after."""
import re
import zipfile
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from aggregation.cityscapes import FRAME, IDS
from aggregation.trees import Tree, listed, read_gray
from aggregation.written import Written
from utils.files import atomic_write, write_bytes
from utils.progress import progress


def submit(predictions, out, trainid_to_id=None, size=(1024, 2048), log=None) -> Written:
    """Label-id PNGs for the Cityscapes server from the *_pred.png or other PNGs below `predictions`.

    trainid_to_id uint8 (256,): applied when the files hold trainIds; None: they hold label ids. size (H, W) of every
    image, None for any. out: a folder, or a .zip. Raises ValueError naming unfit files before anything is written.
    """
    with Tree(predictions) as tree:
        found = _cityscapes_files(tree)
        for name in progress(found.values(), total=len(found), desc='check', log=log):
            _label_ids(tree, name, trainid_to_id, size)
        pictures = ((f'{frame}_leftImg8bit.png', cv2.imencode('.png', _label_ids(tree, name, trainid_to_id, size))[1].tobytes())
                    for frame, name in found.items())
        out = Path(out)
        _write_zip(out, pictures) if out.suffix == '.zip' else _write_folder(out, pictures)
        _verify_cityscapes(tree, found, out, trainid_to_id, size)
    return Written(out, len(found), [])


def _cityscapes_files(tree: Tree) -> dict[str, str]:
    """frame -> file, sorted; confidences and other companions of a prediction are no predictions."""
    found = {}
    for name in tree.names:
        base = PurePosixPath(name).name
        frame = FRAME.match(base)
        if frame and base.lower().endswith('.png') and not re.search(r'_(conf|score|prob)\.png$', base):
            if frame[0] in found:
                raise ValueError(f'{tree.path}: {found[frame[0]]} and {name} are predictions of one image; keep one of them')
            found[frame[0]] = name
    if not found:
        raise ValueError(f'{tree.path}: holds no file <city>_<number>_<number>*.png, only {listed(tree.names, 3)}; give the folder of predictions')
    return found


def _label_ids(tree: Tree, name: str, trainid_to_id, size) -> np.ndarray:
    ids = read_gray(tree, name)
    if ids.dtype != np.uint8:
        raise ValueError(f'{tree.path}: {name} is {ids.dtype}, expected 8-bit ids')
    if size is not None and ids.shape != tuple(size):
        raise ValueError(f'{tree.path}: {name} is {ids.shape[1]}x{ids.shape[0]} pixels, expected {size[1]}x{size[0]}; predict at the size of the images')
    limit = IDS if trainid_to_id is None else len(set(np.asarray(trainid_to_id).tolist()) - {0})
    if ids.max(initial=0) >= limit:
        kind = 'label ids' if trainid_to_id is None else 'trainIds'
        raise ValueError(f'{tree.path}: {name} holds values up to {ids.max()}, expected {kind} 0 to {limit - 1}; choose the other --ids')
    return ids if trainid_to_id is None else np.asarray(trainid_to_id, np.uint8)[ids]


def _write_zip(out: Path, pictures):
    with atomic_write(out) as file, zipfile.ZipFile(file, 'w', zipfile.ZIP_STORED) as archive:
        for name, data in pictures:
            archive.writestr(zipfile.ZipInfo(name), data)


def _write_folder(out: Path, pictures):
    for name, data in pictures:
        write_bytes(out / name, data, durable=False)


def _verify_cityscapes(tree, found, out, trainid_to_id, size):
    for frame, name in found.items():
        written = f'{frame}_leftImg8bit.png'
        if out.suffix == '.zip':
            with zipfile.ZipFile(out) as archive:
                data = archive.read(written)
        else:
            data = (out / written).read_bytes()
        again = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if again is None or not np.array_equal(again, _label_ids(tree, name, trainid_to_id, size)):
            raise ValueError(f'{out}: {written} is not what was predicted; check memory and disk, then write it again')
