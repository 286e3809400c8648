"""Backbones of the timm library (github.com/huggingface/pytorch-image-models) as trunks: `--trunk timm/<name>`.

Hierarchical backbones give the last map of each stride from 2 on: heads read those from 4 on together, as with HRNet,
or for a head that wants one deep map (`dilated`) the deepest alone, brought to stride 8, else 16, where timm can
dilate. Backbones of one stride (ViTs: DINOv2, DINOv3, ...) give one map at the stride of their patches: the tokens of
options.VIT.DEPTHS blocks, evenly spaced and the last one among them (four: at a quarter, a half, three quarters and the
end of the depth), each after the last norm, concatenated; token_width is the channels of one. options.VIT.PATCH is
another side of the patches than the model's own (weights that are loaded are then resampled), options.DROP_PATH the
rate of stochastic depth at the last block (Huang et al., ECCV 2016, arXiv 1603.09382; from 0 at the first one).

The state dict holds timm's own names below `model.`. Nothing is downloaded.
"""

from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from network.layers import Module
from network.options import Options, complete
from utils.cli.wording import did_you_mean, nearest

PREFIX = 'timm/'
ANY_SIZE: tuple[dict[str, Any], ...] = ({'dynamic_img_size': True}, {'strict_img_size': False}, {})
FLAGS = {'patch_size': '--vit_patch', 'drop_path_rate': '--drop_path'}  # by arguments of timm's builder
REFUSALS = (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError)  # how timm says no


def check_name(name: str):
    """Raise ValueError if timm is missing or does not know `name`, 'timm/<model>' with or without timm's '.<tag>'."""
    timm, model = _timm(name), name.removeprefix(PREFIX)
    if not timm.is_model(model):
        near = [PREFIX + other for other in nearest(model, timm.list_models())]
        hint = did_you_mean(name, near, otherwise='timm.list_models() lists the names', cutoff=0)
        raise ValueError(f'--trunk: there is no timm model {model!r}; {hint}')


def hint(name: str) -> str:
    """What to add to the error about an unknown trunk: that timm has one of this name, if it has."""
    try:
        import timm
    except ImportError:
        return ''
    return f'; timm has one: {PREFIX}{name}' if timm.is_model(name) else ''


def _timm(name: str):
    try:
        import timm
    except ImportError:
        raise ValueError(f'--trunk {name} needs the package timm; pip install -r requirements.txt') from None
    return timm


