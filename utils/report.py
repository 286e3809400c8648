"""What an evaluation leaves in the run directory beside its dumps: metrics.json, the confusion matrix and its picture."""
from pathlib import Path

from utils import metrics
from utils.files import write_json, write_npy
from utils.page import write_page
from utils.table_picture import write_confusion_matrix


def scores(result):
    """The numbers of one evaluation that are logged every time, as plain floats."""
    confusion = metrics.ConfusionMatrix.from_counts(result.counts)
    return {'loss': result.loss, 'mean_iu': confusion.mean_iou(), 'acc_cls': confusion.mean_accuracy(), 'acc': confusion.accuracy(),
            'fwavacc': confusion.fwiou()}


def write_metrics(result_dir, result, dataset, about):
    """Write metrics.json (about: what was evaluated and how), confusion_matrix.npy (int64, truth x prediction) and .png."""
    folder = Path(result_dir)
    summary = metrics.summary(result.counts, dataset.class_names)
    write_json(folder / 'metrics.json', {**about, 'images': result.images, 'loss': result.loss, **summary})
    write_npy(folder / 'confusion_matrix.npy', result.counts)
    write_confusion_matrix(folder / 'confusion_matrix.png', result.counts, dataset.class_names)


def score_line(values):
    """The one line of a validation, as the published logs have it, with five decimals."""
    return ', '.join(f'[{name} {value:0.5f}]' for name, value in values.items())


def write_pictures_page(dumper, result, dataset, about):
    """The page of pictures of every rank, with the scores above them."""
    if not dumper.options.shows():
        return
    rows = metrics.summary(result.counts, dataset.class_names) if result.counts.sum() else None
    write_page(dumper.page, result.records, dataset, facts=about, scores=rows)
