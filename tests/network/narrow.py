"""Narrow heads, the smallest trunk, and weights that let a fresh network see something."""

import torch

NARROW = {'MODEL__OCR__MID_CHANNELS': 32, 'MODEL__OCR__KEY_CHANNELS': 16, 'MODEL__SEGATTN_BOT_CH': 16}
SMALL_TRUNK = 'hrnetv2_w18_small_v1'


def enliven(net):
    """Scale the trunk's convolutions so that in eval mode, with fresh norms, signals neither die nor explode."""
    for module in (module for part in net.trunk_parts().values() for module in part.modules()):
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 0.6)
    return net
