"""HRNet, HRNet-OCR and HRNet-OCR with ASPPs under the names, and with the numbers, of the MIC-DKFZ framework.

`parity/framework_keys.json` holds state-dict keys and shapes for 19 classes without those of the trunk, which are in
`parity/keys.json`; `parity/framework.<arch>.npz` every fourth pixel of the outputs, of float64 weights, stored as
float32.
"""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fill import fill, image
from narrow import NARROW
from torch import nn

from config import scope
from engine import syncbn
from network import ARCHS, get_net
from network.options import complete
from network.trunks import build_trunk
from network.trunks.hrnet import HRNet, Layout

PARITY = Path(__file__).parent / 'parity'
FLAT = ['hrnet', 'hrnet_ocr']
OUTPUTS = {
    'hrnet': ('pred',),
    'hrnet_ocr': ('pred', 'aux'),
    'hrnet_ocr_aspp': ('pred', 'aux'),
    'hrnet_ocr_ms': ('pred', 'aux', 'pred_05x', 'pred_10x'),
}


@pytest.fixture(params=FLAT)
def flat(request, small_net):
    return small_net(request.param)


def with_the_weights_of(net, other, rename):
    """net with the state dict of other, whose keys go through `rename`."""
    net.load_state_dict({rename(key): value for key, value in other.state_dict().items()})
    return net


@pytest.mark.parametrize('arch', ['hrnet', 'hrnet_ocr', 'hrnet_ocr_aspp'])
def test_keys_and_shapes_are_those_of_the_framework(arch):
    trunk = json.loads((PARITY / 'keys.json').read_text())['backbone']
    expected = json.loads((PARITY / 'framework_keys.json').read_text())[arch]
    expected |= trunk if arch in FLAT else {f'backbone.{key}': shape for key, shape in trunk.items()}
    with torch.device('meta'):
        net = get_net(arch, 19)
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == expected


@pytest.mark.parametrize(
    'arch, align_corners', [pytest.param('hrnet', False, marks=pytest.mark.slow), ('hrnet_ocr_aspp', True)]
)
def test_outputs_are_those_of_the_framework(arch, align_corners):
    expected = np.load(PARITY / f'framework.{arch}.npz')
    with torch.device('meta'):
        net = get_net(arch, 19, align_corners=align_corners).double()
    net = fill(net.to_empty(device='cpu')).eval()
    with torch.no_grad():
        prediction = net.run_heads(image(64, 128))
    found = {'eval/out': prediction.logits} | ({} if prediction.aux is None else {'eval/aux': prediction.aux})
    assert set(found) == set(expected)
    for name, maps in found.items():
        maps = net.enlarge(maps, (64, 128))[..., 1::4, 2::4].numpy()
        assert np.abs(maps - expected[name]).max() < 1e-6 * np.abs(expected[name]).max(), name


@pytest.mark.parametrize('arch', OUTPUTS)
def test_outputs_come_in_the_documented_order(small_net, arch):
    net = small_net(arch).train()
    outputs = net(torch.randn(2, 3, 64, 64))
    assert net.output_names == tuple(name for name in outputs if not name.startswith('attn')) == OUTPUTS[arch]
    assert next(iter(net.eval()(torch.randn(1, 3, 33, 47)))) == 'pred'


def test_the_multi_scale_network_is_hmsas_under_a_second_name():
    assert ARCHS['hrnet_ocr_ms'] is ARCHS['ocrnet.HRNet_Mscale']


@pytest.mark.parametrize('align_corners', [False, True])
def test_hrnet_ocr_computes_what_ocrnet_does_with_the_same_weights(small_net, align_corners):
    renamed = {'conv3x3_ocr.1.0': 'conv3x3_ocr.1', 'aux_head.1.0': 'aux_head.1', 'aux_head.2': 'aux_head.3'}

    def rename(key):
        key = key.removeprefix('backbone.').removeprefix('ocr.')
        return next((new + key.removeprefix(old) for old, new in renamed.items() if key.startswith(f'{old}.')), key)

    other = small_net('ocrnet.HRNet', align_corners=align_corners).eval()
    net = with_the_weights_of(small_net('hrnet_ocr', align_corners=align_corners), other, rename).eval()
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        assert torch.equal(net(images)['pred'], other(images)['pred'])
        assert torch.equal(net.run_heads(images).aux, other.run_heads(images).aux)


