"""Weight files of every format to every other one, and what the program says of files that do not fit."""
import json
import re

import pytest
import torch

from config import scope
from network import ARCHS, get_net
from network.convert import main
from network.keys import FLAT, FORMATS, MMSEG, detect, inverse, rename
from utils import checkpoint, flags

TRUNK = 'hrnetv2_w18_small_v1'
NARROW = {'ocr_mid_channels': 32, 'ocr_key_channels': 16, 'segattn_bot_ch': 16, 'aspp_bot_ch': 8}
CLASSES = 5


def make_weights(arch, seed=0):
    """Finite, lively weights of a small network, a value of its own in every entry."""
    generator = torch.Generator().manual_seed(seed)
    with scope(**flags.as_cfg(NARROW)):
        net = get_net(arch, CLASSES, trunk=TRUNK)
    return {key: torch.rand(value.shape, generator=generator) * 0.2 + (0.9 if key.endswith('running_var') else 0.01)
            if value.is_floating_point() else torch.tensor(7) for key, value in net.state_dict().items()}


@pytest.fixture(scope='module')
def mscale():
    return make_weights('ocrnet.HRNet_Mscale')


@pytest.fixture(scope='module')
def ocrnet():
    return make_weights('ocrnet.HRNet')


@pytest.fixture
def convert(tmp_path, capsys):
    """convert(tensors or path, *flags, out=...) -> (exit code, what it printed, path of the output)."""
    def call(weights, *arguments, out='out.pth'):
        source = weights
        if isinstance(weights, dict):
            source = tmp_path / 'in.pth'
            torch.save(weights, source)
        code = main([str(source), str(tmp_path / out), *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err, tmp_path / out
    return call


def assert_equal(weights, expected):
    assert weights.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) and value.dtype == expected[key].dtype for key, value in weights.items())


MMSEG_LACKS = ('ocr.conv3x3_ocr.0.bias', 'ocr.aux_head.0.bias')


# How other projects write a network: worked out from their sources, not from this package's tables.
def as_upstream(key):
    key = key.removeprefix('backbone.').removeprefix('ocr.')
    key = re.sub(r'^(conv3x3_ocr|aux_head)\.1\.0\.', r'\1.1.', key)
    return 'model.' + re.sub(r'^aux_head\.2\.', 'aux_head.3.', key)


def as_mmseg(key):
    head = 'ocr.ocr_distri_head.'
    block = 'decode_head.1.object_context_block.'
    names = {'ocr.cls_head.': 'decode_head.1.conv_seg.', 'ocr.aux_head.2.': 'decode_head.0.conv_seg.',
             'ocr.aux_head.0.': 'decode_head.0.convs.0.conv.', 'ocr.aux_head.1.0.': 'decode_head.0.convs.0.bn.',
             'ocr.conv3x3_ocr.0.': 'decode_head.1.bottleneck.conv.', 'ocr.conv3x3_ocr.1.0.': 'decode_head.1.bottleneck.bn.',
             f'{head}conv_bn_dropout.0.': f'{block}bottleneck.conv.', f'{head}conv_bn_dropout.1.0.': f'{block}bottleneck.bn.'}
    for ours, theirs in (('f_pixel', 'query'), ('f_object', 'key')):
        for old, new in (('0', '0.conv'), ('1.0', '0.bn'), ('2', '1.conv'), ('3.0', '1.bn')):
            names[f'{head}object_context_block.{ours}.{old}.'] = f'{block}{theirs}_project.{new}.'
    for ours, theirs in (('f_down', 'value'), ('f_up', 'out')):
        for old, new in (('0', 'conv'), ('1.0', 'bn')):
            names[f'{head}object_context_block.{ours}.{old}.'] = f'{block}{theirs}_project.{new}.'
    module, _, kind = key.rpartition('.')
    return names.get(f'{module}.', f'{module}.') + kind


