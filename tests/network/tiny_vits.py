"""Vision transformers of timm of a few thousand parameters, one of each generation that EoMT stands on."""

from functools import partial
from importlib import import_module

from timm.layers import SwiGLUPacked
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

TINY = {'embed_dim': 48, 'depth': 4, 'num_heads': 3, 'patch_size': 8, 'img_size': 32}
NAMES = {
    'dinov2': 'timm/tiny_patch8_dinov2',
    'registers': 'timm/tiny_patch8_reg4_dinov2',
    'dinov3': 'timm/tiny_patch8_dinov3_qkvb',
    'gated': 'timm/tiny_patch8_gated',
}
REGISTERS = {'reg_tokens': 4, 'no_embed_class': True}
ROTARY = {'rope_type': 'dinov3', 'rope_temperature': 100, 'rope_rotate_half': True, 'use_rot_pos_emb': True}
KINDS = {
    'dinov2': (VisionTransformer, {}),
    'registers': (VisionTransformer, REGISTERS),
    'gated': (
        VisionTransformer,
        {**REGISTERS, 'mlp_ratio': 2.66667 * 2, 'mlp_layer': SwiGLUPacked, 'act_layer': nn.SiLU},
    ),
    'dinov3': (
        Eva,
        {**ROTARY, 'qkv_bias': True, 'use_abs_pos_emb': False, 'num_reg_tokens': 4, 'use_fc_norm': False},
    ),
}


def build(kind, **options):
    """The model of a kind, with `options` of timm.create_model."""
    for name in ('pretrained', 'pretrained_cfg', 'pretrained_cfg_overlay', 'cache_dir'):
        options.pop(name, None)
    make, own = KINDS[kind]
    return make(**{**TINY, 'init_values': 0.5, **own, **options})


def register(monkeypatch):
    """Put them among timm's models for one test."""
    models = import_module('timm.models._registry')._model_entrypoints
    for kind, name in NAMES.items():
        monkeypatch.setitem(models, name.removeprefix('timm/'), partial(build, kind))
