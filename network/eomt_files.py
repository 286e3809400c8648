"""Weight files of EoMT networks: of the authors' own repository (tue-mps/eomt, names as here below `network.`) and of
Hugging Face transformers (`eomt`, `eomt_dinov3`), whose attention has three projections where timm's has one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from utils.cli.wording import listed
from utils.restore import clean_key

AUTHORS, TRANSFORMERS = 'eomt', 'transformers'
ARCH = 'eomt.EoMT'
# width -> size of a ViT in timm's names, and its blocks
SIZES = {384: ('small', 12), 768: ('base', 12), 1024: ('large', 24), 1536: ('giant', 40)}
# transformers' names -> timm's below the trunk, or this project's
HEADS = {
    'query': 'q',
    'class_predictor': 'class_head',
    'mask_head.fc1': 'mask_head.0',
    'mask_head.fc2': 'mask_head.2',
    'mask_head.fc3': 'mask_head.4',
    'attn_mask_probs': 'attn_mask_probs',
    'layernorm': 'backbone.model.norm',
    'embeddings.cls_token': 'backbone.model.cls_token',
    'embeddings.register_tokens': 'backbone.model.reg_token',
    'embeddings.patch_embeddings.projection': 'backbone.model.patch_embed.proj',
    'embeddings.patch_embeddings': 'backbone.model.patch_embed.proj',
    'embeddings.position_embeddings.weight': 'backbone.model.pos_embed',
}
BLOCK = {
    'norm1': 'norm1',
    'norm2': 'norm2',
    'attention.out_proj': 'attn.proj',
    'attention.o_proj': 'attn.proj',
    'mlp.fc1': 'mlp.fc1',
    'mlp.fc2': 'mlp.fc2',
    'mlp.up_proj': 'mlp.fc1',
    'mlp.down_proj': 'mlp.fc2',
    'mlp.weights_in': 'mlp.fc1',
    'mlp.weights_out': 'mlp.fc2',
}
UPSCALE = {'conv1': 'conv1', 'conv2': 'conv2', 'layernorm2d': 'norm'}


@dataclass
class Reading:
    """What a file holds. weights: by this project's names; sources: the names in the file that each is made of;
    network: flags that shapes tell; trunk: the likely one, None for an unusual size."""

    form: str
    why: str
    weights: dict[str, Tensor] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    trunk: str | None = None
    num_classes: int = 0


def read(weights: Mapping[str, Tensor]) -> Reading | None:
    """The content of a file of an EoMT network in the format of others, None for any other file."""
    names = {clean_key(key).removeprefix('network.'): key for key in weights}
    if any(name.startswith('encoder.backbone.') for name in names) and 'q.weight' in names:
        result = Reading(AUTHORS, 'encoder.backbone beside the queries q is written by the repository of EoMT')
        _take_authors(result, weights, names)
    elif {'query.weight', 'class_predictor.weight', 'attn_mask_probs'} <= names.keys():
        result = Reading(TRANSFORMERS, 'query and class_predictor are names of EoMT in transformers')
        _take_transformers(result, weights, names)
    else:
        return None
    _tell(result)
    return result


def unfit(missing: list[str], beside: list[str], arch, trunk) -> str:
    """The sentence about a file that leaves out tensors of the network, which is mostly that of another generation."""
    others = f', and {listed(beside, 2)} of the file {"has" if len(beside) == 1 else "have"} no place' if beside else ''
    return (
        f'{arch} on {trunk} has {listed(missing, 2)}, which the file lacks{others}: a file of DINOv2 is for a trunk of'
        ' DINOv2, one of DINOv3 for one of DINOv3; leave --trunk out, or name the one it was made with'
    )


def _take_authors(result: Reading, weights: Mapping, names: Mapping[str, str]):
    if not any(name.startswith('encoder.backbone.blocks.') for name in names):
        raise ValueError(
            'an EoMT file whose trunk has not the names of timm, as those on DINOv3; give the file of transformers'
        )
    for name, key in names.items():
        if name in ('encoder.pixel_mean', 'encoder.pixel_std') or name.startswith('criterion.'):
            continue
        _put(result, name.replace('encoder.backbone.', 'backbone.model.', 1), weights[key], key)


def _take_transformers(result: Reading, weights: Mapping, names: Mapping[str, str]):
    is_rotary = 'embeddings.position_embeddings.weight' not in names
    for name, key in names.items():
        found = _renamed(name, is_rotary)
        if found:
            _put(result, found, weights[key], key)
    for number in sorted({int(match[1]) for name in names if (match := re.match(r'layers\.(\d+)\.', name))}):
        for there, here in (('attention', 'attn'), ('mlp', 'mlp')):
            _join(result, weights, names, f'layers.{number}.{there}', f'backbone.model.blocks.{number}.{here}')
    position = result.weights.get('backbone.model.pos_embed')
    if position is not None:
        if 'backbone.model.reg_token' in result.weights and not result.weights['backbone.model.reg_token'].shape[1]:
            del result.weights['backbone.model.reg_token'], result.sources['backbone.model.reg_token']
        if 'backbone.model.reg_token' not in result.weights:  # there timm has a position of the class token too
            position = torch.cat([position.new_zeros(1, position.shape[1]), position])
        result.weights['backbone.model.pos_embed'] = position[None]


def _renamed(name: str, is_rotary: bool) -> str | None:
    """This project's name of a tensor that is one in both; None for others."""
    block = re.match(r'layers\.(\d+)\.(.+?)(\.weight|\.bias|\.lambda1)$', name)
    if block and block[3] == '.lambda1':
        number = block[2][-1]
        scale = f'gamma_{number}' if is_rotary else f'ls{number}.gamma'
        return f'backbone.model.blocks.{block[1]}.{scale}'
    if block:
        part = BLOCK.get(block[2])
        return part and f'backbone.model.blocks.{block[1]}.{part}{block[3]}'
    step = re.match(r'upscale_block\.block\.(\d+)\.(\w+)\.(\w+)$', name)
    if step:
        return f'upscale.{step[1]}.{UPSCALE[step[2]]}.{step[3]}'
    for there, here in HEADS.items():
        if name == there or name.startswith(there + '.'):
            return here + name[len(there) :]
    return None


