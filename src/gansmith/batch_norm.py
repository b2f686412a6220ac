"""Batch norm over a batch that is spread over several processes: the statistics are those of all of it."""

from typing import Any

import torch
from torch import Tensor, nn

from gansmith.distributed import World
from gansmith.tensors import full


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose mean and variance are taken over every process's part of the batch.

    It takes over the weights and running statistics of a ``BatchNorm2d``, names included, so that a
    checkpoint is the same for any number of processes; in eval mode and alone it is one. Every process must
    have equally many pictures. (torch's SyncBatchNorm runs on GPUs only, and knows no second derivative.)

    Args:
        plain: what it replaces.
        world: the processes.
    """

    def __init__(self, plain: nn.BatchNorm2d, world: World) -> None:
        super().__init__(
            plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats
        )
        self.weight, self.bias = plain.weight, plain.bias
        self.running_mean, self.running_var = plain.running_mean, plain.running_var
        self.num_batches_tracked = plain.num_batches_tracked
        self.world = world

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels, height, width] -> the same shape and type."""
        if self.world.size == 1 or not self.training:
            return super().forward(input)
        images = full(input)
        var, mean = torch.var_mean(images, dim=(0, 2, 3), correction=0)
        means, variances = _of_all(torch.stack([mean, var]), self.world).unbind(1)
        mean = means.mean(dim=0)
        var = variances.mean(dim=0) + means.var(dim=0, correction=0)
        self._remember(mean.detach(), var.detach(), images.numel() // images.shape[1] * self.world.size)
        gain = (var + self.eps).rsqrt()
        gain = gain if self.weight is None else gain * self.weight
        # The mean goes first: a * x - a * mean would lose the digits that both have in common.
        made = (images - mean.view(1, -1, 1, 1)) * gain.view(1, -1, 1, 1)
        made = made if self.bias is None else made + self.bias.view(1, -1, 1, 1)
        return made.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var * (count / max(count - 1, 1)), share)


def share_batch_norms(network: nn.Module, world: World) -> None:
    """Replace every ``BatchNorm2d`` inside by one over all processes; one that is used twice stays one."""
    replaced: dict[nn.Module, nn.Module] = {}
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                if child not in replaced:
                    replaced[child] = SharedBatchNorm(child, world).train(child.training)
                setattr(parent, name, replaced[child])


def among(network: nn.Module, world: World) -> None:
    """Let all shared batch norms inside speak with these processes from now on."""
    for module in network.modules():
        if isinstance(module, SharedBatchNorm):
            module.world = world


def has_batch_norm(network: nn.Module) -> bool:
    """Whether any layer inside takes statistics over a batch."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def _of_all(own: Tensor, world: World) -> Tensor:
    """[...] of each process -> [size, ...] of all, at every process; differentiable, also twice."""
    padded = torch.cat(
        [
            torch.zeros_like(own)[None].expand(world.rank, *own.shape),
            own[None],
            torch.zeros_like(own)[None].expand(world.size - world.rank - 1, *own.shape),
        ]
    )
    gathered: Tensor = _Sum.apply(padded, world)  # type: ignore[no-untyped-call]
    return gathered


class _Sum(torch.autograd.Function):
    """The sum over processes. Each process's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, world: World) -> Tensor:
        ctx.world = world
        total = own.clone()
        world.end_sum(world.begin_sum(total))
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Sum.apply(gradient.contiguous(), ctx.world), None  # type: ignore[no-untyped-call]
