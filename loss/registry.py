"""Registry of losses: the names of --loss, and how each is built from the settings."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Loss:
    """How a loss is built: build(num_classes, ignore_label, **arguments).

    settings: argument -> the setting that it gets the value of, or 'class_weights', the tensor that those become.
    of_queries: whether it takes the masks and classes of queries, not logits of pixels.
    """

    build: Callable[..., nn.Module]
    settings: dict[str, str]
    of_queries: bool = False


LOSSES: dict[str, Loss] = {}


def register(name: str, of_queries: bool = False, **settings: str) -> Callable:
    """Decorator that makes a class, or a function that builds one, the loss `name`; of_queries, settings
    as in Loss.

    A criterion is called with logits (N, K, H, W) and labels (N, H, W), returns a scalar, and keeps the last values of
    its parts, detached, in `.parts`, under the names by which they are logged.
    """

    def file_under(build):
        assert name not in LOSSES, f'loss {name} is registered twice'
        LOSSES[name] = Loss(build, settings, of_queries)
        return build

    return file_under