# ------------------------------------------------------------------------------------------------------ from others to this project
def test_a_checkpoint_of_nvidia_is_read_with_its_numbers_and_criterion(convert, mscale):
    file = {'state_dict': {f'module.{key}': value for key, value in mscale.items()} | {'module.criterion.nll_loss.weight': torch.ones(CLASSES)}, 'epoch': 174}
    code, printed, path = convert(file)
    assert code == 0, printed
    assert 'every name starts with module.' in printed
    assert f'holds ocrnet.HRNet_Mscale on {TRUNK}, 5 classes, align_corners false' in printed
    assert f'{len(mscale)} tensors taken over\n1 dropped: criterion.nll_loss.weight\n' in printed
    state = checkpoint.load(path)
    assert_equal(state['state_dict'], mscale)
    assert (state['arch'], state['trunk'], state['num_classes']) == ('ocrnet.HRNet_Mscale', TRUNK, CLASSES)
    assert {name: state['network'][name] for name in NARROW if name != 'aspp_bot_ch'} == {name: NARROW[name] for name in NARROW if name != 'aspp_bot_ch'}


@pytest.mark.parametrize('prefix', ['model.', ''])
def test_a_network_of_hrnet_semantic_segmentation_is_renamed_and_has_aligned_corners(convert, ocrnet, prefix):
    file = {as_upstream(key).replace('model.', prefix): value for key, value in ocrnet.items()} | {'loss.criterion.weight': torch.ones(CLASSES)}
    code, printed, path = convert(file)
    assert code == 0, printed
    assert f'holds ocrnet.HRNet on {TRUNK}, 5 classes, align_corners true' in printed
    assert '1 dropped: loss.criterion.weight' in printed and f'{len(ocrnet)} of them renamed: conv1.weight -> backbone.conv1.weight, ' in printed
    state = checkpoint.load(path)
    assert_equal(state['state_dict'], ocrnet)
    assert state['network']['align_corners'] is True


def test_it_keeps_its_names_as_the_network_that_has_them(convert, ocrnet):
    file = {as_upstream(key): value for key, value in ocrnet.items()}
    code, printed, path = convert(file, '--arch', 'hrnet_ocr')
    assert code == 0 and 'renamed' not in printed
    assert_equal(checkpoint.load(path)['state_dict'], {key.removeprefix('model.'): value for key, value in file.items()})
    code, printed, path = convert(file, '--arch', 'ocrnet.HRNet_Mscale', out='two.pth')
    assert code == 0 and '13 missing in the file: scale_attn.conv0.weight' in printed
    assert_equal(checkpoint.load(path)['state_dict'], ocrnet)


def test_a_checkpoint_of_the_framework_is_read_compiled_and_with_its_score(convert, mscale):
    file = {'state_dict': {f'model._orig_mod.{key}': value for key, value in mscale.items()} | {'best_metric_score': torch.tensor(0.8)}, 'epoch': 3}
    code, printed, path = convert(file)
    assert code == 0, printed
    assert 'a Lightning checkpoint of the segmentation framework (best_metric_score is written by the framework alone)' in printed
    assert '1 dropped: best_metric_score' in printed and 'align_corners true' in printed
    assert_equal(checkpoint.load(path)['state_dict'], mscale)


@pytest.mark.parametrize('arch', ['hrnet', 'hrnet_ocr', *(pytest.param(arch, marks=pytest.mark.slow) for arch in
                                  ('hrnet_ocr_aspp', 'hrnet_ocr_ms', 'FCN_resnet50', 'UNet', 'mscale.HRNet', 'mscale.HRNet_ASP'))])
def test_networks_of_the_framework_keep_every_bit_on_the_way_there_and_back(convert, arch):
    with scope(**flags.as_cfg(NARROW)):
        own = ARCHS.fact(arch, 'trunk', 'hrnetv2')
        network = {**NARROW, 'arch': arch, 'align_corners': arch != 'hrnet', 'trunk': TRUNK if own == 'hrnetv2' else own}
        weights = get_net(arch, CLASSES, trunk=network['trunk']).state_dict()
    code, printed, there = convert({'state_dict': weights, 'arch': arch, 'num_classes': CLASSES, 'network': network}, '--to', 'framework', out='there.pth')
    assert code == 0, printed
    assert all(key.startswith('model.') for key in checkpoint.load(there)['state_dict'])
    code, printed, back = convert(there, '--arch', arch)
    assert code == 0, printed
    assert_equal(checkpoint.load(back)['state_dict'], weights)


