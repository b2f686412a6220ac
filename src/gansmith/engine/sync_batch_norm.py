"""Batch norm over a batch that is spread over several processes: the statistics are those of all of it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gansmith.core.distributed import World
from gansmith.core.tensors import full


class SharedBatchNorm(_BatchNorm):
    """Batch norm whose mean and variance are taken over every process's part of the batch.

    It takes over the weights and running statistics of a ``BatchNorm2d`` or ``BatchNorm1d``, names included,
    so that a checkpoint is the same for any number of processes; in eval mode and alone it is one. Every
    process must have equally many images. (torch's SyncBatchNorm runs on GPUs only, and knows no second
    derivative.)

    Args:
        plain: what it replaces.
        world: the processes.

    Example:
        >>> SharedBatchNorm(nn.BatchNorm2d(8), SINGLE_PROCESS)(torch.randn(4, 8, 2, 2)).shape
        torch.Size([4, 8, 2, 2])
    """

    def __init__(self, plain: _BatchNorm, world: World) -> None:
        super().__init__(
            plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats
        )
        self.weight, self.bias = plain.weight, plain.bias
        self.running_mean, self.running_var = plain.running_mean, plain.running_var
        self.num_batches_tracked = plain.num_batches_tracked
        self.world = world

    def forward(self, input: Tensor) -> Tensor:
        """[batch, channels], with or without places behind it, -> the same shape and type."""
        if self.world.size == 1 or not self.training:
            return super().forward(input)
        if input.dim() < 4:
            return self.forward(input[(..., *[None] * (4 - input.dim()))]).view(input.shape)
        with torch.no_grad():
            # Torch keeps the digits of running statistics, so it is given some to throw away.
            scratch = full(input.new_zeros(2, input.shape[1]))
            own = torch.stack(torch.batch_norm_update_stats(input, scratch[0], scratch[1], 0.0))
            mean, var = _together(_of_all(own, self.world))
            self._remember(mean, var, input.numel() // input.shape[1] * self.world.size)
        weight = torch.ones_like(mean) if self.weight is None else self.weight
        bias = torch.zeros_like(mean) if self.bias is None else self.bias
        made: Tensor = _Normalize.apply(input, weight, bias, mean, var, self)  # type: ignore[no-untyped-call]
        return made

    def _check_input_dim(self, input: Tensor) -> None:
        """What the replaced layer was made for comes in."""

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var * (count / max(count - 1, 1)), share)


class _Normalize(torch.autograd.Function):
    """Batch norm with given statistics of all processes, and a gradient that knows they follow the images.

    Every pass is one of torch's own fused ones: written out, it took a third of a DCGAN's step. Where the
    gradient is itself to be differentiated, it is taken of the equation written out.
    """

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        var: Tensor,
        layer: SharedBatchNorm,
    ) -> Tensor:
        ctx.save_for_backward(images, weight, bias, mean, var)
        ctx.eps, ctx.world = layer.eps, layer.world
        return F.batch_norm(images, mean, var, weight, bias, False, 0.0, layer.eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, bias, mean, var = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (*_written_out(gradient, images, weight, bias, ctx.eps, ctx.world), None, None, None)
        # As if the statistics were constants: g w / s, sum of g x^, sum of g.
        plain, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, images, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        total = torch.stack([of_weight, of_bias])
        ctx.world.end_sum(ctx.world.begin_sum(total))
        count = images.numel() // images.shape[1] * ctx.world.size
        # And what that leaves out: (w / s) (E[g] + x^ E[g x^]), an affine function of x^ like batch norm.
        gain = weight * (var + ctx.eps).rsqrt() / count
        along = F.batch_norm(images, mean, var, gain * total[0], gain * total[1], False, 0.0, ctx.eps)
        return plain - along, of_weight, of_bias, None, None, None


def _written_out(
    gradient: Tensor, images: Tensor, weight: Tensor, bias: Tensor, eps: float, world: World
) -> tuple[Tensor | None, ...]:
    """Gradients of images, weight and bias as part of the graph."""
    wide = full(images)
    var, mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)
    mean, var = _together(_of_all(torch.stack([mean, var]), world))
    # The mean goes first: a * x - a * mean would lose the digits that both have in common.
    made = (wide - mean.view(1, -1, 1, 1)) * ((var + eps).rsqrt() * weight).view(1, -1, 1, 1)
    made = made + bias.view(1, -1, 1, 1)
    wanted = [tensor if tensor.requires_grad else None for tensor in (images, weight, bias)]
    found = torch.autograd.grad(
        made, [t for t in wanted if t is not None], gradient.to(made.dtype), create_graph=True
    )
    rest = iter(found)
    return tuple(None if t is None else next(rest) for t in wanted)


def _together(parts: Tensor) -> tuple[Tensor, Tensor]:
    """[size, 2, channels], each process's mean and variance of equally many -> those of all."""
    means, variances = parts.unbind(1)
    return means.mean(dim=0), variances.mean(dim=0) + means.var(dim=0, correction=0)


def share_batch_norms(network: nn.Module, world: World) -> None:
    """Replace every ``BatchNorm2d`` and ``BatchNorm1d`` inside by one over all processes.

    One that is used twice stays one.
    """
    replaced: dict[nn.Module, nn.Module] = {}
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d):
                assert isinstance(child, _BatchNorm)
                if child not in replaced:
                    replaced[child] = SharedBatchNorm(child, world).train(child.training)
                setattr(parent, name, replaced[child])


def set_world(network: nn.Module, world: World) -> None:
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
