"""Results as a table, as JSON and as plots."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mode_ros.bench.continuation import Seam, as_values, table
from mode_ros.bench.limit import Limit, Rates
from mode_ros.bench.measure import Result
from mode_ros.bench.runtimes import Found
from mode_ros.bench.runtimes import as_values as runtime_values
from mode_ros.bench.scaling import Point
from mode_ros.bench.solvers import STEPS, SolverError
from mode_ros.bench.training import TrainingCost, ratios
from mode_ros.bench.variants import TITLES
from mode_ros.errors import UserError, in_words
from mode_ros.policy.config import DenoiserConfig, PolicyConfig
from mode_ros.policy.size import active_parameters, total_parameters

# Which variants compute the same numbers of products, by KINDS of mode_ros.bench.flops.
KIND = {'dense': 'dense', 'mixture': 'full sequence', 'fused copies': 'full sequence'}


def machine(device: str, threads: int) -> dict[str, str]:
    """What it ran on."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith('model name')]
        name = models[0].partition(':')[2].strip() if models else name
    if device == 'cuda':
        name = f'{torch.cuda.get_device_name()} with {name}'
    return {
        'processor': name,
        'instructions': torch.backends.cpu.get_cpu_capability(),
        'threads': str(threads),
        'torch': str(torch.__version__),
    }


def write_comparison(
    folder: Path,
    config: PolicyConfig,
    device: str,
    threads: int,
    results: Sequence[Result],
    encoders: Mapping[int, Sequence[float]],
    flops: Mapping[int, Mapping[str, int]],
    rates: Rates,
    limits: Sequence[Limit],
) -> None:
    """Print the table; write it, results.json and latency.png to `folder`."""
    rows = [
        _row(result, config, encoders[result.batch], flops[result.batch], limit)
        for result, limit in zip(results, limits, strict=True)
    ]
    about = machine(device, threads)
    measured = (
        f'Limit: weights read at {rates.bytes_per_second / 1e9:.1f} GB/s, or products at {rates.flops / 1e9:.0f} '
        f'GFLOP/s ({rates.flops_bfloat16 / 1e9:.0f} in bfloat16, {rates.flops_int8 / 1e9:.0f} in int8), whichever '
        'takes longer; measured here.'
    )
    table = '\n'.join([f'On {", ".join(about.values())}. {measured}', '', *_table(rows)])
    print(table)
    _write(
        folder,
        'results',
        {'machine': about, 'rates': vars(rates), 'configuration': config.model_dump(mode='json'), 'rows': rows},
    )
    (folder / 'table.md').write_text(table + '\n', encoding='utf-8')
    _plot_latency(folder / 'latency.png', rows)


def write_scaling(folder: Path, config: PolicyConfig, device: str, threads: int, points: Sequence[Point]) -> None:
    """Write scaling.json and scaling.png to `folder`, and print the points."""
    rows = [dataclasses.asdict(point) for point in points]
    for row in rows:
        print(f'{row["sweep"]} {row["value"]}, {row["variant"]}: {1000 * row["median"]:.1f} ms')
    values = {'machine': machine(device, threads), 'configuration': config.model_dump(mode='json'), 'points': rows}
    _write(folder, 'scaling', values)
    _plot_scaling(folder / 'scaling.png', points)


def write_training(
    folder: Path,
    config: DenoiserConfig,
    device: str,
    threads: int,
    found: Mapping[tuple[int, str], Mapping[str, TrainingCost]],
) -> None:
    """Print a table of training steps by batch size, number format and network, and write training.json to `folder`."""
    about = machine(device, threads)
    print(f'On {", ".join(about.values())}. Medians, in ms; the ratio is the median over rounds.\n')
    print('| batch | products | network | million numbers | forward and backward | optimiser | step | ratio |')
    print('|--:|---|---|--:|--:|--:|--:|--:|')
    for (batch, kind), costs in found.items():
        ratio = ratios(costs)['step']
        for name, cost in costs.items():
            parts = [1000 * float(np.median(seconds)) for seconds in (*cost.parts.values(), cost.totals)]
            numbers = ' | '.join(f'{value:.1f}' for value in (cost.parameters / 1e6, *parts))
            print(f'| {batch} | {kind} | {name} | {numbers} | {f"{ratio:.2f}" if name == "mixture" else 1} |')
    rows = [
        {
            'batch': batch,
            'products': kind,
            'ratios': ratios(costs),
            **{name: dataclasses.asdict(cost) for name, cost in costs.items()},
        }
        for (batch, kind), costs in found.items()
    ]
    _write(folder, 'training', {'machine': about, 'configuration': config.model_dump(mode='json'), 'rows': rows})


