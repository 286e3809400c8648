"""The trunks of the published networks: keys, shapes, arithmetic, initialisation."""

import hashlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from network.trunks import build_trunk, resnet, seresnext, wrn38, xception
from network.trunks.blocks import Bottleneck
from network.trunks.resnet import ResNet

CHANNELS = {
    'wrn38': {2: 128, 4: 256, 8: 4096},
    'xception71': {2: 64, 4: 128, 8: 2048},
    'efficientnet_b4': {2: 24, 4: 32, 8: 448},
    'resnet-50': {4: 256, 8: 2048},
    'resnet-101': {4: 256, 8: 2048},
    'seresnext-50': {4: 256, 8: 2048},
    'seresnext-101': {4: 256, 8: 2048},
}
# SHA-256 of the sorted lines '<key> <shape>' of the published checkpoints' trunk
PUBLISHED_KEYS = {'wrn38': 'da1c0e80703397ac', 'xception71': 'f41163bdc5c69ab1', 'resnet-50': 'c0483b19fd58bf87'}
# entries of the state dict, parameters (DeepLabV3+ as published without its decoder; of SE-ResNeXt the ImageNet files
# without the classifier)
SIZES = {
    'wrn38': (223, 105_062_720),
    'xception71': (780, 37_798_448),
    'resnet-50': (318, 23_508_032),
    'resnet-101': (624, 42_500_160),
    'seresnext-50': (382, 27_559_896 - 2_049_000),
    'seresnext-101': (756, 48_955_416 - 2_049_000),
    'efficientnet_b4': (698, 16_742_216),
}


def on_meta(name):
    with torch.device('meta'):
        return build_trunk(name).eval()


