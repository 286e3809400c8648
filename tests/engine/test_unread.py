"""Flags that have no effect with the others, or with the network, say so."""

import pytest
import standin

import train
from engine.unread import unread_by_network
from utils.cli import flags

SMALL = ('--trunk', 'hrnetv2_w18_small_v1')


@pytest.mark.parametrize(
    'given, expected',
    [
        (['--rmi_loss', '--img_wt_loss'], '--img_wt_loss has no effect beside --rmi_loss'),
        (['--img_wt_loss', '--jointwtborder'], '--jointwtborder has no effect beside --img_wt_loss'),
        (['--ocr_aux_loss_rmi'], '--ocr_aux_loss_rmi has no effect without --rmi_loss'),
        (['--ocr_aux_loss_rmi', '--loss', 'rmi'], '--ocr_aux_loss_rmi has no effect without --rmi_loss'),
        (['--momentum', '0.8', '--optimizer', 'adam'], '--momentum has no effect without --optimizer sgd'),
        (['--poly_step', '3'], '--poly_step has no effect without --lr_schedule poly2'),
        (['--rescale', '2'], '--rescale has no effect without --lr_schedule scl-poly'),
        (['--repoly', '2'], '--repoly has no effect without --lr_schedule scl-poly'),
        (['--rlx_off_epoch', '2'], '--rlx_off_epoch has no effect without --lr_schedule scl-poly or --jointwtborder'),
        (['--lr_schedule', 'cosine', '--poly_exp', '2'], '--poly_exp has no effect without --lr_schedule poly or'),
        (['--gblur', '--bblur'], '--gblur has no effect beside --bblur'),
        (
            ['--bootstrap', '9', '--eval', 'val', '--random_weights', '--no_metrics'],
            '--bootstrap has no effect beside --no_metrics',
        ),
        (['--limit_batches', '9', '--test_mode'], '--limit_batches has no effect beside --test_mode'),
        (['--flip_kind', 'v'], '--flip_kind has no effect without --do_flip'),
        (['--test_mode', '--max_epoch', '9'], '--max_epoch has no effect beside --test_mode'),
        (
            ['--ocr_alpha', '1', '--loss', 'ce', '--loss_weights', '1'],
            '--ocr_alpha has no effect beside --loss_weights',
        ),
        (['--init_decoder', '--snapshot', 'F'], '--init_decoder has no effect beside --snapshot F'),
        (['--freeze_trunk', '--lr_trunk_mult', '0.1'], '--lr_trunk_mult has no effect beside --freeze_trunk'),
        (['--full_crop_training', '--crop_size', '64'], '--crop_size has no effect beside --full_crop_training'),
    ],
)
def test_a_flag_that_others_make_idle_is_named_with_them(given, expected):
    (line,) = flags.unread(train.parse_args(given))
    assert line.startswith(expected.replace(' F', ''))


@pytest.mark.parametrize(
    'arch, given, expected',
    [
        ('basic.HRNet', ['--ocr_alpha', '1'], '--ocr_alpha has no effect: basic.HRNet has no auxiliary output'),
        ('ocrnet.HRNet', ['--supervised_mscale_loss_wt', '1'], 'ocrnet.HRNet has no single-scale outputs'),
        ('ocrnet.HRNet', ['--mscale_lo_scale', '0.25'], '--mscale_lo_scale has no effect: ocrnet.HRNet has nothing'),
        ('basic.HRNet', ['--ocr_mid_channels', '8'], '--ocr_mid_channels has no effect: basic.HRNet has nothing'),
        ('ocrnet.HRNet', ['--aspp_bot_ch', '8'], '--aspp_bot_ch has no effect: ocrnet.HRNet has nothing that it sets'),
        ('basic.HRNet', ['--init_decoder'], '--init_decoder has no effect: basic.HRNet has nothing that it sets'),
        ('ocrnet.HRNet', ['--attnscale_bn_head'], '--attnscale_bn_head has no effect: ocrnet.HRNet has nothing'),
    ],
)
def test_a_flag_about_a_part_that_the_network_lacks_is_named(arch, given, expected):
    (line,) = unread_by_network(train.parse_args(['--arch', arch, *SMALL, *given]))
    assert expected in line


@pytest.mark.parametrize(
    'arch, given',
    [
        ('ocrnet.HRNet_Mscale', ['--ocr_alpha', '1', '--supervised_mscale_loss_wt', '1', '--mscale_lo_scale', '0.25']),
        ('ocrnet.HRNet', ['--ocr_aspp', '--aspp_bot_ch', '8', '--ocr_key_channels', '8']),
        ('basic.HRNet', ['--segattn_bot_ch', '8', '--lr', '0.1']),
    ],
)
def test_a_flag_that_the_network_reads_is_not_named(arch, given):
    assert unread_by_network(train.parse_args(['--arch', arch, *SMALL, *given])) == []


@pytest.mark.parametrize('arch, said', [('basic.FPN', True), ('mscale.FPN', True), ('basic.DPT', False)])
def test_a_decoder_of_the_last_block_alone_says_that_other_depths_do_nothing(arch, said, monkeypatch):
    standin.register(monkeypatch)
    args = train.parse_args(['--arch', arch, '--trunk', 'timm/test_vit', '--vit_depths', '2'])
    assert (
        f'--vit_depths has no effect: {arch} reads the last block of a ViT alone' in unread_by_network(args)
    ) is said
