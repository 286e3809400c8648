"""Weight files of other projects become this project's, every tensor of them accounted for."""

import json

import pytest
import torch
from converting import CLASSES, MMSEG_LACKS, NARROW_FLAGS, TRUNK, as_mmseg, as_upstream, assert_equal

from network import get_net
from utils import checkpoint


def test_a_checkpoint_of_nvidia_is_read_with_its_numbers_and_criterion(convert, mscale_weights):
    weights = {f'module.{key}': value for key, value in mscale_weights.items()} | {
        'module.criterion.nll_loss.weight': torch.ones(CLASSES)
    }
    code, printed, path = convert({'state_dict': weights, 'epoch': 174})
    assert code == 0, printed
    assert 'every name starts with module.' in printed
    assert f'holds ocrnet.HRNet_Mscale on {TRUNK}, 5 classes, align_corners false' in printed
    assert f'{len(mscale_weights)} tensors taken over\n1 dropped: criterion.nll_loss.weight\n' in printed
    state = checkpoint.load(path)
    assert_equal(state['state_dict'], mscale_weights)
    assert (state['arch'], state['trunk'], state['num_classes']) == ('ocrnet.HRNet_Mscale', TRUNK, CLASSES)
    told = {name: width for name, width in NARROW_FLAGS.items() if name != 'aspp_bot_ch'}  # it has no ASPP
    assert {name: state['network'][name] for name in told} == told


@pytest.mark.parametrize('prefix', ['model.', ''])
def test_a_network_of_hrnet_semantic_segmentation_is_renamed_and_has_aligned_corners(convert, ocrnet_weights, prefix):
    file = {as_upstream(key).replace('model.', prefix): value for key, value in ocrnet_weights.items()} | {
        'loss.criterion.weight': torch.ones(CLASSES)
    }
    code, printed, path = convert(file)
    assert code == 0, printed
    assert f'holds ocrnet.HRNet on {TRUNK}, 5 classes, align_corners true' in printed
    assert (
        '1 dropped: loss.criterion.weight' in printed
        and f'{len(ocrnet_weights)} of them renamed: conv1.weight -> backbone.conv1.weight, ' in printed
    )
    state = checkpoint.load(path)
    assert_equal(state['state_dict'], ocrnet_weights)
    assert state['network']['align_corners'] is True


def test_it_keeps_its_names_as_the_network_that_has_them(convert, ocrnet_weights):
    file = {as_upstream(key): value for key, value in ocrnet_weights.items()}
    code, printed, path = convert(file, '--arch', 'hrnet_ocr')
    assert code == 0 and 'renamed' not in printed
    assert_equal(
        checkpoint.load(path)['state_dict'], {key.removeprefix('model.'): value for key, value in file.items()}
    )
    code, printed, path = convert(file, '--arch', 'ocrnet.HRNet_Mscale', out='two.pth')
    assert code == 0 and '13 missing in the file: scale_attn.conv0.weight' in printed
    assert_equal(checkpoint.load(path)['state_dict'], ocrnet_weights)


def test_a_checkpoint_of_the_framework_is_read_compiled_and_with_its_score(convert, mscale_weights):
    file = {
        'state_dict': (
            {f'model._orig_mod.{key}': value for key, value in mscale_weights.items()}
            | {'best_metric_score': torch.tensor(0.8)}
        ),
        'epoch': 3,
    }
    code, printed, path = convert(file)
    assert code == 0, printed
    assert (
        'a Lightning checkpoint of the segmentation framework (best_metric_score is written by the framework alone)'
        in printed
    )
    assert '1 dropped: best_metric_score' in printed and 'align_corners true' in printed
    assert_equal(checkpoint.load(path)['state_dict'], mscale_weights)


def test_an_hrnet_ocr_of_mmsegmentation_gets_the_biases_that_it_lacks(convert, ocrnet_weights):
    file = {as_mmseg(key): value for key, value in ocrnet_weights.items() if key not in MMSEG_LACKS}
    assert sum(key.startswith('decode_head.') for key in file) == 58
    code, printed, path = convert({'meta': {}, 'state_dict': file})
    assert code == 0, printed
    assert (
        '2 filled in, which the file leaves out: ocr.conv3x3_ocr.0.bias, ocr.aux_head.0.bias' in printed
        and 'align_corners false' in printed
    )
    expected = ocrnet_weights | {key: torch.zeros_like(ocrnet_weights[key]) for key in MMSEG_LACKS}
    assert_equal(checkpoint.load(path)['state_dict'], expected)