def test_an_hrnet_ocr_of_mmsegmentation_gets_the_biases_that_it_lacks(convert, ocrnet):
    file = {as_mmseg(key): value for key, value in ocrnet.items() if key not in MMSEG_LACKS}
    assert sum(key.startswith('decode_head.') for key in file) == 58
    code, printed, path = convert({'meta': {}, 'state_dict': file})
    assert code == 0, printed
    assert '2 filled in, which the file leaves out: ocr.conv3x3_ocr.0.bias, ocr.aux_head.0.bias' in printed and 'align_corners false' in printed
    expected = ocrnet | {key: torch.zeros_like(ocrnet[key]) for key in MMSEG_LACKS}
    assert_equal(checkpoint.load(path)['state_dict'], expected)


def test_an_hrnet_of_timm_becomes_a_file_for_pretrained(convert):
    timm = pytest.importorskip('timm')
    weights = timm.create_model('hrnet_w18_small', pretrained=False).state_dict()
    code, printed, path = convert(dict(weights))
    assert code == 0, printed
    assert f'holds the trunk {TRUNK}' in printed and ' dropped: incre_modules.0.0.conv1.weight' in printed
    assert 'arch' not in checkpoint.load(path)
    net = get_net('basic.HRNet', 3, trunk=TRUNK, pretrained=path)
    assert net.pretrained_report.missing == net.pretrained_report.dropped == []
    assert all(torch.equal(value, weights[key]) for key, value in net.backbone.state_dict().items())


# ------------------------------------------------------------------------------------------------------------------ there and back
@pytest.mark.parametrize('form, ending', [('hmsa', 'pth'), ('upstream', 'pth'), ('framework', 'pth'), ('mmseg', 'pth'), ('project', 'pth'),
                                          ('project', 'safetensors'), ('upstream', 'safetensors')])
def test_a_network_that_the_format_can_hold_comes_back_bit_for_bit(convert, ocrnet, form, ending):
    if ending == 'safetensors':
        pytest.importorskip('safetensors')
    weights = dict(ocrnet)
    if form == 'mmseg':                                         # which has no place for these
        weights |= {key: torch.zeros_like(ocrnet[key]) for key in MMSEG_LACKS}
    code, printed, there = convert(weights, '--to', form, out=f'there.{ending}')
    assert code == 0, printed
    found, why = detect(checkpoint.load(there)['state_dict'])
    assert found is (FORMATS[form if form != 'framework' else 'upstream']), why         # the two name this network alike
    code, printed, back = convert(there, out=f'back.{ending}')
    assert code == 0, printed
    assert_equal(checkpoint.load(back)['state_dict'], weights)


def test_other_formats_get_the_names_of_their_projects(convert, ocrnet):
    for form, named in (('upstream', as_upstream), ('mmseg', as_mmseg), ('hmsa', 'module.{}'.format)):
        code, _, path = convert(ocrnet, '--to', form, out=f'{form}.pth')
        written = checkpoint.load(path)['state_dict']
        lacking = {as_mmseg(key) for key in MMSEG_LACKS} if form == 'mmseg' else set()
        assert code == 0 and written.keys() == {named(key) for key in ocrnet} - lacking


def test_biases_that_mmsegmentation_lacks_move_into_the_running_means(convert, ocrnet):
    code, printed, path = convert(ocrnet, '--to', 'mmseg')
    assert code == 0
    assert 'ocr.conv3x3_ocr.0.bias became part of ocr.conv3x3_ocr.1.0.running_mean' in printed
    code, printed, back = convert(path, out='back.pth')
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected, found = outputs(ocrnet, images), outputs(checkpoint.load(back)['state_dict'], images)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def outputs(weights, images, arch='ocrnet.HRNet'):
    with scope(**flags.as_cfg(NARROW)):
        net = get_net(arch, CLASSES, trunk=TRUNK).eval()
    net.load_state_dict(weights)
    with torch.no_grad():
        return net(images)['pred']


def test_what_the_format_cannot_hold_is_said(convert, mscale):
    code, printed, path = convert(mscale, '--to', 'upstream', '--align_corners', 'false')
    assert code == 0
    assert '13 dropped: scale_attn.conv0.weight' in printed
    assert 'the network resizes with align_corners false, which the file cannot say' in printed
    code, printed, _ = convert(make_weights('basic.HRNet'), '--to', 'mmseg', out='other.pth')
    assert code == 2 and 'has no place for basic.HRNet; choose another format, or --to timm for an HRNet trunk alone' in printed


