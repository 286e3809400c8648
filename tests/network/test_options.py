"""Options of a network: explicit, complete, and the same network whatever the configuration around it."""

import pytest
import torch
from narrow import NARROW, SMALL_TRUNK

from config import cfg, freeze, scope
from network import get_net
from network.options import complete
from utils.cli import flags
from utils.settings import SETTINGS


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def mscale(**options):
    with torch.device('meta'):
        return get_net('ocrnet.HRNet_Mscale', 19, trunk=SMALL_TRUNK, **options)


def test_the_same_options_build_the_same_network_in_any_scope():
    assert parameters(mscale()) == 5_613_030
    outside = mscale(options={})
    with scope(**NARROW, MODEL__MSCALE_LO_SCALE=0.25):
        inside = mscale(options={})
        again = mscale(options=outside.options)
        assert parameters(mscale()) < 2_700_000, 'without options cfg.MODEL as it stands is the default'
    for net in (inside, again):
        assert parameters(net) == 5_613_030
        assert {key: value.shape for key, value in net.state_dict().items()} == {
            key: value.shape for key, value in outside.state_dict().items()
        }
        assert net.options == outside.options and net.lo_scale == 0.5


def test_a_network_of_a_scope_is_built_again_outside_of_it():
    with scope(**NARROW, MODEL__MSCALE_INNER_3x3=False):
        narrow = mscale()
    again = mscale(options=narrow.options)
    assert list(again.state_dict()) == list(narrow.state_dict()) and parameters(again) == parameters(narrow)


def test_options_that_are_left_out_have_their_declared_defaults():
    with scope(MODEL__SEGATTN_BOT_CH=3, MODEL__OCR__MID_CHANNELS=3):
        options = complete({'OCR': {'KEY_CHANNELS': 8}})
        assert complete() == {**options, 'SEGATTN_BOT_CH': 3, 'OCR': {'MID_CHANNELS': 3, 'KEY_CHANNELS': 256}}
    assert options == {**SETTINGS.cfg_tree()['MODEL'], 'OCR': {'MID_CHANNELS': 512, 'KEY_CHANNELS': 8}}


def test_the_options_of_a_network_are_a_copy():
    net = mscale()
    net.options.OCR.MID_CHANNELS = 1
    assert cfg.MODEL.OCR.MID_CHANNELS == SETTINGS.cfg_tree()['MODEL']['OCR']['MID_CHANNELS'] == 512


@pytest.mark.parametrize(
    'options, message',
    [
        ({'segattn_bot': 1}, "cfg.MODEL has no key 'segattn_bot'; did you mean SEGATTN_BOT_CH?"),
        ({'OCR': {'MID_CHANNEL': 1}}, "OCR has no key 'MID_CHANNEL'; did you mean MID_CHANNELS or KEY_CHANNELS?"),
        ({'OCR': 512}, 'cfg.MODEL.OCR is a section, found 512; give a mapping'),
        ({'OCR': {'MID_CHANNELS': '16'}}, "cfg.MODEL.OCR.MID_CHANNELS is '16', expected a whole number above 0"),
        ({'SEGATTN_BOT_CH': 0}, 'SEGATTN_BOT_CH is 0, expected a whole number above 0'),
        ({'SEGATTN_BOT_CH': True}, 'SEGATTN_BOT_CH is True, expected a whole number above 0'),
        ({'OCR_ASPP': 'no'}, "OCR_ASPP is 'no', expected True or False"),
        ({'MSCALE_LO_SCALE': None}, 'MSCALE_LO_SCALE is None, expected a number'),
    ],
)
def test_an_option_that_is_none_or_of_another_kind_is_refused(options, message):
    with pytest.raises(ValueError, match=message.replace('?', r'\?')):
        mscale(options=options)


def test_flags_become_options_and_options_flags():
    args = flags.build_parser().parse_args(['--segattn_bot_ch', '16', '--mscale_no3x3', '--ocr_mid_channels', '32'])
    options = complete(SETTINGS.as_tree(vars(args))['MODEL'])
    assert (options.SEGATTN_BOT_CH, options.MSCALE_INNER_3x3, options.OCR.MID_CHANNELS) == (16, False, 32)
    named = SETTINGS.from_tree({'MODEL': options})
    assert named == {name: getattr(args, name) for name in named} and len(named) == 21
    assert complete(SETTINGS.as_tree(named)['MODEL']) == options


def test_a_network_is_built_while_the_configuration_is_frozen():
    with scope():
        freeze()
        assert parameters(mscale(options={'SEGATTN_BOT_CH': 16})) < 5_613_030
