"""Plain vision transformers of timm as a row of blocks over tokens, for heads that work inside the trunk.

DINOv2 (`vit_*_dinov2`, position embeddings added once) and DINOv3 (`vit_*_dinov3`, rotary embeddings in every block),
with or without register tokens. Images of any size: sides that are no multiple of the patch are filled up with zeros,
the mean colour, on the right and below, and position embeddings are resampled. The state dict holds timm's own names
below `model.`. Nothing is downloaded.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from network.layers import Module
from network.resize import Size
from network.trunks.timm_trunk import PREFIX, REFUSALS, check_name


class Tokens(NamedTuple):
    """values (N, T, C): what was put before them, the class and register tokens, then one token per patch, row by row;
    rope: the rotary embedding of the patches, or None; grid: rows and columns of patches."""

    values: Tensor
    rope: Any
    grid: Size


class BlockTrunk(Module):
    """timm's model of `name` with patches of `patch` pixels, its position embedding made for images of `size` pixels
    square.

    The last `joined` blocks run on `added` more tokens, which come first and have no position.

    Raises ValueError for a trunk that is no plain vision transformer, or has fewer blocks.
    """

    def __init__(self, name: str, patch: int, size: int, joined: int, added: int):
        super().__init__()
        self.model = _create(name, patch, size)
        self.patch, self.blocks = patch, len(self.model.blocks)
        for block in self.model.blocks:
            block.is_stage = True  # they are called one by one, and so computed again by --grad_ckpt
        if joined > self.blocks:
            raise ValueError(f'--eomt_blocks {joined}: the trunk {name} has {self.blocks} blocks; give as many at most')
        self.channels, self.head_strides, self.deepest_stride = {patch: self.model.embed_dim}, (patch,), patch
        self.embed_dim: int = self.model.embed_dim
        self.prefix: int = self.model.num_prefix_tokens
        self.is_rotary = getattr(self.model, 'rope', None) is not None
        if self.is_rotary:
            for block in self.model.blocks[self.blocks - joined :]:
                block.attn.num_prefix_tokens += added

    def embed(self, images: Tensor) -> Tokens:
        """images (N, 3, h, w) -> the tokens that the first block reads."""
        height, width = images.shape[-2:]
        grid = (height + self.patch - 1) // self.patch, (width + self.patch - 1) // self.patch
        below, right = grid[0] * self.patch - height, grid[1] * self.patch - width
        # of a size that is a formula in an exported program, it is not asked whether it is filled up already
        if isinstance(height, torch.SymInt) or below or right:
            images = F.pad(images, (0, right, 0, below))
        values = self.model._pos_embed(self.model.patch_embed(images))
        values, rope = values if isinstance(values, tuple) else (values, None)
        return Tokens(self.model.norm_pre(values), rope, grid)

    def run(self, number: int, tokens: Tokens, mask: Tensor | None = None) -> Tokens:
        """The tokens after block `number`. mask bool (N, 1, T, T): true where a token (row) sees another (column)."""
        rope = {'rope': tokens.rope} if self.is_rotary else {}
        return tokens._replace(values=self.model.blocks[number](tokens.values, attn_mask=mask, **rope))

    def norm(self, values: Tensor) -> Tensor:
        """The last norm of the trunk, over values (N, T, C)."""
        return self.model.norm(values)


def _create(name: str, patch: int, size: int) -> Any:
    remedy = 'choose a vision transformer of timm with equal blocks, such as timm/vit_large_patch14_reg4_dinov2'
    if not name.startswith(PREFIX):
        raise ValueError(f'--trunk {name}: has no tokens, which eomt.EoMT is built on; {remedy}')
    check_name(name)
    import timm
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    sides: dict[str, Any] = {'patch_size': patch, 'img_size': size // patch * patch, 'dynamic_img_size': True}
    try:
        model: Any = timm.create_model(name.removeprefix(PREFIX), num_classes=0, global_pool='', **sides)
    except REFUSALS as error:
        raise ValueError(
            f'--trunk {name}: timm cannot build it as a plain vision transformer ({error}); {remedy}'
        ) from None
    is_plain = isinstance(model, VisionTransformer | Eva) and not getattr(model, 'rope_mixed', False)
    if not is_plain or not isinstance(model.norm, torch.nn.LayerNorm):
        raise ValueError(f'--trunk {name}: is a {type(model).__name__} without plain blocks of tokens; {remedy}')
    return model
