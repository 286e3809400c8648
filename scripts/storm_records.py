"""Records that the programs keep (JSON), and descriptions and lists that people write (YAML, text), for the storm to
damage: what is read of them is right in itself, or refused by name, or made anew with a line that names the file."""

import json
from argparse import Namespace
from dataclasses import asdict

import cv2
import numpy as np

import config
import train
from aggregation.fusion.fused_files import Outputs
from aggregation.fusion.fusing import FuseOptions
from aggregation.fusion.members import read_weights
from aggregation.fusion.store import Store
from aggregation.statistics import calibration
from datasets.prepare.convert import draw_polygons
from datasets.prepare.record import Record
from datasets.registry import get_dataset
from engine.run import evaluation_directory
from loss.class_weights import read_class_weights, verified_dataset
from scripts.storm_inputs import CLASSES, Damaged, need
from utils.files.atomic import write_json
from utils.files.metrics_csv import MetricsTable
from utils.files.sources import find_sources
from utils.outputs import logits as stored
from utils.outputs.dumps import read_record
from utils.outputs.predicted import PredictedFiles
from utils.pages.records import Layer, PageRecord, load_record

OPTIONS = FuseOptions('mean', 'msp', (), None, False)
YAML = """# streets
root: {root}
images: "images/*.png"
labels: "labels/{{stem}}.png"
splits: {{train: 0.5, val: 0.5}}
ignore: [7]
classes:
  - {{name: road, id: 0, color: [128, 64, 128]}}
  - {{name: sky, id: [1, 2]}}
  - {{name: car, id: 3}}
"""


def records(folder) -> dict[str, bytes]:
    """A file of each record that a program reads again."""
    values = np.zeros((3, 4, 6), np.float16)
    stored.write_logits(folder / 'a_logits.npz', values, (4, 6), stored.Storage())
    entry = {'a.png': stored.describe(folder / 'a_logits.npz', (4, 6), values.shape)}
    about = {'model': 'storm', 'weights_sha256': '0' * 64, 'dataset': 'storm', 'storage': stored.Storage()._asdict()}
    stored.write_manifest(folder, entry, {'a.png': 'a_logits.npz'}, CLASSES, about)
    calibration.save(folder / 'calibration.json', calibration.Temperature(1.5), {'fusion': 'mean', 'score': 'msp'})
    classes = [{'name': name, 'weight_balanced': 1.0} for name in CLASSES.names]
    write_json(folder / 'verify.json', {'dataset': 'storm', 'splits': {'train': {'classes': classes}}})
    write_json(folder / 'hparams.json', {'eval': None, 'lr': 0.1, 'command': {'line': 'train.py'}})
    write_json(folder / 'dumps.json', {'logits': {'made_by': {'weights': None}, 'grid': 'image', 'classes': {}}})
    write_json(folder / 'fusion.json', {'settings': {'fusion': 'mean', 'scores': []}, 'incomplete_images': {'a': [1]}})
    write_json(folder / 'weights.json', [2, [1.0, 0.5, 0.25]])
    write_json(folder / 'predict.json', {'settings': {'weights': ['a']}, 'classes': CLASSES.as_dict()})
    line = {'name': 'a', 'source': 'a.png', 'stamp': [1, 2], 'made_by': 'b', 'kinds': ['color'], 'size': [4, 6]}
    (folder / 'sources.jsonl').write_text(f'{json.dumps(line)}\n' * 3)
    line = {'target': 'a.png', 'recipe': 'b', 'sources': [[1, 2]], 'made': [3, 4]}
    (folder / '.prepared_storm.jsonl').write_text(f'{json.dumps(line)}\n' * 3)
    page = PageRecord(
        'a.png',
        0,
        6,
        4,
        [Layer('input', 'Input', 'a_logits.npz', 'photo')],
        classes=[[0, 3, 4, 0.5]],
        mark=[0.5, 0.5],
        run='r',
    )
    write_json(folder / 'page.json', asdict(page))
    polygon = {'label': 'road', 'polygon': [[0, 0], [3, 0], [3, 2]]}
    write_json(
        folder / 'polygons.json', {'imgWidth': 6, 'imgHeight': 4, 'objects': [polygon, {**polygon, 'deleted': 1}]}
    )
    table = MetricsTable(1.5)
    for epoch in range(2):
        table.rows['val', epoch] = {'epoch': epoch, 'timestamp': 2.5, 'mean_iu': 0.25}
    table.write(folder / 'metrics.csv')
    names = ('manifest calibration verify hparams dumps fusion weights predict page polygons').split()
    files = [f'{name}.json' for name in names] + ['sources.jsonl', '.prepared_storm.jsonl', 'metrics.csv']
    return {name: (folder / name).read_bytes() for name in (*files, 'a_logits.npz')}


def read_as_record(path):
    READERS.get(path.name, lambda path: None)(path)


