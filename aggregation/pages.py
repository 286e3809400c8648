"""Pages of benchmark results."""
from pathlib import Path

from aggregation import bravo, tables
from utils.sheet import table, write_sheet


def bravo_page(path: Path, result: dict):
    """The table of subsets, the means with their intervals, and the gain of the index by each score."""
    scores, intervals = result['scores'], result.get('intervals', {})
    means = [['mean', '%'], *([key, tables.number(scores[key], intervals.get(key))] for key in ('bravo_index', 'semantic_hmean', 'ood_hmean'))]
    gains = [['score', 'value %', 'index gains'], *([entry['score'], tables.number(entry['value']), f'{100 * entry["gain"]:+.3f}']
                                                    for entry in bravo.leverage(scores))]
    write_sheet(path, 'BRAVO benchmark', {'BRAVO index': f'{tables.number(scores["bravo_index"])} %'}, [
        table('Means', means, '95 % intervals over resampled images' if intervals else ''),
        table('Subsets', tables.bravo_rows(scores), 'ece and fpr95: lower is better'),
        table('What to improve first', gains, 'points that the index gains when one score alone becomes one point better'),
        *([table('Notes', [['note'], *([note] for note in result['notes'])])] if result['notes'] else [])])


def cityscapes_page(path: Path, result: dict):
    """Class and category scores, and the confusion matrix."""
    scores = result['scores']
    names = {number: name for name, number in scores['labels'].items()}
    write_sheet(path, 'Cityscapes pixel-level scores', {'mean class IoU': f'{tables.number(scores["averageScoreClasses"])} %'}, [
        *(table(title, rows) for title, rows in tables.cityscapes_rows(result)),
        table('Confusion matrix', [['truth \\ prediction', *names.values()],
                                   *([names[row], *counts] for row, counts in enumerate(scores['confMatrix']) if sum(counts))], 'pixels')])
