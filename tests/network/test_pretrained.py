"""Published weights for the trunk, or for as much of a network as fits."""

import re

import pytest
import torch

from config import scope
from network import build_trunk, check_pretrained, get_net
from network.pretrained import load_pretrained
from utils import checkpoint

TRUNK = 'hrnetv2_w18_small_v1'
NARROW = {'MODEL__OCR__MID_CHANNELS': 32, 'MODEL__OCR__KEY_CHANNELS': 16, 'MODEL__SEGATTN_BOT_CH': 16}


@pytest.fixture(scope='module')
def weights():
    """What an ImageNet file of the small trunk holds, without prefixes: the trunk, and a classifier's layers."""
    net = get_net('basic.HRNet', 5, trunk=TRUNK)
    state = {
        key: torch.randn_like(value) if value.is_floating_point() else value + 3
        for key, value in net.backbone.state_dict().items()
    }
    return state | {'classifier.weight': torch.zeros(1000, 2048), 'last_layer.0.weight': torch.zeros(4, 4, 1, 1)}


def build(path, **kwargs):
    return get_net('basic.HRNet', 5, trunk=TRUNK, pretrained=path, **kwargs)


@pytest.mark.parametrize('prefix', ['', 'model.', 'module.', 'module.model.', 'backbone.'])
@pytest.mark.parametrize('wrap', [False, True])
def test_trunk_entries_are_loaded_whatever_the_prefix(weights, tmp_path, prefix, wrap):
    file = {prefix + key: value for key, value in weights.items()}
    torch.save({'state_dict': file} if wrap else file, tmp_path / 'trunk.pth')
    net = build(tmp_path / 'trunk.pth')
    for key, value in net.backbone.state_dict().items():
        if not key.endswith('num_batches_tracked'):
            assert torch.equal(value, weights[key]), key
    report = net.pretrained_report
    assert report.missing == []
    assert report.unexpected == ['classifier.weight', 'last_layer.0.weight']
    total = len(report.matched)
    assert (
        str(report)
        == f'{tmp_path / "trunk.pth"}: {total} of {total} tensors of the trunk loaded; 2 unknown to the trunk '
        '(classifier.weight, last_layer.0.weight); those of the file are left out'
    )


def test_what_the_file_lacks_stays_as_it_was_built_and_is_said(weights, tmp_path):
    part = {key: value for key, value in weights.items() if key.startswith('conv1')}
    torch.save(part, tmp_path / 'trunk.pth')
    net = build(tmp_path / 'trunk.pth')
    assert net.pretrained_report.matched == ['conv1.weight']
    assert re.search(
        r'missing in the file \(bn1.weight, bn1.bias, bn1.running_mean and \d+ more\); those of the trunk keep',
        str(net.pretrained_report),
    )
    assert net.backbone.conv2.weight.std() < 0.002


def test_a_file_of_something_else_is_refused(weights, tmp_path):
    torch.save({f'encoder.{key}': value for key, value in weights.items()}, tmp_path / 'other.pth')
    with pytest.raises(
        ValueError, match=r'other.pth: none of its .* entries \(encoder.conv1.weight.*is one of this trunk.*--trunk'
    ):
        build(tmp_path / 'other.pth')


def test_a_file_of_another_width_is_refused_and_nothing_of_it_kept(weights, tmp_path):
    wider = dict(weights) | {'transition1.0.0.weight': torch.zeros(48, 128, 3, 3)}
    torch.save(wider, tmp_path / 'wide.pth')
    with pytest.raises(
        ValueError,
        match=r'wide.pth: transition1.0.0.weight has shape \(48, 128, 3, 3\), this trunk has \(16, 128, 3, 3\)',
    ):
        build(tmp_path / 'wide.pth')