def as_manifest(path):
    store = Store(path.parent)
    need(isinstance(store.stems, list), 'stems')
    for stem in store.stems:
        store.check(stem)
        store.read(stem)
    need(not store.classes or len(store.classes) > 0, 'no class')


def as_calibration(path):
    calibrator, about = calibration.load(path)
    calibration.check_fit(path, about, 'mean', 'msp')
    need(calibrator.parameters(), 'no parameters')


def as_verification(path):
    found = read_class_weights(f'{path}:balanced', list(CLASSES.names))
    verified_dataset(f'{path}:balanced')
    need(len(found) == 3 and bool(found.isfinite().all()), f'{found}')


def as_predictions(path):
    files = PredictedFiles(path.parent, ('color',), CLASSES, {'weights': ['a']})
    found = find_sources([str(path.with_name('photo.png'))])
    files.check(found.sources)
    for source in found.sources:
        files.done(source)


def as_preparation(path):
    record = Record(path.parent, 'storm')
    need(isinstance(record.made(path.parent / 'a.png'), bool), 'made')
    job = Namespace(target=path.parent / 'a.png', sources=[path], recipe=lambda: 'b')
    record.is_done(job)


def as_polygons(path):
    ids, notes = draw_polygons(path, {'road': 1}, 255)
    need(ids.ndim == 2 and ids.dtype == np.uint8, f'{ids.dtype} {ids.shape}')


def as_metrics(path):
    for (phase, epoch), row in MetricsTable.read(path).rows.items():
        need(isinstance(phase, str) and epoch >= 0, f'{phase} {epoch}')
        need(all(isinstance(value, (int, float)) for value in row.values()), f'{row}')


READERS = {
    'manifest.json': as_manifest,
    'calibration.json': as_calibration,
    'verify.json': as_verification,
    'hparams.json': lambda path: evaluation_directory(
        Namespace(result_dir=str(path.parent), eval='val'), lambda line: None
    ),
    'dumps.json': lambda path: read_record(path.parent),
    'fusion.json': lambda path: Outputs(path.parent, OPTIONS, {'fusion': 'mean'}),
    'weights.json': lambda path: read_weights(str(path)),
    'predict.json': as_predictions,
    'sources.jsonl': as_predictions,
    '.prepared_storm.jsonl': as_preparation,
    'metrics.csv': as_metrics,
    'page.json': lambda path: load_record(path, 'r', path.parent),
    'polygons.json': as_polygons,
}


def descriptions(folder) -> dict[str, bytes]:
    """Files that people write. The images of the data set lie beside them."""
    for name in (f'{kind}/{number}.png' for kind in ('images', 'labels') for number in range(4)):
        (folder / 'pictures' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / 'pictures' / name), np.zeros((4, 6), np.uint8))
    shares = YAML.format(root='pictures')
    listed = shares.replace('{train: 0.5, val: 0.5}', '{train: train.txt, val: val.txt}')
    unpaired = '\n'.join(line for line in listed.splitlines() if not line.startswith('labels'))
    unpaired = unpaired.replace('train.txt', 'pairs.csv').replace('val.txt', 'more.csv')
    return {
        'shares.yaml': shares.encode(),
        'listed.yaml': listed.encode(),
        'unpaired.yaml': unpaired.encode(),
        'train.txt': b'images/0.png\nimages/1.png\n',
        'val.txt': b'pictures/images/2\nimages/3.png\n',
        'pairs.csv': b'images/0.png,labels/0.png\nimages/1.png,labels/1.png\n',
        'more.csv': b'images/2.png,labels/2.png\n',
        'photos.txt': b'pictures/images/0.png\npictures/images/1.png\n',
        'flags.yaml': b'lr: 0.1\nmax_epoch: 3\ncrop_size: 48,64\nn_scales: [0.5, 1.0]\nrmi_loss: true\nloss: null\n',
    }


def read_as_description(path):
    name = path.name
    if name == 'flags.yaml':
        args = train.parse_args(['--config', str(path)])
        need(args.lr >= 0 and args.max_epoch > 0, 'flags')
    elif name == 'photos.txt':
        found = find_sources([str(path)])
        need(found.sources or found.faults, 'nothing found, nothing said')
    else:
        file = {'.txt': 'listed.yaml', '.csv': 'unpaired.yaml'}.get(path.suffix, name)
        with config.scope(DATASET__DATA_YAML=str(path.with_name(file))):
            for split in ('train', 'val'):
                dataset = get_dataset('custom', split)
                need(len(dataset.items) > 0, 'no items')
                for item in dataset.items:
                    need(dataset.load(item)[0].shape == (4, 6, 3), 'an image of another shape')


KINDS = [
    Damaged('records', records, read_as_record, also=('--out ',)),
    Damaged('descriptions', descriptions, read_as_description, also=('.yaml', '--')),
]
