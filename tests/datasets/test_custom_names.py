"""Own data sets are called after the files that describe them."""

import json
from pathlib import Path

import pytest
import yaml
from custom_file import FOLDERS, make_images

from config import scope
from datasets import get_dataset
from datasets.verify import __main__ as verify
from loss import verified_dataset


def test_a_data_set_is_called_after_its_file_and_two_do_not_overwrite_each_other(tmp_path, capsys):
    paths = ['one/streets.yaml', 'one/cars.yaml', 'two/streets.yaml']
    for path in paths:
        make_images((tmp_path / path).parent)
        (tmp_path / path).write_text(yaml.safe_dump(FOLDERS))
    written = {}
    for path in [*paths, *paths]:
        flags = ['--dataset', 'custom', '--data_yaml', str(tmp_path / path), '--assets_path', str(tmp_path / 'assets')]
        assert verify.main(flags) == 0
        page = Path(capsys.readouterr().out.split('; see ')[-1].strip())
        assert written.setdefault(path, page) == page
    assert [written[path].parent.name for path in paths[:2]] == ['custom_streets', 'custom_cars']
    assert written[paths[2]].parent.name.startswith('custom_streets_') and len(set(written.values())) == 3
    report = json.loads(written[paths[1]].with_name('verify.json').read_text())
    assert report['dataset'] == 'custom_cars' and report['data_yaml'] == str(tmp_path / paths[1])


def test_manifests_name_the_file_and_find_it_again(tmp_path):
    make_images(tmp_path)
    (tmp_path / 'my streets.yaml').write_text(yaml.safe_dump(FOLDERS))
    with scope(DATASET__DATA_YAML=str(tmp_path / 'my streets.yaml')):
        assert get_dataset('custom', 'train').name == 'custom_my_streets'
        assert get_dataset('custom', 'folder', eval_folder=tmp_path / 'images').name == 'custom_my_streets'
        assert len(get_dataset('custom_my_streets', 'val')) == 2
        with pytest.raises(ValueError, match='dataset custom_cars: --data_yaml .* describes custom_my_streets'):
            get_dataset('custom_cars', 'val')
    with pytest.raises(ValueError, match='--data_yaml FILE, here the one that describes custom_cars'):
        get_dataset('custom_cars', 'val')


def test_class_weights_of_another_data_set_are_told(tmp_path):
    (tmp_path / 'verify.json').write_text('{"dataset": "custom_cars"}')
    assert verified_dataset(f'{tmp_path}/verify.json:median') == 'custom_cars'
    assert verified_dataset('1,2,3') is verified_dataset(None) is None
