"""The submission of the Cityscapes benchmark: label-id PNGs in a folder or a .zip, checked before and read back
after."""

import re
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from aggregation.benchmarks.cityscapes import BESIDE, FRAME, IDS
from aggregation.benchmarks.image_sizes import LISTS
from aggregation.benchmarks.trees import Tree, read_gray
from aggregation.benchmarks.written import Written, wanted_of, write_archive, write_folder
from utils.cli.progress import progress
from utils.cli.wording import listed
from utils.files.images import encode_png

TEST_IMAGES = 1525
NAMED = re.compile(r'[^\s_/"\',]+_\d{6}_\d{6}')  # a frame within text


def submit(
    predictions, out, trainid_to_id=None, size=(1024, 2048), images=None, allow_missing=False, log=None
) -> Written:
    """Label-id PNGs for the Cityscapes server from the *_pred.png or other PNGs below `predictions`.

    trainid_to_id uint8 (256,): applied when the files hold trainIds; None: they hold label ids. size (H, W) of every
    image, None for any. images: what names the images there must be, as `frames_named` reads it; None: any. out: a
    folder, or a .zip. Raises ValueError naming missing and unfit files before anything is written.
    """
    with Tree(predictions) as tree:
        found = _cityscapes_files(tree)
        if images is None:
            notes = [f'no --images were given, so nothing tells whether one is missing; the test set has {TEST_IMAGES}']
        else:
            frames, notes = wanted_of(tree.path, found, frames_named(images), allow_missing)
            found = {frame: found[frame] for frame in frames}
        for name in progress(found.values(), total=len(found), desc='check', log=log):
            _label_ids(tree, name, trainid_to_id, size)
        sources, out = {f'{frame}_leftImg8bit.png': name for frame, name in found.items()}, Path(out)

        def ids(name):
            return _label_ids(tree, name, trainid_to_id, size)

        write = _write_zip if out.suffix == '.zip' else write_folder
        write(
            out,
            sources,
            lambda name: encode_png(ids(name)),
            lambda written: _verify(written, sources, ids),
        )
    return Written(out, len(found), notes)


def frames_named(path) -> set[str]:
    """The frames <city>_<number>_<number> that `path` names, ValueError when it names none.

    path: a folder, tar or zip of images or ground truth, or a text file: a list, or the manifest.json of a dump.
    """
    path = Path(path)
    if path.suffix in LISTS and path.is_file():
        found = {frame[0] for frame in NAMED.finditer(path.read_text(encoding='utf-8', errors='replace'))}
    else:
        with Tree(path) as tree:
            found = {frame[0] for name in tree.names if (frame := FRAME.match(PurePosixPath(name).name))}
    if not found:
        raise ValueError(
            f'--images {path}: names no image <city>_<number>_<number>; give the folder leftImg8bit/test, a list of'
            ' names or a manifest.json'
        )
    return found


def _cityscapes_files(tree: Tree) -> dict[str, str]:
    """frame -> file, sorted; confidences and other companions of a prediction are no predictions."""
    found = {}
    for name in tree.names:
        base = PurePosixPath(name).name
        frame = FRAME.match(base)
        if frame and base.lower().endswith('.png') and not BESIDE.search(base):
            if frame[0] in found:
                raise ValueError(
                    f'{tree.path}: {found[frame[0]]} and {name} are predictions of one image; keep one of them'
                )
            found[frame[0]] = name
    if not found:
        raise ValueError(
            f'{tree.path}: holds no file <city>_<number>_<number>*.png, only {listed(tree.names, 3)}; give the folder'
            ' of predictions'
        )
    return found


def _label_ids(tree: Tree, name: str, trainid_to_id, size) -> np.ndarray:
    ids = read_gray(tree, name)
    if ids.dtype != np.uint8:
        raise ValueError(f'{tree.path}: {name} is {ids.dtype}, expected 8-bit ids')
    if size is not None and ids.shape != tuple(size):
        raise ValueError(
            f'{tree.path}: {name} is {ids.shape[1]}x{ids.shape[0]} pixels, expected {size[1]}x{size[0]}; predict at the'
            ' size of the images'
        )
    limit = IDS if trainid_to_id is None else len(set(np.asarray(trainid_to_id).tolist()) - {0})
    if ids.max(initial=0) >= limit:
        kind = 'label ids' if trainid_to_id is None else 'trainIds'
        raise ValueError(
            f'{tree.path}: {name} holds values up to {ids.max()}, expected {kind} 0 to {limit - 1}; choose the other'
            ' --ids'
        )
    return ids if trainid_to_id is None else np.asarray(trainid_to_id, np.uint8)[ids]


def _write_zip(out: Path, sources, encode, verify):
    with write_archive(out) as file:
        with zipfile.ZipFile(file, 'w', zipfile.ZIP_STORED) as archive:
            for name, source in sources.items():
                archive.writestr(zipfile.ZipInfo(name), encode(source))
        file.flush()
        verify(Path(file.name))


def _verify(written: Path, sources, ids):
    """Raise ValueError unless the folder or zip `written` holds the label ids of every source."""
    with Tree(written) as tree:
        for name, source in sources.items():
            if not np.array_equal(read_gray(tree, name), ids(source)):
                raise ValueError(
                    f'{name}: what was written is not what was predicted; check memory and disk, then write it again'
                )
