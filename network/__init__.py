"""Segmentation networks by name, and the network of a checkpoint.

    net = get_net('ocrnet.HRNet_Mscale', num_classes=19, n_scales=[0.5, 1.0, 2.0])
    outputs = net(images)                # a dict of logits

    net = load('best.pth', n_scales=[0.5, 1.0, 2.0])
    labels = net.predict(photo).labels   # uint8 (h, w, 3) RGB -> uint8 (h, w)

A network never sees labels. It is built from explicit options (by default `cfg.MODEL`) and reads no configuration
later.
"""

import utils.cli.waiting  # noqa: F401  (before torch, for the programs network.export and network.summary)

# isort: split
from network import (
    attnscale,
    basic,
    deeper,
    deepv3,
    eomt,
    framework,
    mscale_nets,
    ocrnet,
    pairwise,
    torchvision_nets,
    unet,
)
from network.building import check_names, check_pretrained, get_net, options_read, takes_scales
from network.loading import description, load, normalisation, value_range
from network.pretrained import own_normalisation
from network.registry import ARCHS, TRUNKS
from network.segmentation import Segmentation, TrainedOn
from network.segmentor import Segmentor, head_keys
from network.trunks import build_trunk

# they register what they define
NETWORKS = (attnscale, basic, deeper, deepv3, eomt, framework, mscale_nets, ocrnet, pairwise, torchvision_nets, unet)
__all__ = [
    'ARCHS',
    'TRUNKS',
    'Segmentation',
    'Segmentor',
    'TrainedOn',
    'build_trunk',
    'check_names',
    'check_pretrained',
    'description',
    'get_net',
    'head_keys',
    'load',
    'normalisation',
    'options_read',
    'own_normalisation',
    'takes_scales',
    'value_range',
]
