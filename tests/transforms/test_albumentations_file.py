"""Pipelines of albumentations: labels go along, seeds decide, mistakes name file and transform."""

import json

import numpy as np
import pytest
import torch
import yaml
from small import EPOCH

from transforms.albumentations_file import AlbumentationsPipeline
from utils import checkpoint

pytest.importorskip('albumentations', reason='pip install -r requirements-extras.txt')
IGNORE = 65


def one(name, p=1.0, **values):
    return {'__class_fullname__': name, 'p': p, **values}


def compose(*transforms):
    return {'__class_fullname__': 'Compose', 'p': 1.0, 'transforms': list(transforms)}


@pytest.fixture
def pipeline_of(tmp_path):
    """pipeline_of(*transforms, size=None, name='p.json') -> the pipeline of a file that holds them."""

    def write(*transforms, size=None, name='p.json', content=None):
        path = tmp_path / name
        content = {'__version__': '2.0.8', 'transform': compose(*transforms)} if content is None else content
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return AlbumentationsPipeline(str(path), IGNORE, size)

    return write


def pair(height=24, width=32):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), rng.integers(
        0, 19, (height, width), dtype=np.uint8
    )


def test_image_and_label_are_mirrored_together(pipeline_of):
    image, label = pair()
    found, found_label = pipeline_of(one('HorizontalFlip'))(image, label, np.random.default_rng(0))
    assert (found == image[:, ::-1]).all() and (found_label == label[:, ::-1]).all() and found.flags.c_contiguous


@pytest.mark.parametrize(
    'transform',
    [
        one('Affine', translate_px={'x': 8, 'y': 0}, border_mode=0, fill=0, fill_mask=0, scale=1.0, rotate=0, shear=0),
        one('Affine', translate_px={'x': 8, 'y': 0}, scale=1.0),  # what the file leaves out is filled like that too
    ],
)
def test_what_comes_in_from_outside_is_ignored(pipeline_of, transform):
    image, label = pair()
    found, found_label = pipeline_of(transform)(image, label, np.random.default_rng(0))
    assert (found_label[:, :8] == IGNORE).all() and (found_label[:, 8:] == label[:, :-8]).all()
    assert (found[:, :8] == 0).all() and (found[:, 8:] == image[:, :-8]).all()


def test_the_generator_of_the_sample_decides_and_nothing_that_ran_before(pipeline_of):
    transforms = one('RandomBrightnessContrast', 0.5), one('Rotate', 0.5), one('GaussNoise', 0.5), one('D4')
    image, label = pair(24, 24)
    first, second = pipeline_of(*transforms), pipeline_of(*transforms)
    forwards = [first(image, label, np.random.default_rng(seed)) for seed in range(12)]
    np.random.seed(1)  # noqa: NPY002
    backwards = [second(image, label, np.random.default_rng(seed)) for seed in reversed(range(12))][::-1]
    for (found, found_label), (again, again_label) in zip(forwards, backwards):
        assert (found == again).all() and (found_label == again_label).all()
    assert len({found.tobytes() for found, _ in forwards}) > 8


def test_a_yaml_file_and_a_single_transform_are_taken_as_well(pipeline_of):
    image, label = pair()
    text = yaml.safe_dump({'transform': one('VerticalFlip')})
    found, _ = pipeline_of(name='p.yaml', content=text)(image, label, np.random.default_rng(0))
    assert (found == image[::-1]).all()


@pytest.mark.parametrize(
    'transforms, words',
    [
        ([one('HorizontalFlop')], r'there is no transform HorizontalFlop in .* did you mean HorizontalFlip'),
        ([one('HorizontalFlip'), one('Normalize')], r'Normalize makes float32 of shape .* leave it out'),
        ([compose(one('ToGray', 0.1, num_output_channels=1))], 'ToGray makes uint8 of shape'),
        ([one('ToTensorV2')], 'ToTensorV2 makes a Tensor'),
        ([one('Rotate', mask_interpolation=1)], 'Rotate has mask_interpolation 1, which mixes labels'),
        ([one('Rotate', limitt=3)], r"Argument\(s\) 'limitt' are not valid for transform Rotate"),
        ([one('Rotate', limit='a')], 'Rotate cannot be made'),
        ([{'p': 1}], 'an entry has no __class_fullname__'),
    ],
)
def test_a_wrong_pipeline_is_refused_before_the_training_by_file_and_transform(
    pipeline_of, tmp_path, transforms, words
):
    with pytest.raises(ValueError, match=f'--albumentations {tmp_path}/p.json: .*{words}'):
        pipeline_of(*transforms)


@pytest.mark.parametrize('content, words', [('{"a"', 'is no JSON'), ('[]', 'has no entry "transform"')])
def test_a_file_that_is_no_pipeline_is_refused(pipeline_of, content, words):
    with pytest.raises(ValueError, match=f'p.json: {words}'):
        pipeline_of(content=content)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match='--albumentations .*none.json: cannot be read'):
        AlbumentationsPipeline(str(tmp_path / 'none.json'), IGNORE)


def test_a_transform_that_fails_on_a_sample_is_named(pipeline_of):
    pipeline = pipeline_of(one('HorizontalFlip'), compose(one('RandomCrop', height=100, width=100)))
    with pytest.raises(ValueError, match='p.json: RandomCrop fails on an image of 24 x 32 pixels'):
        pipeline(*pair(), np.random.default_rng(0))


def test_samples_keep_the_crop_size_where_there_is_one(pipeline_of):
    crop = one('RandomCrop', height=8, width=16)
    assert pipeline_of(crop)(*pair(), np.random.default_rng(0))[1].shape == (8, 16)
    with pytest.raises(ValueError, match='ends in images of 8 x 16 pixels, --crop_size is 24,32'):
        pipeline_of(crop, size=(24, 32))(*pair(), np.random.default_rng(0))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'pipeline.json'
    path.write_text(json.dumps({'transform': compose(one('Rotate', 0.7), one('GaussNoise', 0.5))}))
    return path


def weights(folder):
    return checkpoint.load(next(folder.glob('last*.pth')))['state_dict']


@pytest.mark.parametrize('where', [('--mosaic', '0.5'), ('--augment_on', 'device', '--gblur')])
def test_the_number_of_workers_changes_no_weight(program, file, tmp_path, where):
    flags = [*EPOCH, '--epoch_batches', '2', '--albumentations', file, *where]
    found = []
    for workers in ('0', '2'):
        code, printed = program(*flags, '--num_workers', workers, '--result_dir', tmp_path / workers)
        assert code == 0, printed
        found.append(weights(tmp_path / workers))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_a_resumed_run_says_that_the_file_has_changed(program, file):
    flags = [*EPOCH, '--epoch_batches', '1', '--albumentations', file]
    assert program(*flags)[0] == 0
    file.write_text(file.read_text().replace('0.7', '0.6'))
    code, printed = program(*flags, '--max_epoch', '2', '--resume', 'auto')
    assert code == 0 and f'--albumentations {file}, whose content has changed' in printed


def test_a_dry_run_tells_the_file_that_is_missing(program, tmp_path):
    code, printed = program(*EPOCH, '--dry_run', '--albumentations', tmp_path / 'none.json')
    assert code == 1 and f'missing: --albumentations {tmp_path}/none.json: cannot be read' in printed
