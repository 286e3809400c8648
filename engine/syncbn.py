"""Batch normalisation over all processes: torch's own on GPUs, a plain one on CPUs, where torch has none."""

import torch
import torch.distributed as dist
from torch import nn


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks. Every rank uses the sum, so its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, tensor):
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient):
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class CPUSyncBatchNorm(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are those of the images of all ranks; state dict as BatchNorm2d."""

    def forward(self, images):
        """images (N, C, h, w) -> the same shape; ranks may hold batches and sizes of their own."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(images)
        x = images.float()
        pixels = torch.tensor([x.numel() / x.shape[1]])
        totals = _SumOverRanks.apply(torch.cat([x.sum(dim=(0, 2, 3)), pixels]))
        count = totals[-1].detach()
        mean = (totals[:-1] / count).view(1, -1, 1, 1)
        centred = x - mean  # a second pass: E[x^2] - E[x]^2 would cancel in fp32
        variance = _SumOverRanks.apply(centred.square().sum(dim=(0, 2, 3))) / count
        self._track(mean.detach().flatten(), variance.detach() * count / (count - 1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(images.dtype)

    @torch.no_grad()
    def _track(self, mean, variance):
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class CPUSyncBatchNormAct(CPUSyncBatchNorm):
    """The same for timm's BatchNormAct2d, a norm with a dropout and an activation behind it."""

    def forward(self, images):
        return self.act(self.drop(super().forward(images)))


def convert(net, device):
    """net with every BatchNorm2d replaced by its synchronised form, keeping weights and statistics."""
    if device.type == 'cuda':
        return _convert_on_gpu(net)
    for name, child in net.named_children():
        if isinstance(child, nn.BatchNorm2d):
            kind = CPUSyncBatchNormAct if _activates(child) else CPUSyncBatchNorm
            synced = kind(child.num_features, child.eps, child.momentum)
            synced.load_state_dict(child.state_dict())
            if kind is CPUSyncBatchNormAct:
                synced.drop, synced.act = child.drop, child.act
            setattr(net, name, synced)
        else:
            convert(child, device)
    return net


def _convert_on_gpu(net):
    if not any(map(_activates, net.modules())):
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)
    from timm.layers import convert_sync_batchnorm  # torch's own would drop the activations

    return convert_sync_batchnorm(net)


def _activates(module):
    """Whether a norm is timm's BatchNormAct2d."""
    return isinstance(module, nn.BatchNorm2d) and hasattr(module, 'act') and hasattr(module, 'drop')