def write_solvers(
    folder: Path,
    checkpoint: str,
    trained_steps: int,
    chunks: int,
    errors: Sequence[SolverError],
    formats: Mapping[str, float],
) -> None:
    """Print the table of errors and write solvers.json to `folder`. chunks: that the errors are taken over."""
    kinds = list(dict.fromkeys((error.solver, error.schedule) for error in errors))
    found = {(error.solver, error.schedule, error.steps): error.error for error in errors}
    print('| N | ' + ' | '.join(f'{solver}, {schedule}' for solver, schedule in kinds) + ' |')
    print('|---|' + '---|' * len(kinds))
    for steps in STEPS:
        row = ' | '.join(f'{100 * found[solver, schedule, steps]:.2f} %' for solver, schedule in kinds)
        print(f'| {steps} | {row} |')
    for name, error in formats.items():
        print(f'{name} instead of float32: {100 * error:.2f} %')
    rows = [dataclasses.asdict(error) for error in errors]
    about = {'checkpoint': checkpoint, 'trained_steps': trained_steps, 'chunks': chunks}
    _write(folder, 'solvers', {**about, 'errors': rows, 'number_formats': dict(formats)})


def write_continuations(folder: Path, checkpoint: str, trained_steps: int, found: Sequence[Seam]) -> None:
    """Print the table and write continuation.json to `folder`."""
    print('\n'.join(table(found)))
    about = {'checkpoint': checkpoint, 'trained_steps': trained_steps}
    _write(folder, 'continuation', {**about, 'seams': as_values(found)})


def write_runtimes(folder: Path, checkpoint: str, cores: int, found: Sequence[Found]) -> None:
    """Write runtimes.json to `folder`."""
    about = {'machine': machine('cpu', cores), 'checkpoint': checkpoint, 'cores': cores}
    _write(folder, 'runtimes', {**about, 'ways': runtime_values(found)})


def card_row(row: Mapping[str, Any]) -> str:
    """A row of write_card on one line: times in milliseconds, memory in gigabytes."""
    words = []
    for name, value in row.items():
        if name in ('p50', 'p99', 'least', 'prefix', 'limit') and value is not None:
            words.append(f'{name} {1000 * value:.3f} ms')
        elif name == 'stages':
            words += [f'{stage} {1000 * seconds:.3f} ms' for stage, seconds in value.items()]
        elif name == 'peak_bytes':
            words.append(f'peak {value / 1e9:.2f} GB')
        elif value is not None:
            words.append(f'{name} {value:.3g}' if isinstance(value, float) else f'{name} {value}')
    return ', '.join(words)