def lively(module):
    """module in float64 and eval mode with norms that differ from the identity."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in (
                (part.running_mean, -0.2, 0.2),
                (part.running_var, 0.5, 1.5),
                (part.weight, 0.5, 1.5),
                (part.bias, -0.2, 0.2),
            ):
                nn.init.uniform_(tensor, low, high)
    return module.double().eval()


@pytest.mark.parametrize('name', PUBLISHED_KEYS)
def test_keys_and_shapes_are_the_published_ones(name):
    lines = sorted(f'{key} {tuple(value.shape)}' for key, value in on_meta(name).state_dict().items())
    assert hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16] == PUBLISHED_KEYS[name]


@pytest.mark.parametrize('name', CHANNELS)
def test_sizes_channels_and_strides(name):
    trunk = on_meta(name)
    assert (len(trunk.state_dict()), sum(p.numel() for p in trunk.parameters())) == SIZES[name]
    assert trunk.channels == CHANNELS[name]
    assert (*trunk.skip_strides, *trunk.head_strides) == tuple(CHANNELS[name])
    for height, width in ((64, 96), (67, 99), (1, 5), (33, 70)):
        if name.startswith('seresnext') and height != 64:
            continue
        maps = trunk(torch.empty(2, 3, height, width, device='meta'))
        assert {stride: tuple(m.shape) for stride, m in maps.items()} == {
            stride: (2, channels, -(-height // stride), -(-width // stride))
            for stride, channels in CHANNELS[name].items()
        }


def test_names_of_seresnext_are_those_of_its_imagenet_files():
    shapes = {key: tuple(value.shape) for key, value in on_meta('seresnext-50').state_dict().items()}
    assert shapes['layer0.conv1.weight'] == (64, 3, 7, 7)
    assert shapes['layer2.0.conv2.weight'] == (256, 8, 3, 3)
    assert shapes['layer2.0.se_module.fc1.weight'] == (32, 512, 1, 1)
    assert shapes['layer2.0.se_module.fc2.bias'] == (512,)
    assert shapes['layer4.0.downsample.0.weight'] == (2048, 1024, 1, 1)
    assert 'layer0.bn1.running_var' in shapes


def test_seresnext_pools_without_padding_and_lets_the_last_window_hang_over():
    trunk = on_meta('seresnext-50')
    sizes = {side: trunk(torch.empty(1, 3, side, 64, device='meta'))[4].shape[2] for side in (64, 66, 65, 67, 3)}
    assert sizes == {64: 16, 66: 16, 65: 16, 67: 17, 3: 1}  # 33 rows at stride 2 make 16, 34 make 17
    with pytest.raises(ValueError, match='2x64 pixels are too small for SE-ResNeXt; both sides must be at least 3'):
        trunk(torch.empty(1, 3, 2, 64, device='meta'))


def test_resnet_is_torchvisions_with_every_block_of_its_last_layers_dilated():
    from torchvision.models.resnet import Bottleneck as Reference
    from torchvision.models.resnet import ResNet as ReferenceNet

    trunk = lively(resnet.build(1, 2, 2, 2))
    other = ReferenceNet(Reference, [1, 2, 2, 2], replace_stride_with_dilation=[False, True, True])
    other.layer3[0].conv2.dilation = other.layer3[0].conv2.padding = (2, 2)
    other.layer4[0].conv2.dilation = other.layer4[0].conv2.padding = (4, 4)
    names = {'layer0.0': 'conv1', 'layer0.1': 'bn1'}
    state = {key.replace(key[:8], names.get(key[:8], key[:8])): value for key, value in trunk.state_dict().items()}
    assert other.load_state_dict(state, strict=False).missing_keys == ['fc.weight', 'fc.bias']
    other = other.double().eval()
    images = torch.randn(1, 3, 45, 64, dtype=torch.float64)
    with torch.no_grad():
        fine = other.layer1(other.maxpool(other.relu(other.bn1(other.conv1(images)))))
        expected = {4: fine, 8: other.layer4(other.layer3(other.layer2(fine)))}
        for stride, maps in trunk(images).items():
            torch.testing.assert_close(maps, expected[stride], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('size', [(64, 96), (42, 71)])
def test_seresnext_is_timms_conversion_of_the_published_one(size):
    from timm.models.senet import SENet, SEResNeXtBottleneck

    trunk = lively(seresnext.SEResNeXt(1, 2, 1, 1))
    other = SENet(SEResNeXtBottleneck, (1, 2, 1, 1), groups=32, reduction=16, num_classes=0)
    layer0 = {
        key.removeprefix('layer0.'): value for key, value in trunk.state_dict().items() if key.startswith('layer0')
    }
    assert not other.layer0.load_state_dict(layer0, strict=False).missing_keys
    assert not other.load_state_dict(trunk.state_dict(), strict=False).unexpected_keys
    for layer, dilation in ((other.layer3, 2), (other.layer4, 4)):
        layer[0].conv2.stride = layer[0].downsample[0].stride = (1, 1)
        layer[0].conv2.dilation = layer[0].conv2.padding = (dilation, dilation)
    other = other.double().eval()
    images = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        fine = other.layer1(other.pool0(other.layer0(images)) if hasattr(other, 'pool0') else other.layer0(images))
        expected = {4: fine, 8: other.layer4(other.layer3(other.layer2(fine)))}
        for stride, maps in trunk(images).items():
            torch.testing.assert_close(maps, expected[stride], rtol=1e-12, atol=1e-12)


def norm(x, state, name):
    """Batch normalisation in evaluation, written out."""
    mean, variance, weight, bias = (
        state[f'{name}.{key}'][:, None, None] for key in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


@pytest.mark.parametrize(
    'inputs, channels, stride', [(4, (6, 6), 1), (4, (4, 4), 1), (4, (4, 4), 2), (4, (6, 8, 10), 1)]
)
def test_a_block_of_wrn38_is_preactivated_and_projects_the_activated_input(inputs, channels, stride):
    block = lively(wrn38.PreActivated(inputs, channels, stride, dropout=0.5))
    state, x = block.state_dict(), torch.randn(2, inputs, 9, 8, dtype=torch.float64)
    given = x.clone()
    with torch.no_grad():
        found = block(x)
    activated = norm(x, state, 'bn1.0').relu()
    kernels = [3, 3] if len(channels) == 2 else [1, 3, 1]
    out = activated
    for number, kernel in enumerate(kernels, start=1):
        out = out if number == 1 else norm(out, state, f'convs.bn{number}.0').relu()
        out = F.conv2d(
            out, state[f'convs.conv{number}.weight'], stride=stride if number == 1 else 1, padding=kernel // 2
        )
    fits = stride == 1 and inputs == channels[-1]
    assert ('proj_conv.weight' in state) is not fits
    out = out + (x if fits else F.conv2d(activated, state['proj_conv.weight'], stride=stride))
    torch.testing.assert_close(found, out, rtol=1e-12, atol=1e-12)
    assert torch.equal(x, given)


def test_wrn38_strides_and_dilates_where_it_should():
    trunk = on_meta('wrn38')
    convs = {name: module for name, module in trunk.named_modules() if isinstance(module, nn.Conv2d)}
    assert [name for name, module in convs.items() if module.stride != (1, 1)] == [
        'mod4.block1.convs.conv1',
        'mod4.block1.proj_conv',
    ]
    spread = {name: module.dilation[0] for name, module in convs.items() if module.kernel_size == (3, 3)}
    assert {name[:4]: {d for other, d in spread.items() if other[:4] == name[:4]} for name in spread} == {
        'mod1': {1},
        'mod2': {1},
        'mod3': {1},
        'mod4': {1},
        'mod5': {2},
        'mod6': {4},
        'mod7': {4},
    }
    assert all(convs[name].padding == (d, d) for name, d in spread.items())
    assert all(module.padding == (0, 0) for module in convs.values() if module.kernel_size == (1, 1))


def test_wrn38_drops_maps_in_its_last_modules_only_and_changes_no_other_dropout():
    trunk = on_meta('wrn38')
    found = {name: (type(module), module.p) for name, module in trunk.named_modules() if 'dropout' in name}
    assert found == {'mod6.block1.convs.dropout': (nn.Dropout2d, 0.3), 'mod7.block1.convs.dropout': (nn.Dropout2d, 0.5)}
    assert nn.Dropout is not nn.Dropout2d


def separable(x, state, name, stride, dilation):
    x = F.conv2d(
        F.pad(x, [dilation] * 4), state[f'{name}.conv1.weight'], stride=stride, dilation=dilation, groups=x.shape[1]
    )
    return F.conv2d(norm(x, state, f'{name}.bn'), state[f'{name}.pointwise.weight'])


@pytest.mark.parametrize(
    'inputs, widths, dilations, stride, relu_first',
    [
        (4, [6, 6, 6], [1, 1, 1], 2, False),
        (4, [6, 6], [1, 1], 1, False),
        (4, [6, 6, 6], [1, 1, 1], 2, True),
        (4, [4, 4, 4], [2, 2, 2], 1, True),
        (4, [4, 6, 6], [2, 2, 1], 1, True),
    ],
)
def test_a_block_of_xception_activates_what_its_shortcut_reads_too(inputs, widths, dilations, stride, relu_first):
    block = lively(xception.Block(inputs, widths, dilations, stride, relu_first))
    state, x = block.state_dict(), torch.randn(2, inputs, 9, 8, dtype=torch.float64)
    given = x.clone()
    with torch.no_grad():
        found = block(x)
    assert torch.equal(x, given)  # though not in place
    x = x.relu() if relu_first else x
    out = x
    for number, dilation in enumerate(dilations):
        index = 3 * number + relu_first
        out = separable(
            out if number == 0 else out.relu(),
            state,
            f'rep.{index}',
            stride if number == len(widths) - 1 else 1,
            dilation,
        )
        out = norm(out, state, f'rep.{index + 1}')
    if stride > 1 or inputs != widths[-1]:
        x = norm(F.conv2d(x, state['skip.weight'], stride=stride), state, 'skipbn')
    torch.testing.assert_close(found, out + x, rtol=1e-12, atol=1e-12)


def test_xception_strides_and_dilates_where_it_should():
    trunk = on_meta('xception71')
    spread = {
        name.removesuffix('.conv1'): (module.stride[0], module.dilation[0], module.padding[0])
        for name, module in trunk.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups > 1
    }
    expected = {f'block1.rep.{index}': (1, 1, 1) for index in (0, 3)} | {'block1.rep.6': (2, 1, 1)}
    expected |= {f'block2.rep.{index}': (1, 1, 1) for index in (0, 3)}
    expected |= {f'block3.rep.{index}': (1, 1, 1) for index in (1, 4)} | {'block3.rep.7': (2, 1, 1)}
    expected |= {f'block{number}.rep.{index}': (1, 2, 2) for number in range(4, 20) for index in (1, 4, 7)}
    expected |= {f'block20.rep.{index}': (1, 2, 2) for index in (1, 4)} | {'block20.rep.7': (1, 1, 1)}
    assert spread == expected | {f'conv{number}': (1, 4, 4) for number in (3, 4, 5)}


def test_efficientnet_dilated_sees_every_fourth_pixel_as_torchvisions_sees_all():
    from torchvision.models import efficientnet_b4
    from torchvision.ops import SqueezeExcitation

    trunk, other = lively(build_trunk('efficientnet_b4')), efficientnet_b4(weights=None)
    assert not other.load_state_dict(trunk.state_dict(), strict=False).unexpected_keys
    other = other.double().eval()
    # their means over the image are taken of other pixels
    for net in (trunk, other):
        for module in net.modules():
            for name, child in module.named_children():
                if isinstance(child, SqueezeExcitation):
                    setattr(module, name, nn.Identity())
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        maps = trunk(images)
        torch.testing.assert_close(maps[2], other.features[:2](images))
        torch.testing.assert_close(maps[4], other.features[:3](images))
        torch.testing.assert_close(maps[8][..., ::4, ::4], other.features[:8](images), rtol=1e-10, atol=1e-10)


# trunk: {stride of a skip map: the layer that reads it next}
READERS = {
    'wrn38': {2: 'pool3', 4: 'mod4'},
    'xception71': {2: 'block1', 4: 'block2'},
    'efficientnet_b4': {2: 'features.2', 4: 'features.3'},
    'resnet-50': {4: 'layer2'},
    'seresnext-50': {4: 'layer2'},
}


@pytest.mark.slow
@pytest.mark.parametrize('name', READERS)
def test_skip_maps_are_what_the_next_layer_reads_and_every_parameter_is_trained(name):
    trunk, read = build_trunk(name), {}
    for module in trunk.modules():
        if type(module).__name__ == 'StochasticDepth':
            module.p = 0.0
    for stride, layer in READERS[name].items():
        trunk.get_submodule(layer).register_forward_pre_hook(
            lambda module, inputs, stride=stride: read.update({stride: inputs[0].clone()})
        )
    maps = trunk(torch.randn(1, 3, 65, 66))
    assert all(torch.equal(maps[stride], read[stride]) for stride in READERS[name])
    sum(m.square().mean() for m in maps.values()).backward()
    assert [
        key for key, parameter in trunk.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


def test_initialisation():
    """Convolutions as the published code starts them; fan-in and fan-out of a 3x3 convolution from 64 to 64 are 576."""
    convs = resnet.build(1, 1, 1, 1).layer1[0]
    assert convs.conv2.weight.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.02)
    assert convs.conv3.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.03)  # fan-out
    torch.manual_seed(0)
    trunk = build_trunk('xception71')
    assert trunk.conv2.weight.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.03)
    assert trunk.block4.rep[1].conv1.weight.std().item() == pytest.approx((2 / (9 * 728)) ** 0.5, rel=0.03)
    assert trunk.block4.rep[1].pointwise.weight.std().item() == pytest.approx((2 / 728) ** 0.5, rel=0.01)
    bound = 1 / (9 * 8) ** 0.5  # torch's own: uniform within 1 / sqrt(fan-in)
    assert wrn38.PreActivated(8, (64, 64)).convs.conv1.weight.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_a_strided_or_wider_block_has_a_downsample_of_the_same_stride():
    assert Bottleneck(256, 64).downsample is None
    assert Bottleneck(64, 64).downsample[0].stride == (1, 1)
    assert Bottleneck(256, 64, stride=2).downsample[0].stride == (2, 2)
    assert ResNet((1, 1, 1, 1), nn.Sequential()).layer2[0].conv2.stride == (2, 2)
