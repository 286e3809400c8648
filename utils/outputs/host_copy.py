"""Tensors on their way from the device to the host, without stopping the device.

A pageable copy makes the caller wait until everything queued before it has run. Here the copy goes to pinned memory
behind the forward pass, and only the writer thread that needs the values waits for it.
"""

import torch


class HostCopy:
    """A copy of `tensor` in host memory; `numpy()` waits until it has arrived. On a CPU it is the tensor itself."""

    def __init__(self, tensor: torch.Tensor):
        self._arrived = None
        if tensor.is_cuda:
            with torch.cuda.device(tensor.device):
                self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                self._host.copy_(tensor, non_blocking=True)
                self._arrived = torch.cuda.Event(blocking=True)  # blocking: the thread sleeps instead of spinning
                self._arrived.record()
        else:
            self._host = tensor.detach().cpu().contiguous()

    def numpy(self):
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host.numpy()


def half_saturated(tensor: torch.Tensor) -> torch.Tensor:
    """A float16 copy in which what does not fit is the largest finite value, +-65504, instead of infinity."""
    limit = torch.finfo(torch.float16).max
    return tensor.to(torch.float16, copy=True).clamp_(-limit, limit)
