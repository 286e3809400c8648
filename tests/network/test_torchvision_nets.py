"""FCN and DeepLabv3 against torchvision's own, weight for weight."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from network import get_net
from network.trunks import build_trunk

FAMILIES = {'FCN': 'fcn', 'DeepLabv3': 'deeplabv3'}


def theirs(family, resnet, classes):
    return get_model(
        f'{FAMILIES[family]}_{resnet}', weights=None, weights_backbone=None, num_classes=classes, aux_loss=True
    )


def without_dropout(net):
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net


@pytest.mark.parametrize('family', FAMILIES)
def test_keys_and_shapes_are_torchvisions_and_resnet101_is_the_default(family):
    for arch, resnet in (
        (family, 'resnet101'),
        (f'{family}_resnet50', 'resnet50'),
        (f'{family}_resnet101', 'resnet101'),
    ):
        with torch.device('meta'):
            net, other = get_net(arch, 19), theirs(family, resnet, 19)
        assert {key: value.shape for key, value in net.state_dict().items()} == {
            key: value.shape for key, value in other.state_dict().items()
        }
        assert net.trunk_name == f'torchvision/{resnet}'


@pytest.mark.parametrize('family', FAMILIES)
def test_outputs_are_torchvisions_in_training_and_evaluation(family):
    torch.manual_seed(0)
    with torch.device('meta'):
        other = theirs(family, 'resnet50', 5)
    net = without_dropout(get_net(f'{family}_resnet50', 5).double())
    other = without_dropout(other.double().to_empty(device='cpu'))
    other.load_state_dict(net.state_dict())
    images = torch.randn(2, 3, 33, 49, dtype=torch.float64)
    with torch.no_grad():
        found, expected = net.train()(images), other.train()(images)
        assert list(found) == ['pred', 'aux'] and list(expected) == ['out', 'aux']
        for ours, reference in zip(found.values(), expected.values()):
            torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-9)
        found, expected = net.eval()(images), other.eval()(images)  # the running statistics are equal too
        assert list(found) == ['pred']
        torch.testing.assert_close(found['pred'], expected['out'], rtol=1e-6, atol=1e-6)


def test_a_batch_of_one_image_can_be_trained_on():
    """torchvision's image pooling stops there: its norm would see one value."""
    net = get_net('DeepLabv3_resnet50', 5).train()
    norm = net.classifier[0].convs[4][2]
    sum(maps.square().mean() for maps in net(torch.randn(1, 3, 33, 33)).values()).backward()
    assert norm.weight.grad.any() and (norm.running_mean == 0).all()
    assert all(parameter.grad is not None for parameter in net.parameters())
    with pytest.raises(ValueError, match='use a crop with a side of at least 9 pixels, or a larger batch'):
        net(torch.randn(1, 3, 8, 8))


@pytest.mark.parametrize('arch', ['FCN', 'DeepLabv3_resnet50'])
def test_on_another_trunk_the_auxiliary_head_reads_what_the_main_one_does(small_net, arch):
    net = small_net(arch).train()
    outputs = net(torch.randn(1, 3, 40, 56))
    assert {name: tuple(maps.shape) for name, maps in outputs.items()} == {
        'pred': (1, 5, 40, 56),
        'aux': (1, 5, 40, 56),
    }
    assert net.aux_classifier[0].in_channels == sum(net.backbone.channels.values())
    sum(maps.square().mean() for maps in outputs.values()).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_the_auxiliary_head_rests_in_evaluation():
    net = get_net('FCN_resnet50', 5).eval()
    net.aux_classifier.forward = None  # calling it would be an error
    with torch.no_grad():
        assert net(torch.randn(1, 3, 16, 16))['pred'].shape == (1, 5, 16, 16)


def test_the_trunk_serves_other_heads(small_net):
    net = small_net('basic.HRNet', trunk='torchvision/resnet50').eval()
    with torch.no_grad():
        assert net(torch.randn(1, 3, 33, 40))['pred'].shape == (1, 5, 33, 40)
    trunk = build_trunk('torchvision/resnet50').eval()
    with torch.no_grad():
        maps = trunk(torch.randn(1, 3, 33, 40))
    assert {name: tuple(map_.shape[1:]) for name, map_ in maps.items()} == {
        4: (256, 9, 10),
        8: (2048, 5, 5),
        'aux': (1024, 5, 5),
    }