def test_a_bias_is_filled_in_only_where_its_convolution_is(convert, ocrnet_weights):
    file = {
        as_mmseg(key): value
        for key, value in ocrnet_weights.items()
        if key not in MMSEG_LACKS + ('ocr.aux_head.0.weight',)
    }
    code, printed, path = convert(file)
    assert code == 0, printed
    assert '1 filled in, which the file leaves out: ocr.conv3x3_ocr.0.bias' in printed
    assert '2 missing in the file: ocr.aux_head.0.weight, ocr.aux_head.0.bias' in printed
    assert 'ocr.aux_head.0.bias' not in checkpoint.load(path)['state_dict']


def test_norms_without_scale_and_shift_get_those_that_change_nothing(convert, ocrnet_weights):
    file = {
        f'module.{key}': value
        for key, value in ocrnet_weights.items()
        if key not in ('backbone.bn1.weight', 'backbone.bn1.bias')
    }
    code, printed, path = convert(file)
    assert code == 0 and '2 filled in, which the file leaves out: backbone.bn1.weight, backbone.bn1.bias' in printed
    state = checkpoint.load(path)['state_dict']
    assert torch.equal(state['backbone.bn1.weight'], torch.ones(64)) and torch.equal(
        state['backbone.bn1.bias'], torch.zeros(64)
    )


def test_averaged_weights_are_preferred_as_in_an_evaluation(convert, ocrnet_weights):
    averaged = {key: value + 1 for key, value in ocrnet_weights.items()}
    file = {
        'state_dict': ocrnet_weights,
        'ema': {f'module.{key}': value for key, value in averaged.items()},
        'arch': 'ocrnet.HRNet',
        'trunk': TRUNK,
        'num_classes': CLASSES,
        'network': {**NARROW_FLAGS, 'arch': 'ocrnet.HRNet', 'trunk': TRUNK, 'align_corners': True},
    }
    code, printed, path = convert(file)
    assert code == 0 and 'the averaged weights were taken' in printed
    assert_equal(checkpoint.load(path)['state_dict'], averaged)
    assert checkpoint.load(path)['network']['align_corners'] is True


def test_an_hrnet_of_timm_becomes_a_file_for_pretrained(convert):
    timm = pytest.importorskip('timm')
    weights = timm.create_model('hrnet_w18_small', pretrained=False).state_dict()
    code, printed, path = convert(dict(weights))
    assert code == 0, printed
    assert f'holds the trunk {TRUNK}' in printed and ' dropped: incre_modules.0.0.conv1.weight' in printed
    assert 'arch' not in checkpoint.load(path)
    net = get_net('basic.HRNet', 3, trunk=TRUNK, pretrained=path)
    assert net.pretrained_report.missing == net.pretrained_report.unexpected == []
    assert all(torch.equal(value, weights[key]) for key, value in net.backbone.state_dict().items())


def test_the_report_accounts_for_every_tensor(convert, mscale_weights, tmp_path):
    file = {f'module.{key}': value for key, value in mscale_weights.items() if not key.endswith('num_batches_tracked')}
    file |= {'module.extra.weight': torch.ones(2)}
    del file['module.scale_attn.conv2.weight']
    code, printed, _ = convert(file, '--report', str(tmp_path / 'report.json'))
    assert code == 0, printed
    report = json.loads((tmp_path / 'report.json').read_text())
    counters = sum(key.endswith('num_batches_tracked') for key in mscale_weights)
    assert (report['from'], report['to'], report['arch'], report['trunk'], report['num_classes']) == (
        'hmsa',
        'project',
        'ocrnet.HRNet_Mscale',
        TRUNK,
        5,
    )
    assert report['dropped'] == ['extra.weight']
    assert len(report['filled']) == counters and 'scale_attn.bn1.num_batches_tracked' in report['filled']
    assert report['missing'] == ['scale_attn.conv2.weight'] and report['renamed'] == []
    assert len(report['written']) == len(mscale_weights) - 1
