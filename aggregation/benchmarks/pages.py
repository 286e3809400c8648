"""Pages of benchmark results."""

from pathlib import Path

import numpy as np

from aggregation.benchmarks import bravo, tables
from utils.pages.sheet import table, write_sheet


def bravo_page(path: Path, result: dict):
    """The table of subsets, the means with their intervals, and the gain of the index by each score."""
    scores, intervals = result['scores'], result.get('intervals', {})
    means = [
        ['mean', '%'],
        *(
            [key, tables.number(scores[key], intervals.get(key))]
            for key in ('bravo_index', 'semantic_hmean', 'ood_hmean')
        ),
    ]
    gains = [
        ['score', 'value %', 'index gains'],
        *(
            [entry['score'], tables.number(entry['value']), f'{100 * entry["gain"]:+.3f}']
            for entry in bravo.leverage(scores)
        ),
    ]
    write_sheet(
        path,
        'BRAVO benchmark',
        {'BRAVO index': tables.percent(scores['bravo_index'])},
        [
            table('Means', means, '95 % intervals over resampled images' if intervals else ''),
            table('Subsets', tables.bravo_rows(scores), 'ece and fpr95: lower is better'),
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
            *_notes(result),
        ],
    )


def cityscapes_page(path: Path, result: dict):
    """Class and category scores, and the confusion matrix of the labels that occur."""
    scores = result['scores']
    names = {number: name for name, number in scores['labels'].items()}
    pairs = np.array(scores['confMatrix'])
    occur = np.flatnonzero(pairs.sum(0) + pairs.sum(1)).tolist()
    matrix = [
        ['truth \\ prediction', *(names[label] for label in occur)],
        *([names[label], *pairs[label, occur].tolist()] for label in occur),
    ]
    write_sheet(
        path,
        'Cityscapes pixel-level scores',
        {'mean class IoU': tables.percent(scores['averageScoreClasses'])},
        [
            *(table(title, rows) for title, rows in tables.cityscapes_rows(result)),
            table('Confusion matrix', matrix, 'pixels'),
            *_notes(result),
        ],
    )


def ood_page(path: Path, result: dict):
    """The scores over pixels and, with a track, of the SegmentMeIfYouCan suite."""
    scores = result['scores']
    facts = {key: scores[key] for key in ('images', 'pixels', 'anomalous')}
    if 'smiyc' in scores:
        facts['threshold of the components'] = f'{scores["smiyc"]["best_threshold"]:g}'
    note = 'FPR95: lower is better' + ('; 95 % intervals over resampled images' if 'intervals' in result else '')
    write_sheet(
        path,
        'Anomaly scores',
        facts,
        [*(table(title, rows, note) for title, rows in tables.ood_rows(result)), *_notes(result)],
    )


def _notes(result: dict) -> list[str]:
    return [table('Notes', [['note'], *([note] for note in result['notes'])])] if result['notes'] else []
