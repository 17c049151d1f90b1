"""A network, its gradients and its optimiser spread over the processes (FSDP), for one that no single GPU holds.

Each block's weights are gathered when it computes and let go of after. A checkpoint holds everything whole, as that of
a training that is not spread does, so either kind goes on from the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from mode_ros.policy.network import PolicyNetwork


def make_mesh(device: torch.device) -> DeviceMesh:
    """All processes in a row."""
    return init_device_mesh(device.type, (distributed.get_world_size(),))


def spread(root: nn.Module, network: PolicyNetwork, mesh: DeviceMesh) -> None:
    """Leave each process its part of every weight; root: the module that is called, around the network or itself.

    The optimiser must be made after it.
    """
    world = mesh.size()

    def place(weight: nn.Parameter) -> Shard | None:
        # The experts' first dimension is their number: with more processes than that, some would get nothing.
        further = weight.dim() > 1 and weight.shape[0] < world and weight.shape[1] % world == 0
        return Shard(1) if further else None

    for part in (*network.denoiser.stack, *network.image_encoders, root):
        fully_shard(part, mesh=mesh, shard_placement_fn=place)


def whole(value: Any) -> Any:
    """Nested values in which every spread tensor is whole, on the CPU. To be called in all processes."""
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, Mapping):
        return {key: whole(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(whole(each) for each in value)
    return value


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Whole weights and buffers into a module, spread or not; strict about the names."""
    kept = module.state_dict()
    module.load_state_dict({name: _as(weight, kept.get(name)) for name, weight in weights.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """A whole optimiser's state into one whose weights are spread or not."""
    weights = [weight for group in optimizer.param_groups for weight in group['params']]
    parts = {
        number: {
            name: _as(value, weights[number]) if isinstance(value, Tensor) and value.dim() else value
            for name, value in values.items()
        }
        for number, values in state['state'].items()
    }
    optimizer.load_state_dict({**state, 'state': parts})


def _as(value: Tensor, kept: Tensor | None) -> Tensor:
    if not isinstance(kept, DTensor):
        return value
    # Every process has read the whole, so that nothing needs to be sent.
    return distribute_tensor(value.to(kept.device), kept.device_mesh, kept.placements, src_data_rank=None)
