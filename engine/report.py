"""What an evaluation leaves in the run directory beside its dumps: metrics.json, the confusion matrix and its
picture."""

from pathlib import Path

from utils import metrics
from utils.files.atomic import write_json, write_npy
from utils.outputs import logits_manifest as logit_manifest
from utils.outputs.names import LOGITS
from utils.pages.page import write_page
from utils.pages.table_picture import write_confusion_matrix


def scores(result):
    """The numbers of one evaluation that are logged every time, as plain floats."""
    counts = result.counts
    return {
        'loss': result.loss,
        'mean_iu': metrics.mean_iou(counts),
        'acc_cls': metrics.mean_accuracy(counts),
        'acc': metrics.accuracy(counts),
        'fwavacc': metrics.fwiou(counts),
    }


def write_metrics(result_dir, result, dataset, about):
    """Write metrics.json (about: what was evaluated and how), confusion_matrix.npy (int64, truth x prediction) and
    .png."""
    folder = Path(result_dir)
    summary = metrics.summary(result.counts, dataset.class_names)
    write_json(folder / 'metrics.json', {**about, 'images': result.images, 'loss': result.loss, **summary})
    write_npy(folder / 'confusion_matrix.npy', result.counts)
    write_confusion_matrix(folder / 'confusion_matrix.png', result.counts, dataset.class_names)


def table(result, dataset):
    """The scores per class as text."""
    return metrics.format_table(result.counts, dataset.class_names)


def where_to_look(result_dir, dumper):
    """One line that names what an evaluation has written."""
    found = [dumper.page] if dumper.page.exists() else []
    found += [
        Path(result_dir) / name
        for name in ('metrics.json', 'confusion_matrix.png', 'logits', 'submit')
        if (Path(result_dir) / name).exists()
    ]
    return f'see {", ".join(map(str, found))}' if found else 'nothing was asked to be written'


def score_line(values):
    """The one line of a validation, as the published logs have it, with five decimals."""
    return ', '.join(f'[{name} {value:0.5f}]' for name, value in values.items())


def write_pictures_page(dumper, result, dataset, about):
    """The page of pictures of every rank, with the scores above them."""
    if not dumper.options.shows():
        return
    rows = None
    if result.counts.any():
        classes = metrics.summary(result.counts, dataset.class_names)['classes']
        rows = [
            {'class': name, **{key: score[key] for key in ('iou', 'precision', 'recall')}}
            for name, score in classes.items()
        ]
    write_page(dumper.page, result.records, dataset, facts=about, rows=rows)


def write_logit_manifest(dumper, result, dataset, about, made_by):
    """logits/manifest.json for the images whose logits stand, of every rank."""
    if not dumper.options.dump_logits:
        return
    folder = dumper.names.result_dir / 'logits'
    files = {
        item.name: dumper.names.dumped(LOGITS, item.name)[0].relative_to(folder).as_posix() for item in dataset.items
    }
    model = {'model': f'{about["arch"]} on {made_by["trunk"]}', 'weights_sha256': made_by['weights']}
    logit_manifest.write(folder, result.logits, files, dataset, dumper.options.storage, {**model, **about})
