"""Decoders against those of transformers (an extra of the tests): the same weights, the same maps, equal logits."""

import pytest
import standin
import torch
import torch.nn.functional as F
from torch import nn

transformers = pytest.importorskip('transformers')
pytest.importorskip('timm')

CLASSES, CHANNELS, SIZE = 5, 16, (64, 96)
VIT = 'timm/vit_tiny_patch16_224'


@pytest.fixture
def decoder(small_net, monkeypatch):
    """decoder(arch, trunk=..., **get_net's) -> (the network with lively norms, float64, in evaluation; its maps)."""
    standin.register(monkeypatch)

    def build(arch, trunk=standin.PYRAMID, **options):
        net = small_net(arch, CLASSES, trunk=trunk, cfg={'MODEL__DECODER_CH': CHANNELS}, **options).double().eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.2, 0.2)
        images = torch.randn(1, 3, *SIZE, dtype=torch.float64)
        with torch.no_grad():
            return net, net.level_maps(images), images

    return build


def copy(pairs):
    """Load each second module with the values of the first, in the order in which they are registered."""
    for mine, theirs in pairs:
        values = [value for key, value in mine.state_dict().items() if not key.endswith('num_batches_tracked')]
        keys = [key for key in theirs.state_dict() if not key.endswith('num_batches_tracked')]
        assert len(values) == len(keys)
        theirs.load_state_dict(
            {key: value.reshape(theirs.state_dict()[key].shape) for key, value in zip(keys, values)}, strict=False
        )


def check(net, images, expected):
    """The network's logits, resized to the image, are the other head's."""
    with torch.no_grad():
        found = net(images)['pred']
        expected = F.interpolate(expected, SIZE, mode='bilinear', align_corners=net.align_corners)
    assert found.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('trunk', [standin.PYRAMID, VIT])
def test_the_mlp_decoder_is_that_of_transformers(decoder, trunk):
    from transformers.models.segformer.modeling_segformer import SegformerDecodeHead

    net, maps, images = decoder('basic.SegFormer', trunk)
    config = transformers.SegformerConfig(
        num_labels=CLASSES, decoder_hidden_size=CHANNELS, hidden_sizes=[m.shape[1] for m in maps], num_encoder_blocks=4
    )
    head = SegformerDecodeHead(config).double().eval()
    copy(
        [
            *zip(net.linears, head.linear_projections),
            (net.mix[1], head.batch_norm),
            (net.final, head.classifier),
        ]
    )
    head.linear_fuse.weight.data = torch.cat(net.mix[0].weight.split(CHANNELS, dim=1)[::-1], dim=1)
    with torch.no_grad():
        check(net, images, head(maps))


@pytest.mark.parametrize('trunk', [standin.PYRAMID, VIT])
def test_upernet_is_that_of_transformers(decoder, trunk):
    from transformers.models.upernet.modeling_upernet import UperNetHead

    net, maps, images = decoder('basic.UPerNet', trunk)
    with torch.no_grad():
        levels = net.pyramid(maps)
    config = transformers.UperNetConfig(num_labels=CLASSES, hidden_size=CHANNELS)
    head = UperNetHead(config, in_channels=[m.shape[1] for m in levels]).double().eval()
    copy(
        [
            *zip(net.pooling.pooled, head.psp_modules.blocks),
            (net.pooling.mix, head.bottleneck),
            *zip(net.laterals, head.lateral_convs),
            *zip(net.outputs, head.fpn_convs),
            (net.mix, head.fpn_bottleneck),
            (net.final, head.classifier),
        ]
    )
    with torch.no_grad():
        check(net, images, head(levels))


def test_dpt_is_that_of_transformers(decoder):
    from transformers.models.dpt.modeling_dpt import DPTNeck, DPTSemanticSegmentationHead

    net, maps, images = decoder('basic.DPT', VIT, align_corners=True)
    config = transformers.DPTConfig(
        num_labels=CLASSES,
        hidden_size=192,
        readout_type='ignore',
        neck_hidden_sizes=[24, 48, 96, 192],
        reassemble_factors=[4, 2, 1, 0.5],
        fusion_hidden_size=CHANNELS,
        use_batch_norm_in_fusion_residual=True,
        use_bias_in_fusion_residual=False,
    )
    neck, head = DPTNeck(config).double().eval(), DPTSemanticSegmentationHead(config).double().eval()
    pairs = [
        *zip(net.reassemble, neck.reassemble_stage.layers),
        *zip(net.thin, neck.convs),
        (net.head[0], head.head[0]),
        (net.head[1], head.head[1]),
        (net.final, head.head[4]),
    ]
    for fusion, layer in zip(net.fusions, reversed(neck.fusion_stage.layers)):
        pairs.append((fusion.project, layer.projection))
        for unit, residual in ((fusion.before, layer.residual_layer1), (fusion.after, layer.residual_layer2)):
            if unit is not None:
                pairs += [
                    (unit.convs[1], residual.convolution1),
                    (unit.convs[2], residual.batch_norm1),
                    (unit.convs[4], residual.convolution2),
                    (unit.convs[5], residual.batch_norm2),
                ]
    copy(pairs)
    tokens = [F.pad(m.flatten(2).transpose(1, 2), (0, 0, 1, 0)) for m in maps]  # a class token, which is ignored
    with torch.no_grad():
        check(net, images, head(neck(tokens, *maps[0].shape[-2:])))
