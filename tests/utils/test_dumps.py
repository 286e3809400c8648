import os

import numpy as np
import pytest
import torch
from dump_batches import CLASSES, PALETTE, evaluate, files, write
from PIL import Image

from utils.outputs import dumps
from utils.outputs.dumper import Dumper
from utils.outputs.dumps import DUMPS, DumpOptions, check_outputs
from utils.outputs.gallery import Gallery
from utils.outputs.sink import EvalBatch


def dump(folder, batch, *kinds, log=None, **options):
    """Write the dumps `kinds` of a batch; returns the dumper."""
    dumper = Dumper(kinds, DumpOptions(**options), folder, CLASSES, batch.names, log=log)
    return write(dumper, batch)


def draw(folder, batch, total=1, **options):
    """Draw the pictures of a batch; returns the gallery."""
    return write(Gallery(folder, CLASSES, total, **options), batch)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_logits_are_dumped_as_float16_for_every_element_of_the_batch_with_its_folders(tmp_path):
    batch = evaluate(['val/lindau/a_leftImg8bit.png', 'val/ulm/b_leftImg8bit.png'])
    dump(tmp_path, batch, 'logits')
    assert files(tmp_path) == [
        'dumps.json',
        'logits/val/lindau/a_leftImg8bit_logits.npz',
        'logits/val/ulm/b_leftImg8bit_logits.npz',
    ]
    stored = np.load(tmp_path / 'logits/val/ulm/b_leftImg8bit_logits.npz')
    assert stored.files == ['logits'] and stored['logits'].dtype == np.float16
    assert np.array_equal(stored['logits'], batch.logits[1].numpy().astype(np.float16))


def test_logits_that_float16_cannot_hold_saturate_and_are_counted(tmp_path):
    batch, lines = evaluate(['a.png']), []
    batch.logits[0, :, 2, 2] = torch.tensor([7e4, -1e9, float('inf')])
    before = batch.logits.clone()
    dump(tmp_path, batch, 'logits', log=lines.append)
    assert np.load(tmp_path / 'logits/a_logits.npz')['logits'][:, 2, 2].tolist() == [65504, -65504, 65504]
    assert '3 logits exceed' in lines[0]
    assert torch.equal(batch.logits, before)  # the evaluator still needs them


def test_logits_with_nan_are_refused_by_name_and_leave_no_file(tmp_path):
    batch = evaluate(['city/a.png'])
    batch.logits[0, 1, 3, 3] = float('nan')
    with pytest.raises(ValueError, match=r'city/a.png: its logits hold NaN.*--precision fp32'):
        dump(tmp_path, batch, 'logits')
    assert files(tmp_path) == ['dumps.json']


def test_saturation_is_counted_over_chunks(monkeypatch):
    monkeypatch.setattr(dumps, 'CHUNK', 4)
    array = np.array([65504, 0, 1, 2, 3, 4, -65504, 65504, 65503], np.float16)  # the last rounds to 65504
    assert dumps.count_saturated(array, 'a') == 4


def test_submission_holds_label_ids_and_rounded_16_bit_confidences(tmp_path):
    batch = evaluate(['val/a.png'])
    batch.confidence[0, 0, :4] = torch.tensor([1.0, 0.0, 0.5, 1 / 3])
    dump(tmp_path, batch, 'submission')
    assert files(tmp_path) == ['dumps.json', 'submit/val/a_conf.png', 'submit/val/a_pred.png']
    ids, confidence = pixels(tmp_path / 'submit/val/a_pred.png'), pixels(tmp_path / 'submit/val/a_conf.png')
    assert ids.dtype == np.uint8 and np.array_equal(ids, np.array([7, 8, 11])[batch.prediction[0].numpy()])
    assert confidence.dtype == np.uint16
    assert confidence[0, :4].tolist() == [65535, 0, 32768, 21845]  # 32767.5 goes to the even neighbour; 21845.0003
    assert np.array_equal(confidence, np.rint(batch.confidence[0].double().numpy() * 65535))


