"""One card's numbers, all ways in one process: starting a process for each would take longer than the measuring.

A part is written again after each of its rows, so that what ends it early loses nothing. On a CPU everything runs but
what is recorded: for a rehearsal.
"""

from __future__ import annotations

import dataclasses
import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mode_ros.bench.flops import chunk_flops
from mode_ros.bench.limit import Rates, limit_of, measure_rates
from mode_ros.bench.measure import relative_rms
from mode_ros.bench.memory import peak_resident
from mode_ros.bench.report import KIND
from mode_ros.bench.variants import (
    FUSED,
    OTHER_CHUNKS,
    Compute,
    Inputs,
    Measured,
    Setting,
    build_variant,
    fast_path,
    load_network,
    make_inputs,
    measure_once,
    ours,
    plan_for,
)
from mode_ros.bench.weights import make_weights
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.diffusion import sample_plain
from mode_ros.policy.inference import ChunkSampler

Keep = Callable[[dict[str, Any]], None]

_WARM_UP = 3
# A row ends when it has taken so long, one chunk at a time and more, but not before so many rounds.
_SECONDS, _SECONDS_OF_MORE = 1.2, 0.3
_FEWEST = 2
# Percentiles of fewer rounds are the slowest ones.
_FOR_P99 = 100
_INPUTS = 4  # in turns, so that no round finds the last one's numbers in a cache


@dataclass(frozen=True)
class Way:
    """A variant of mode_ros.bench.variants and how it is run."""

    variant: str
    recorded: bool = False  # its step loop as a CUDA graph
    tf32: bool = False  # float32 products rounded to TF32

    @property
    def title(self) -> str:
        """Words for a table."""
        more = [word for word, said in (('TF32', self.tf32), ('CUDA graph', self.recorded)) if said]
        return ', '.join([self.variant, *more])


# Those of one variant side by side: its weights are loaded once. The first is what the others are compared with.
WAYS = (
    Way('mixture'),
    Way(FUSED),
    Way(FUSED, tf32=True),
    Way('float32'),
    Way('float32', recorded=True),
    Way('float32', recorded=True, tf32=True),
    Way('bfloat16'),
    Way('bfloat16', recorded=True),
    Way('trained'),
    Way('trained', recorded=True),
    Way('dense'),
)


