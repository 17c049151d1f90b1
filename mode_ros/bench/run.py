"""The command `mode_ros bench`: what is measured with which settings, and where it is written."""

from __future__ import annotations

import importlib.util
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mode_ros.bench import report
from mode_ros.bench.card import measure_chunks
from mode_ros.bench.card_images import measure_encoders, measure_policy
from mode_ros.bench.card_training import measure_training
from mode_ros.bench.continuation import DELAYS, ReadMoments, compare_continuations
from mode_ros.bench.encoder import encoder_seconds
from mode_ros.bench.flops import chunk_flops
from mode_ros.bench.limit import limit_of, measure_rates
from mode_ros.bench.measure import Result, compare
from mode_ros.bench.runtimes import HEAD, compare_ways, ways
from mode_ros.bench.scaling import SWEEPS, Point
from mode_ros.bench.solvers import errors_of, format_errors
from mode_ros.bench.training import KINDS, compare_training
from mode_ros.bench.variants import Inputs, Setting, make_inputs
from mode_ros.bench.weights import make_weights
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo, load_checkpoint
from mode_ros.policy.config import DenoiserConfig, PolicyConfig
from mode_ros.policy.linear import NUMBER_FORMATS, check_number_format, is_available
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.runtimes.openvino_runtime import number_formats

# Random observations that solvers are compared on.
_SOLVER_CHUNKS = 16
# What a checkpoint's denoiser is given: features of its own image encoders.
ReadInputs = Callable[[CheckpointInfo, PolicyNetwork], Inputs]
# Recorded moments for it, and which of the action numbers are displacements.
OpenMoments = Callable[[CheckpointInfo, PolicyNetwork], tuple[ReadMoments, Sequence[bool]]]


def on_device(variants: Sequence[str], device: str) -> tuple[str, ...]:
    """Those of `variants` that the device has: a GPU has no int8. device: 'cpu' or 'cuda'.

    All of them for a GPU that is not there, which BenchSettings refuses.
    """
    if device == 'cuda' and not torch.cuda.is_available():
        return tuple(variants)
    lacking = [name for name in NUMBER_FORMATS if not is_available(name, torch.device(device))]
    return tuple(name for name in variants if name not in lacking)


@dataclass(frozen=True)
class BenchSettings:
    """What the command line says."""

    configuration: str = 'small'
    layers: int | None = None
    variants: tuple[str, ...] = ('fused copies', 'float32')
    batches: tuple[int, ...] = (1,)
    rounds: int = 10
    device: str = 'cpu'
    threads: int = 2
    output: Path = Path('bench_output')

    def __post_init__(self) -> None:
        for name, value in (
            ('rounds', self.rounds),
            ('threads', self.threads),
            *(('batches', b) for b in self.batches),
        ):
            if value < 1:
                raise UserError(f'--{name} is {value}, and must be at least 1.')
        if self.layers is not None and self.layers < 1:
            raise UserError(f'--layers is {self.layers}, and must be at least 1.')
        if self.device == 'cuda' and not torch.cuda.is_available():
            raise UserError("The device 'cuda' was asked for, but CUDA is not available here: use cpu.")
        for variant in self.variants:
            if variant in NUMBER_FORMATS:
                check_number_format(variant, torch.device(self.device))

    @property
    def policy(self) -> PolicyConfig:
        """The configuration, with the layers asked for."""
        config = PolicyConfig.small(7) if self.configuration == 'small' else PolicyConfig.published_large()
        changes = {} if self.layers is None else {'layers': self.layers}
        return config.model_copy(update={'denoiser': config.denoiser.model_copy(update=changes)})


def run_comparison(settings: BenchSettings) -> list[Result]:
    """Compare the variants at each batch size; prints, and writes results.json and latency.png."""
    config = settings.policy
    results: list[Result] = []
    encoders: dict[int, list[float]] = {}
    with _setting(config.denoiser, settings) as setting:
        for batch in settings.batches:
            print(f'batch {batch}: {settings.rounds} rounds of {", ".join(settings.variants)}', flush=True)
            results += compare(settings.variants, setting, batch, settings.rounds, lambda text: print(f'  {text}'))
            encoders[batch] = encoder_seconds(config, batch, settings.rounds, settings.device, settings.threads)
        flops = {batch: chunk_flops(setting, batch) for batch in settings.batches}
    torch.set_num_threads(settings.threads)  # as the workers
    with torch.no_grad():
        rates = measure_rates(settings.device)
    limits = [
        limit_of(
            result.variant,
            config.denoiser,
            config.diffusion.steps,
            flops[result.batch][report.KIND.get(result.variant, 'this project')],
            rates,
        )
        for result in results
    ]
    report.write_comparison(
        settings.output, config, settings.device, settings.threads, results, encoders, flops, rates, limits
    )
    return results