def test_half_precision_confidences_do_not_overflow(tmp_path):
    batch = evaluate(['a.png'])
    batch.confidence = torch.full((1, 6, 8), 0.75, dtype=torch.float16)
    dump(tmp_path, batch, 'submission')
    assert np.unique(pixels(tmp_path / 'submit/a_conf.png')).tolist() == [49151]  # 49151.25


def test_auto_labels_have_the_names_that_the_coarse_reader_wants(tmp_path):
    batch = evaluate(['train_extra/ulm/a_leftImg8bit.png'], labelled=False)
    batch.confidence[0, 0, :3] = torch.tensor([0.5, 0.999, 0.91])
    dump(tmp_path, batch, 'auto_labels')
    folder = tmp_path / 'train_extra/ulm'
    assert sorted(path.name for path in folder.iterdir()) == ['a_leftImg8bit.png', 'a_leftImg8bit_prob.png']
    assert np.array_equal(pixels(folder / 'a_leftImg8bit.png'), np.array([7, 8, 11])[batch.prediction[0].numpy()])
    probability = pixels(folder / 'a_leftImg8bit_prob.png')
    assert probability.dtype == np.uint8 and probability[0, :3].tolist() == [128, 255, 232]  # 127.5, 254.7, 232.05


def test_pictures_decode_to_what_was_evaluated(tmp_path):
    batch = evaluate(['val/a.png'])
    draw(tmp_path, batch, scales=True)
    folder = tmp_path / 'best_images/val'
    image, prediction, labels = (
        batch.images[0].permute(1, 2, 0).numpy(),
        batch.prediction[0].numpy(),
        batch.labels[0].numpy(),
    )
    assert np.array_equal(pixels(folder / 'a_input.png'), image)
    for name, expected in (
        ('a_prediction.png', prediction),
        ('a_gt.png', labels),
        ('a_pred_05x.png', batch.assets['pred_05x'][0].argmax(0).numpy()),
    ):
        with Image.open(folder / name) as picture:
            assert picture.mode == 'P' and np.array_equal(np.asarray(picture), expected)
            assert picture.getpalette()[:9] == PALETTE.reshape(-1).tolist()
    assert pixels(folder / 'composited_a.png')[1, 1] == pytest.approx(
        0.6 * image[1, 1] + 0.4 * PALETTE[prediction[1, 1]], abs=1
    )
    error = pixels(folder / 'a_err_mask.png')
    assert error.shape == (6, 8, 3) and np.array_equal(error[..., 0], 255 * ((prediction != labels) & (labels != 255)))
    for name, values in (('a_prob_mask.png', batch.confidence[0]), ('a_attn_05x.png', batch.assets['attn_05x'][0, 0])):
        assert np.array_equal(pixels(folder / name)[..., 2], np.rint(values.double().numpy() * 255))


def test_the_record_scores_the_image_over_its_classes(tmp_path):
    batch = evaluate(['a.png'], size=(2, 2))
    batch.prediction = torch.tensor([[[0, 0], [1, 1]]])
    batch.labels = torch.tensor([[[0, 1], [1, 255]]])
    [record] = draw(tmp_path, batch).records()
    assert (record.valid, record.wrong, record.accuracy) == (3, 1, pytest.approx(2 / 3))
    assert record.classes == [[0, 1, 2, 0.5], [1, 2, 1, 0.5]] and record.miou == 0.5


def test_without_labels_there_is_neither_label_nor_error_nor_score(tmp_path):
    [record] = draw(tmp_path, evaluate(['a.png'], labelled=False)).records()
    assert [layer.key for layer in record.layers] == ['input', 'prediction', 'composited', 'prob_mask', 'attn_05x']
    assert record.miou is None and files(tmp_path / 'best_images') == sorted(
        [
            'a.json',
            'a_attn_05x.png',
            'a_input.png',
            'a_pixels.js',
            'a_prediction.png',
            'a_prob_mask.png',
            'a_thumbnails.jpg',
            'composited_a.png',
        ]
    )


