"""Report of an ensemble as a page: report.json, index.html and the pictures that it shows, in one folder."""

import math
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from aggregation.fusion.member_report import Measured, Tally, summary
from aggregation.statistics.reliability import risk_coverage
from utils.files.atomic import write_bytes, write_json
from utils.files.images import encode_png
from utils.pages.album import album
from utils.pages.album import style as album_style
from utils.pages.pixels import CONFIDENCE, write_pixels
from utils.pages.records import Layer, PageRecord, count_classes
from utils.pages.sheet import Series, beside, heat_table, line_chart, section, table, write_sheet
from utils.pages.thumbnails import write_thumbnails

POINTS = 200  # of a curve
WORST = 'By their share of wrong pixels, the worst first. Disagreement: 1 - share of the most chosen class.'
COLUMNS = {
    'mean_iou': 'mIoU %',
    'accuracy': 'accuracy %',
    'ece': 'ECE %',
    'nll': 'NLL',
    'brier': 'Brier',
    'ause': 'AUSE',
    'auprc_error': 'AUPR of errors %',
}
# picture of an image -> (key in the page's script, title, kind, full scale and unit of a map)
PICTURES = {
    'input': ('input', 'Input', 'photo'),
    'truth': ('gt', 'Label', 'classes'),
    'prediction': ('prediction', 'Prediction', 'classes'),
    'error': ('error', 'Error', 'error'),
    'confidence': ('confidence', 'Confidence', 'map', 100, '%'),
    'entropy': ('entropy', 'Entropy', 'map'),  # up to the logarithm of the number of classes
    'disagreement': ('disagreement', 'Disagreement', 'map', 100, '%'),
}


def write_report(found: Measured, out: Path) -> Path:
    """Write the folder `out`; returns the page."""
    content = summary(found)
    write_json(out / 'report.json', content)
    records = [_record(found, number, one, out) for number, one in enumerate(found.worst)]
    write_sheet(
        out / 'index.html',
        f'Ensemble of {len(found.members)} on {content["dataset"]} {content["split"]}',
        _facts(found, content),
        [
            _scores(found),
            _left_out(found),
            _disagreement(found),
            beside(_reliability(found), _risk(found)),
            _classes(found),
            section('Worst images', '', WORST),
            album(records, found.truths.classes),
        ],
        album_style(),
        _headline(content),
    )
    return out / 'index.html'


def _facts(found: Measured, content: dict) -> dict:
    facts = {
        'images': f'{content["images"]:,}',
        'labelled pixels': f'{content["pixels"]:,}',
        'fusion': content['fusion'],
        'confidence': content['score'],
    }
    if content['incomplete_images']:
        facts['images that some member lacks'] = len(content['incomplete_images'])
    if found.unusable:
        facts['images left out, as they cannot be used'] = len(found.unusable)
    return facts


def _headline(content: dict) -> dict:
    """What stands in large type: the ensemble's mean IoU, and what it gains."""
    best, whole = max(member['mean_iou'] for member in content['members']), content['ensemble']['mean_iou']
    return {'mean IoU': f'{100 * whole:.2f} %', 'over the best member': f'{100 * (whole - best):+.2f} points'}


def _rows(found: Measured) -> list[tuple[str, Tally]]:
    rows = [*zip(found.members.titles, found.single), ('ensemble', found.ensemble)]
    return [*rows, ('ensemble, calibrated', found.calibrated)] if found.calibrated else rows


def _shown(key: str, value: float, sign: str = '') -> str:
    """A value of COLUMNS as text: percentages with two decimals, the others with four."""
    if value != value:
        return '–'
    return f'{100 * value:{sign}.2f}' if COLUMNS[key].endswith('%') else f'{value:{sign}.4f}'


def _scores(found: Measured) -> str:
    rows = [['', 'images', *COLUMNS.values()]]
    for name, tally in _rows(found):
        scores = tally.scores()
        rows.append([name, tally.images, *(_shown(key, scores[key]) for key in COLUMNS)])
    return table(
        'Members and ensemble',
        rows,
        'mIoU, accuracy and AUPR of errors: higher is better; the others: lower is better. '
        'Each member is measured as an ensemble of one.',
    )


