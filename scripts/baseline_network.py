"""Plain form of the multi-scale networks: `scripts/bench.py` measures and the tests compare with it.

It computes the obvious way with the layers of a built network: every convolution on the map that the paper draws,
every head at every scale, every output enlarged to its image, one operation after the other, in contiguous NCHW order.
It is slow on purpose and shares no forward code with the `network` package, only its weights.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def plain_copy(net: nn.Module) -> nn.Module:
    """A copy of the network with its weights in contiguous order."""
    return copy.deepcopy(net).to(memory_format=torch.contiguous_format)


def enlarge(maps: Tensor, size, align_corners: bool) -> Tensor:
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=align_corners)


def plain_block(block: nn.Module, x: Tensor) -> Tensor:
    """A residual block of HRNet: two or three convolutions, each with its norm."""
    out = F.relu(block.bn1(block.conv1(x)))
    out = block.bn2(block.conv2(out))
    if hasattr(block, 'conv3'):
        out = block.bn3(block.conv3(F.relu(out)))
    shortcut = x if block.downsample is None else block.downsample(x)
    return F.relu(out + shortcut)


def plain_exchange(exchange: nn.Module, xs: list[Tensor], align_corners: bool) -> list[Tensor]:
    """One HRNet module: blocks in every branch, then every branch gets the sum over all branches."""
    branches = []
    for branch, x in zip(exchange.branches, xs):
        for block in branch:
            x = plain_block(block, x)
        branches.append(x)
    fused = []
    for target, paths in enumerate(exchange.fuse_layers):
        total = None
        for source, path in enumerate(paths):
            term = branches[source] if source == target else path(branches[source])
            if source > target:
                term = enlarge(term, branches[target].shape[-2:], align_corners)
            total = term if total is None else total + term
        fused.append(F.relu(total))
    return fused


def plain_trunk(trunk: nn.Module, x: Tensor, align_corners: bool) -> Tensor:
    """HRNet's branches resized to stride 4 and concatenated."""
    x = F.relu(trunk.bn1(trunk.conv1(x)))
    x = F.relu(trunk.bn2(trunk.conv2(x)))
    for block in trunk.layer1:
        x = plain_block(block, x)
    xs = [path(x) for path in trunk.transition1]
    for stage, transition in (
        (trunk.stage2, trunk.transition2),
        (trunk.stage3, trunk.transition3),
        (trunk.stage4, None),
    ):
        for exchange in stage:
            xs = plain_exchange(exchange, xs, align_corners)
        if transition is not None:
            xs = [*xs, transition[-1](xs[-1])]
    return torch.cat([xs[0], *(enlarge(x, xs[0].shape[-2:], align_corners) for x in xs[1:])], dim=1)


def plain_ocr(ocr: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, auxiliary logits and features of the OCR block."""
    feats, aux = ocr.conv3x3_ocr([x]), ocr.aux_head([x])
    n, classes, h, w = aux.shape
    weights = torch.softmax(
        aux.view(n, classes, -1).float() if aux.dtype != torch.float64 else aux.view(n, classes, -1), dim=2
    )
    pixels = feats.view(n, feats.shape[1], -1).permute(0, 2, 1)
    context = torch.matmul(weights, pixels.to(weights.dtype)).permute(0, 2, 1).unsqueeze(3)
    attend = ocr.ocr_distri_head.object_context_block
    query = attend.f_pixel(feats).flatten(2).permute(0, 2, 1)
    key = attend.f_object(context).flatten(2)
    value = attend.f_down(context).flatten(2).permute(0, 2, 1)
    scores = torch.matmul(query, key) * attend.key_channels**-0.5
    attention = torch.softmax(scores.float() if scores.dtype != torch.float64 else scores, dim=2)
    mixed = torch.matmul(attention, value.to(attention.dtype)).permute(0, 2, 1).contiguous().view(n, -1, h, w)
    feats = ocr.ocr_distri_head.conv_bn_dropout(torch.cat([attend.f_up(mixed), feats], dim=1))
    return ocr.cls_head(feats), aux, feats


def plain_scale(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, auxiliary logits and attention of one scale, all enlarged to its image."""
    logits, aux, feats = plain_ocr(net.ocr, plain_trunk(net.backbone, x, net.align_corners))
    maps = (logits, aux, net.scale_attn(feats))
    return tuple(enlarge(m if m.dtype == torch.float64 else m.float(), x.shape[-2:], net.align_corners) for m in maps)


def plain_resize(x: Tensor, scale: float, align_corners: bool) -> Tensor:
    return F.interpolate(
        x, scale_factor=scale, mode='bilinear', align_corners=align_corners, recompute_scale_factor=True
    )


def plain_two_scale(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The two-scale pass of training (HMSA eq. 1) on x (N, 3, h, w): pred, aux, pred_05x, pred_10x, attn_05x."""
    corners = net.align_corners
    logits_low, aux_low, attention_low = plain_scale(net, plain_resize(x, net.lo_scale, corners))
    logits, aux, _ = plain_scale(net, x)
    attention = enlarge(attention_low, x.shape[-2:], corners)
    pred = enlarge(attention_low * logits_low, x.shape[-2:], corners) + (1 - attention) * logits
    joint_aux = enlarge(attention_low * aux_low, x.shape[-2:], corners) + (1 - attention) * aux
    return {'pred': pred, 'aux': joint_aux, 'pred_05x': logits_low, 'pred_10x': logits, 'attn_05x': attention_low}


def plain_n_scale(net: nn.Module, x: Tensor, scales) -> dict[str, Tensor]:
    """Hierarchical inference on x (N, 3, h, w) over `scales`: pred, and pred_<s>x, aux_<s>x, attn_<s>x of every
    scale."""
    corners, outputs, pred = net.align_corners, {}, None
    joint_aux = None
    for scale in sorted(scales, reverse=True):
        logits, aux, attention = plain_scale(net, plain_resize(x, scale, corners))
        name = str(float(scale)).replace('.', '') + 'x'
        outputs |= {f'pred_{name}': logits, f'attn_{name}': attention}
        if pred is None:
            pred, joint_aux = logits, aux
        elif scale >= 1.0:
            size = logits.shape[-2:]
            pred = attention * logits + (1 - attention) * enlarge(pred, size, corners)
            joint_aux = attention * aux + (1 - attention) * enlarge(joint_aux, size, corners)
        else:
            size = pred.shape[-2:]
            weighted, weighted_aux = enlarge(attention * logits, size, corners), enlarge(attention * aux, size, corners)
            attention = enlarge(attention, size, corners)
            pred, joint_aux = weighted + (1 - attention) * pred, weighted_aux + (1 - attention) * joint_aux
    return {'pred': pred, 'aux': joint_aux} | outputs
