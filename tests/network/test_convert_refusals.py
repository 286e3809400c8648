"""What network.convert says of files and flags that do not fit: one line, exit code 2, and nothing written."""

import pytest
import torch

from utils import checkpoint


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda w: {f'module.{key}': value for key, value in w.items() if key.startswith('scale_attn')},
            'modules (scale_attn) do not tell which network it is; name it with --arch',
        ),
        (
            lambda w: dict.fromkeys(
                ['conv1.weight', 'layer1.0.conv1.weight', 'layer4.0.conv1.weight', 'fc.bias'], torch.ones(1)
            ),
            (
                'it looks like a ResNet classifier (conv1.weight, layer1.0.conv1.weight, layer4.0.conv1.weight'
                ' and 1 more), expected a file of project, hmsa'
            ),
        ),
        (
            lambda w: {f'{key}.weight': torch.ones(1) for key in ('inc.0', 'outc.0')},
            (
                'it looks like a U-Net (inc.0.weight, outc.0.weight), expected a file of project, hmsa, upstream,'
                ' framework, mmseg, eomt, transformers, timm; name its network with --arch or its format with --from'
            ),
        ),
        (
            lambda w: w | {'ocr.aux_head.2.weight': torch.ones(9, 240, 1, 1), 'ocr.aux_head.2.bias': torch.ones(9)},
            (
                'of its tensors contradict ocrnet.HRNet_Mscale on hrnetv2_w18_small_v1 with 5 classes'
                ' (ocr.aux_head.2.weight: 9x240x1x1 in the file, 5x'
            ),
        ),
        (
            lambda w: w | {'backbone.transition1.0.0.weight': torch.ones(20, 128, 3, 3)},
            'its HRNet, 20 channels wide, is none of hrnetv2, ',
        ),
        (
            lambda w: w | {'ocr.conv3x3_ocr.1.0.weight': torch.ones(8)},
            'ocr.conv3x3_ocr.1.0.weight: 8 in the file, 32 in the network',
        ),
        (lambda w: {'state_dict': {'epoch': 3}}, 'it holds no tensor at all'),
        (lambda w: {'weights': 3}, "expected an entry 'state_dict'"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line_and_nothing_is_written(convert, mscale_weights, change, message):
    code, printed, path = convert(change(dict(mscale_weights)))
    assert code == 2 and message in printed, printed
    assert printed.count('\n') == 1 and str(path.with_name('in.pth')) in printed
    assert not path.exists()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            ['--arch', 'UNet'],
            (
                'none of its 499 tensors (backbone.conv1.weight, backbone.bn1.weight, backbone.bn1.bias and 496 more)'
                ' is one of UNet; it looks like a multi-scale network with an OCR head, read as'
            ),
        ),
        (['--arch', 'UNet'], 'name another network with --arch, or leave it out to have the file tell'),
        (
            ['--arch', 'UNet', '--from', 'hmsa'],
            'name another network with --arch or another format with --from, or leave them out to have the file tell',
        ),
        (['--trunk', 'hrnetv2_w18'], 'of its tensors contradict ocrnet.HRNet_Mscale on hrnetv2_w18'),
        (['--trunk', 'hrnetv2_w18'], 'name another trunk with --trunk, or leave it out to have the file tell'),
        (
            ['--arch', 'ocrnet.HRNetMscale'],
            "there is no architecture 'ocrnet.HRNetMscale'; did you mean ocrnet.HRNet_Mscale",
        ),
        (['--trunk', 'hrnetv3'], "there is no trunk 'hrnetv3'; did you mean hrnetv2"),
        (['--to', 'timm', '--arch', 'UNet'], 'name another network with --arch'),
        (['--from', 'mmseg'], 'it has no head of an HRNet-OCR of mmsegmentation; name another format, or --from timm'),
        (['--to', 'paddle'], 'invalid choice'),
        (['--align_corners', 'maybe'], "'maybe' is neither true nor false"),
    ],
)
@pytest.mark.parametrize('file', [{}, {'arch': 'ocrnet.HRNet_Mscale'}], ids=['weights', 'named'])
def test_flags_that_contradict_the_file_are_refused(convert, mscale_weights, arguments, message, file):
    code, printed, path = convert({'state_dict': dict(mscale_weights), **file}, *arguments)
    assert code == 2 and message in printed, printed
    assert printed.count('\n') == 1 and not path.exists()


@pytest.mark.parametrize(
    'name', ['cut.pth', 'cut.safetensors', 'code.pth', 'text.safetensors', 'empty.safetensors', 'nothing.pth']
)
def test_damaged_and_hostile_files_are_told_in_one_line(convert, mscale_weights, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)  # where the code in the file would leave its trace
    path = tmp_path / name
    if name.startswith('cut'):
        checkpoint.save(path, {'state_dict': mscale_weights})
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


def test_nothing_is_replaced_unless_asked(convert, ocrnet_weights, tmp_path):
    (tmp_path / 'out.pth').write_text('mine')
    code, printed, path = convert(ocrnet_weights)
    assert code == 2 and f'{path}: is there already; give another name, or --overwrite to replace it' in printed
    assert path.read_text() == 'mine'
    code, printed, path = convert(ocrnet_weights, '--overwrite')
    assert code == 0 and len(checkpoint.load(path)['state_dict']) == len(ocrnet_weights)
    code, printed, _ = convert(ocrnet_weights, '--overwrite', out='in.pth')
    assert code == 2 and 'is the input itself' in printed
    code, printed, path = convert(ocrnet_weights, '--report', str(tmp_path / 'both.pth'), out='both.pth')
    assert code == 2 and f'--report {path}: is OUT itself; give another name' in printed and not path.exists()
    code, printed, _ = convert(ocrnet_weights, '--repot', 'x.json', out='other.pth')
    assert code == 2 and 'unknown flag --repot; did you mean --report' in printed
    code, printed, _ = convert(ocrnet_weights, out='out.bin')
    assert code == 2 and 'End its name in .pth or .safetensors' in printed


@pytest.mark.parametrize(
    'entry, value, message',
    [
        ('network', {'ocr_mid_channels': -4}, 'MID_CHANNELS is -4, expected a whole number above 0'),
        # nonsense is passed over: the shapes tell it
        ('network', {'ocr_mid_channels': 'wide', 'trunk': 3}, ''),
        ('num_classes', 'many', "its entry 'num_classes' is 'many', expected a whole number"),
        (
            'num_classes',
            7,
            'with 7 classes (ocr.cls_head.weight: 5x32x1x1 in the file, 7x32x1x1 in the network',
        ),
        ('trunk', 'resnet-50', ' of its tensors contradict ocrnet.HRNet on resnet-50'),
        ('arch', 'deepwv3', ''),
    ],
)
def test_wrong_descriptions_in_a_file_are_refused_or_passed_over(convert, ocrnet_weights, entry, value, message):
    code, printed, _ = convert({'state_dict': ocrnet_weights, entry: value})
    assert (code == 2 and message in printed and printed.count('\n') == 1) if message else code == 0, printed


def test_a_layer_without_dimensions_is_of_another_shape(convert, ocrnet_weights):
    code, printed, _ = convert(
        ocrnet_weights | {'ocr.conv3x3_ocr.0.weight': torch.tensor(1.0), 'ocr.cls_head.weight': torch.tensor(1.0)}
    )
    assert code == 2 and 'of its tensors contradict ocrnet.HRNet' in printed
    code, printed, _ = convert({0: torch.ones(1), 'a': torch.ones(1)})
    assert code == 2 and 'not every tensor in it has a name, found [0]' in printed
