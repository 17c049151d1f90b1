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
from mode_ros.policy.size import total_parameters

# Bytes of a weight: (attention, experts). Variants that are not named are in float32.
_BYTES = {'bfloat16': (2, 2), 'int8': (2, 1)}
# Which ones run the whole sequence at every step, and which the prefix apart, once.
_WHOLE = ('fused copies', 'mixture')
_ROUNDS = 7
_STREAM_BYTES = 512 << 20  # beyond any cache of a desktop or a robot
_SIZE = 2048  # of the square products that measure the peak


@dataclass(frozen=True)
class Rates:
    """What the machine can do, at best of some rounds, with as many threads as torch is set to."""

    bytes_per_second: float
    flops: float  # per second, in float32
    flops_bfloat16: float


@dataclass(frozen=True)
class Limit:
    """Of one chunk of one variant."""

    bytes: int
    seconds: float
    bound_by: str  # reading or arithmetic


def measure_rates(device: str, clock: Callable[[], float] = time.perf_counter) -> Rates:
    """Reads half a gigabyte and multiplies large matrices, several times. clock: seconds."""
    stream = torch.ones(_STREAM_BYTES // 4, device=device)
    reading = _best(stream.sum, device, clock)
    del stream
    flops = []
    for kind in (torch.float32, torch.bfloat16):
        matrix = torch.ones(_SIZE, _SIZE, device=device, dtype=kind)
        flops.append(2 * _SIZE**3 / _best(lambda matrix=matrix: matrix @ matrix, device, clock))  # type: ignore[misc]
    return Rates(_STREAM_BYTES / reading, *flops)


def limit_of(variant: str, config: DenoiserConfig, steps: int, flops: int, rates: Rates) -> Limit:
    """flops: operations of the chunk, of all samples in it, which share what is read."""
    size = bytes_read(variant, config, steps)
    reading = size / rates.bytes_per_second
    peak = rates.flops_bfloat16 if variant in _BYTES else rates.flops
    computing = flops / peak
    return Limit(size, max(reading, computing), 'reading' if reading >= computing else 'arithmetic')


def bytes_read(variant: str, config: DenoiserConfig, steps: int) -> int:
    """Of weights, per chunk: those of attention and of the selected experts at every step, and, where the prefix is a
    pass of its own, all of them once more.
    """
    if variant == 'dense':
        return 4 * steps * total_parameters(config)
    of_attention, of_experts = _BYTES.get(variant, (4, 4))
    attention, expert = 4 * config.embed_dim**2 * of_attention, 12 * config.embed_dim**2 * of_experts
    each_step = attention + config.top_k * expert
    once = 0 if variant in _WHOLE else attention + config.experts * expert
    return config.layers * (steps * each_step + once)


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
