"""The synthetic street: what is promised about its files, its labels and its reuse."""

import hashlib

import cv2
import numpy as np
import pytest

from config import scope
from datasets.collection.cityscapes_labels import CLASSES, LABELS
from datasets.collection.synthetic import Synthetic
from datasets.prepare import synthetic
from datasets.prepare.__main__ import main
from datasets.prepare.street.canvas import Camera, Canvas
from datasets.prepare.street.sprite import Sprite

SMALL = {'train': 8, 'val': 5, 'size': (64, 128), 'seed': 3}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    synthetic.render(folder / 'synthetic', **SMALL)
    return folder


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob('*')
        if path.is_file()
    }


def load(root, split):
    with scope(DATASET__ROOT=str(root)):
        dataset = Synthetic(split)
    return dataset, [dataset.load(item) for item in dataset.items]


def test_files_lie_and_are_named_as_in_cityscapes(root):
    names = sorted(digests(root / 'synthetic'))
    assert len(names) == 2 * (8 + 5) + 1
    assert 'leftImg8bit/train/ardenau/ardenau_000001_000019_leftImg8bit.png' in names
    assert 'gtFine/val/elmstadt/elmstadt_000004_000019_gtFine_labelIds.png' in names


def test_the_same_parameters_give_the_same_bytes_for_any_number_of_workers(root, tmp_path):
    new = synthetic.render(tmp_path / 'synthetic', **SMALL, workers=2)
    assert new and digests(tmp_path / 'synthetic') == digests(root / 'synthetic')


def test_an_image_does_not_depend_on_how_many_are_rendered_but_on_the_seed(root):
    path = root / 'synthetic/leftImg8bit/train/brueckheim/brueckheim_000001_000019_leftImg8bit.png'
    again, _ = synthetic.draw_scene((64, 128), seed=3, split_number=0, index=5)
    other, _ = synthetic.draw_scene((64, 128), seed=4, split_number=0, index=5)
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], again)
    assert not np.array_equal(again, other)


@pytest.mark.parametrize('split, count', [('train', 8), ('val', 5)])
def test_every_class_occurs_in_each_split(root, split, count):
    dataset, pairs = load(root, split)
    seen = np.unique(np.concatenate([label.ravel() for _, label in pairs]))
    assert len(dataset) == count
    assert [name for trainid, name in enumerate(CLASSES.names) if trainid not in seen] == []
    assert 255 in seen


def test_images_and_labels_have_the_size_that_was_asked_for_and_known_ids(root):
    for path in (root / 'synthetic').rglob('*_labelIds.png'):
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert ids.shape == (64, 128) and ids.dtype == np.uint8
        assert set(np.unique(ids)) <= {label.id for label in LABELS}
        assert 1 in ids  # the bonnet of the own car, void as in the real data


def test_the_road_lies_below_the_sky(root):
    _, pairs = load(root, 'train')
    for image, label in pairs:
        assert image.shape == (64, 128, 3)
        assert np.argwhere(label == 0)[:, 0].mean() > np.argwhere(label == 10)[:, 0].mean() + 20


def test_other_folds_validate_on_other_cities(root):
    cities = []
    for fold in range(3):
        with scope(DATASET__ROOT=str(root), DATASET__CV=fold):
            cities.append({item.name.split('/')[1] for item in Synthetic('val').items})
    assert cities == [{'elmstadt'}, {'ardenau'}, {'corvin'}]


def test_a_second_call_reuses_what_stands_there(root, capsys):
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    flags = ['synthetic', '--root', str(root), '--train', '8', '--val', '5', '--size', '64,128', '--seed', '3']
    assert main(flags) == 0
    assert 'reused' in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before


def test_other_parameters_are_refused_in_one_line_that_names_overwrite(root, capsys):
    before = digests(root)
    assert (
        main(['synthetic', '--root', str(root), '--train', '8', '--val', '5', '--size', '64,128', '--seed', '9']) == 2
    )
    message = capsys.readouterr().err
    assert 'seed 3, now 9' in message and '--overwrite' in message and message.count('\n') == 1
    assert digests(root) == before


