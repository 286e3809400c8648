"""The BRAVO benchmark (Vu et al., arXiv 2409.15107): `eval bravo` and `submit bravo`.

A submission is checked before, read back after, and written whole or not at all.
"""

import io
import tarfile
from pathlib import Path

import numpy as np

from aggregation import flags
from aggregation.benchmarks import bravo_files as files
from aggregation.benchmarks.bravo_codec import decode_prediction, decode_samples, encode_prediction
from aggregation.benchmarks.bravo_files import read_prediction
from aggregation.benchmarks.bravo_scores import OOD, SEMANTIC, evaluate, leverage
from aggregation.benchmarks.label_values import need_trainids
from aggregation.benchmarks.results import aligned, number, percent, show, write_page
from aggregation.benchmarks.submission import Images, Written, check_read_back, usable, wanted_of, write_archive
from aggregation.benchmarks.trees import Tree
from aggregation.commands import command
from utils.cli.wording import listed
from utils.pages.sheet import table


def _eval_flags(parser):
    parser.add_argument('--gt', metavar='TAR|DIR', help='ground truth and invalid masks')
    parser.add_argument('--submission', metavar='TAR|DIR', help='encoded archive, or prediction and confidence PNGs')
    parser.add_argument(
        '--samples', metavar='TAR|DIR', help='sampling archive (default: the same samples, drawn from the ground truth)'
    )
    flags.evaluation(parser)


@command('eval bravo', 'score a BRAVO submission against ground truth', _eval_flags, ('gt', 'submission'))
def eval_bravo(args):
    result = evaluate(args.gt, args.submission, args.samples, args.bootstrap, args.num_workers)
    show(args, result, lines(result), page)


def _rows(scores: dict) -> list[list[str]]:
    """Subsets by metrics, with the means; the first row is the head."""
    columns = [f'{metric}_valid' for metric in SEMANTIC] + [f'{metric}_ood' for metric in OOD] + ['hmean']
    rows = [['%', *(column.removesuffix('_valid') for column in columns)]]
    return rows + [
        [subset, *(number(scores.get(f'{subset}_{column}')) for column in columns)] for subset in files.SUBSETS
    ]


def lines(result: dict) -> list[str]:
    """The table of a BRAVO evaluation, the means, and what would raise the index most."""
    scores, intervals = result['scores'], result.get('intervals', {})
    told = aligned(_rows(scores))
    told += [
        f'{key} {percent(scores[key], intervals.get(key))}' for key in ('semantic_hmean', 'ood_hmean', 'bravo_index')
    ]
    best = [entry for entry in leverage(scores)[:3] if entry['gain'] > 0]
    if best:
        told.append(
            'one point better would raise the index most in: '
            + ', '.join(f'{entry["score"]} (+{100 * entry["gain"]:.2f})' for entry in best)
        )
    return told


def page(path: Path, result: dict):
    """The table of subsets, the means with their intervals, and the gain of the index by each score."""
    scores, intervals = result['scores'], result.get('intervals', {})
    means = [
        ['mean', '%'],
        *([key, number(scores[key], intervals.get(key))] for key in ('bravo_index', 'semantic_hmean', 'ood_hmean')),
    ]
    gains = [
        ['score', 'value %', 'index gains'],
        *([entry['score'], number(entry['value']), f'{100 * entry["gain"]:+.3f}'] for entry in leverage(scores)),
    ]
    write_page(
        path,
        'BRAVO benchmark',
        {'BRAVO index': percent(scores['bravo_index'])},
        [
            table('Means', means, '95 % intervals over resampled images' if intervals else ''),
            table('Subsets', _rows(scores), 'ece and fpr95: lower is better'),
            *(
                [
                    table(
                        'What to improve first',
                        gains,
                        'points that the index gains when one score alone becomes one point better',
                    )
                ]
                if len(gains) > 1
                else []
            ),
        ],
        result['notes'],
    )


def _submit_flags(parser):
    flags.submission(
        parser,
        'folder or archive of the images or their ground truth, whose sizes predictions must have, or a list of names'
        ' or the manifest.json of a dump; without --samples it says what images there must be (default: sizes that'
        ' differ within a subset are noted)',
    )
    parser.add_argument(
        '--samples', metavar='TAR|DIR', help='bravo_SAMPLING.tar, which also says what images there must be'
    )


