"""Shares of the parameters, one for each process: FSDP cuts every tensor along its first axis.

AdamW works on one vector for each process: the shares that it holds of all tensors, end to end, in the order
that `lay_out` gives.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from minitvlt.backends.torch_module import TreeModule, UnitModule
from minitvlt.learning.optimizer import from_vector, lay_out

Parameters = list[torch.nn.Parameter]


def shard_module(module: TreeModule, device: str) -> None:
    """Leave each process its shares; a block's parameters are gathered when it is run, and dropped again."""
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    for part in module.modules():
        if isinstance(part, UnitModule):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)


def cut_shares(vector: Float[torch.Tensor, "n"], like: Any) -> Float[torch.Tensor, "_"]:
    """Of a vector of all tensors of a tree, take this process's shares; a small tensor may leave it none."""
    rank, processes = dist.get_rank(), dist.get_world_size()
    shares = [tensor.chunk(processes)[rank : rank + 1] for _, tensor in lay_out(from_vector(vector, like))]
    return torch.cat([share.reshape(-1) for found in shares for share in found])


def join_shares(vector: Float[torch.Tensor, "_"], parameters: Parameters) -> Float[torch.Tensor, "n"]:
    """Make of all processes' shares the vector of all tensors, on the host; every process takes part."""

    def join(share: torch.Tensor, like: DTensor) -> torch.Tensor:
        mesh, placements = like.device_mesh, like.placements
        whole = DTensor.from_local(share, mesh, placements, shape=like.shape, stride=like.stride())
        return whole.full_tensor().reshape(-1).cpu()

    return torch.cat([join(share, like) for share, like in match_shares(vector, parameters)])


def store_shares(vector: Float[torch.Tensor, "_"], parameters: Parameters) -> None:
    """Give the parameters the values that stand in this process's vector."""
    for share, parameter in match_shares(vector, parameters):
        parameter.detach().to_local().copy_(share)


def match_shares(
    vector: Float[torch.Tensor, "_"], parameters: Parameters
) -> Iterator[tuple[Float[torch.Tensor, "..."], DTensor]]:
    """Cut a vector of shares into the shape of each, and name its parameter."""
    shapes = [parameter.to_local().shape for parameter in parameters]
    pieces = vector.split([shape.numel() for shape in shapes])
    return ((piece.view(shape), x) for piece, shape, x in zip(pieces, shapes, parameters, strict=True))