def _join(result: Reading, weights: Mapping, names: Mapping[str, str], there: str, here: str):
    """Join the projections of an attention, and the two halves of a gated MLP, which timm holds as one tensor."""
    for kind in ('weight', 'bias'):
        parts = [f'{there}.{part}_proj.{kind}' for part in 'qkv']
        if all(part in names for part in parts):
            _put(
                result,
                f'{here}.qkv.{kind}',
                torch.cat([weights[names[part]] for part in parts]),
                *map(names.get, parts),
            )
        elif parts[0] in names:  # the rotary networks have no bias of the keys
            for part, bias in ((parts[0], 'q_bias'), (parts[2], 'v_bias')):
                _put(result, f'{here}.{bias}', weights[names[part]], names[part])
        halves = [f'{there}.{part}.{kind}' for part in ('gate_proj', 'up_proj')]
        if all(half in names for half in halves):
            joined = torch.cat([weights[names[half]] for half in halves])
            _put(result, f'{here}.fc1.{kind}', joined, *map(names.get, halves))


def _put(result: Reading, name: str, value: Tensor, *sources):
    result.weights[name], result.sources[name] = value, list(sources)


def _tell(result: Reading):
    """The flags, the trunk and the number of classes, as shapes tell them."""
    found = result.weights
    patch = found.get('backbone.model.patch_embed.proj.weight')
    if 'class_head.weight' not in found or patch is None:
        raise ValueError('an EoMT file without its class head or patch embedding; give the file of the whole network')
    result.num_classes = len(found['class_head.weight']) - 1
    result.network = {'eomt_queries': len(found['q.weight']), 'eomt_patch': patch.shape[-1]}
    if 'attn_mask_probs' in found:
        result.network['eomt_blocks'] = len(found['attn_mask_probs'])
    registers = 'backbone.model.reg_token' in found
    position = found.get('backbone.model.pos_embed')
    if position is not None:
        result.network['eomt_size'] = isqrt(position.shape[1]) * patch.shape[-1]
    size, blocks = SIZES.get(len(patch), ('', 0))
    if size and f'backbone.model.blocks.{blocks - 1}.norm1.weight' in found:
        biased = '_qkvb' if 'backbone.model.blocks.0.attn.q_bias' in found else ''
        dinov2 = f'timm/vit_{size}_patch14{"_reg4" if registers else ""}_dinov2'
        result.trunk = f'timm/vit_{size}_patch16_dinov3{biased}' if position is None else dinov2