@command('submit bravo', 'encode predictions for the BRAVO server', _submit_flags)
def submit_bravo(args):
    faults = None if args.strict else []
    return submit(args.predictions, args.out, args.samples, args.allow_missing, args.images, faults=faults).tell()


def submit(predictions, out, samples=None, allow_missing=False, images=None, log=None, faults=None) -> Written:
    """Encode the PNG pairs below `predictions` (folder or tar) into the tar `out`.

    Every encoded file is read back from the archive and compared.

    Args:
        samples: the benchmark's sampling tar or folder; it also says which images must be there. Without it every
            confidence is stored, which only a local evaluation can read, and `images` says which must be there.
        allow_missing: leave missing images out, with a note.
        images: the images or their ground truth, as `Images` reads them, whose sizes are compared.
        faults: takes the message about each unfit image, which is then left out; None: it is raised.

    Raises:
        ValueError: files are missing or unfit; they are named, and nothing is written.
    """
    tree, sampling = Tree(predictions), None if samples is None else Tree(samples)
    known, out = Images(images, files.image_key), Path(out)
    keys, notes = _wanted(tree, sampling, known, allow_missing)
    need_trainids(tree, [files.name_of(key, 'prediction') for key in keys])
    with write_archive(out) as file:
        with tarfile.open(fileobj=file, mode='w', format=tarfile.USTAR_FORMAT) as archive:

            def encode(key):
                classes, levels = _content(tree, sampling, key)
                known.check(key, classes.shape, f'{tree.path}: {files.name_of(key, "prediction")}')
                return encode_prediction(classes, levels)

            wanted, keys = keys, []
            for key, data in usable(wanted, encode, faults, 'encode', log):
                _add(archive, files.name_of(key, 'encoded'), data)
                keys.append(key)
        file.flush()
        _verify(Path(file.name), tree, sampling, keys)
    return Written(out, len(keys), notes + known.notes(files.subset_of), faults or ())


def _wanted(tree: Tree, sampling: Tree | None, known: Images, allow_missing: bool) -> tuple[list[str], list[str]]:
    """(keys to encode, notes); ValueError counting what is missing."""
    found = files.keys_of(tree.names, 'prediction')
    if not found:
        raise ValueError(
            f'{tree.path}: holds no predictions of the benchmark (names such as bravo_ACDC/fog/..._pred.png), only'
            f' {listed(tree.names, 3)}; give the folder that holds the folders bravo_*'
        )
    unpaired = [name for key in found if (name := files.name_of(key, 'confidence')) not in tree]
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
                f'{len(keys)} of {files.IMAGES} images'
            ),
            *notes,
        ]
    wanted = files.keys_of(sampling.names, 'samples')
    if not wanted:
        raise ValueError(
            f'{sampling.path}: holds no samples of the benchmark (names such as bravo_ACDC/..._samples.bin); give'
            ' bravo_SAMPLING.tar'
        )
    return wanted_of(tree.path, found, wanted, allow_missing)


def _content(tree: Tree, sampling: Tree | None, key: str) -> tuple[np.ndarray, np.ndarray]:
    """(classes (H, W), levels at the samples (n,), or of every pixel (H, W))."""
    classes, levels = read_prediction(tree, files.name_of(key, 'prediction'), files.name_of(key, 'confidence'))
    if sampling is None:
        return classes, levels
    name = files.name_of(key, 'samples')
    indices = decode_samples(sampling.read(name), name)
    if indices[-1] >= classes.size:
        raise ValueError(
            f'{tree.path}: {files.name_of(key, "prediction")} has {classes.size} pixels, but pixel {indices[-1]} is'
            ' sampled; predict at the size of the image'
        )
    return classes, levels.ravel()[indices]


def _add(archive: tarfile.TarFile, name: str, data: bytes):
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, io.BytesIO(data))


def _verify(path: Path, tree: Tree, sampling: Tree | None, keys):
    """Raise ValueError unless the archive `path` holds what was predicted."""
    written = Tree(path)
    for key in keys:
        name = files.name_of(key, 'encoded')
        classes, levels = decode_prediction(written.read(name), name)
        expected = _content(tree, sampling, key)
        check_read_back(name, (classes == expected[0]).all() and (levels == expected[1].ravel()).all())
