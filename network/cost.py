"""Cost of a network: operations and memory, counted on tensors without values, so that no size is too large.

Operations are those of convolutions and matrix products, two for a multiplication with its addition, as torch's
FlopCounterMode counts them. Memory is that of the tensors of a pass in the precision of the network, without its
weights.
"""

import math
import weakref
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from network.plain import plain_form


@dataclass
class Cost:
    """Of one pass. Counters are by module name, '' for the whole network.

    flops: of the forward pass; plain_flops: of its plain form (network.plain); outputs: bytes that a module returns;
    peak: the most bytes that are alive at one time. In training also kept: bytes that the forward pass of a module
    leaves for the backward pass; backward_flops: of the backward pass, with what checkpointing computes again.
    """

    flops: Counter = field(default_factory=Counter)
    plain_flops: Counter = field(default_factory=Counter)
    outputs: Counter = field(default_factory=Counter)
    kept: Counter = field(default_factory=Counter)
    backward_flops: int = 0
    peak: int = 0


def count(net: nn.Module, size: tuple[int, int], training: bool = False, batch: int = 1) -> Cost:
    """The cost of evaluating `net`, a network on the meta device, on images of `size` (h, w), or of a step of training.

    Raises ValueError for a size that the network cannot take.
    """
    assert all(parameter.is_meta for parameter in net.parameters()), 'build the network under torch.device("meta")'
    images = torch.empty(batch, int(getattr(net, 'in_channels', 3)), *size, device='meta')
    net.train(training)
    cost = Cost()
    cost.flops = forward_flops(net, images)
    with plain_form(net):
        cost.plain_flops = forward_flops(net, images)
    if training:
        with flop_counter() as counter:
            _loss(net, net(images)).backward()
        cost.backward_flops = counter.get_total_flops() - cost.flops['']
        net.zero_grad()
    count_memory(net, images, cost)
    return cost


def forward_flops(net: nn.Module, images: Tensor) -> Counter:
    """The operations of a forward pass by module name, '' for the whole network."""
    with torch.no_grad(), flop_counter() as counter:
        net(images)
    return _by_module(counter)


def _loss(net: Any, outputs: dict[str, Tensor]) -> Any:
    return sum(outputs[name].mean() for name in net.output_names)


def flop_counter() -> FlopCounterMode:
    """A FlopCounterMode that also knows the in-place product of network.pyramid, and gradients of grouped
    convolutions."""
    aten = torch.ops.aten
    return FlopCounterMode(
        display=False, custom_mapping={aten.baddbmm_: _baddbmm_flops, aten.convolution_backward: _conv_backward_flops}
    )


def _baddbmm_flops(total: torch.Size, left: torch.Size, right: torch.Size, **_) -> int:
    batch, rows, inner = left
    return 2 * batch * rows * inner * right[-1]


def _conv_backward_flops(
    grad, images, weight, bias, stride, padding, dilation, transposed, output_padding, groups, mask, **_
) -> int:
    """As much for the gradient of the images, and of the weights, as the forward pass; torch's own formula ignores the
    groups."""
    positions = images if transposed else grad
    return (mask[0] + mask[1]) * 2 * positions[0] * math.prod(positions[2:]) * math.prod(weight)


def _by_module(counter: FlopCounterMode) -> Counter:
    """Its counts by module name: 'Global' -> '', 'Net.backbone.conv1' -> 'backbone.conv1'.

    Names without a dot are those of classes: of the network, or of a module that no other holds, such as a slice of a
    Sequential.
    """
    counts = {name: sum(kinds.values()) for name, kinds in counter.get_flop_counts().items()}
    return Counter(
        {'': counts.get('Global', 0)} | {name.partition('.')[2]: count for name, count in counts.items() if '.' in name}
    )


def count_memory(net: nn.Module, images: Tensor, cost: Cost):
    """Fill in the bytes of `cost`: of a step of training if `net` is in training, else of an evaluation."""
    with torch.set_grad_enabled(net.training), LiveBytes(net, images) as memory:
        with Calls(net) as calls:
            memory.calls = calls
            outputs = net(images)
        cost.outputs = calls.returned
        if net.training:
            cost.kept = memory.by_module()
            _loss(net, outputs).backward()
    cost.peak = memory.peak
    net.zero_grad()


class Calls:
    """Follows the calls of the modules of `net` within it.

    running: the names of the modules that run; returned: the bytes that each has returned, '' for the network's
    outputs.
    """

    def __init__(self, net: nn.Module):
        self.net, self.returned = net, Counter[str]()
        self.running: tuple[str, ...] = ()
        self._handles: list[Any] = []

    def __enter__(self):
        for name, module in self.net.named_modules():

            def enter(module, inputs, name=name):
                self.running += (name,)

            def leave(module, inputs, outputs, name=name):
                self.running = self.running[:-1]
                self.returned[name] += sum(item.nbytes for item in tree_iter(outputs) if isinstance(item, Tensor))

            self._handles += module.register_forward_pre_hook(enter), module.register_forward_hook(leave)
        return self

    def __exit__(self, *error):
        for handle in self._handles:
            handle.remove()


class LiveBytes(TorchDispatchMode):
    """Follows every tensor that operations make within it, but for those of `net` and `inputs`, until it is freed.

    live, peak: bytes now and at most. calls: a Calls, to know whose operations they are, or None.
    """

    def __init__(self, net: nn.Module, *inputs: Tensor):
        super().__init__()
        self.live = self.peak = 0
        self.calls: Calls | None = None
        self._ignored = {tensor.untyped_storage()._cdata for tensor in (*net.parameters(), *net.buffers(), *inputs)}
        self._alive: dict[int, tuple[int, tuple[str, ...]]] = {}  # storage -> bytes, modules that made it

    def by_module(self) -> Counter:
        """The bytes alive now by the modules that made them."""
        found: Counter[str] = Counter()
        for size, names in self._alive.values():
            found.update(dict.fromkeys({'', *names}, size))
        return found

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for item in tree_iter(result):
            if isinstance(item, Tensor):
                self._follow(item.untyped_storage())
        return result

    def _follow(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or key in self._ignored:
            return
        self._alive[key] = size, self.calls.running if self.calls else ()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int):
        self.live -= self._alive.pop(key)[0]