def test_two_networks_of_one_kind_can_differ_in_align_corners(small_net):
    plain, aligned = small_net('hrnet'), small_net('hrnet', align_corners=True)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = plain.eval()(images)['pred']
        small_net('hrnet', align_corners=True)
        assert torch.equal(plain(images)['pred'], before)
        assert not torch.allclose(aligned.eval()(images)['pred'], before, atol=1e-3)


def test_the_trunks_entries_have_its_own_names_and_are_the_networks(flat):
    own = build_trunk('hrnetv2_w18_small_v1').state_dict()
    entries, state = flat.trunk_entries(), flat.state_dict()
    assert list(entries) == list(own)
    assert all(entries[key].data_ptr() == state[key].data_ptr() for key in own)
    assert set(state) - set(own)  # the head
    assert {id(parameter) for parameter in flat.trunk_parameters()} == {
        id(p) for name, p in flat.named_parameters() if name in own
    }


def test_a_network_with_the_trunk_below_backbone_has_the_same_entries(small_net):
    net = small_net('hrnet_ocr_aspp')
    assert list(net.trunk_entries()) == list(build_trunk('hrnetv2_w18_small_v1').state_dict())
    assert net.trunk_entries()['conv1.weight'].data_ptr() == net.backbone.conv1.weight.data_ptr()


@pytest.mark.parametrize(
    'convert', [nn.SyncBatchNorm.convert_sync_batchnorm, lambda net: syncbn.convert(net, torch.device('cpu'))]
)
def test_converted_norms_are_those_that_run(flat, convert):
    """The norms of the stem are children of the network itself, so a conversion replaces them there."""
    copied = copy.deepcopy(flat).eval()
    images, seen = torch.randn(1, 3, 64, 64), []
    with torch.no_grad():
        expected = copied(images)['pred']
        converted = convert(flat).eval()
        for module in converted.modules():
            if isinstance(module, nn.SyncBatchNorm | syncbn.CPUSyncBatchNorm):
                module.forward = lambda maps, norm=module: seen.append(norm) or nn.BatchNorm2d.forward(norm, maps)
        assert torch.equal(converted(images)['pred'], expected)
    assert len(set(seen)) == sum(
        isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) for module in converted.modules()
    )
    assert not any(type(module) is nn.BatchNorm2d for module in converted.modules())


def test_a_copy_shares_nothing_with_the_original(flat):
    images = torch.randn(1, 3, 64, 64)
    copied = copy.deepcopy(flat).eval()
    with torch.no_grad():
        before = copied(images)['pred']
        for parameter in flat.parameters():
            parameter.zero_()
        assert torch.equal(copied(images)['pred'], before)
        assert not copied.double()(images.double())['pred'].isnan().any()


def test_another_trunk_keeps_its_prefix(small_net):
    net = small_net('hrnet_ocr', trunk='torchvision/resnet50')
    assert set(net.trunk_entries()) == {
        key.removeprefix('backbone.') for key in net.state_dict() if key.startswith('backbone.')
    }
    outputs = net.train()(torch.randn(1, 3, 33, 40))
    assert [tuple(maps.shape) for maps in outputs.values()] == [(1, 5, 33, 40)] * 2


def test_an_aspp_trains_on_a_batch_of_one(small_net):
    net = small_net('hrnet_ocr_aspp').train()
    sum(maps.square().mean() for maps in net(torch.randn(1, 3, 64, 64)).values()).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.slow
def test_a_flat_network_can_be_exported():
    with scope(**NARROW):
        net = ARCHS['hrnet_ocr'](
            5, HRNet(Layout(width=4, planes=4, bottlenecks=1, modules=(1, 1, 1), blocks=1)), False, complete()
        ).eval()
    images = torch.randn(1, 3, 32, 48)
    program = torch.export.export(net, (images,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images)['pred'], net(images)['pred'], rtol=1e-4, atol=1e-4)


def test_the_width_of_an_aspp_that_can_be_chosen_is_that_of_the_inner_one(small_net):
    net = small_net('hrnet_ocr_aspp', cfg={'MODEL__ASPP_BOT_CH': 32})
    assert (net.aspp.channels, net.ocr.ocr_distri_head.aspp.channels) == (5 * 256, 5 * 32)
