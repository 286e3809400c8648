"""Networks in the formats of other projects and back again, and train.py on what was converted."""

import pytest
import torch
from converting import CLASSES, MMSEG_LACKS, NARROW_FLAGS, TRUNK, as_mmseg, as_upstream, assert_equal, make_weights

from config import scope
from network import ARCHS, get_net
from network.keys import FLAT, FORMATS, MMSEG, detect, inverse, rename
from utils import checkpoint
from utils.settings import SETTINGS


@pytest.mark.parametrize(
    'form, ending',
    [
        ('hmsa', 'pth'),
        ('upstream', 'pth'),
        ('framework', 'pth'),
        ('mmseg', 'pth'),
        ('project', 'pth'),
        ('project', 'safetensors'),
        ('upstream', 'safetensors'),
    ],
)
def test_a_network_that_the_format_can_hold_comes_back_bit_for_bit(convert, ocrnet_weights, form, ending):
    if ending == 'safetensors':
        pytest.importorskip('safetensors')
    weights = dict(ocrnet_weights)
    if form == 'mmseg':  # which has no place for these
        weights |= {key: torch.zeros_like(ocrnet_weights[key]) for key in MMSEG_LACKS}
    code, printed, there = convert(weights, '--to', form, out=f'there.{ending}')
    assert code == 0, printed
    found, why = detect(checkpoint.load(there)['state_dict'])
    # the two name this network alike
    assert found is (FORMATS[form if form != 'framework' else 'upstream']), why
    code, printed, back = convert(there, out=f'back.{ending}')
    assert code == 0, printed
    assert_equal(checkpoint.load(back)['state_dict'], weights)


@pytest.mark.parametrize(
    'arch',
    [
        'hrnet',
        'hrnet_ocr',
        *(
            pytest.param(arch, marks=pytest.mark.slow)
            for arch in ('hrnet_ocr_aspp', 'hrnet_ocr_ms', 'FCN_resnet50', 'UNet', 'mscale.HRNet', 'mscale.HRNet_ASP')
        ),
    ],
)
def test_networks_of_the_framework_keep_every_bit_on_the_way_there_and_back(convert, arch):
    with scope(**SETTINGS.as_cfg(NARROW_FLAGS)):
        own = ARCHS.fact(arch, 'trunk', 'hrnetv2')
        network = {
            **NARROW_FLAGS,
            'arch': arch,
            'align_corners': arch != 'hrnet',
            'trunk': TRUNK if own == 'hrnetv2' else own,
        }
        weights = get_net(arch, CLASSES, trunk=network['trunk']).state_dict()
    code, printed, there = convert(
        {'state_dict': weights, 'arch': arch, 'num_classes': CLASSES, 'network': network},
        '--to',
        'framework',
        out='there.pth',
    )
    assert code == 0, printed
    assert all(key.startswith('model.') for key in checkpoint.load(there)['state_dict'])
    code, printed, back = convert(there, '--arch', arch)
    assert code == 0, printed
    assert_equal(checkpoint.load(back)['state_dict'], weights)


def test_other_formats_get_the_names_of_their_projects(convert, ocrnet_weights):
    for form, named in (('upstream', as_upstream), ('mmseg', as_mmseg), ('hmsa', 'module.{}'.format)):
        code, _, path = convert(ocrnet_weights, '--to', form, out=f'{form}.pth')
        written = checkpoint.load(path)['state_dict']
        lacking = {as_mmseg(key) for key in MMSEG_LACKS} if form == 'mmseg' else set()
        assert code == 0 and written.keys() == {named(key) for key in ocrnet_weights} - lacking


def test_biases_that_mmsegmentation_lacks_move_into_the_running_means(convert, ocrnet_weights):
    code, printed, path = convert(ocrnet_weights, '--to', 'mmseg')
    assert code == 0
    assert 'ocr.conv3x3_ocr.0.bias became part of ocr.conv3x3_ocr.1.0.running_mean' in printed
    code, printed, back = convert(path, out='back.pth')
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected, found = outputs(ocrnet_weights, images), outputs(checkpoint.load(back)['state_dict'], images)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def outputs(weights, images, arch='ocrnet.HRNet'):
    with scope(**SETTINGS.as_cfg(NARROW_FLAGS)):
        net = get_net(arch, CLASSES, trunk=TRUNK).eval()
    net.load_state_dict(weights)
    with torch.no_grad():
        return net(images)['pred']


