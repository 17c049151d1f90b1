"""The denoiser's matrix products, layer by layer, made from a network in memory or straight from a file.

These hold nearly all of a denoiser's numbers. Read from a file they are packed one by one, so that loading never
needs more memory than the packed whole and one matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.linear import LinearMakers, LinearOp

# (a name in the denoiser's state dict, index of an expert or rows of a matrix) → that part of the tensor.
ReadPart = Callable[[str, 'int | slice'], Tensor]

ALL = slice(None)

_FUSED, _OUTPUT = 'attention.query_key_value', 'attention.output.weight'
_UP, _UP_BIAS, _DOWN = 'mixture.up_weight', 'mixture.up_bias', 'mixture.down_weight'
_NAMES = (f'{_FUSED}.weight', f'{_FUSED}.bias', _OUTPUT, _UP, _UP_BIAS, _DOWN)


class LayerProducts(NamedTuple):
    """One block's products."""

    query_key_value: LinearOp
    key_value: LinearOp | None  # the lower two thirds of the above; in the last layer, which needs it
    output: LinearOp
    up: Mapping[int, LinearOp]  # by expert
    down: Mapping[int, LinearOp]


# The experts that some step uses, layer by layer. Others are not kept: routing is decided before, and they never run.
UsedExperts = Sequence[Collection[int]]
# Makes every layer's products; called once, when the routing has been decided.
MakeProducts = Callable[[UsedExperts], Sequence[LayerProducts]]


def product_names(config: DenoiserConfig) -> tuple[str, ...]:
    """The tensors, by their names in the denoiser's state dict, that are read by products alone."""
    return tuple(f'blocks.{layer}.{name}' for layer in range(config.layers) for name in _NAMES)


def build_products(
    config: DenoiserConfig, read: ReadPart, makers: LinearMakers, used: UsedExperts
) -> tuple[LayerProducts, ...]:
    """Every layer's products. `read` is asked for one matrix at a time, and for every one, so that it can check all."""
    return tuple(
        _layer(
            config, layer, lambda name, part=ALL, layer=layer: read(f'blocks.{layer}.{name}', part), makers, used[layer]
        )
        for layer in range(config.layers)
    )


def products_of(denoiser: Denoiser, makers: LinearMakers, used: UsedExperts) -> tuple[LayerProducts, ...]:
    """The products of a network in memory."""
    tensors = denoiser.state_dict()
    with torch.no_grad():
        return build_products(denoiser.config, lambda name, part: tensors[name][part], makers, used)


def _layer(
    config: DenoiserConfig, layer: int, read: Callable[..., Tensor], makers: LinearMakers, used: Collection[int]
) -> LayerProducts:
    weight, bias = f'{_FUSED}.weight', f'{_FUSED}.bias'
    lower = slice(config.embed_dim, None)
    last = layer == config.layers - 1
    up: dict[int, LinearOp] = {}
    down: dict[int, LinearOp] = {}
    for expert in range(config.experts):
        for made, make, name, bias_name in ((up, makers.experts, _UP, _UP_BIAS), (down, makers.gated, _DOWN, None)):
            matrix, offset = read(name, expert), None if bias_name is None else read(bias_name, expert)
            if expert in used:
                made[expert] = make(matrix, offset)
    return LayerProducts(
        query_key_value=makers.attention(read(weight), read(bias)),
        key_value=makers.attention(read(weight, lower), read(bias, lower)) if last else None,
        output=makers.attention(read(_OUTPUT), None),
        up=up,
        down=down,
    )
