"""The comparison: variants in turns, round after round, and what comes of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from mode_ros.bench.variants import FUSED, OTHER_CHUNKS, Measured, Setting
from mode_ros.bench.worker import Built, Worker
from mode_ros.policy.size import total_parameters

# Rounds that are not counted: lazy set-up in torch, caches, and the goal's part of the prefix.
_WARM_UP = 2
# Of a process's memory beside the weights: torch itself, and the largest matrix while loading.
_BESIDE = 0.8e9

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What was measured of one variant; seconds, bytes."""

    variant: str
    batch: int
    totals: tuple[float, ...]
    prefixes: tuple[float, ...]
    processors: tuple[float, ...]
    ratio: float  # median over the rounds of this variant's time over the reference's in the same round
    processor_ratio: float  # the same of processor time
    build_seconds: float
    peak_bytes: int
    error: float  # RMS distance from the reference's chunk over the spread of that chunk; nan: another network

    def percentile(self, percent: float) -> float:
        """Seconds per chunk."""
        return float(np.percentile(self.totals, percent))

    @property
    def prefix(self) -> float:
        """Median seconds of the prefix stage."""
        return float(np.median(self.prefixes))

    @property
    def steps(self) -> float:
        """Median seconds of the denoising steps."""
        return float(np.median(np.subtract(self.totals, self.prefixes)))


def compare(
    variants: Sequence[str], setting: Setting, batch: int, rounds: int, say: Say, reference: str | None = None
) -> list[Result]:
    """Measure variants against the first of them, or `reference`, in turns.

    Those that do not fit into memory together are measured in groups; the reference takes part in each.
    """
    reference = reference or variants[0]
    others = [name for name in variants if name != reference]
    found: dict[str, Result] = {}
    with Worker(reference, setting, batch) as worker:
        built = worker.wait()
        say(f'{reference}: ready after {built.seconds:.1f} s, {built.peak_bytes / 1e9:.1f} GB')
        for group in groups(others, setting, free_memory()) or [[]]:
            found |= _measure_group(worker, built, group, setting, batch, rounds, say)
        peak = worker.close()
    found[reference] = _with_peak(found[reference], peak)
    return [found[name] for name in variants]


def groups(variants: Sequence[str], setting: Setting, free: float) -> list[list[str]]:
    """Variants in the order given, as many together as fit into `free` bytes, at least one."""
    made: list[list[str]] = []
    left = 0.0
    for name in variants:
        need = estimate_memory(name, setting)
        if not made or need > left:
            made.append([])
            left = free
        made[-1].append(name)
        left -= need
    return made


def estimate_memory(variant: str, setting: Setting) -> float:
    """About how many bytes a variant's process needs."""
    config = setting.denoiser
    weights = total_parameters(config)
    copies = 12 * config.embed_dim**2 * config.top_k * config.layers * setting.diffusion.steps
    per_weight = {'bfloat16': 2.3, 'int8': 1.5}.get(variant, 4)
    return _BESIDE + per_weight * weights + (4 * copies if variant == FUSED else 0)


def free_memory() -> float:
    """Bytes that can be had without swapping, with a reserve for others; endless where the system does not tell."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path('/proc/meminfo').read_text(encoding='ascii').splitlines()
        return 0.9 * 1024 * int(next(line for line in lines if line.startswith('MemAvailable')).split()[1])
    return float('inf')


def relative_rms(found: Tensor, expected: Tensor) -> float:
    """RMS of the difference over the expected numbers' standard deviation."""
    return float((found - expected).pow(2).mean().sqrt() / expected.std())


def _measure_group(
    reference: Worker, built: Built, names: Sequence[str], setting: Setting, batch: int, rounds: int, say: Say
) -> dict[str, Result]:
    with contextlib.ExitStack() as stack:
        # One after the other: loading side by side would measure nothing, but hold the most memory.
        ready = {reference.name: built}
        workers = [reference]
        for name in names:
            workers.append(stack.enter_context(Worker(name, setting, batch)))
            ready[name] = workers[-1].wait()
            say(f'{name}: ready after {ready[name].seconds:.1f} s, {ready[name].peak_bytes / 1e9:.1f} GB')
        measured: dict[str, list[Measured]] = {worker.name: [] for worker in workers}
        for number in range(-_WARM_UP, rounds):
            for worker in workers:
                one = worker.measure()
                if number >= 0:
                    measured[worker.name].append(one)
            time.sleep(0)
        peaks = {worker.name: worker.close() for worker in workers if worker is not reference}
    against = measured[reference.name]
    return {
        name: _result(name, batch, own, against, ready[name], peaks.get(name, built.peak_bytes))
        for name, own in measured.items()
    }


def _result(
    name: str, batch: int, own: Sequence[Measured], against: Sequence[Measured], built: Built, peak: int
) -> Result:
    def ratio(of: Callable[[Measured], float]) -> float:
        return float(np.median([of(a) / of(b) for a, b in zip(own, against, strict=True)]))

    return Result(
        variant=name,
        batch=batch,
        totals=tuple(one.total for one in own),
        prefixes=tuple(one.prefix for one in own),
        processors=tuple(one.processor for one in own),
        ratio=ratio(lambda one: one.total),
        processor_ratio=ratio(lambda one: one.processor),
        build_seconds=built.seconds,
        peak_bytes=peak,
        error=float('nan') if name in OTHER_CHUNKS else relative_rms(own[-1].chunk, against[-1].chunk),
    )


def _with_peak(result: Result, peak: int) -> Result:
    return Result(**{**result.__dict__, 'peak_bytes': peak})