def test_what_the_format_cannot_hold_is_said(convert, mscale_weights):
    code, printed, path = convert(mscale_weights, '--to', 'upstream', '--align_corners', 'false')
    assert code == 0
    assert '13 dropped: scale_attn.conv0.weight' in printed
    assert 'the network resizes with align_corners false, which the file cannot say' in printed
    code, printed, _ = convert(make_weights('basic.HRNet'), '--to', 'mmseg', out='other.pth')
    assert (
        code == 2
        and 'has no place for basic.HRNet; choose another format, or --to timm for the HRNet trunk alone' in printed
    )


def test_bare_names_of_the_network_that_arch_names_are_read_as_this_projects(convert):
    weights = {
        key: torch.rand(value.shape) if value.is_floating_point() else value
        for key, value in get_net('UNet', CLASSES).state_dict().items()
    }
    code, printed, path = convert(weights, '--arch', 'UNet')
    assert code == 0 and 'holds UNet, 5 classes' in printed
    assert_equal(checkpoint.load(path)['state_dict'], weights)
    code, printed, _ = convert(path, '--to', 'upstream', out='other.pth')
    assert code == 2 and printed.endswith('has no place for UNet; choose another format\n')


@pytest.mark.parametrize('form', ['upstream', 'mmseg'])
def test_a_network_is_not_cut_to_pieces_that_make_none(convert, form):
    code, printed, path = convert(make_weights('hrnet_ocr_aspp'), '--to', form)
    assert code == 2 and 'has no place for hrnet_ocr_aspp' in printed and not path.exists()


def test_a_network_on_a_timm_trunk_becomes_a_safetensors_file(convert):
    pytest.importorskip('timm')
    with scope(**SETTINGS.as_cfg(NARROW_FLAGS)):
        weights = get_net('ocrnet.HRNet', CLASSES, trunk='timm/convnext_atto').state_dict()
    network = {**NARROW_FLAGS, 'arch': 'ocrnet.HRNet', 'trunk': 'timm/convnext_atto'}
    code, printed, path = convert(
        {'state_dict': weights, 'arch': 'ocrnet.HRNet', 'num_classes': CLASSES, 'network': network},
        out='out.safetensors',
    )
    assert code == 0, printed
    state = checkpoint.load(path)
    assert_equal(state['state_dict'], weights)
    assert state['trunk'] == state['network']['trunk'] == 'timm/convnext_atto'


@pytest.mark.parametrize('rules', [FLAT, MMSEG])
def test_rules_are_anchored_end_at_a_dot_and_can_be_read_backwards(rules):
    for there, here in rules:
        assert rename(f'{there}.weight', rules) == f'{here}.weight'
        assert rename(f'{here}.weight', inverse(rules)) == f'{there}.weight'
        assert rename(f'x{there}.weight', rules) is None and rename(f'{there}x.weight', rules) is None


def test_train_takes_the_network_from_a_converted_file_and_gives_the_same_logits(
    convert, program, ocrnet_weights, tmp_path
):
    torch.manual_seed(0)
    with scope(**SETTINGS.as_cfg(NARROW_FLAGS)):
        net = get_net('ocrnet.HRNet', 19, trunk=TRUNK, align_corners=True)
    for part in net.modules():  # lively, but finite
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
    weights = net.state_dict()
    reference = [
        '--arch',
        'ocrnet.HRNet',
        '--trunk',
        TRUNK,
        '--align_corners',
        '--ocr_mid_channels',
        32,
        '--ocr_key_channels',
        16,
    ]
    common = ['--eval', 'val', '--test_mode', '--dump_logits', '--precision', 'fp32']
    torch.save(weights, tmp_path / 'before.pth')
    code, printed = program(
        *common, *reference, '--snapshot', tmp_path / 'before.pth', '--result_dir', tmp_path / 'before', small=False
    )
    assert code == 0, printed
    for ending in ('pth', 'safetensors'):
        code, printed, path = convert(
            {as_upstream(key): value for key, value in weights.items()}, out=f'converted.{ending}'
        )
        assert code == 0, printed
        code, printed = program(*common, '--snapshot', path, '--result_dir', tmp_path / ending, small=False)
        assert code == 0, printed
        assert (
            '--align_corners True: taken from the checkpoint' in printed
            and '--arch ocrnet.HRNet: taken from the checkpoint' in printed
        )
        dumps = sorted(file.relative_to(tmp_path / 'before') for file in (tmp_path / 'before').rglob('*_logits.npz'))
        assert len(dumps) == 5
        assert all(
            (tmp_path / 'before' / name).read_bytes() == (tmp_path / ending / name).read_bytes() for name in dumps
        )