def write_card(folder: Path, part: str, device: str, threads: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write card_PART.json to `folder`, with what torch rounds to TF32 unless told otherwise."""
    about: dict[str, Any] = dict(machine(device, threads))
    if device == 'cuda':
        card = torch.cuda.get_device_properties(0)
        about |= {
            'card': card.name,
            'bytes': card.total_memory,
            'cuda': torch.version.cuda,
            'cudnn': torch.backends.cudnn.version(),
            'products in TF32': torch.backends.cuda.matmul.allow_tf32,
            'convolutions in TF32': torch.backends.cudnn.allow_tf32,
        }
    _write(folder, f'card_{part}', {'machine': about, 'rows': list(rows)})


def _row(
    result: Result, config: PolicyConfig, encoder: Sequence[float], flops: Mapping[str, int], limit: Limit
) -> dict[str, Any]:
    total = total_parameters(config.denoiser)
    return {
        'variant': TITLES[result.variant],
        'batch': result.batch,
        **{f'p{percent}': result.percentile(percent) for percent in (50, 90, 99)},
        'encoder': float(np.median(encoder)) if encoder else 0.0,
        'prefix': result.prefix,
        'steps': result.steps,
        'ratio': result.ratio,
        'processor_ratio': result.processor_ratio,
        'peak_bytes': result.peak_bytes,
        'build_seconds': result.build_seconds,
        'flops': flops[KIND.get(result.variant, 'this project')],
        'active_parameters': total if result.variant == 'dense' else active_parameters(config.denoiser),
        'limit': limit.seconds,
        'times_limit': result.percentile(50) / limit.seconds,
        'bytes_read': limit.bytes,
        'bound_by': limit.bound_by,
        'error': result.error if math.isfinite(result.error) else None,
        'seconds': list(result.totals),
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        '| variant | batch | p50 | p90 | p99 (ms) | images | prefix | steps (ms) | ratio | processor | peak GB | '
        'ready s | GFLOP | active M | error | limit (ms) | times the limit |',
        '|---|' + '--:|' * 16,
    ]
    for row in rows:
        times = ' | '.join(f'{1000 * row[key]:.0f}' for key in ('p50', 'p90', 'p99', 'encoder', 'prefix', 'steps'))
        error = '' if row['error'] is None else f'{row["error"]:.1e}'
        lines.append(
            f'| {row["variant"]} | {row["batch"]} | {times} | {row["ratio"]:.3f} | {row["processor_ratio"]:.3f} | '
            f'{row["peak_bytes"] / 1e9:.2f} | {row["build_seconds"]:.1f} | {row["flops"] / 1e9:.1f} | '
            f'{row["active_parameters"] / 1e6:.1f} | {error} | {1000 * row["limit"]:.1f} ({row["bound_by"]}) | '
            f'{row["times_limit"]:.2f} |'
        )
    return lines


def _write(folder: Path, name: str, values: Mapping[str, Any]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{name}.json').write_text(json.dumps(values, indent=1, allow_nan=False) + '\n', encoding='utf-8')
    except OSError as error:
        raise UserError(
            f'The results cannot be written to {folder} ({in_words(error)}): choose another --output.'
        ) from error


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        print("There is no plot, because matplotlib is missing: pip install 'mode_ros[bench]'")
        return None
    matplotlib.use('Agg')
    from matplotlib import pyplot

    return pyplot


def _plot_latency(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    pyplot = _pyplot()
    if pyplot is None:
        return
    batches = sorted({row['batch'] for row in rows})
    figure, axes = pyplot.subplots(1, len(batches), figsize=(5.5 * len(batches), 3.2), squeeze=False)
    for axis, batch in zip(axes[0], batches, strict=True):
        here = [row for row in rows if row['batch'] == batch][::-1]
        names = [row['variant'] for row in here]
        prefix, steps = ([1000 * row[key] for row in here] for key in ('prefix', 'steps'))
        axis.barh(names, prefix, label='prefix')
        axis.barh(names, steps, left=prefix, label='steps')
        axis.set(title=f'batch {batch}', xlabel='ms per chunk (median)')
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _plot_scaling(path: Path, points: Sequence[Point]) -> None:
    pyplot = _pyplot()
    if pyplot is None:
        return
    sweeps = list(dict.fromkeys(point.sweep for point in points))
    figure, axes = pyplot.subplots(1, len(sweeps), figsize=(3 * len(sweeps), 3), squeeze=False)
    for axis, sweep in zip(axes[0], sweeps, strict=True):
        for variant in dict.fromkeys(point.variant for point in points):
            own = [point for point in points if point.sweep == sweep and point.variant == variant]
            axis.plot([p.value for p in own], [1000 * p.fastest for p in own], marker='o', label=variant)
        axis.set(xlabel=sweep, ylim=(0, None))
    axes[0][0].set_ylabel('ms per chunk')
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
