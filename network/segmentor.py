"""Segmentors: what every network has in common, a trunk, heads and one forward pass at one scale."""

from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from network.initialize import kaiming
from network.layers import Module
from network.options import Options
from network.resize import Size, resize, scaled_size, single, size_of
from network.segmentation import Segmentation, TrainedOn, segment
from utils.outputs.kinds import LOGITS


class Prediction(NamedTuple):
    """What the heads say of one image, at the resolution of the trunk's finest map.

    logits (N, K, h, w); aux the same, or None without an auxiliary head, in evaluation also where logits do not depend
    on it (FCN, DeepLabv3: it is not run); attention (N, 1, h, w) in (0, 1) or None; context is what the prediction of a
    neighbouring scale reads of this one, if it does.
    """

    logits: Tensor
    aux: Tensor | None = None
    attention: Tensor | None = None
    context: Any = None


class Segmentor(Module):
    """A trunk and heads; subclasses say in `run_heads` how one becomes the other.

    arch, trunk_name, num_classes and options are what it was built by. output_names are the logits that the training
    pass returns, in order. class_layers are the layers with one output channel per class. trunk_key is the name of the
    trunk in state-dict keys. trained_on: what `predict` has to know beside the weights; network.load fills it in.
    kind: of the values that evaluation returns as `pred` (utils.outputs.kinds).

    Auxiliary logits are for training: evaluation does not return `aux`, which would be enlarged for nothing. Those that
    OCR networks gather their context by are in `run_heads(images).aux`, at the size of the finest map; `enlarge` brings
    them to that of the images.
    """

    output_names: tuple[str, ...] = ('pred',)
    class_layers: tuple[str, ...] = ()
    trunk_key = 'backbone'
    kind = LOGITS
    arch = ''
    trunk_name: str | None = None
    num_classes: int
    in_channels = 3
    trained_on: TrainedOn | None = None
    pretrained_report: object = None

    def __init__(self, trunk: Module | None, align_corners: bool, options: Options):
        super().__init__()
        setattr(self, self.trunk_key, trunk)
        self.options = options
        if trunk is not None:
            self.head_strides, self.deepest_stride = trunk.head_strides, trunk.deepest_stride
            # of trunk_maps together
            self.head_channels = sum(trunk.channels[stride] for stride in trunk.head_strides)
        self.align_corners = align_corners
        self.trunk_is_frozen = False

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        """The heads' output for images (N, 3, h, w); the attention head runs only if it is asked for."""
        raise NotImplementedError

    def predict(self, image: np.ndarray) -> Segmentation:
        """image uint8 (h, w, 3) RGB -> labels (h, w), confidence (h, w) and classes, in evaluation mode.

        Raises ValueError for an image of another form, or a network that was not loaded from a checkpoint.
        """
        return segment(self, self.trained_on, image)

    def forward(self, images: Tensor, keep_scales: bool = False) -> dict[str, Tensor]:
        """images (N, 3, h, w) float, normalised -> {'pred': (N, K, h, w)}, in training (only) 'aux' too if there is
        one.

        Logits are float32 (float64 for a float64 network), whatever autocast says. keep_scales: in evaluation return
        the maps of single scales too, which networks with multi-scale attention have.
        """
        size = size_of(images)
        self.check_size(images, size)
        prediction = self.run_heads(images)
        outputs = {'pred': self.enlarge(prediction.logits, size)}
        if self.training and prediction.aux is not None:
            outputs['aux'] = self.enlarge(prediction.aux, size)
        return outputs

    def trunk_maps(self, images: Tensor) -> list[Tensor]:
        """The trunk's maps that heads read, finest first."""
        return self.head_maps(self.run_trunk(images))

    def head_maps(self, maps: dict[int, Tensor]) -> list[Tensor]:
        return [maps[stride] for stride in self.head_strides]

    def run_trunk(self, images: Tensor) -> dict[Any, Tensor]:
        """The trunk's maps by stride."""
        return self.backbone(images)

    def enlarge(self, maps: Tensor, size: Size) -> Tensor:
        """Head output (N, C, h, w) -> (N, C, H, W), in single precision and plain memory order."""
        return resize(single(maps).contiguous(), size, self.align_corners)

    def trunk_parts(self) -> dict[str, nn.Module]:
        """The modules that make up the trunk by their names within it: one, the trunk itself, named ''; none without a
        trunk."""
        return {} if self.backbone is None else {'': self.backbone}

    def trunk_parameters(self):
        """The parameters of the trunk."""
        return chain.from_iterable(part.parameters() for part in self.trunk_parts().values())

    def freeze_trunk(self):
        """From now on train the heads only: the trunk's weights get no gradient, its norms and dropout stay in
        evaluation."""
        for parameter in self.trunk_parameters():
            parameter.requires_grad_(False)
        self.trunk_is_frozen = True
        self.train(self.training)

    def set_progress(self, share: float):
        """Called before every batch of a training, of which `share` is done: for networks that change along it."""

    def train(self, mode: bool = True):
        super().train(mode)
        if self.trunk_is_frozen:
            for part in self.trunk_parts().values():
                part.eval()
        return self

    def trunk_entries(self) -> dict[str, Tensor]:
        """The trunk's state-dict entries under the names they have in a trunk alone; tensors share memory with the
        network's."""
        return {
            f'{name}.{key}' if name else key: value
            for name, part in self.trunk_parts().items()
            for key, value in part.state_dict().items()
        }

    def scales(self) -> tuple[float, ...]:
        """The scales of the next pass."""
        return (1.0,)

    def scale_images(self, images: Tensor, scale: float) -> tuple[Tensor, Size]:
        """images (N, 3, h, w) resized by `scale`, and their size."""
        size = scaled_size(size_of(images), scale)
        self.check_size(images, size, scale)
        return resize(images, size, self.align_corners), size

    def check_size(self, images: Tensor, size: Size, scale: float = 1.0):
        """Raise ValueError if images (N, 3, h, w), resized to `size` by `scale`, are too small for the trunk."""
        height, width = size
        if min(height, width) < 1:
            raise ValueError(
                f'images of {images.shape[-2]}x{images.shape[-1]} pixels vanish at scale {scale:g}; '
                f'both sides must be at least {-(-1 // scale):g} pixels'
            )
        stride = self.deepest_stride
        values = images.shape[0] * -(-height // stride) * -(-width // stride)
        if self.training and values == 1:
            raise ValueError(
                f'a batch of one image of {images.shape[-2]}x{images.shape[-1]} pixels cannot be trained on: at scale '
                f'{scale:g} and stride {stride} it is a single value, which has no variance to normalise by; use a '
                f'crop with a side of at least {-(-(stride + 1) // scale):g} pixels, or a larger batch'
            )


class FeatureSegmentor(Segmentor):
    """A segmentor with a class head, named by `classifier`, over `features` of feature_channels together.

    kaiming_parts are the layers that start Kaiming-normal rather than as torch has them, decoder_parts those that do so
    with options.INIT_DECODER.
    """

    classifier = 'final'
    kaiming_parts: tuple[str, ...] = ()
    decoder_parts: tuple[str, ...] = ()
    feature_channels: int

    def features(self, images: Tensor) -> list[Tensor]:
        """images (N, 3, h, w) -> the maps (N, c_i, h_i, w_i) that heads read, finest first."""
        raise NotImplementedError

    def classify(self, features: list[Tensor]) -> Tensor:
        """features -> logits (N, K, h_0, w_0)."""
        return getattr(self, self.classifier)(features)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        return Prediction(self.classify(self.features(images)))

    def initialise(self):
        """Initialise the parts named; the last thing a constructor does."""
        more = tuple(part for part in self.decoder_parts if part not in self.kaiming_parts)
        parts = self.kaiming_parts + (more if more and self.options.INIT_DECODER else ())
        for part in parts:
            kaiming(getattr(self, part))


def head_keys(net: Segmentor) -> list[str]:
    """The state-dict keys whose first dimension is the number of classes (what a checkpoint of other classes cannot
    fill)."""
    return [key for key in net.state_dict() if key.rpartition('.')[0] in net.class_layers]


def strides_in_words(strides) -> str:
    """(4, 8, 16) -> 'strides 4, 8 and 16'; (16,) -> 'stride 16'."""
    *most, last = map(str, strides)
    return f'strides {", ".join(most)} and {last}' if most else f'stride {last}'