def run_scaling(settings: BenchSettings) -> list[Point]:
    """How a chunk's time grows with each size; prints, and writes scaling.json and scaling.png."""
    base = settings.policy.denoiser
    points = []
    for sweep in SWEEPS:
        for value in sweep.values:
            config, diffusion = sweep.apply(base, value)
            with _setting(config, settings) as setting:
                setting = Setting(config, diffusion, setting.weights, settings.device, settings.threads)
                names = [name for name in settings.variants if name in ('fused copies', *NUMBER_FORMATS)]
                for result in compare(names, setting, 1, settings.rounds, lambda _: None):
                    points.append(Point(sweep.name, value, result.variant, result.percentile(50), min(result.totals)))
            print(f'{sweep.name} {value} done', flush=True)
    report.write_scaling(settings.output, settings.policy, settings.device, settings.threads, points)
    return points


def run_training(settings: BenchSettings) -> None:
    """A training step of the mixture and of a dense transformer; prints, and writes training.json."""
    torch.set_num_threads(settings.threads)
    config = settings.policy.denoiser
    found = {
        (batch, kind): compare_training(config, batch, settings.rounds, settings.device, kind)
        for batch in settings.batches
        for kind in KINDS
    }
    report.write_training(settings.output, config, settings.device, settings.threads, found)


def run_card(
    settings: BenchSettings, parts: Sequence[str], training_batches: Sequence[int], checkpoint: Path | None = None
) -> None:
    """'chunks', 'images' and 'training', all ways in this process; prints each row, writes card_PART.json after each.

    checkpoint: a trained policy, for the part 'images'. A part that fails is told, and the next goes on.
    """
    torch.set_num_threads(settings.threads)
    failed = []
    for part in parts:
        try:
            _run_part(settings, part, training_batches, checkpoint)
        except UserError as error:
            print(f'{part}: {error}', flush=True)
            failed.append(part)
        except Exception:  # noqa: BLE001  (a GPU is lent for minutes: the others are still wanted)
            traceback.print_exc()
            failed.append(part)
    if failed:
        raise UserError(
            f'{", ".join(failed)} failed on this device, as told above; the others are in {settings.output}.'
        )


def _run_part(settings: BenchSettings, part: str, training_batches: Sequence[int], checkpoint: Path | None) -> None:
    rows: list[dict[str, Any]] = []
    begin = time.perf_counter()
    config, name, rounds, device = settings.policy, settings.configuration, settings.rounds, settings.device

    def keep(row: dict[str, Any]) -> None:
        rows.append({'after': round(time.perf_counter() - begin, 1), **row})
        print(report.card_row(rows[-1]), flush=True)
        report.write_card(settings.output, part, device, settings.threads, rows)

    with torch.set_grad_enabled(part == 'training'):
        if part == 'training':
            for batch in training_batches:
                measure_training(config.denoiser, name, batch, max(rounds // 20, 2), device, keep)
        elif part == 'images':
            measure_encoders(config, name, rounds, device, keep)
            if checkpoint is not None:
                measure_policy(checkpoint, rounds, device, keep)
        else:
            measure_chunks(config, settings.batches, rounds, device, keep)


def run_runtimes(checkpoint: Path, settings: BenchSettings, cores: int) -> None:
    """Torch and the static graph beside a control loop; prints, and writes runtimes.json."""
    chosen = ways(cores, () if importlib.util.find_spec('openvino') is None else number_formats())
    found = compare_ways(checkpoint, chosen, settings.rounds, lambda text: print(f'  {text}', flush=True))
    print('\n'.join([HEAD, *(each.row() for each in found)]))
    report.write_runtimes(settings.output, checkpoint.name, cores, found)


def run_solvers(checkpoint: Path, settings: BenchSettings, read: ReadInputs | None = None) -> None:
    """Action error against 200 steps, per solver, schedule and step count, and that of the number formats; prints, and
    writes solvers.json.

    read: gives the observations; without, they are standard normal.
    """
    torch.set_num_threads(settings.threads)
    info, network = load_checkpoint(checkpoint, settings.device)
    if not info.trained_steps:
        print(f'{checkpoint} is untrained: these errors tell nothing about a policy that has learned')
    if read is None:
        inputs = make_inputs(network.denoiser.config, _SOLVER_CHUNKS, settings.device)
    else:
        inputs = read(info, network)
    errors = errors_of(network.denoiser, info.config.diffusion, inputs)
    formats = format_errors(network.denoiser, info.config.diffusion, inputs)
    report.write_solvers(settings.output, checkpoint.name, info.trained_steps, len(inputs.noise), errors, formats)


def run_continuations(checkpoint: Path, settings: BenchSettings, read: OpenMoments) -> None:
    """Each way to continue a plan on recorded moments; prints, and writes continuation.json."""
    torch.set_num_threads(settings.threads)
    info, network = load_checkpoint(checkpoint, settings.device)
    moments, delta = read(info, network)
    found = compare_continuations(network.denoiser, info.config.diffusion, moments, delta, DELAYS)
    report.write_continuations(settings.output, checkpoint.name, info.trained_steps, found)


@contextmanager
def _setting(config: DenoiserConfig, settings: BenchSettings) -> Iterator[Setting]:
    diffusion = settings.policy.diffusion
    with tempfile.TemporaryDirectory(prefix='mode_ros_bench') as folder:
        path = Path(folder) / 'weights.safetensors'
        make_weights(config, path)
        yield Setting(config, diffusion, path, settings.device, settings.threads)
