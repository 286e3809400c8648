"""Every numeric flag at its boundaries: what nobody can mean is refused in one sentence, before anything is written."""

import pytest

import train
from utils.settings import SETTINGS

REFUSED = {
    'lr': '-1',
    'momentum': '-0.1 1 1.5',
    'weight_decay': '-1e-4',
    'lr_find_range': '0,1 1,0.1 1',
    'lr_find_steps': '9',
    'lr_trunk_mult': '-1',
    'layer_decay': '0 1.1',
    'warmup': '-1',
    'max_epoch': '0 -1',
    'start_epoch': '-1',
    'poly_exp': '-1',
    'poly_step': '0',
    'rescale': '0 -1',
    'repoly': '-1',
    'accumulate': '0',
    'clip_grad': '0 -1',
    'ema': '0 1 -0.1',
    'max_skipped_steps': '-1',
    'swa_epochs': '0 -1 181',
    'swa_lr': '0 -1',
    'swa_anneal_epochs': '-1',
    'crop_size': '0 -1 0,5',
    'scale_min': '0 -1',
    'scale_max': '0',
    'in_channels': '0 1025',
    'value_range': '1 0,0 9,3 0,1,2 0,nan',
    'pre_size': '0',
    'color_aug': '-0.1',
    'brightness': '-0.1',
    'contrast': '-0.1',
    'saturation': '-0.1',
    'hue': '-0.1',
    'rgb_shift': '-1 256',
    'color_share': '-0.1 1.1',
    'hflip': '-0.1 1.1',
    'vflip': '-0.1 1.1',
    'pad_value': '-1 256',
    'resize': '0 1,2,3 -5,5',
    'coarse_portion': '0 1.1',
    'max_cu_epoch': '-1',
    'custom_coarse_prob': '-0.1 1.1',
    'coarse_boost_classes': '-1',
    'custom_coarse_dropout_classes': '-1',
    'cv': '-1',
    'minutes': '0 -1',
    'early_stop': '0 -1',
    'overfit': '0 -1',
    'epoch_batches': '0',
    'limit_batches': '0 3,0 1,2,3',
    'bootstrap': '-1 1',
    'folds': '1 -1',
    'fold': '-1',
    'fold_seed': '-1',
    'class_uniform_pct': '-0.1 1.1',
    'class_uniform_tile': '0',
    'bs_trn': '0',
    'bs_val': '0',
    'num_workers': '-1 100000',
    'val_freq': '0',
    'default_scale': '0',
    'extra_scales': '0,1',
    'wt_bound': '-1',
    'ocr_alpha': '-0.1',
    'distill_temperature': '0 -1',
    'distill_weight': '-0.1',
    'supervised_mscale_loss_wt': '-0.1',
    'n_scales': '0,1.0',
    'mscale_lo_scale': '0 2',
    'segattn_bot_ch': '0',
    'eomt_queries': '0',
    'eomt_blocks': '0',
    'eomt_patch': '0',
    'eomt_size': '0',
    'mask_points': '0',
    'mask_no_object': '-0.1',
    'ocr_mid_channels': '0',
    'ocr_key_channels': '0',
    'aspp_bot_ch': '0',
    'decoder_ch': '0',
    'vit_depths': '0',
    'vit_patch': '-1',
    'drop_path': '-0.1 1',
    'summary_size': '0',
    'seed': '-1',
    'log_freq': '0',
    'logits_stride': '0 3',
    'dump_topn': '-1',
    'save_minutes': '-1',
    'border_window': '-1',
    'crop_eval': '0',
    'crop_overlap': '-0.1 1',
    'focal_gamma': '-1',
    'label_smoothing': '-0.1 1.1',
    'max_pixels': '0',
    'mosaic': '-0.1 1.1',
    'class_mix': '-0.1 1.1',
    'copy_paste': '-0.1 1.1',
    'paste_classes': '-1',
    'augment_off_epoch': '-1',
    'class_uniform_off_epoch': '-1',
    'repeat_factor': '-0.1 1.1',
    'mean': '0.5 nan,0,0',
    'ohem_min_kept': '0',
    'ohem_threshold': '-0.1 1.1',
    'overlap_smooth': '-1',
    'std': '0.5 0,1,1',
    'timeout': '0',
    'topk_share': '0 1.1',
}
FREE = {
    'ignore_ids': 'ids of labels, negative ones too',
    'rlx_off_epoch': 'negative is off; scl-poly checks it',
    'loss_weights': 'get_criterion checks them',
    'strict_bdr_cls': 'the criterion checks them against the classes',
}


@pytest.mark.parametrize('name, value', [(name, value) for name, values in REFUSED.items() for value in values.split()])
def test_a_value_that_nobody_can_mean_is_refused_by_the_flags_name(name, value, capsys, tmp_path):
    assert train.main([f'--{name}={value}', '--result_dir', str(tmp_path / 'run')]) == 2
    printed = capsys.readouterr().err
    assert f'--{name}' in printed and printed.count('\n') == 1 and not (tmp_path / 'run').exists()


def test_every_numeric_flag_is_looked_at():
    text = {bool, str}
    named = {name for name, item in SETTINGS.items() if item.type not in text and item.type.__name__ != 'names'}
    assert named == REFUSED.keys() | FREE.keys()


def test_a_training_that_cannot_change_a_weight_says_so():
    from utils.cli import flags

    assert flags.unread(train.parse_args(['--lr', '0'])) == ['--lr 0: no weight will change, only batch statistics']
