"""Flags and outputs of the networks with an ASPP, and of those with many scales, seen from the program."""

import pytest
import torch
from plain_decoders import TinyTrunk
from small import EPOCH

from network import TRUNKS
from utils import checkpoint

TRAIN = [*EPOCH, '--segattn_bot_ch', '16']


@pytest.fixture
def tiny_trunk(monkeypatch):
    """A trunk called tiny, with skips."""
    monkeypatch.setitem(TRUNKS._builders, 'tiny', lambda align_corners=False: TinyTrunk())
    monkeypatch.setitem(TRUNKS._facts, 'tiny', {})


def last(folder):
    return next(folder.glob('last_checkpoint_ep*.pth'))


def test_an_ocr_network_with_an_inner_aspp_is_rebuilt_from_its_checkpoint(program, tmp_path):
    code, printed = program(*TRAIN, '--ocr_aspp', '--aspp_bot_ch', '8', '--init_decoder')
    assert code == 0, printed
    weights = checkpoint.load(last(program.run_dir))['state_dict']
    assert weights['ocr.ocr_distri_head.aspp.img_conv.0.weight'].shape == (8, 32, 1, 1)
    code, printed = program(
        '--eval', 'val', '--snapshot', last(program.run_dir), '--result_dir', tmp_path / 'eval', small=False
    )
    assert code == 0, printed
    assert (
        '--ocr_aspp True: taken from the checkpoint' in printed
        and '--aspp_bot_ch 8: taken from the checkpoint' in printed
    )


@pytest.mark.parametrize(
    'arch, flags, pictures',
    [
        (
            'attnscale.DeepV3R50',
            ['--attnscale_bn_head', '--n_scales', '0.5,1.0'],
            ['attn_05x', 'attn_10x', 'pred_05x', 'pred_10x'],
        ),
        pytest.param(
            'mscale.DeepV3W38Fuse2',
            ['--n_scales', '0.5,1.0,2.0', '--supervised_mscale_loss_wt', '0.05'],
            ['attn_05x', 'attn_10x', 'pred_20x'],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            'mscale2.DeepV3R50', ['--n_scales', '0.5,1.0'], ['attn_05x', 'pred_05x', 'pred_10x'], marks=pytest.mark.slow
        ),
    ],
)
def test_networks_of_many_scales_train_and_show_their_maps(program, tiny_trunk, tmp_path, arch, flags, pictures):
    code, printed = program('--arch', arch, '--trunk', 'tiny', *TRAIN, '--aspp_bot_ch', '8', *flags, small=False)
    assert code == 0, printed
    weights = checkpoint.load(last(program.run_dir))['state_dict']
    assert all(value.isfinite().all() for value in weights.values() if torch.is_tensor(value))
    # there they shape the head: the checkpoint knows them
    scales = [] if arch.startswith('attnscale.') else flags[flags.index('--n_scales') :][:2]
    code, printed = program(
        '--eval',
        'val',
        '--snapshot',
        last(program.run_dir),
        *scales,
        '--dump_assets',
        '--result_dir',
        tmp_path / 'eval',
        small=False,
    )
    assert code == 0, printed
    for name in pictures:
        assert list((tmp_path / 'eval').rglob(f'*{name}.png')), name


def test_a_trunk_that_does_not_fit_is_one_line_and_exit_code_2(program):
    code, printed = program('--arch', 'deeper.DeeperW38', *TRAIN)
    assert code == 2
    assert (
        '--trunk: this decoder adds the maps of strides 2 and 4, but the trunk has maps of strides 4, 8, 16 and 32;'
        ' choose one' in printed
    )