@contextmanager
def rounding(tf32: bool) -> Iterator[None]:
    """Whether a GPU may round what goes into float32 products and convolutions to TF32 (10 bits)."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def measure_chunks(config: PolicyConfig, batches: Sequence[int], rounds: int, device: str, keep: Keep) -> None:
    """Each way at each batch size, the denoiser alone. keep: is given each row, and first what the card can do."""
    with tempfile.TemporaryDirectory(prefix='mode_ros_bench') as folder:
        path = Path(folder) / 'weights.safetensors'
        make_weights(config.denoiser, path)
        setting = Setting(config.denoiser, config.diffusion, path, device, torch.get_num_threads())
        reference = build_variant('mixture', dataclasses.replace(setting, device='cpu'), 1)
        expected = {1: reference(make_inputs(config.denoiser, 1, 'cpu'), lambda: None)}
        del reference
        rates, flops = _limits(setting, device)
        torch.set_grad_enabled(False)
        keep({'rates': {f'TF32 {tf32}': dataclasses.asdict(each) for tf32, each in rates.items()}, 'flops': flops})
        for variant in dict.fromkeys(way.variant for way in WAYS):
            ways = [w for w in WAYS if w.variant == variant and (device == 'cuda' or not (w.recorded or w.tf32))]
            for row in _rows(variant, ways, setting, batches, rounds, expected):
                if 'failed' in row:
                    keep(row)
                    continue
                seconds, kind = row['p50'], KIND.get(variant, 'this project')
                name = 'float32' if variant in OTHER_CHUNKS[1:] else variant
                work = flops[kind] * row['batch']
                limit = limit_of(name, config.denoiser, config.diffusion.steps, work, rates[row['tf32']])
                keep({**row, 'limit': limit.seconds, 'bound_by': limit.bound_by, 'times': seconds / limit.seconds})
            _release(device)


def _limits(setting: Setting, device: str) -> tuple[dict[bool, Rates], dict[str, int]]:
    rates = {}
    for tf32 in (False, True) if device == 'cuda' else (False,):
        with rounding(tf32):
            rates[tf32] = measure_rates(device)
    _release(device)
    flops = chunk_flops(setting, 1, device)
    _release(device)
    return {True: rates[False], **rates}, flops


def _rows(
    variant: str,
    ways: Sequence[Way],
    setting: Setting,
    batches: Sequence[int],
    rounds: int,
    expected: dict[int, Tensor],
) -> Iterator[dict[str, Any]]:
    begin = time.perf_counter()
    _reset_peak(setting.device)
    sampler: ChunkSampler | None = None
    compute: Compute | None = None
    if variant in ('mixture', FUSED, 'dense'):
        compute = build_variant(variant, setting, 1)
    else:
        sampler = ours('float32' if variant == 'trained' else variant, setting, marked=variant == 'trained')
    built = time.perf_counter() - begin
    loops: dict[int, Tensor] = {}
    for way in ways:
        for batch in batches:
            if variant == 'trained' and batch != 1:
                continue
            _reset_peak(setting.device)
            with rounding(way.tf32):
                try:
                    known = plan_for(sampler, 'trained', batch) if sampler and variant == 'trained' else None
                    run = fast_path(sampler, batch, known, way.recorded) if sampler else compute
                    assert run is not None
                    row, chunk = _measure(run, setting, batch, rounds)
                except torch.OutOfMemoryError:
                    yield {'way': way.title, 'batch': batch, 'failed': 'out of memory'}
                    continue
            if variant == 'trained':
                expected_here = _plain_with_plan(setting, batch)
            else:
                expected_here = expected.setdefault(batch, chunk)  # on a CPU for batch 1, else the first way's
            row['error'] = None if variant == 'dense' else relative_rms(chunk, expected_here)
            if way.recorded:
                row['from_loop'] = float((chunk - loops[batch]).abs().max() / loops[batch].abs().max())
            else:
                loops[batch] = chunk
            peak = torch.cuda.max_memory_allocated() if setting.device == 'cuda' else peak_resident()
            about = {'way': way.title, 'batch': batch, 'tf32': way.tf32, 'build_seconds': built, 'peak_bytes': peak}
            yield {**about, **row}


def _measure(run: Compute, setting: Setting, batch: int, rounds: int) -> tuple[dict[str, Any], Tensor]:
    """A row's times in seconds, and the chunk of the first inputs."""
    first = make_inputs(setting.denoiser, batch, setting.device)
    others = (make_inputs(setting.denoiser, batch, setting.device, seed) for seed in range(1, _INPUTS))
    given: list[Inputs] = [first, *(each._replace(goal=first.goal) for each in others)]
    chunk = measure_once(run, first).chunk
    allowed = _SECONDS if batch == 1 else _SECONDS_OF_MORE
    end = time.perf_counter() + allowed
    for number in range(_WARM_UP):
        if time.perf_counter() < end:  # the first one was a warm-up, too
            measure_once(run, given[number % _INPUTS])
    taken: list[Measured] = []
    end = time.perf_counter() + allowed
    while len(taken) < rounds and (len(taken) < _FEWEST or time.perf_counter() < end):
        taken.append(measure_once(run, given[len(taken) % _INPUTS]))
    if not chunk.isfinite().all():
        raise RuntimeError('a chunk is not finite')
    return {**spread([one.total for one in taken]), 'prefix': float(np.median([one.prefix for one in taken]))}, chunk


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """The median and, of enough rounds, the 99th percentile."""
    p99 = float(np.percentile(seconds, 99)) if len(seconds) >= _FOR_P99 else None
    return {'rounds': len(seconds), 'p50': float(np.median(seconds)), 'p99': p99, 'least': min(seconds)}


def _plain_with_plan(setting: Setting, batch: int) -> Tensor:
    """What the whole network says at every step, with the plan of 'trained'."""
    network = load_network(setting, ())
    network.config = setting.denoiser.model_copy(update={'max_committed': setting.denoiser.chunk_length - 1})
    network.committed_mark = nn.Parameter(torch.zeros(setting.denoiser.embed_dim, device=setting.device))
    network.requires_grad_(False)
    x = make_inputs(setting.denoiser, batch, setting.device)
    known = plan_for(network, 'trained', batch).to(x.noise.device)
    return sample_plain(network, setting.diffusion, x.noise, x.goal, x.images, x.state, known=known).cpu()


def _reset_peak(device: str) -> None:
    if device == 'cuda':
        _release(device)
        torch.cuda.reset_peak_memory_stats()


def _release(device: str) -> None:
    gc.collect()
    if device == 'cuda':
        torch.cuda.empty_cache()