@pytest.mark.parametrize('form', ['upstream', 'mmseg'])
def test_a_network_is_not_cut_to_pieces_that_make_none(convert, form):
    code, printed, path = convert(make_weights('hrnet_ocr_aspp'), '--to', form)
    assert code == 2 and 'has no place for hrnet_ocr_aspp' in printed and not path.exists()


def test_a_bias_is_filled_in_only_where_its_convolution_is(convert, ocrnet):
    file = {as_mmseg(key): value for key, value in ocrnet.items() if key not in MMSEG_LACKS + ('ocr.aux_head.0.weight',)}
    code, printed, path = convert(file)
    assert code == 0, printed
    assert '1 filled in, which the file leaves out: ocr.conv3x3_ocr.0.bias' in printed
    assert '2 missing in the file: ocr.aux_head.0.weight, ocr.aux_head.0.bias' in printed
    assert 'ocr.aux_head.0.bias' not in checkpoint.load(path)['state_dict']


@pytest.mark.parametrize('rules', [FLAT, MMSEG])
def test_rules_are_anchored_end_at_a_dot_and_can_be_read_backwards(rules):
    for there, here in rules:
        assert rename(f'{there}.weight', rules) == f'{here}.weight'
        assert rename(f'{here}.weight', inverse(rules)) == f'{there}.weight'
        assert rename(f'x{there}.weight', rules) is None and rename(f'{there}x.weight', rules) is None


# ------------------------------------------------------------------------------------------------------------------------- train.py
def test_train_takes_the_network_from_a_converted_file_and_gives_the_same_logits(convert, program, ocrnet, tmp_path):
    torch.manual_seed(0)
    with scope(**flags.as_cfg(NARROW)):
        net = get_net('ocrnet.HRNet', 19, trunk=TRUNK, align_corners=True)
    for part in net.modules():                                                      # lively, but finite
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
    weights = net.state_dict()
    reference = ['--arch', 'ocrnet.HRNet', '--trunk', TRUNK, '--align_corners', '--ocr_mid_channels', 32, '--ocr_key_channels', 16]
    common = ['--eval', 'val', '--test_mode', '--dump_logits', '--precision', 'fp32']
    torch.save(weights, tmp_path / 'before.pth')
    code, printed = program(*common, *reference, '--snapshot', tmp_path / 'before.pth', '--result_dir', tmp_path / 'before', small=False)
    assert code == 0, printed
    for ending in ('pth', 'safetensors'):
        code, printed, path = convert({as_upstream(key): value for key, value in weights.items()}, out=f'converted.{ending}')
        assert code == 0, printed
        code, printed = program(*common, '--snapshot', path, '--result_dir', tmp_path / ending, small=False)
        assert code == 0, printed
        assert '--align_corners True: taken from the checkpoint' in printed and '--arch ocrnet.HRNet: taken from the checkpoint' in printed
        dumps = sorted(file.relative_to(tmp_path / 'before') for file in (tmp_path / 'before').rglob('*_logits.npz'))
        assert len(dumps) == 5
        assert all((tmp_path / 'before' / name).read_bytes() == (tmp_path / ending / name).read_bytes() for name in dumps)


# ------------------------------------------------------------------------------------------------------------------------- reports
def test_the_report_accounts_for_every_tensor(convert, mscale, tmp_path):
    file = {f'module.{key}': value for key, value in mscale.items() if not key.endswith('num_batches_tracked')}
    file |= {'module.extra.weight': torch.ones(2)}
    del file['module.scale_attn.conv2.weight']
    code, printed, _ = convert(file, '--report', str(tmp_path / 'report.json'))
    assert code == 0, printed
    report = json.loads((tmp_path / 'report.json').read_text())
    counters = sum(key.endswith('num_batches_tracked') for key in mscale)
    assert (report['from'], report['to'], report['arch'], report['trunk'], report['num_classes']) == ('hmsa', 'project', 'ocrnet.HRNet_Mscale', TRUNK, 5)
    assert report['dropped'] == ['extra.weight']
    assert len(report['filled']) == counters and 'scale_attn.bn1.num_batches_tracked' in report['filled']
    assert report['missing'] == ['scale_attn.conv2.weight'] and report['renamed'] == []
    assert len(report['written']) == len(mscale) - 1