class TimmTrunk(Module):
    """images (N, 3, h, w) -> {stride: map (N, channels[stride], h / stride, w / stride), rounded up}.

    Sides that are no multiple of `unit` (the patch, or the deepest stride) are filled up to one with zeros, the mean
    colour, on the right and below; of each map the part that shows the image is kept, so its last row and column may
    stand partly on the filling.
    """

    def __init__(self, name: str, dilated: bool = False, options: Options | None = None):
        super().__init__()
        self.name = name
        options = complete({}) if options is None else options
        self.model = _create(name, dilated, _asked_of_timm(name, options))
        info = self.model.feature_info
        strides = [int(entry['reduction']) for entry in getattr(info, 'info', info)]
        self.is_flat = len(set(strides)) == 1
        self._check(options)
        count = min(options.VIT.DEPTHS, len(strides)) if self.is_flat else 0
        last = {stride: index for index, stride in enumerate(strides) if stride > 1}
        self.indices = (
            [len(strides) * part // count - 1 for part in range(1, count + 1)] if self.is_flat else list(last.values())
        )
        self.model.prune_intermediate_layers(self.indices, prune_norm=not self.is_flat, prune_head=True)
        self.unit, self.channels = self._measure(list(last))
        if self.is_flat:
            self.token_width = sum(self.channels.values()) // count
        self.deepest_stride = max(last)
        first = self.deepest_stride if dilated else min(4, self.deepest_stride)
        self.head_strides = tuple(stride for stride in last if stride >= first)
        self.skip_strides = tuple(stride for stride in last if stride < first)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        height, width = images.shape[-2:]
        below, right = (self.unit * ((side + self.unit - 1) // self.unit) - side for side in (height, width))
        # of a size that is a formula in an exported program, it is not asked whether it is filled up already
        if isinstance(height, torch.SymInt) or below or right:
            images = F.pad(images, (0, right, 0, below))
        return {
            stride: corner(maps, (height + stride - 1) // stride, (width + stride - 1) // stride)
            for stride, maps in zip(self.channels, self._features(images))
        }

    def _features(self, images: Tensor) -> list[Tensor]:
        with whole_padding() if isinstance(images.shape[-1], torch.SymInt) else nullcontext():
            maps = self.model.forward_intermediates(
                images, indices=self.indices, norm=self.is_flat, output_fmt='NCHW', intermediates_only=True
            )
        return [torch.cat(maps, dim=1)] if self.is_flat else maps

    def _check(self, options: Options):
        """Raise ValueError for an option that timm took and the model has no place for."""
        patch = options.VIT.PATCH
        if patch and not self.is_flat:
            raise ValueError(
                f'--vit_patch {patch}: {self.name} has maps of several strides, no patches; take a ViT, such'
                ' as timm/vit_small_patch14_dinov2, or leave the flag out'
            )
        if options.DROP_PATH and not any(getattr(part, 'drop_prob', 0) for part in self.model.modules()):
            raise ValueError(
                f'--drop_path {options.DROP_PATH:g}: {self.name} has no residual branches that timm could drop; leave'
                ' the flag out'
            )

    @torch.no_grad()
    def _measure(self, strides: list[int]) -> tuple[int, dict[int, int]]:
        """What sides must be a multiple of, and the channels of each stride, from images of zeros.

        The unit is the deepest stride, or twice that, or (windows that must divide the map) the size of timm's training
        images.
        """
        training, deepest = self.model.training, max(strides)
        trained_on = (getattr(self.model, 'pretrained_cfg', None) or {}).get('input_size', (3, deepest, deepest))[-1]
        refusal = 'its maps are not as large as their strides say'
        self.model.eval()
        for unit in (deepest, 2 * deepest, trained_on):
            try:
                maps = self._features(torch.zeros(1, 3, 2 * unit, 3 * unit))
            except REFUSALS as error:
                refusal = str(error)
                continue
            if [tuple(m.shape[-2:]) for m in maps] == [(2 * unit / stride, 3 * unit / stride) for stride in strides]:
                self.model.train(training)
                return unit, {stride: m.shape[1] for stride, m in zip(strides, maps)}
        raise ValueError(
            f'--trunk {self.name}: this backbone does not take images of any size ({refusal}); choose another one, such'
            ' as timm/convnext_tiny, timm/swin_tiny_patch4_window7_224 or timm/vit_small_patch14_dinov2'
        )


@contextmanager
def whole_padding():
    """Within it timm computes the padding of TensorFlow ('SAME', models with tf_ in their name) in whole numbers: the
    same, but a formula that an exporter can simplify, where a quotient rounded up grows with every layer."""
    padding: Any = import_module('timm.layers.padding')
    before = padding.get_same_padding
    padding.get_same_padding = same_padding
    try:
        yield
    finally:
        padding.get_same_padding = before


def same_padding(side: int, kernel: int, stride: int, dilation: int) -> int:
    """Pixels to add to `side` so that a convolution gives one value for each `stride` of them, rounded up."""
    reach = (kernel - 1) * dilation + 1
    missing = ((side + stride - 1) // stride - 1) * stride + reach - side
    return missing if reach >= stride else max(missing, 0)


def corner(maps: Tensor, rows: int, columns: int) -> Tensor:
    """The upper left part of maps (N, C, h, w). In an exported program of any size by its indices: a slice would assume
    that it is never the whole."""
    if isinstance(rows, torch.SymInt):
        first, second = (torch.arange(count, device=maps.device) for count in (rows, columns))
        return maps.index_select(2, first).index_select(3, second)
    return maps[..., :rows, :columns]


def _asked_of_timm(name: str, options: Options) -> dict[str, Any]:
    """The arguments of timm's builder that options other than their defaults stand for.

    Patches of another size come with images of another, so that there are as many: the position embedding of the file
    then fits as it is.
    """
    patch = options.VIT.PATCH
    wanted = {'patch_size': patch, 'drop_path_rate': options.DROP_PATH, 'img_size': patch and patch * _grid(name)}
    return {name: value for name, value in wanted.items() if value}


def _grid(name: str) -> int:
    """The patches along a side of the images that a ViT was trained on; 0 for another model."""
    with torch.device('meta'):
        embedding = getattr(_create(name, False, {}), 'patch_embed', None)
    return (getattr(embedding, 'grid_size', None) or (0,))[0]


def _create(name: str, dilated: bool, asked: dict[str, Any]) -> Any:
    """timm's model without its classifier, for images of any size if it can, at stride 8 or 16 if it should and can.

    asked: further arguments, which it has to take.
    """
    timm, error = _timm(name), None
    for stride in [{'output_stride': 8}, {'output_stride': 16}, {}] if dilated else [{}]:
        for size in ANY_SIZE:
            try:
                model = timm.create_model(
                    name.removeprefix(PREFIX), pretrained=False, num_classes=0, **stride, **size, **asked
                )
            except REFUSALS as refusal:
                error = refusal
                continue
            if not hasattr(model, 'forward_intermediates'):
                raise ValueError(
                    f'--trunk {name}: timm {timm.__version__} cannot return the maps inside this model; choose'
                    ' another one'
                )
            return model
    flags = ' and '.join(FLAGS[argument] for argument in asked if argument in FLAGS)
    raise ValueError(f'--trunk {name}: timm cannot build it{flags and f" with {flags}"}: {error}')