def test_a_missing_file_is_not_found_and_none_is_needed(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        build(tmp_path / 'nothing.pth')
    assert build(None).pretrained_report is None


class Outline:
    """What filling a network reads of it, with one value per entry, so that networks of any size cost nothing."""

    class_layers = ()

    def __init__(self, arch, trunk=None, classes=5):
        self.arch, self.trunk_name, names = arch, trunk, {}
        with torch.device('meta'):
            if trunk:
                self.trunk = {
                    key: torch.zeros([1] * value.ndim, device='cpu')
                    for key, value in build_trunk(trunk).state_dict().items()
                }
            else:
                net = get_net(arch, classes)
                names = {key: torch.zeros([1] * value.ndim, device='cpu') for key, value in net.state_dict().items()}
                self.trunk_name, self.class_layers = net.trunk_name, net.class_layers
        for key in names:
            if key.rpartition('.')[0] in self.class_layers:
                names[key] = names[key].new_zeros(classes, *names[key].shape[1:])
        self.entries = names

    def trunk_entries(self):
        return self.trunk

    def state_dict(self):
        return self.entries


def numbered(entries):
    """The same entries, each with a value of its own."""
    return {key: torch.full_like(value, number) for number, (key, value) in enumerate(entries.items(), start=1)}


def put(folder, name, content):
    path = folder / 'seg_weights' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def as_torchvision(key):
    return key.replace('layer0.0.', 'conv1.').replace('layer0.1.', 'bn1.')


PUBLISHED = {  # trunk: (file, its entry, how it names a tensor, tensors of the classifier)
    'hrnetv2_w18_small_v2': (
        'hrnet_w18_small_model_v2.pth',
        None,
        str,
        ['incre_modules.0.0.conv1.weight', 'downsamp_modules.0.0.weight', 'final_layer.0.weight', 'classifier.bias'],
    ),
    'wrn38': (
        'wider_resnet38.pth.tar',
        'state_dict',
        'module.{}'.format,
        ['module.bn_out.0.weight', 'module.classifier.fc.weight'],
    ),
    'xception71': ('aligned_xception71.pth', 'model_dict', 'module.{}'.format, ['module.fc.weight']),
    'resnet-50': ('resnet50-19c8e357.pth', None, as_torchvision, ['fc.weight', 'fc.bias']),
    'resnet-101': ('resnet101-63fe2227.pth', None, as_torchvision, ['fc.weight', 'fc.bias']),
    'torchvision/resnet50': ('resnet50-0676ba61.pth', None, str, ['fc.weight']),
    'seresnext-50': ('se_resnext50_32x4d-a260b3a4.pth', None, str, ['last_linear.weight']),
    'efficientnet_b4': (
        'efficientnet_b4_rwightman-23ab8bcd.pth',
        None,
        str,
        ['features.8.0.weight', 'features.8.1.weight', 'classifier.1.weight'],
    ),
}


@pytest.mark.parametrize('trunk', PUBLISHED)
def test_the_published_file_of_a_trunk_fills_all_of_it(trunk, tmp_path):
    name, entry, named, classifier = PUBLISHED[trunk]
    net = Outline('basic.HRNet', trunk)
    weights = numbered(net.trunk)
    content = {named(key): value for key, value in weights.items()} | dict.fromkeys(classifier, torch.zeros(1))
    put(tmp_path, name, {entry: content} if entry else content)
    report = load_pretrained(net, 'imagenet', tmp_path)
    assert report.missing == []
    assert report.unexpected == [key.removeprefix('module.') for key in classifier]
    assert all(net.trunk[key] == weights[key] for key in report.matched)
    assert len(report.matched) == sum(not key.endswith('num_batches_tracked') for key in weights)


@pytest.mark.parametrize(
    'trunk, other, where', [('resnet-50', 'resnet-101', 'the file'), ('resnet-101', 'resnet-50', 'this trunk')]
)
def test_a_file_of_another_depth_is_refused(trunk, other, where, tmp_path):
    net = Outline('basic.HRNet', trunk)
    weights = numbered(Outline('basic.HRNet', other).trunk)
    path = put(
        tmp_path,
        'other.pth',
        {as_torchvision(key): value for key, value in weights.items()} | {'fc.bias': torch.ones(1)},
    )
    with pytest.raises(
        ValueError,
        match=(
            f'only {where} has layer3.6, .*another depth; it looks like a ResNet classifier, name the file of the trunk'
        ),
    ):
        load_pretrained(net, str(path), tmp_path)
    assert not any(value.any() for value in net.trunk.values())


def test_a_file_of_another_network_is_refused_saying_what_it_looks_like(tmp_path):
    path = put(tmp_path, 'x71.pth', {'model_dict': numbered(Outline('basic.HRNet', 'xception71').trunk)})
    with pytest.raises(
        ValueError,
        match=(
            'x71.pth: none of its .* entries .conv1.weight.* is one of this trunk .mod1.*looks like an aligned'
            ' Xception-71'
        ),
    ):
        load_pretrained(Outline('deepv3.DeepV3PlusW38', 'wrn38'), str(path), tmp_path)


def test_a_missing_file_is_named_with_its_place_and_the_way_to_get_it(tmp_path):
    place = tmp_path / 'seg_weights' / 'HRNet_W48_C_ssld_pretrained.pth'
    with pytest.raises(FileNotFoundError) as error:
        check_pretrained('paddle', 'ocrnet.HRNet', None, tmp_path)
    assert str(place) in str(error.value) and str(error.value).endswith(
        'bash scripts/fetch_weights.sh HRNet_W48_C_ssld_pretrained.pth'
    )
    with pytest.raises(
        FileNotFoundError, match='imagnet: no such file; give its path, or one of none, imagenet, paddle'
    ):
        check_pretrained('imagnet', 'ocrnet.HRNet', None, tmp_path)
    check_pretrained('none', 'ocrnet.HRNet', None, tmp_path)


@pytest.mark.parametrize(
    'source, arch, trunk, has',
    [
        (
            'torchvision',
            'ocrnet.HRNet',
            None,
            'ocrnet.HRNet on the trunk hrnetv2 has imagenet, paddle, mapillary, timm; name one of these',
        ),
        ('mapillary', 'basic.HRNet', 'hrnetv2_w18_small_v1', 'has imagenet, timm; '),
        ('paddle', 'basic.HRNet', 'seresnext-50', 'has imagenet; '),
        ('imagenet', 'UNet', None, 'UNet has none of them; leave the flag out'),
    ],
)
def test_a_source_that_a_trunk_does_not_have_is_refused_listing_those_it_has(source, arch, trunk, has, tmp_path):
    with pytest.raises(ValueError, match=f'--pretrained {source}: .*{has}'):
        check_pretrained(source, arch, trunk, tmp_path)


def test_any_of_the_files_that_would_do_is_taken(tmp_path):
    net = Outline('basic.HRNet', 'resnet-50')
    put(tmp_path, 'resnet50-0676ba61.pth', numbered(net.trunk))
    assert load_pretrained(net, 'torchvision', tmp_path).source.endswith('resnet50-0676ba61.pth')
    put(tmp_path, 'resnet50-19c8e357.pth', numbered(net.trunk))
    assert load_pretrained(net, 'torchvision', tmp_path).source.endswith('resnet50-19c8e357.pth')


@pytest.mark.parametrize('arch', ['FCN_resnet50', 'DeepLabv3'])
def test_torchvisions_coco_weights_fill_all_but_the_class_layers(arch, tmp_path):
    net, coco = Outline(arch, classes=5), numbered(Outline(arch, classes=21).entries)
    name = {'FCN_resnet50': 'fcn_resnet50_coco-1167a1af.pth', 'DeepLabv3': 'deeplabv3_resnet101_coco-586e9e4e.pth'}[
        arch
    ]
    put(tmp_path, 'resnet50-0676ba61.pth', {'conv1.weight': torch.ones(1)})
    with pytest.raises(FileNotFoundError, match=name):  # the ImageNet file of its trunk is something else
        load_pretrained(net, 'torchvision', tmp_path)
    put(tmp_path, name, coco)
    report = load_pretrained(net, 'torchvision', tmp_path)
    assert [name for name, _, _ in report.mismatched] == [
        'classifier.4.weight',
        'classifier.4.bias',
        'aux_classifier.4.weight',
        'aux_classifier.4.bias',
    ]
    assert report.missing == [] and report.unexpected == []
    assert '4 of another shape (classifier.4.weight: 21x' in str(report)
    assert (
        all(torch.equal(net.entries[key], coco[key]) for key in report.matched)
        and 'backbone.layer4.2.conv3.weight' in report.matched
    )


# ----------------------------------------------------------------------- a file of a whole network, as NVIDIA's for
# Mapillary
MAPILLARY = 'mapillary_ocrnet.HRNet_Mscale_fast-rattlesnake.pth'


@pytest.fixture
def mapillary(small_net, tmp_path):
    """(path, tensors without module.) of a small network of 65 classes, in a file with the published name."""
    weights = {
        key: torch.randn(value.shape) if value.is_floating_point() else value
        for key, value in small_net(classes=65).state_dict().items()
    }
    return put(tmp_path, MAPILLARY, {'state_dict': {f'module.{key}': value for key, value in weights.items()}}), weights


def test_a_file_of_65_classes_fills_all_of_the_same_network_but_its_class_layers(mapillary, small_net):
    path, weights = mapillary
    net = small_net(classes=19, pretrained=path)
    report = net.pretrained_report
    assert [name for name, _, _ in report.mismatched] == [
        'ocr.cls_head.weight',
        'ocr.cls_head.bias',
        'ocr.aux_head.2.weight',
        'ocr.aux_head.2.bias',
    ]
    assert report.missing == report.unexpected == []
    assert torch.equal(net.state_dict()['scale_attn.conv2.weight'], weights['scale_attn.conv2.weight'])


def test_the_3x3_convolution_of_the_ocr_head_is_filled_under_its_other_name_too(mapillary):
    path, weights = mapillary
    with scope(**NARROW):
        net = get_net('hrnet_ocr', 19, trunk=TRUNK, pretrained=path)
    own = net.state_dict()
    for there, here in (
        ('ocr.conv3x3_ocr.0', 'conv3x3_ocr.0'),
        ('ocr.conv3x3_ocr.1.0', 'conv3x3_ocr.1'),
        ('ocr.aux_head.0', 'aux_head.0'),
        ('ocr.aux_head.1.0', 'aux_head.1'),
        ('backbone.conv1', 'conv1'),
    ):
        assert torch.equal(own[f'{here}.weight'], weights[f'{there}.weight']), here
    assert [name for name, _, _ in net.pretrained_report.mismatched] == [
        'cls_head.weight',
        'cls_head.bias',
        'aux_head.3.weight',
        'aux_head.3.bias',
    ]
    assert net.pretrained_report.missing == []
    assert all(key.startswith('scale_attn.') for key in net.pretrained_report.unexpected)


def test_a_network_with_other_parts_takes_what_fits(mapillary):
    path, weights = mapillary
    with scope(**NARROW):
        plain, aspp = (get_net(arch, 19, trunk=TRUNK, pretrained=path) for arch in ('hrnet', 'hrnet_ocr_aspp'))
    assert torch.equal(
        plain.state_dict()['stage4.0.branches.3.0.conv1.weight'], weights['backbone.stage4.0.branches.3.0.conv1.weight']
    )
    assert {key.partition('.')[0] for key in plain.pretrained_report.missing} == {'last_layer'}
    assert 'ocr.conv3x3_ocr.0.weight' in {name for name, _, _ in aspp.pretrained_report.mismatched}
    assert torch.equal(aspp.state_dict()['ocr.conv3x3_ocr.1.0.weight'], weights['ocr.conv3x3_ocr.1.0.weight'])


def test_other_widths_of_the_same_network_are_refused(mapillary, small_net):
    path, _ = mapillary
    with pytest.raises(
        ValueError,
        match=(
            r'ocr.conv3x3_ocr.0.weight: 32x240x3x3 in the file, 16x240x3x3 in the network.*widths of the'
            r' heads'
        ),
    ):
        with scope(**NARROW | {'MODEL__OCR__MID_CHANNELS': 16}):
            get_net('ocrnet.HRNet_Mscale', 19, trunk=TRUNK, pretrained=path)
    with pytest.raises(ValueError, match='only layers with one output per class may'):
        small_net('hrnet', trunk='hrnetv2_w18_small_v2', pretrained=path)


def test_under_another_name_the_same_file_fills_the_trunk_alone(mapillary, small_net, tmp_path):
    path, weights = mapillary
    renamed = path.rename(tmp_path / 'mine.pth')
    net = small_net(pretrained=renamed)
    assert net.pretrained_report.part == 'trunk' and net.pretrained_report.missing == []
    assert not torch.equal(net.state_dict()['ocr.conv3x3_ocr.0.weight'], weights['ocr.conv3x3_ocr.0.weight'])


# ----------------------------------------------------------------------------------------------------
# timm
def test_a_timm_trunk_takes_the_file_of_its_default_weights(tmp_path):
    timm = pytest.importorskip('timm')
    weights = numbered(timm.create_model('convnext_atto').state_dict())
    with pytest.raises(FileNotFoundError, match='bash scripts/fetch_weights.sh timm/convnext_atto.d2_in1k.safetensors'):
        check_pretrained('imagenet', 'basic.HRNet', 'timm/convnext_atto', tmp_path)
    path = tmp_path / 'seg_weights/timm/convnext_atto.d2_in1k.safetensors'
    path.parent.mkdir(parents=True)
    checkpoint.save(path, {'state_dict': weights})
    with scope(ASSETS_PATH=str(tmp_path)):
        net = get_net('basic.HRNet', 5, trunk='timm/convnext_atto', pretrained='timm')
    own = net.backbone.model.state_dict()
    assert net.pretrained_report.missing == [] and len(own) > 100
    assert all(torch.equal(value, weights[key]) for key, value in own.items())


def test_older_names_of_a_timm_model_are_mended_as_timm_does(tmp_path):
    timm = pytest.importorskip('timm')
    weights = numbered(timm.create_model('convnext_atto').state_dict())
    older = {
        key.replace('stem.', 'downsample_layers.0.')
        .replace('.mlp.fc1.', '.pwconv1.')
        .replace('.mlp.fc2.', '.pwconv2.')
        .replace('.conv_dw.', '.dwconv.')
        .replace('.blocks.', '.')
        .replace('head.norm.', 'norm.')
        .replace('head.fc.', 'head.'): value
        for key, value in weights.items()
    }
    older = {
        (
            key
            if '.downsample.' not in key
            else key.replace('stages.', 'downsample_layers.').replace('.downsample.', '.')
        ): value
        for key, value in older.items()
    }
    path = put(tmp_path, 'facebook.pth', {'model': older, 'state_dict': older})
    net = get_net('basic.HRNet', 5, trunk='timm/convnext_atto', pretrained=path)
    assert net.pretrained_report.missing == []
    assert torch.equal(
        net.backbone.model.state_dict()['stages.2.blocks.1.conv_dw.weight'], weights['stages.2.blocks.1.conv_dw.weight']
    )


# ----------------------------------------------------------------------------------------------------
# train.py
def test_train_needs_the_file_only_to_start_from_it(program, tmp_path, small_net):
    code, printed = program('--pretrained', 'imagenet', '--eval', 'val', '--random_weights')
    assert code == 2 and 'bash scripts/fetch_weights.sh hrnet_w18_small_model_v1.pth' in printed
    assert not program.run_dir.exists()
    torch.save({'state_dict': small_net(classes=19).state_dict()}, tmp_path / 'all.pth')
    code, printed = program(
        '--pretrained', 'imagenet', '--eval', 'val', '--test_mode', '--snapshot', tmp_path / 'all.pth'
    )
    assert code == 0, printed
    assert '--pretrained has no effect: the checkpoint holds the trunk too' in printed


def test_train_takes_a_source_below_the_assets(program, tmp_path):
    put(
        tmp_path / 'assets',
        'hrnet_w18_small_model_v1.pth',
        build_trunk(TRUNK).state_dict() | dict.fromkeys(['classifier.weight', 'x'], torch.ones(1)),
    )
    code, printed = program('--pretrained', 'imagenet', '--eval', 'val', '--random_weights', '--test_mode')
    assert code == 0, printed
    assert (
        'hrnet_w18_small_model_v1.pth: ' in printed
        and 'tensors of the trunk loaded; 2 unknown to the trunk (classifier.weight, x)' in printed
    )
