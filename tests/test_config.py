import pytest

import config
from config import cfg


def test_a_typo_in_a_key_is_an_error_that_names_the_nearest_key():
    with pytest.raises(AttributeError, match='did you mean MID_CHANNELS'):
        _ = cfg.MODEL.OCR.MIDCHANNELS
    with config.scope(), pytest.raises(AttributeError, match='did you mean DATASET'):
        cfg.DATSET = 1


@pytest.mark.parametrize(
    'read', [lambda: cfg.MODEL.get('BN_TYPO'), lambda: cfg.MODEL.get('BN_TYPO', 1), lambda: cfg['X']]
)
def test_get_and_brackets_know_no_undeclared_key_either(read):
    with pytest.raises(AttributeError, match='cfg has no key (BN_TYPO|X); .*keys here: '):
        read()
    assert (
        cfg.MODEL.get('SEGATTN_BOT_CH') == cfg.MODEL.get('SEGATTN_BOT_CH', 1) == cfg['MODEL']['SEGATTN_BOT_CH'] == 256
    )


def test_a_section_is_not_a_value():
    with pytest.raises(AttributeError, match='OCR is a section of cfg; set its keys: KEY_CHANNELS, MID_CHANNELS'):
        with config.scope(MODEL__SEGATTN_BOT_CH=8, MODEL__OCR=1):
            raise AssertionError('the block is not entered')
    assert (cfg.MODEL.SEGATTN_BOT_CH, cfg.MODEL.OCR.MID_CHANNELS) == (256, 512)


def test_scope_restores_the_defaults_after_the_block():
    with config.scope(MODEL__OCR__MID_CHANNELS=8):
        assert cfg.MODEL.OCR.MID_CHANNELS == 8
    assert cfg.MODEL.OCR.MID_CHANNELS == 512


def test_a_frozen_configuration_cannot_change_and_the_scope_after_it_can():
    with config.scope(ASSETS_PATH='here'):
        config.freeze()
        with pytest.raises(AttributeError, match='frozen'):
            cfg.ASSETS_PATH = 'there'
        with pytest.raises(AttributeError, match='frozen'):
            cfg.MODEL.OCR.MID_CHANNELS = 1
    with config.scope(ASSETS_PATH='there'):
        assert cfg.ASSETS_PATH == 'there'


def test_as_dict_is_plain_and_complete():
    plain = config.as_dict()
    assert type(plain['MODEL']) is dict
    assert plain['MODEL']['OCR'] == {'MID_CHANNELS': 512, 'KEY_CHANNELS': 256}
