"""What no way to compute a chunk can be faster than on this machine: its weights read once per use, its products at the
peak, whichever takes longer. Both rates are measured in the same run as the chunks.

Weights that stay in a cache between two uses are read faster than memory allows, so a small network may be nearer to
its limit than 1, or below.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.linear import NUMBER_FORMATS, NumberFormat, is_available, linear_makers
from mode_ros.policy.size import total_parameters

# Bytes of a weight: (attention, experts). Variants that are not named are in float32.
_BYTES = {'bfloat16': (2, 2), 'int8': (2, 1)}
# Which ones run the whole sequence at every step, and which the prefix apart, once.
_WHOLE = ('fused copies', 'mixture')
_ROUNDS = 7
_STREAM_BYTES = 512 << 20  # beyond any cache of a desktop or a robot
_SIZE = 2048  # of the square products that measure the peak
# On a GPU, where less is over before the next launch.
_GPU_STREAM_BYTES = 4 << 30
_GPU_SIZE = 8192


@dataclass(frozen=True)
class Rates:
    """What the machine can do, at best of some rounds, with as many threads as torch is set to."""

    bytes_per_second: float
    flops: float  # per second, in float32
    flops_bfloat16: float
    flops_int8: float


@dataclass(frozen=True)
class Limit:
    """Of one chunk of one variant."""

    bytes: int
    seconds: float
    bound_by: str  # reading or arithmetic


def measure_rates(device: str, clock: Callable[[], float] = time.perf_counter) -> Rates:
    """Reads half a gigabyte, of a GPU's memory more, and multiplies large matrices, several times. clock: seconds."""
    size = _STREAM_BYTES if device == 'cpu' else _GPU_STREAM_BYTES
    stream = torch.randn(1 << 20, device=device).repeat(size >> 22)
    reading = _best(stream.sum, device, clock)
    del stream
    return Rates(size / reading, *(_peak(name, device, clock) for name in NUMBER_FORMATS))


def _peak(number_format: NumberFormat, device: str, clock: Callable[[], float]) -> float:
    """Operations per second, by torch's own product or by the packed one that a chunk takes, whichever is faster: on
    some processors torch's leaves half of the vector unit idle. Without the format: of the next larger one.
    """
    where = torch.device(device)
    if not is_available(number_format, where):
        return _peak('float32', device, clock)
    size = _SIZE if device == 'cpu' else _GPU_SIZE
    matrix = torch.randn(size, size, device=device)  # numbers that are all alike are multiplied faster by a GPU
    packed = linear_makers(number_format, where).experts(matrix, None)
    encoded = packed.encode(matrix)
    runs: list[Callable[[], object]] = [lambda: packed.product(encoded)]
    if number_format != 'int8':
        own = matrix.to(torch.float32 if number_format == 'float32' else torch.bfloat16)
        runs.append(lambda: own @ own)
    return 2 * size**3 / min(_best(run, device, clock) for run in runs)


def limit_of(variant: str, config: DenoiserConfig, steps: int, flops: int, rates: Rates) -> Limit:
    """flops: operations of the chunk, of all samples in it, which share what is read."""
    size = bytes_read(variant, config, steps)
    reading = size / rates.bytes_per_second
    of_attention, of_experts = (_peak_of(rates, width) for width in _BYTES.get(variant, (4, 4)))
    attention = 4 / (4 + 12 * config.top_k)  # its share of the products
    computing = flops * (attention / of_attention + (1 - attention) / of_experts)
    return Limit(size, max(reading, computing), 'reading' if reading >= computing else 'arithmetic')


def bytes_read(variant: str, config: DenoiserConfig, steps: int) -> int:
    """Of weights, per chunk: those of attention and of the selected experts at every step, or, where the prefix is a
    pass of its own, which the first step goes along with, all of them there.
    """
    if variant == 'dense':
        return 4 * steps * total_parameters(config)
    of_attention, of_experts = _BYTES.get(variant, (4, 4))
    attention, expert = 4 * config.embed_dim**2 * of_attention, 12 * config.embed_dim**2 * of_experts
    each_step = attention + config.top_k * expert
    first = each_step if variant in _WHOLE else attention + config.experts * expert
    return config.layers * ((steps - 1) * each_step + first)


def _peak_of(rates: Rates, width: int) -> float:
    """Of weights of so many bytes."""
    return {1: rates.flops_int8, 2: rates.flops_bfloat16, 4: rates.flops}[width]


def _best(run: Callable[[], object], device: str, clock: Callable[[], float]) -> float:
    def synchronise() -> None:
        if device != 'cpu':
            torch.cuda.synchronize()

    run()
    taken = []
    for _ in range(_ROUNDS):
        synchronise()
        begin = clock()
        run()
        synchronise()
        taken.append(clock() - begin)
    return min(taken)
