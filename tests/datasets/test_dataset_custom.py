"""--dataset custom: what is documented works as printed."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import test_dataset_layouts as general
import trees
import yaml
from small import ROOT, TRAIN
from trees import scene, write

import config
import ensemble
from datasets import dataset_names, get_classes, get_dataset
from datasets.base import DATASETS
from datasets.browse.__main__ import main as browse
from datasets.sampling.sets import TrainSet
from datasets.verify.__main__ import main as verify
from utils import checkpoint

DOCS = (ROOT / 'docs/datasets.md').read_text(encoding='utf-8')
EXAMPLES = re.findall(
    r'```yaml\n(.*?)```', DOCS.split('## Your own data set')[1].split('## Adding a data set')[0], re.DOTALL
)


def make_streets(folder):
    """Four scenes of two towns in each split, with the ids of the documented example and 0 everywhere else."""
    known = [raw for entry in yaml.safe_load(EXAMPLES[0])['classes'] for raw in np.atleast_1d(entry['id'])]
    for number in range(8):
        image, ids = scene(number)
        name = f'{("train", "val")[number % 2]}/town{number // 4}/{number}'
        write(folder / f'images/{name}.jpg', image)
        write(folder / f'labels/{name}.png', np.where(np.isin(ids, known), ids, 255 * (ids % 2)).astype(np.uint8))


def test_the_documented_file_of_twelve_lines_trains_as_printed(program, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('HOME', str(tmp_path))
    make_streets(tmp_path / 'streets')
    file = tmp_path / 'streets.yaml'
    file.write_text(EXAMPLES[0])
    assert EXAMPLES[0].count('\n') == 12
    code, printed = program(*TRAIN, '--max_epoch', 1, '--data_yaml', file, dataset='custom')
    assert code == 0, printed
    assert '[iter 2 / 2]' in printed and '--override_dataset_root has no effect with --dataset custom' in printed
    classes = ['road', 'sidewalk', 'building', 'vegetation', 'sky', 'person', 'car']
    snapshot = next(program.run_dir.glob('last_checkpoint_ep*.pth'))
    assert checkpoint.load(snapshot)['class_names'] == classes
    assert list(json.loads((program.run_dir / 'metrics.json').read_text())['classes']) == classes

    again = tmp_path / 'eval'
    code, printed = program(
        '--eval',
        'val',
        '--data_yaml',
        file,
        '--snapshot',
        snapshot,
        '--dump_for_submission',
        '--dump_logits',
        '--result_dir',
        again,
        dataset='custom',
    )
    assert code == 0 and '4 images evaluated' in printed, printed
    written = {
        value
        for path in (again / 'submit').rglob('*_pred.png')
        for value in np.unique(cv2.imread(str(path), -1)).tolist()
    }
    assert written <= {7, 8, 11, 21, 23, 24, 26}, 'the first id of each class'
    assert (again / 'submit/val/town0/1_pred.png').is_file(), 'named below images'
    page = (again / 'best_images/index.html').read_text()
    assert 'background:#804080"></i>road' in page and 'vegetation' in page
    assert json.loads((again / 'logits/manifest.json').read_text())['class_names'] == classes

    file.write_text(EXAMPLES[0].replace('road', 'street').replace('id: 7', 'id: 10'))
    code, printed = program(
        '--eval',
        'val',
        '--data_yaml',
        file,
        '--snapshot',
        snapshot,
        '--dump_for_submission',
        '--result_dir',
        again,
        dataset='custom',
    )
    assert (
        code == 2
        and "1 of 7 differ, 'road' there is 'street' in dataset custom_streets" in printed
        and 'data_yaml' in printed
        and '--overwrite' in printed
    )
    file.write_text(EXAMPLES[0])

    calibrate = ['calibrate', str(again / 'logits'), '--out', str(tmp_path / 'calibration.json')]
    assert ensemble.main(calibrate) == 2 and '--dataset custom needs --data_yaml FILE' in capsys.readouterr().err
    assert ensemble.main([*calibrate, '--data_yaml', str(file)]) == 0 and 'on 4 images' in capsys.readouterr().out

    common = ['--dataset', 'custom', '--data_yaml', str(file), '--assets_path', str(tmp_path)]
    assert (
        verify(common) == 0
        and '4 images of split train, 4 images of split val read: 0 errors' in capsys.readouterr().out
    )
    assert browse([*common, '--split', 'val']) == 0


@pytest.mark.parametrize('variant', range(1, len(EXAMPLES)))
def test_every_documented_variant_is_read(tmp_path, monkeypatch, variant):
    monkeypatch.setenv('HOME', str(tmp_path))
    make_streets(tmp_path / 'streets')
    for old, new in (('train', 'training'), ('val', 'validation')):
        if variant == 1:
            (tmp_path / 'streets/images' / old).rename(tmp_path / 'streets/images' / new)
            (tmp_path / 'streets/labels' / old).rename(tmp_path / 'streets/labels' / new)
    for place, split in enumerate(('train', 'val')):
        (tmp_path / f'streets/{split}.txt').write_text(''.join(f'{number}\n' for number in range(place, 8, 2)))
    values = {**yaml.safe_load(EXAMPLES[0]), **yaml.safe_load(EXAMPLES[variant])}
    (tmp_path / 'streets.yaml').write_text(yaml.safe_dump(values))
    with config.scope(DATASET__DATA_YAML=str(tmp_path / 'streets.yaml')):
        dataset = get_dataset('custom', 'train')
    assert len(dataset) == {2: 6}.get(variant, 4)
    if variant == 4:
        assert dataset.color_map == {(0, 0, 0): 255, (128, 64, 128): 0, (0, 0, 142): 1, (0, 0, 70): 1}
    else:
        assert dataset.load(dataset.items[0])[1].max() == 255


def test_a_dataset_file_is_added_as_documented(root, monkeypatch, tmp_path):
    section = DOCS.split('## Adding a data set')[1].split('\n## ')[0]
    code = re.search(r'```python\n(.*?)```', section, re.DOTALL).group(1)
    layout = re.search(r"```\n('streets.*?)```", section, re.DOTALL).group(1)
    monkeypatch.setitem(trees.LAYOUTS, *eval(f'{{{layout}}}', vars(trees)).popitem())
    exec(code, {'__name__': 'datasets.collection.streets'})
    try:
        assert 'streets' in dataset_names() and get_classes('streets').names[4] == 'car'
        general.test_names_colours_and_tables_of_a_class_fit_together('streets')
        general.test_every_item_of_every_split_is_found_and_read(root, 'streets')
        general.test_an_id_outside_the_table_names_the_file(root, 'streets')
        shutil.rmtree(root / 'streets')
        trees.make_tree('streets', root, images=8)
        samples = TrainSet(get_dataset('streets', 'train'), None, seed=0, class_uniform_pct=1.0, assets_path=tmp_path)
        assert {draw.class_id for draw in samples.draws} >= {0, 3} and samples[0]['label'].shape == (64, 128)
        shutil.rmtree(root / 'streets')
        general.test_a_missing_folder_names_the_flag(root, 'streets')
    finally:
        DATASETS.pop('streets')
