"""The denoiser's matrix products, layer by layer, made from a network in memory or straight from a file.

These hold nearly all of a denoiser's numbers. Read from a file they are packed one by one, so that loading never
needs more memory than the packed whole and one matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    up: tuple[LinearOp, ...]  # [E]
    down: tuple[LinearOp, ...]  # [E]


# Makes every layer's products; called once, when the routing has been decided.
MakeProducts = Callable[[], 'Sequence[LayerProducts]']


def product_names(config: DenoiserConfig) -> tuple[str, ...]:
    """The tensors, by their names in the denoiser's state dict, that are read by products alone."""
    return tuple(f'blocks.{layer}.{name}' for layer in range(config.layers) for name in _NAMES)


def build_products(config: DenoiserConfig, read: ReadPart, makers: LinearMakers) -> tuple[LayerProducts, ...]:
    """Every layer's products. `read` is asked for one matrix at a time."""
    return tuple(
        _layer(config, layer, lambda name, part=ALL, layer=layer: read(f'blocks.{layer}.{name}', part), makers)
        for layer in range(config.layers)
    )


def products_of(denoiser: Denoiser, makers: LinearMakers) -> tuple[LayerProducts, ...]:
    """The products of a network in memory."""
    tensors = denoiser.state_dict()
    with torch.no_grad():
        return build_products(denoiser.config, lambda name, part: tensors[name][part], makers)


def _layer(config: DenoiserConfig, layer: int, read: Callable[..., Tensor], makers: LinearMakers) -> LayerProducts:
    weight, bias = f'{_FUSED}.weight', f'{_FUSED}.bias'
    lower = slice(config.embed_dim, None)
    last = layer == config.layers - 1
    return LayerProducts(
        query_key_value=makers.attention(read(weight), read(bias)),
        key_value=makers.attention(read(weight, lower), read(bias, lower)) if last else None,
        output=makers.attention(read(_OUTPUT), None),
        up=tuple(makers.experts(read(_UP, e), read(_UP_BIAS, e)) for e in range(config.experts)),
        down=tuple(makers.experts(read(_DOWN, e), None) for e in range(config.experts)),
    )
