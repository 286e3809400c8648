"""EoMT, the encoder-only mask transformer (Kerssies et al., CVPR 2025, arXiv 2503.19108).

Learnable queries join the tokens of a plain vision transformer in its last blocks. After them every query gives a class
and, by the product of its embedding with enlarged patch embeddings, a mask; the same heads look at the queries before
each of these blocks. In training a query sees there only the patches that its mask of the moment covers, with a
probability that is annealed from 1 to 0, block after block, so that nothing is masked when the network is used.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from network.eomt_trunk import BlockTrunk, Tokens
from network.options import Options
from network.queries import Queries, class_scores
from network.registry import ARCHS
from network.resize import resize, size_of
from network.segmentor import Segmentor
from utils.outputs.kinds import MASK_SCORES

POWER = 0.9  # of the annealing
# The shares of the training between which the probabilities of the blocks fall to 0, one after the other.
ANNEALED = 1 / 6, 5 / 6


class EoMT(Segmentor):
    """In training the outputs are `Queries`: of the end, `pred`, and before each block that queries have joined,
    `pred_block1`, ...; in evaluation `pred` holds the scores (N, K, h, w) of the classes, of kind 'mask scores'.

    attn_mask_probs (blocks,): the probability that a query is masked. In evaluation a block masks all queries if that
    is 0.5 or more, which only a network has whose training has not come so far.
    """

    class_layers = ('class_head',)
    kind = MASK_SCORES

    def __init__(self, num_classes: int, trunk: str, align_corners: bool, options: Options):
        self.queries, self.joined = options.EOMT.QUERIES, options.EOMT.BLOCKS
        if self.queries < num_classes:
            raise ValueError(
                f'--eomt_queries {self.queries}: an image may show all of the {num_classes} classes, each of which'
                f' needs a query; give at least {num_classes}'
            )
        blocks = BlockTrunk(trunk, options.EOMT.PATCH, options.EOMT.SIZE, self.joined, self.queries)
        super().__init__(blocks, align_corners, options)
        width = blocks.embed_dim
        self.output_names = ('pred', *(f'pred_block{number + 1}' for number in range(self.joined)))
        self.q = nn.Embedding(self.queries, width)
        self.class_head = nn.Linear(width, num_classes + 1)
        self.mask_head = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.upscale = nn.Sequential(*(Upscale(width) for _ in range(max(1, int(math.log2(blocks.patch)) - 2))))
        self.register_buffer('attn_mask_probs', torch.ones(self.joined))
        self.masked = (True,) * self.joined  # in evaluation, as the probabilities say
        self.register_load_state_dict_post_hook(_loaded)

    def forward(self, images: Tensor, keep_scales: bool = False) -> dict[str, Any]:
        """images (N, 3, h, w) -> outputs as the class says; sides that are no multiple of the patch are filled up, and
        masks cut to what they show, in training rounded up to whole values."""
        size = size_of(images)
        self.check_size(images, size)
        predictions, grid = self.predictions(images)
        if self.training:
            stride = self.backbone.patch >> len(self.upscale)
            rows, columns = (-(-side // stride) for side in size)
            *before, last = [Queries(masks[..., :rows, :columns], classes) for masks, classes in predictions]
            return dict(zip(self.output_names, [last, *before]))
        whole = grid[0] * self.backbone.patch, grid[1] * self.backbone.patch
        return {'pred': class_scores(predictions[-1], whole, size)}

    def predictions(self, images: Tensor) -> tuple[list[Queries], tuple[int, int]]:
        """What the queries say before each block that masks, in training all that they have joined, and at the end;
        and the rows and columns of patches."""
        trunk, found = self.backbone, []
        tokens = trunk.embed(images)
        for number in range(trunk.blocks):
            joined, mask = number - trunk.blocks + self.joined, None
            if joined == 0:
                queries = self.q.weight.expand(len(tokens.values), -1, -1).to(tokens.values.dtype)
                tokens = tokens._replace(values=torch.cat([queries, tokens.values], 1))
            if joined >= 0 and (self.training or self.masked[joined]):
                found.append(self.predict_queries(tokens))
                mask = self.attention_mask(found[-1].masks.detach(), tokens, self.attn_mask_probs[joined])
            tokens = trunk.run(number, tokens, mask)
        return [*found, self.predict_queries(tokens)], tokens.grid

    def predict_queries(self, tokens: Tokens) -> Queries:
        """Classes and masks, these at the stride of the patch halved by every step of `upscale`."""
        values = self.backbone.norm(tokens.values)
        queries, patches = values[:, : self.queries], values[:, self.queries + self.backbone.prefix :]
        maps = self.upscale(patches.transpose(1, 2).unflatten(2, tokens.grid))
        return Queries(torch.einsum('nqc,nchw->nqhw', self.mask_head(queries), maps), self.class_head(queries))

    def attention_mask(self, masks: Tensor, tokens: Tokens, probability: Tensor) -> Tensor:
        """What every token sees, bool (N, 1, T, T): a query the patches that its mask covers, with a probability; all
        else everything."""
        seen = resize(masks, tokens.grid, False).flatten(2) > 0
        if self.training:
            seen = seen | (torch.rand(*seen.shape[:2], 1, device=seen.device) >= probability)
        count, first = tokens.values.shape[1], self.queries + self.backbone.prefix
        beside = F.pad(seen, (first, 0), value=True)
        others = beside.new_ones(len(seen), count - self.queries, count)
        return torch.cat([beside, others], 1)[:, None]

    def set_progress(self, share: float):
        self.attn_mask_probs.copy_(torch.tensor([annealed(share, block, self.joined) for block in range(self.joined)]))

    def train(self, mode: bool = True):
        if not self.attn_mask_probs.is_meta:
            self.masked = tuple((self.attn_mask_probs >= 0.5).tolist())
        return super().train(mode)


def _loaded(net: EoMT, _):
    """Take over the probabilities that were just loaded."""
    net.train(net.training)


class Upscale(nn.Module):
    """Maps (N, C, h, w) at twice their size: transposed 2x2 convolution, GELU, depthwise 3x3 convolution, norm of the
    channels of each pixel."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.act = nn.GELU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.conv2(self.act(self.conv1(maps)))
        return self.norm(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def annealed(share: float, block: int, blocks: int) -> float:
    """The probability of masks in one of the blocks, the first being 0, when `share` of the training is done.

    (1 - t)^0.9 where t runs from 0 to 1 in the block's own part of ANNEALED, all parts being equally long.
    """
    first, last = ANNEALED
    length = (last - first) / blocks
    done = (share - first) / length - block
    return (1 - min(1.0, max(0.0, done))) ** POWER


ARCHS.register('eomt.EoMT', trunk='timm/vit_large_patch14_reg4_dinov2', tokens=True)(EoMT)