def test_about_ten_images_are_pictured_by_their_place_in_the_whole_set(tmp_path):
    for rank in range(2):  # two ranks see every other image
        gallery = Gallery(tmp_path, CLASSES, 40)
        for index in range(rank, 40, 2):
            name = f'{index:02d}.png'
            assert gallery.wants_scales([index]) == gallery.wants([name], [index], True) == (index % 4 == 0)
            gallery.process(evaluate([name], [index]))
        gallery.close()
        assert [record.index for record in gallery.records()] == ([] if rank else list(range(0, 40, 4)))


def test_every_image_is_pictured_when_all_are_asked_for(tmp_path):
    for flag in ('every', 'scales'):
        gallery = draw(tmp_path / flag, evaluate([f'{k}.png' for k in range(3)], [5, 6, 7]), 100, **{flag: True})
        assert [record.name for record in gallery.records()] == ['0.png', '1.png', '2.png']
        assert (tmp_path / flag / 'best_images/1_pred_05x.png').exists() == (flag == 'scales')


def test_equal_stems_in_two_folders_do_not_overwrite_each_other(tmp_path):
    draw(tmp_path, evaluate(['a/x.png', 'b/x.png']), every=True)
    assert {'a/composited_x.png', 'b/composited_x.png', 'a/x_input.png', 'b/x_input.png'} <= set(
        files(tmp_path / 'best_images')
    )


@pytest.mark.parametrize(
    'names, kinds, file',
    [
        (['f/a.jpg', 'f/a.png'], ['logits'], 'logits/f/a_logits.npz'),
        (['a.png', 'a_prob.png'], ['auto_labels'], 'a_prob.png'),
        (['x_input.png', 'composited_x.png'], [], 'best_images/composited_x_input.png'),
    ],
)
def test_two_images_with_one_output_are_refused_and_nothing_is_written(tmp_path, names, kinds, file):
    dumper = Dumper(kinds, DumpOptions(), tmp_path, CLASSES, names)
    sink = dumper if kinds else Gallery(tmp_path, CLASSES, 2)
    with pytest.raises(ValueError) as error:
        check_outputs(names, sink.files, tmp_path)
    assert str(tmp_path / file) in str(error.value) and all(name in str(error.value) for name in names)
    assert files(tmp_path) == []


def test_equal_names_in_different_folders_are_no_collision_and_names_must_stay_inside(tmp_path):
    dumper = Dumper(list(DUMPS), DumpOptions(), tmp_path, CLASSES, [])
    check_outputs(['a/x.png', 'b/x.png', 'x.png'], dumper.files, tmp_path)
    for name in ('../a.png', '/etc/a.png', 'b/../../a.png'):
        with pytest.raises(ValueError, match='relative to its dataset'):
            check_outputs([name], dumper.files, tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_files_from_a_gpu_equal_those_from_the_host(tmp_path):
    batch = evaluate(['a.png', 'b.png'], size=(64, 128))
    moved = EvalBatch(
        **{key: value.cuda() if isinstance(value, torch.Tensor) else value for key, value in vars(batch).items()}
    )
    moved.assets = {key: value.cuda() for key, value in batch.assets.items()}
    for place, where in (('host', batch), ('device', moved)):
        dump(tmp_path / place, where, *DUMPS)
        draw(tmp_path / place, where, scales=True)
    assert files(tmp_path / 'host') == files(tmp_path / 'device')
    for name in files(tmp_path / 'host'):
        assert (
            os.path.getsize(tmp_path / 'host' / name)
            and (tmp_path / 'host' / name).read_bytes() == (tmp_path / 'device' / name).read_bytes()
        ), name