def test_norms_without_scale_and_shift_get_those_that_change_nothing(convert, ocrnet):
    file = {f'module.{key}': value for key, value in ocrnet.items() if key not in ('backbone.bn1.weight', 'backbone.bn1.bias')}
    code, printed, path = convert(file)
    assert code == 0 and '2 filled in, which the file leaves out: backbone.bn1.weight, backbone.bn1.bias' in printed
    state = checkpoint.load(path)['state_dict']
    assert torch.equal(state['backbone.bn1.weight'], torch.ones(64)) and torch.equal(state['backbone.bn1.bias'], torch.zeros(64))


def test_averaged_weights_are_preferred_as_in_an_evaluation(convert, ocrnet):
    averaged = {key: value + 1 for key, value in ocrnet.items()}
    file = {'state_dict': ocrnet, 'ema': {f'module.{key}': value for key, value in averaged.items()}, 'arch': 'ocrnet.HRNet', 'trunk': TRUNK,
            'num_classes': CLASSES, 'network': {**NARROW, 'arch': 'ocrnet.HRNet', 'trunk': TRUNK, 'align_corners': True}}
    code, printed, path = convert(file)
    assert code == 0 and 'the averaged weights were taken' in printed
    assert_equal(checkpoint.load(path)['state_dict'], averaged)
    assert checkpoint.load(path)['network']['align_corners'] is True


# -------------------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize('change, message', [
    (lambda w: {f'module.{key}': value for key, value in w.items() if key.startswith('scale_attn')},
     'modules (scale_attn) do not tell which network it is; name it with --arch'),
    (lambda w: dict.fromkeys(['conv1.weight', 'layer1.0.conv1.weight', 'layer4.0.conv1.weight', 'fc.bias'], torch.ones(1)),
     'it looks like a ResNet classifier (conv1.weight, layer1.0.conv1.weight, layer4.0.conv1.weight), expected a file of project, hmsa'),
    (lambda w: w | {'ocr.aux_head.2.weight': torch.ones(9, 240, 1, 1), 'ocr.aux_head.2.bias': torch.ones(9)},
     'of its tensors contradict ocrnet.HRNet_Mscale on hrnetv2_w18_small_v1 with 5 classes (ocr.aux_head.2.weight: (9, 240, 1, 1) in the file, (5, '),
    (lambda w: w | {'backbone.transition1.0.0.weight': torch.ones(20, 128, 3, 3)}, 'its HRNet, 20 channels wide, is none of hrnetv2, '),
    (lambda w: w | {'ocr.conv3x3_ocr.1.0.weight': torch.ones(8)}, 'ocr.conv3x3_ocr.1.0.weight: (8,) in the file, (32,) in the network'),
    (lambda w: {'state_dict': {'epoch': 3}}, 'it holds no tensor at all'),
    (lambda w: {'weights': 3}, "expected an entry 'state_dict'"),
])
def test_files_that_do_not_fit_are_refused_in_one_line_and_nothing_is_written(convert, mscale, change, message):
    code, printed, path = convert(change(dict(mscale)))
    assert code == 2 and message in printed, printed
    assert printed.count('\n') == 1 and str(path.with_name('in.pth')) in printed
    assert not path.exists()


@pytest.mark.parametrize('arguments, message', [
    (['--arch', 'UNet'], 'none of its 499 tensors (backbone.conv1.weight, backbone.bn1.weight, backbone.bn1.bias) is one of UNet; it was read as'),
    (['--trunk', 'hrnetv2_w18'], 'of its tensors contradict ocrnet.HRNet_Mscale on hrnetv2_w18'),
    (['--arch', 'ocrnet.HRNetMscale'], "there is no architecture 'ocrnet.HRNetMscale'; did you mean ocrnet.HRNet_Mscale"),
    (['--trunk', 'hrnetv3'], "there is no trunk 'hrnetv3'; did you mean hrnetv2"),
    (['--from', 'mmseg'], 'it has no head of an HRNet-OCR of mmsegmentation; name another format, or --from timm'),
    (['--to', 'paddle'], 'invalid choice'),
    (['--align_corners', 'maybe'], "'maybe' is neither true nor false"),
])
@pytest.mark.parametrize('file', [{}, {'arch': 'ocrnet.HRNet_Mscale'}], ids=['weights', 'named'])
def test_flags_that_contradict_the_file_are_refused(convert, mscale, arguments, message, file):
    code, printed, path = convert({'state_dict': dict(mscale), **file}, *arguments)
    assert code == 2 and message in printed, printed
    assert printed.count('\n') == 1 and not path.exists()


