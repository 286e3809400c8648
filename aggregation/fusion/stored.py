"""What is done with stored logits: fusing them, fitting a calibration, verifying files."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from aggregation.fusion.fusing import FuseOptions, check_method, finish
from aggregation.fusion.members import Members
from aggregation.fusion.outputs import Outputs
from aggregation.fusion.store import Fault, Store
from aggregation.fusion.stream import one_thread, pool_of, read_ahead
from aggregation.fusion.truths import Truths
from aggregation.statistics import calibration
from aggregation.statistics.reliability import Reliability
from utils.cli.progress import progress
from utils.outputs.writers import WriterPool

# The folders of the BRAVO benchmark: dumps are made folder by folder, predictions are wanted in one tree.
BRAVO_FOLDERS = ('bravo_ACDC', 'bravo_SMIYC', 'bravo_synobjs', 'bravo_outofcontext', 'bravo_synflare', 'bravo_synrain')


def benchmark_prefix(members: Members) -> str:
    """'bravo_ACDC/' when every folder lies in that folder of the benchmark and its images do not name it; '' for other
    data.

    Raises ValueError when the folders are of different parts of the benchmark.
    """
    found = {
        next((part for part in reversed(store.folder.resolve().parts) if part in BRAVO_FOLDERS), None)
        for store in members.stores
    }
    if len(found) > 1:
        told = ', '.join(f'{store.folder}' for store in members.stores)
        raise ValueError(
            f'{told}: lie in different folders of the benchmark ({", ".join(sorted(map(str, found)))}); fuse one at a'
            ' time, or give --prefix'
        )
    [folder] = found
    return f'{folder}/' if folder and not any(stem.startswith('bravo_') for stem in members.stems) else ''


def describe(members: Members) -> list[dict]:
    """The members as fusion.json and reports name them, with all that tells their logits from those of another dump."""
    return [
        {
            'name': store.name,
            'folder': str(store.folder),
            'kind': store.kind,
            'weights_sha256': store.weights,
            'made_with': store.made_with,
            'weight': weight.tolist() if isinstance(weight, torch.Tensor) else weight,
        }
        for store, weight in zip(members.stores, members.weights)
    ]


def fuse_stored(
    members: Members, options: FuseOptions, outputs: Outputs, readers: int = 2, log=None
) -> tuple[int, int]:
    """Write the results of every image that has none yet; returns (images written, images kept)."""
    todo = [stem for stem in members.stems if not outputs.done(stem)]
    stream, pool = read_ahead(members, todo, readers), None
    with one_thread(), WriterPool() as writers:
        for stem in progress(todo, total=len(todo), desc='fuse', log=log):
            pool = pool_of(members, stem, stream, options.needs, used=pool)
            writers.submit(outputs.write, stem, finish(pool, options, len(members)))
    outputs.finish(members.stems, {'members': describe(members), 'class_names': members.class_names})
    return len(todo), len(members.stems) - len(todo)


def calibrate_stored(members: Members, options: FuseOptions, truths: Truths, method: str, readers: int = 2, log=None):
    """(calibrator, about): fitted on every image with a label; about says on what, and the errors before and after."""
    check_method(method, options.score)
    stems = truths.shared(members)
    sample, before, after = (
        kind(truths.dataset.num_classes) for kind in (calibration.PixelSample, Reliability, Reliability)
    )

    def each_image(options, enter, desc):
        stream, pool = read_ahead(members, stems, readers), None
        for stem in progress(stems, total=len(stems), desc=desc, log=log):
            pool = pool_of(members, stem, stream, options.needs, used=pool)
            fused = finish(pool, options, len(members), probabilities=True)
            enter(fused, truths.read(stem, fused.prediction.shape, len(fused.probabilities)))

    def gather(fused, truth):
        before.update(fused.probabilities, fused.prediction, fused.confidence, truth)
        sample.add(fused.probabilities, truth)

    with one_thread():
        each_image(options, gather, 'calibrate')
        fit = {
            'temperature': lambda: calibration.fit_temperature(sample),
            'vector': lambda: calibration.fit_vector(sample),
            'isotonic': lambda: calibration.fit_isotonic(before.counts),
        }
        calibrator = fit[method]()
        each_image(
            FuseOptions(options.fusion, options.score, calibrator=calibrator),
            lambda fused, truth: after.update(fused.probabilities, fused.prediction, fused.confidence, truth),
            'check',
        )
    return calibrator, {
        'images': len(stems),
        'pixels': before.pixels,
        'fusion': options.fusion,
        'score': options.score,
        'members': describe(members),
        'before': before.scores(),
        'after': after.scores(),
    }


def check_stores(folders, threads: int = 2, log=None) -> dict[str, dict]:
    """folder -> {'images', 'manifest': whether it has one, 'faults': list of Fault, 'unlisted': files the manifest does
    not name}."""
    found = {}
    for folder in folders:
        store = Store(folder)
        with ThreadPoolExecutor(threads) as pool:
            faults = [
                fault
                for fault in progress(
                    pool.map(store.check, store.listed), total=len(store.listed), desc=str(folder), log=log
                )
                if fault
            ]
        found[str(folder)] = {
            'images': len(store.listed),
            'manifest': store.manifest is not None,
            'kind': store.kind,
            'faults': faults,
            'unlisted': store.unlisted(),
        }
    return found


def fault_lines(found: dict, count: int = 10) -> list[str]:
    """What check_stores found, for a person: a line per folder, and the first faults of each."""
    lines = []
    for folder, result in found.items():
        faults: list[Fault] = result['faults']
        against = 'its manifest' if result['manifest'] else 'nothing but themselves, it has no manifest.json'
        lines.append(
            f'{folder}: {result["images"]} images of {result["kind"]} checked against {against}: {len(faults)} faults'
        )
        lines += [f'  {fault.file}: {fault.why}' for fault in faults[:count]] + (
            [f'  and {len(faults) - count} more'] if len(faults) > count else []
        )
        if result['unlisted']:
            lines.append(
                f'  {len(result["unlisted"])} files are not in the manifest and would not be used:'
                f' {result["unlisted"][0]}, ...'
            )
    return lines


def read_weights(text: str | None) -> list | None:
    """Weights as given on the command line: '2,1,1', or the path of a JSON list."""
    if text is None:
        return None
    if text.endswith('.json') or Path(text).is_file():
        try:
            weights = json.loads(Path(text).read_text(encoding='utf-8'))
        except OSError as error:
            raise ValueError(
                f'--weights {text}: cannot be read ({error.strerror}); give a JSON file with a list, or numbers such as'
                ' 2,1,1'
            ) from None
        except ValueError as error:
            raise ValueError(
                f'--weights {text}: is no JSON ({error}); write a list with one number, or one list of numbers, per'
                ' member'
            ) from None
        if not isinstance(weights, list):
            raise ValueError(f'--weights {text}: holds no list; write one number, or one list of numbers, per member')
        return weights
    try:
        return [float(part) for part in text.split(',')]
    except ValueError:
        raise ValueError(f'--weights {text}: is no list of numbers such as 2,1,1, and no JSON file') from None
