"""Process group, one process per device, as torchrun describes it in the environment, and its collectives.

One CPU or GPU:   python train.py ...
Many:             torchrun --standalone --nnodes=1 --nproc-per-node=2 train.py ...   (NCCL on GPUs, gloo on CPUs)
"""

import itertools
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as group

from utils.settings import SETTINGS

MEETING = timedelta(minutes=10)  # for all processes to start
_starts = itertools.count()


@dataclass(frozen=True)
class Dist:
    """This process among its peers. Without a process group: rank 0 of 1, and every collective is a no-op."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    device: torch.device = torch.device('cpu')
    is_group: bool = False  # a process group stands, perhaps of one process
    owns_group: bool = False  # and this object started it

    @property
    def is_main(self) -> bool:
        """True on the one rank that writes and talks."""
        return self.rank == 0

    def barrier(self):
        """Wait until every rank is here."""
        if self.is_group:
            group.barrier()

    def all_reduce_sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum `tensor` (int64 or float64, any device, same shape on every rank) over ranks, in place; returns it.

        Counts are exact: float32 would round those above 2^24 pixels.
        """
        assert tensor.dtype in (torch.int64, torch.float64), (
            f'sums over ranks are taken in int64 or float64, not {tensor.dtype}'
        )
        if self.is_group:
            moved = tensor.to(self.device)
            group.all_reduce(moved)
            if moved is not tensor:
                tensor.copy_(moved)
        return tensor

    def broadcast(self, tensors):
        """Give every rank the values of rank 0's `tensors`, in place."""
        if self.is_group:
            for tensor in tensors:
                group.broadcast(tensor, src=0)

    def any(self, flag) -> bool:
        """True on every rank when `flag` is true on at least one; every rank must call it equally often."""
        return (
            bool(flag)
            if self.world == 1
            else bool(self.all_reduce_sum(torch.tensor(int(bool(flag)), device=self.device)))
        )

    def broadcast_object(self, value=None):
        """Rank 0's `value` (anything that pickles) on every rank."""
        if self.world == 1:
            return value
        box = [value]
        group.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def gather_objects(self, value) -> list:
        """The `value` of every rank, in the order of ranks, on every rank."""
        if self.world == 1:
            return [value]
        values = [None] * self.world
        group.all_gather_object(values, value)
        return values

    @contextmanager
    def main_first(self):
        """Run the block on rank 0 first, then on the others: rank 0 builds a cache, the others find it."""
        if not self.is_main:
            self.barrier()
        try:
            yield
        finally:
            if self.is_main:
                self.barrier()

    def shutdown(self):
        """Leave the process group that this object started; nothing to do otherwise."""
        if self.owns_group and group.is_initialized():
            group.destroy_process_group()


def init_from_env(distributed=False, device=None, minutes=SETTINGS['timeout'].default) -> Dist:
    """Join the process group of torchrun's environment variables, or stay alone when there are none.

    distributed: the --distributed flag, which torchrun implies; device: 'cpu' or 'cuda', by default a GPU when there is
    one; minutes: how long a collective waits for the others. LOCAL_RANK chooses the GPU, before NCCL starts. Raises
    ValueError for --distributed without torchrun, an incomplete environment, more processes than GPUs, or an
    unreachable master.
    """
    kind = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if kind == 'cuda' and not torch.cuda.is_available():
        raise ValueError('device cuda: torch sees no GPU here; install a CUDA build of torch or use the CPU')
    if 'WORLD_SIZE' not in os.environ:
        if distributed:
            raise ValueError(
                '--distributed: this process was not started by torchrun; use torchrun --standalone --nproc-per-node=N'
                f' {sys.argv[0]} ... with N processes, or leave the flag out'
            )
        return Dist(device=_device(kind, 0))
    rank, world, local_rank = (_from_env(name) for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'))
    own_device = _device(kind, local_rank)
    started = not group.is_initialized()
    if started:
        _start_group(own_device, minutes)
    return Dist(rank, world, local_rank, own_device, is_group=True, owns_group=started)


def _from_env(name) -> int:
    text = os.environ.get(name)
    if text is None or not text.isdigit():
        raise ValueError(
            f'environment variable {name}: found {"nothing" if text is None else repr(text)} beside'
            f' WORLD_SIZE={os.environ["WORLD_SIZE"]}, expected a number; start with torchrun, or unset WORLD_SIZE for a'
            ' single process'
        )
    return int(text)


def _device(kind, local_rank) -> torch.device:
    """The device of this process, made current when it is a GPU."""
    if kind == 'cpu':
        return torch.device('cpu')
    visible = torch.cuda.device_count()
    if local_rank >= visible:
        raise ValueError(
            f'process {local_rank} of this machine has no GPU of its own: torch sees {visible}'
            f' (CUDA_VISIBLE_DEVICES={os.environ.get("CUDA_VISIBLE_DEVICES", "unset")}); start with'
            f' --nproc-per-node={visible}'
        )
    own_device = torch.device('cuda', local_rank)
    torch.cuda.set_device(own_device)
    return own_device


def _start_group(own_device, minutes):
    on_gpu = own_device.type == 'cuda'
    try:
        store, rank, world = next(group.rendezvous('env://', timeout=MEETING))
        # A prefix of its own: a second group of the same processes would find the addresses of the first in torchrun's
        # store.
        group.init_process_group(
            'nccl' if on_gpu else 'gloo',
            store=group.PrefixStore(f'start{next(_starts)}', store),
            rank=rank,
            world_size=world,
            timeout=timedelta(minutes=minutes),
            device_id=own_device if on_gpu else None,
        )
    except (ValueError, RuntimeError) as error:  # torch's DistError is a RuntimeError
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f'process group: cannot be started at MASTER_ADDR={os.environ.get("MASTER_ADDR")}'
            f' MASTER_PORT={os.environ.get("MASTER_PORT")} ({first_line}); start with torchrun, which sets both'
        ) from error