@pytest.mark.parametrize('name', ['cut.pth', 'cut.safetensors', 'code.pth', 'text.safetensors', 'empty.safetensors', 'nothing.pth'])
def test_damaged_and_hostile_files_are_told_in_one_line(convert, mscale, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)                                # where the code in the file would leave its trace
    path = tmp_path / name
    if name.startswith('cut'):
        checkpoint.save(path, {'state_dict': mscale})
        path.write_bytes(path.read_bytes()[:-5000])
    elif name.startswith('code'):
        torch.save({'state_dict': {'x': _Hostile()}}, path)
    elif name.startswith('text'):
        path.write_bytes(b'\xff' * 8 + b'{"a": {}}')
    elif name.startswith('empty'):
        path.write_bytes((2).to_bytes(8, 'little') + b'{}')
    code, printed, out = convert(path)
    assert code == 2 and str(path) in printed and printed.count('\n') == 1, printed
    assert not out.exists() and not (tmp_path / 'ran').exists()


class _Hostile:
    def __reduce__(self):
        return (open, ('ran', 'w'))


def test_nothing_is_replaced_unless_asked(convert, ocrnet, tmp_path):
    (tmp_path / 'out.pth').write_text('mine')
    code, printed, path = convert(ocrnet)
    assert code == 2 and f'{path}: is there already; give another name, or --overwrite to replace it' in printed
    assert path.read_text() == 'mine'
    code, printed, path = convert(ocrnet, '--overwrite')
    assert code == 0 and len(checkpoint.load(path)['state_dict']) == len(ocrnet)
    code, printed, _ = convert(ocrnet, '--overwrite', out='in.pth')
    assert code == 2 and 'is the input itself' in printed
    code, printed, _ = convert(ocrnet, out='out.bin')
    assert code == 2 and 'End its name in .pth or .safetensors' in printed


@pytest.mark.parametrize('entry, value, message', [
    ('network', {'ocr_mid_channels': -4}, 'cannot be built'),
    ('network', {'ocr_mid_channels': 'wide', 'trunk': 3}, ''),                      # nonsense is passed over: the shapes tell it
    ('num_classes', 'many', ''),
    ('num_classes', 7, 'with 7 classes (ocr.cls_head.weight: (5, 32, 1, 1) in the file, (7, 32, 1, 1) in the network'),
    ('trunk', 'resnet-50', ' of its tensors contradict ocrnet.HRNet on resnet-50'),
    ('arch', 'deepwv3', ''),
])
def test_wrong_descriptions_in_a_file_are_refused_or_passed_over(convert, ocrnet, entry, value, message):
    code, printed, _ = convert({'state_dict': ocrnet, entry: value})
    assert (code == 2 and message in printed and printed.count('\n') == 1) if message else code == 0, printed


def test_a_layer_without_dimensions_is_of_another_shape(convert, ocrnet):
    code, printed, _ = convert(ocrnet | {'ocr.conv3x3_ocr.0.weight': torch.tensor(1.0), 'ocr.cls_head.weight': torch.tensor(1.0)})
    assert code == 2 and 'of its tensors contradict ocrnet.HRNet' in printed
    code, printed, _ = convert({0: torch.ones(1), 'a': torch.ones(1)})
    assert code == 2 and 'not every tensor in it has a name, found [0]' in printed


def test_a_network_on_a_timm_trunk_becomes_a_safetensors_file(convert):
    pytest.importorskip('timm')
    with scope(**flags.as_cfg(NARROW)):
        weights = get_net('ocrnet.HRNet', CLASSES, trunk='timm/convnext_atto').state_dict()
    network = {**NARROW, 'arch': 'ocrnet.HRNet', 'trunk': 'timm/convnext_atto'}
    code, printed, path = convert({'state_dict': weights, 'arch': 'ocrnet.HRNet', 'num_classes': CLASSES, 'network': network}, out='out.safetensors')
    assert code == 0, printed
    state = checkpoint.load(path)
    assert_equal(state['state_dict'], weights)
    assert state['trunk'] == state['network']['trunk'] == 'timm/convnext_atto'
