"""Entry points of torch.hub, from a process that knows nothing of this repository but its path."""

import subprocess
import sys

from small import ROOT

import network
from hubconf import dependencies
from utils import checkpoint
from utils.classes import Classes

SCRIPT = """
import sys, numpy, torch
repository, file = sys.argv[1:]
load = lambda name, *args, **kwargs: torch.hub.load(repository, name, *args, source='local', **kwargs)
net = load('hrnet_mscale', trunk='hrnetv2_w18_small_v1', n_scales=[0.5, 1.0])
print(net.arch, net.scales(), net.training, sum(p.numel() for p in net.parameters()))
print(load('hrnet_ocr', num_classes=5, trunk='hrnetv2_w18_small_v1').arch)
print(load('get_net', 'basic.Linear', 5, trunk='hrnetv2_w18_small_v1').arch)
found = load('load', file).predict(numpy.zeros((32, 48, 3), numpy.uint8))
print(found.labels.shape, found.classes.names)
packages = 'PIL cv2 easydict numpy runx scipy tensorboardX torch torchvision tqdm yaml zlib_ng'.split()
print(*sorted(set(packages) & {name.partition('.')[0] for name in sys.modules}))
"""


def test_networks_and_checkpoints_are_loaded_from_a_local_path(tmp_path):
    net = network.get_net('basic.Linear', 5, trunk='hrnetv2_w18_small_v1')
    described = network.description(
        net, Classes(tuple('abcde'), [[0, 0, 0]] * 5), dataset='street', mean=(0.5,) * 3, std=(0.2,) * 3
    )
    checkpoint.save(tmp_path / 'net.pth', {'state_dict': net.state_dict(), **described})
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, str(ROOT), str(tmp_path / 'net.pth')],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        'ocrnet.HRNet_Mscale (1.0, 0.5) False 5613030',
        'ocrnet.HRNet',
        'basic.Linear',
        "(32, 48) ('a', 'b', 'c', 'd', 'e')",
        ' '.join(dependencies),  # of requirements.txt those that were imported
    ]
