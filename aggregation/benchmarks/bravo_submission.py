"""The submission of the BRAVO benchmark: checked before, read back after, and written whole or not at all."""

import io
import tarfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from aggregation.benchmarks import bravo_names as names
from aggregation.benchmarks.bravo_codec import decode_prediction, decode_samples, encode_prediction
from aggregation.benchmarks.bravo_files import read_prediction
from aggregation.benchmarks.image_sizes import Images
from aggregation.benchmarks.trees import Tree
from aggregation.benchmarks.written import Written, wanted_of, write_archive
from utils.cli.progress import progress
from utils.cli.wording import listed


def submit(predictions, out, samples=None, allow_missing=False, images=None, log=None) -> Written:
    """Encode the PNG pairs below `predictions` (folder or tar) into the tar `out`.

    samples: the benchmark's sampling tar or folder; it also says which images must be there. Without it every
    confidence is stored, which only a local evaluation can read, and `images` says which must be there. images: the
    images or their ground truth, as `Images` reads them, whose sizes are compared. Raises ValueError naming files that
    are missing or unfit; then nothing is written. Every encoded file is read back from the archive and compared.
    """
    with (
        Tree(predictions) as tree,
        nullcontext() if samples is None else Tree(samples) as sampling,
        Images(images, names.image_key) as known,
    ):
        keys, notes = _check_bravo(tree, sampling, known, allow_missing)
        out = Path(out)
        with write_archive(out) as file:
            with tarfile.open(fileobj=file, mode='w', format=tarfile.USTAR_FORMAT) as archive:
                for key in progress(keys, total=len(keys), desc='encode', log=log):
                    classes, levels = _content(tree, sampling, key)
                    known.check(key, classes.shape, f'{tree.path}: {names.name_of(key, "prediction")}')
                    _add(archive, names.name_of(key, 'encoded'), encode_prediction(classes, levels))
            file.flush()
            _verify_bravo(Path(file.name), tree, sampling, keys)
        return Written(out, len(keys), notes + known.notes(names.subset_of))


def _check_bravo(tree: Tree, sampling: Tree | None, known: Images, allow_missing: bool) -> tuple[list[str], list[str]]:
    """(keys to encode, notes); ValueError counting what is missing."""
    found = names.keys_of(tree.names, 'prediction')
    if not found:
        raise ValueError(
            f'{tree.path}: holds no predictions of the benchmark (names such as bravo_ACDC/fog/..._pred.png), only'
            f' {listed(tree.names, 3)}; give the folder that holds the folders bravo_*'
        )
    unpaired = [name for key in found if (name := names.name_of(key, 'confidence')) not in tree]
    if unpaired:
        raise ValueError(
            f'{tree.path}: {len(unpaired)} predictions have no confidence ({listed(sorted(unpaired))}); write both'
            ' files of every image'
        )
    if sampling is None:
        keys, notes = wanted_of(tree.path, found, known.names, allow_missing) if known.names else (sorted(found), [])
        return keys, [
            (
                'no sampling archive was given: every confidence is stored, which the server does not read; '
                f'{len(keys)} of {names.IMAGES} images'
            ),
            *notes,
        ]
    wanted = names.keys_of(sampling.names, 'samples')
    if not wanted:
        raise ValueError(
            f'{sampling.path}: holds no samples of the benchmark (names such as bravo_ACDC/..._samples.bin); give'
            ' bravo_SAMPLING.tar'
        )
    return wanted_of(tree.path, found, wanted, allow_missing)


def _content(tree: Tree, sampling: Tree | None, key: str) -> tuple[np.ndarray, np.ndarray]:
    """(classes (H, W), levels at the samples (n,), or of every pixel (H, W))."""
    classes, levels = read_prediction(tree, names.name_of(key, 'prediction'), names.name_of(key, 'confidence'))
    if sampling is None:
        return classes, levels
    name = names.name_of(key, 'samples')
    indices = decode_samples(sampling.read(name), name)
    if indices[-1] >= classes.size:
        raise ValueError(
            f'{tree.path}: {names.name_of(key, "prediction")} has {classes.size} pixels, but pixel {indices[-1]} is'
            ' sampled; predict at the size of the image'
        )
    return classes, levels.ravel()[indices]


def _add(archive: tarfile.TarFile, name: str, data: bytes):
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, io.BytesIO(data))


def _verify_bravo(path: Path, tree: Tree, sampling: Tree | None, keys):
    with Tree(path) as written:
        for key in keys:
            name = names.name_of(key, 'encoded')
            classes, levels = decode_prediction(written.read(name), name)
            expected = _content(tree, sampling, key)
            if not (classes == expected[0]).all() or not (levels == expected[1].ravel()).all():
                raise ValueError(
                    f'{name}: what was written is not what was predicted; check memory and disk, then write it again'
                )