def _left_out(found: Measured) -> str:
    whole, keys = found.ensemble.scores(), ('mean_iou', 'nll', 'ece')
    rows = [['without', *(title for key in keys for title in (COLUMNS[key], 'change'))]]
    for name, tally in zip(found.members.titles, found.left_out):
        if tally is not None:
            scores = tally.scores()
            rows.append(
                [
                    name,
                    *(
                        cell
                        for key in keys
                        for cell in (_shown(key, scores[key]), _shown(key, scores[key] - whole[key], '+'))
                    ),
                ]
            )
    note = 'what the others reach: a member helps where mIoU falls without it, and where NLL and ECE rise'
    return table(
        'Leaving one member out',
        rows,
        (
            note
            if len(rows) > 1
            else (
                f'not known for a single member, nor for fusion {found.options.fusion!r} '
                f'with score {found.options.score!r} when they take extremes'
            )
        ),
    )


def _disagreement(found: Measured) -> str:
    shares, titles = 100 * found.disagreement(), found.members.titles
    return heat_table(
        'Pairwise disagreement',
        [['% of pixels', *titles], *([title, *row.round(2)] for title, row in zip(titles, shares))],
        'labelled pixels that two members label differently',
    )


def _reliability(found: Measured) -> str:
    series = []
    for name, tally in _rows(found):
        pixels, claimed, correct = tally.reliability.counts.bins()
        some = pixels > 0
        series.append(Series(name, claimed[some], correct[some], bold=tally not in found.single))
    diagonal = Series('perfect', np.array([0, 1]), np.array([0, 1]), dashed=True)
    return line_chart(
        'Reliability',
        [*series, diagonal],
        'confidence',
        'accuracy',
        'below the diagonal: too sure; 15 bins',
        (0, 1),
        (0, 1),
    )


def _risk(found: Measured) -> str:
    series, largest = [], 0.0
    for name, tally in _rows(found):
        coverage, risk = risk_coverage(tally.reliability.counts)
        kept = (
            np.unique(np.searchsorted(coverage, np.linspace(0, 1, POINTS)).clip(max=len(coverage) - 1))
            if len(coverage)
            else []
        )
        series.append(Series(name, coverage[kept], 100 * risk[kept], bold=tally not in found.single))
        largest = max(largest, 100 * float(risk[kept].max(initial=0)))
    return line_chart(
        'Risk and coverage',
        series,
        'share of pixels kept, surest first',
        'wrong pixels among them, %',
        'lower is better',
        (0, 1),
        (0, _round_up(largest)),
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8 times a power of ten, for an axis."""
    power = 10.0 ** np.floor(np.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * (1 - 1e-9))


def _classes(found: Measured) -> str:
    single, whole = np.stack([tally.matrix.iou() for tally in found.single]), found.ensemble.matrix.iou()
    gain = whole - np.where(np.isnan(single), -np.inf, single).max(0)
    rows = [['IoU %', *found.members.titles, 'ensemble', 'over the best']]
    for number, name in enumerate(found.truths.classes.names):
        rows.append(
            [
                name,
                *(_shown('mean_iou', value) for value in (*single[:, number], whole[number])),
                _shown('mean_iou', gain[number], '+') if np.isfinite(gain[number]) else '–',
            ]
        )
    return table('Classes', rows)


def _record(found: Measured, number: int, one, out: Path) -> PageRecord:
    """Write the pictures of one of the worst images; returns its record."""
    image, classes = found.truths.read_image(one.stem), found.truths.classes
    files = {'input': encode_png(image), **one.maps}
    maps = {key: Image.open(BytesIO(data)) for key, data in files.items()}
    record = PageRecord(one.stem, number, *maps['truth'].size)
    for key, data in files.items():
        file = f'pictures/{number + 1:03d}_{key}.png'
        write_bytes(out / file, data, durable=False)
        ramp = (math.log(max(len(classes), 2)), 'nats') if key == 'entropy' else ()
        name, title, kind, *known = PICTURES[key]
        record.layers.append(Layer(name, title, file, kind, *(known or ramp)))
    label, prediction, confidence = (np.asarray(maps[key]) for key in ('truth', 'prediction', 'confidence'))
    count_classes(record, len(classes), label, prediction)
    record.about = f'{100 * one.share:.2f} % wrong'
    record.thumbnails, record.pixels = (f'pictures/{number + 1:03d}_{key}' for key in ('thumbnails.jpg', 'pixels.js'))
    write_thumbnails(out / record.thumbnails, [(PICTURES[key][2], picture) for key, picture in maps.items()])
    percent = np.rint(confidence * (CONFIDENCE / 255)).astype(np.uint8)
    write_pixels(out / record.pixels, label=label, prediction=prediction, confidence=percent)
    return record