def test_overwrite_replaces_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        synthetic, 'draw_scene', lambda size, seed, *_: (np.full((*size, 3), seed, np.uint8), np.zeros(size, np.uint8))
    )
    synthetic.render(tmp_path / 'synthetic', 6, 6, (64, 64), seed=0)
    first = digests(tmp_path)
    new = synthetic.render(tmp_path / 'synthetic', 6, 6, (64, 64), seed=1, overwrite=True)
    assert new and first.keys() == digests(tmp_path).keys() and first != digests(tmp_path)


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / 'synthetic').mkdir()
    (tmp_path / 'synthetic/thesis.txt').write_text('years of work')
    with pytest.raises(ValueError, match='was not rendered here'):
        synthetic.render(tmp_path / 'synthetic', 6, 6, (64, 64), overwrite=True)
    assert (tmp_path / 'synthetic/thesis.txt').read_text() == 'years of work'


def test_a_damaged_marker_is_told_in_one_sentence(tmp_path):
    (tmp_path / 'synthetic').mkdir()
    (tmp_path / 'synthetic/synthetic.json').write_text('{"parameters": ')
    with pytest.raises(ValueError, match='json: is no record of the parameters in JSON .*; remove .* to render it'):
        synthetic.render(tmp_path / 'synthetic', 6, 6, (64, 64))


def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, '_render_one', stop)
    with pytest.raises(KeyboardInterrupt):
        synthetic.render(tmp_path / 'synthetic', 6, 6, (64, 64))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('flag, value', [('--train', '4'), ('--val', '0'), ('--size', '32,64'), ('--seed', '-1')])
def test_useless_parameters_are_refused(tmp_path, capsys, flag, value):
    assert main(['synthetic', '--root', str(tmp_path), flag, value]) == 2
    assert f'{flag} {value}' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_data_set_names_the_command_that_makes_it(tmp_path):
    (tmp_path / 'camvid').mkdir()
    with (
        scope(DATASET__ROOT=str(tmp_path)),
        pytest.raises(FileNotFoundError, match='python -m datasets.prepare synthetic --root'),
    ):
        Synthetic('train')


def camera(**changes):
    values = {'height': 100, 'width': 200, 'focal': 0.5, 'horizon': 0.4, 'eye': 1.5, 'shift': 0.0, 'yaw': 0.0}
    return Camera(**{**values, **changes})


def test_the_camera_projects_by_similar_triangles():
    # f = 0.5 * 200 = 100 pixels; 2 m to the right at 10 m: 20 pixels; the ground 1.5 m below the eye: 15 pixels below
    # row 40
    assert camera().project(2, 0, 10) == pytest.approx((120, 55))
    assert camera().project(0, 1.5, 7) == pytest.approx((100, 40))
    assert camera().scale(0, 20) == pytest.approx(5)


def test_every_ground_pixel_projects_back_to_itself():
    turned = camera(shift=0.4, yaw=0.1)
    x, z, scale = turned.ground()
    assert turned.project(x[70, 30], 0, z[70, 30]) == pytest.approx((30.5, 70.5), abs=1e-3)
    assert scale[70, 30] == pytest.approx(turned.scale(x[70, 30], z[70, 30]), rel=1e-4)


def test_a_sprite_covers_the_pixels_of_its_measures_and_labels_them():
    canvas = Canvas(camera(), np.full(3, 200, np.float32), visibility=1e9)
    sprite = Sprite(2, 1, density=20)
    sprite.rect(0, 0, 2, 1, (10, 20, 30), 26)
    sprite.rect(0, 0, 1, 1, (90, 90, 90))  # a second colour keeps the label
    canvas.stand(sprite, 0, 10)  # 10 pixels a metre: columns 90..109, rows 45..54
    assert np.array_equal(np.argwhere(canvas.ids == 26).min(0), [45, 90])
    assert (canvas.ids == 26).sum() == 20 * 10
    assert canvas.image[50, 95].tolist() == pytest.approx([90, 90, 90])
    assert canvas.image[50, 105].tolist() == pytest.approx([10, 20, 30])


def test_haze_takes_over_with_the_distance():
    canvas = Canvas(camera(), np.full(3, 200, np.float32), visibility=10.0)
    sprite = Sprite(40, 40, density=5)
    sprite.rect(0, 0, 40, 40, (100, 100, 100), 11)
    canvas.stand(sprite, 0, 10)  # one visibility away: exp(-1) of its own colour is left
    assert canvas.image[20, 100, 0] == pytest.approx(100 * np.exp(-1) + 200 * (1 - np.exp(-1)), abs=0.5)
