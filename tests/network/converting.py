"""Weights of small networks, and how other projects write them: for the tests of network.convert."""

import re

import torch

from config import scope
from network import get_net
from utils.settings import SETTINGS

TRUNK = 'hrnetv2_w18_small_v1'
NARROW_FLAGS = {'ocr_mid_channels': 32, 'ocr_key_channels': 16, 'segattn_bot_ch': 16, 'aspp_bot_ch': 8}
CLASSES = 5


def make_weights(arch, seed=0):
    """Finite, lively weights of a small network, a value of its own in every entry."""
    generator = torch.Generator().manual_seed(seed)
    with scope(**SETTINGS.as_cfg(NARROW_FLAGS)):
        net = get_net(arch, CLASSES, trunk=TRUNK)
    return {
        key: (
            torch.rand(value.shape, generator=generator) * 0.2 + (0.9 if key.endswith('running_var') else 0.01)
            if value.is_floating_point()
            else torch.tensor(7)
        )
        for key, value in net.state_dict().items()
    }


def assert_equal(weights, expected):
    assert weights.keys() == expected.keys()
    assert all(
        torch.equal(value, expected[key]) and value.dtype == expected[key].dtype for key, value in weights.items()
    )


# The names of other projects are worked out from their sources, not from this package's tables.
MMSEG_LACKS = ('ocr.conv3x3_ocr.0.bias', 'ocr.aux_head.0.bias')


def as_upstream(key):
    key = key.removeprefix('backbone.').removeprefix('ocr.')
    key = re.sub(r'^(conv3x3_ocr|aux_head)\.1\.0\.', r'\1.1.', key)
    return 'model.' + re.sub(r'^aux_head\.2\.', 'aux_head.3.', key)


def as_mmseg(key):
    head = 'ocr.ocr_distri_head.'
    block = 'decode_head.1.object_context_block.'
    names = {
        'ocr.cls_head.': 'decode_head.1.conv_seg.',
        'ocr.aux_head.2.': 'decode_head.0.conv_seg.',
        'ocr.aux_head.0.': 'decode_head.0.convs.0.conv.',
        'ocr.aux_head.1.0.': 'decode_head.0.convs.0.bn.',
        'ocr.conv3x3_ocr.0.': 'decode_head.1.bottleneck.conv.',
        'ocr.conv3x3_ocr.1.0.': 'decode_head.1.bottleneck.bn.',
        f'{head}conv_bn_dropout.0.': f'{block}bottleneck.conv.',
        f'{head}conv_bn_dropout.1.0.': f'{block}bottleneck.bn.',
    }
    for ours, theirs in (('f_pixel', 'query'), ('f_object', 'key')):
        for old, new in (('0', '0.conv'), ('1.0', '0.bn'), ('2', '1.conv'), ('3.0', '1.bn')):
            names[f'{head}object_context_block.{ours}.{old}.'] = f'{block}{theirs}_project.{new}.'
    for ours, theirs in (('f_down', 'value'), ('f_up', 'out')):
        for old, new in (('0', 'conv'), ('1.0', 'bn')):
            names[f'{head}object_context_block.{ours}.{old}.'] = f'{block}{theirs}_project.{new}.'
    module, _, kind = key.rpartition('.')
    return names.get(f'{module}.', f'{module}.') + kind
