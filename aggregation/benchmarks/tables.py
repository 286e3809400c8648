"""Scores as lines of text."""

from aggregation.benchmarks import bravo
from aggregation.benchmarks import bravo_names as names


def number(value, interval=None) -> str:
    """'83.21' percent, with its interval; a dash for what is not defined."""
    if value is None or value != value:
        return '-'
    around = f' [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]' if interval else ''
    return f'{100 * value:.2f}{around}'


def percent(value, interval=None) -> str:
    """The same with its unit, a dash alone where there is none."""
    text = number(value, interval)
    return text if text == '-' else f'{text} %'


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines with columns of equal width, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        '  '.join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    ]


def bravo_rows(scores: dict) -> list[list[str]]:
    """Subsets by metrics, with the means; the first row is the head."""
    columns = [f'{metric}_valid' for metric in bravo.SEMANTIC] + [f'{metric}_ood' for metric in bravo.OOD] + ['hmean']
    rows = [['%', *(column.removesuffix('_valid') for column in columns)]]
    return rows + [
        [subset, *(number(scores.get(f'{subset}_{column}')) for column in columns)] for subset in names.SUBSETS
    ]


def bravo_lines(result: dict) -> list[str]:
    """The table of a BRAVO evaluation, the means, and what would raise the index most."""
    scores, intervals = result['scores'], result.get('intervals', {})
    told = aligned(bravo_rows(scores))
    told += [
        f'{key} {percent(scores[key], intervals.get(key))}' for key in ('semantic_hmean', 'ood_hmean', 'bravo_index')
    ]
    best = [entry for entry in bravo.leverage(scores)[:3] if entry['gain'] > 0]
    if best:
        told.append(
            'one point better would raise the index most in: '
            + ', '.join(f'{entry["score"]} (+{100 * entry["gain"]:.2f})' for entry in best)
        )
    return told


def cityscapes_rows(result: dict) -> list[tuple[str, list[list[str]]]]:
    """(title, rows) of classes and of categories, each score beside its instance-weighted form, the means last."""
    scores, intervals = result['scores'], result.get('intervals', {})
    tables = []
    for kind, title in (('class', 'Classes'), ('category', 'Categories')):
        rows = [[f'{kind} %', 'IoU', 'iIoU']]
        rows += [
            [name, number(value), number(scores[f'{kind}InstScores'][name])]
            for name, value in scores[f'{kind}Scores'].items()
            if value == value
        ]
        means = [f'averageScore{title}', f'averageScoreInst{title}']
        tables.append((title, [*rows, ['mean', *(number(scores[key], intervals.get(key)) for key in means)]]))
    return tables


def cityscapes_lines(result: dict) -> list[str]:
    """The same as text."""
    return [line for _, rows in cityscapes_rows(result) for line in aligned(rows)]


OOD = {'auroc': 'AUROC', 'aupr': 'AUPR', 'fpr95': 'FPR95'}
SMIYC = {
    'aupr': 'AUPR',
    'fpr95': 'FPR95',
    'auroc': 'AUROC',
    'best_f1': 'best F1',
    'siou': 'sIoU',
    'ppv': 'PPV',
    'f1_mean': 'mean F1',
}


def ood_rows(result: dict) -> list[tuple[str, list[list[str]]]]:
    """(title, rows) of the scores over pixels and, with a track, of those of SegmentMeIfYouCan."""
    scores, intervals = result['scores'], result.get('intervals', {})
    tables = [
        ('Pixels', [['score', '%'], *([name, number(scores[key], intervals.get(key))] for key, name in OOD.items())])
    ]
    if 'smiyc' in scores:
        found, around = scores['smiyc'], intervals.get('smiyc', {})
        tables.append(
            (
                'SegmentMeIfYouCan',
                [['score', '%'], *([name, number(found[key], around.get(key))] for key, name in SMIYC.items())],
            )
        )
    return tables


def ood_lines(result: dict) -> list[str]:
    """The scores of anomaly maps."""
    scores, intervals = result['scores'], result.get('intervals', {})
    told = [
        f'{scores["images"]} images, {scores["pixels"]} pixels, {scores["anomalous"]} of them anomalous: '
        + ', '.join(f'{name} {percent(scores[key], intervals.get(key))}' for key, name in OOD.items())
    ]
    if 'smiyc' in scores:
        found, around = scores['smiyc'], intervals.get('smiyc', {})
        aupr, fpr95, _, best_f1, *components = (
            f'{name} {percent(found[key], around.get(key))}' for key, name in SMIYC.items()
        )
        told.append(
            f'SegmentMeIfYouCan: {aupr}, {fpr95}, {best_f1} above {found["best_threshold"]:g}; components:'
            f' {", ".join(components)}'
        )
    return told
