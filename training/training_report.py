"""What a training did, as OUT/report.html: curves, errors, chunks, where the time went, the experts.

Made from what lies in OUT, so that it can be made again, also of a training that still runs or was stopped.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

import mode_ros.training.snapshots as snapshots
from mode_ros.control.contract import Contract, parse_contract
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import load_checkpoint
from mode_ros.training.data.plot import line_plot
from mode_ros.training.inspection.drawing import Curve, curves
from mode_ros.training.inspection.measure import Measurement, measure
from mode_ros.training.inspection.pages import entropy_map, findings_list, use_maps
from mode_ros.training.page import page, table, text
from mode_ros.training.progress import LOG, read_log
from mode_ros.training.validation import Validation

REPORT, SAMPLES = 'report.html', 'validation.npz'

# Of so many tasks the best, the median and the worst chunk are drawn, with so many dimensions of each.
_TASKS, _DIMENSIONS = 4, 8


@dataclass(frozen=True)
class Samples:
    """The last validation's chunks."""

    step: int
    recorded: NDArray[np.float64]
    """[n, A, d]"""
    predicted: NDArray[np.float64]
    """[n, A, d]"""
    errors: NDArray[np.float64]
    """[n], as Validation.error of one chunk."""
    tasks: tuple[str, ...]
    """[n]"""


def save_samples(out: Path, step: int, found: Validation) -> None:
    """Keep a validation's chunks in OUT for the report, in place of the last one's."""
    squares = np.ma.array(((found.predicted - found.recorded) / found.scale) ** 2)
    squares[found.padding] = np.ma.masked
    aside = out / f'.{SAMPLES}'
    with aside.open('wb') as file:
        np.savez_compressed(
            file,
            step=step,
            recorded=found.recorded,
            predicted=found.predicted,
            errors=np.sqrt(squares.mean(axis=(1, 2)).filled(0.0)),
            tasks=np.array(found.tasks, dtype=np.str_),
        )
    aside.rename(out / SAMPLES)


def load_samples(out: Path) -> Samples | None:
    """What save_samples kept; None where nothing was validated."""
    path = out / SAMPLES
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return Samples(
            int(arrays['step']),
            arrays['recorded'],
            arrays['predicted'],
            arrays['errors'],
            tuple(map(str, arrays['tasks'])),
        )


def peak_memory_mb(device: torch.device) -> float:
    """The most memory used so far: a GPU's where the training runs on one, else this process's. MB."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == 'darwin' else peak / 1e3  # bytes there, KB on Linux


def write_report(out: Path) -> Path:
    """Write OUT/report.html and return its path. Raises UserError for a folder without a training's log."""
    if not (out / LOG).is_file():
        raise UserError(f'{out} has no {LOG}, so no training ran there: give the folder that it was told as --output.')
    entries = read_log(out)
    steps = [entry for entry in entries if entry['kind'] == 'step']
    validations = [entry for entry in entries if entry['kind'] == 'validation']
    folder = _newest_policy(out)
    parts = [
        f'<h1>Training {text(out.resolve().name)}</h1>{_facts(out, steps, validations)}',
        f'<h2>Curves</h2><div class="plots">{_curves(steps, validations)}</div>',
    ]
    contract, measured = None, None
    if folder is not None:
        info, network = load_checkpoint(folder)
        contract = parse_contract(info.contract_text, f'in {folder}')
        measured = measure(network.denoiser, info.config.diffusion, _sigma_scale(out))
    if validations:
        parts.append(f'<h2>Validation</h2>{_validation(validations[-1])}')
    samples = load_samples(out)
    if samples is not None and contract is not None:
        parts.append(f'<h2>Predicted and recorded chunks</h2>{_chunks(samples, contract)}')
    parts.append(f'<h2>Time and memory</h2>{_profile(steps)}')
    if folder is not None and measured is not None:
        parts.append(f'<h2>Experts</h2>{_experts(folder, measured)}')
    path = out / REPORT
    path.write_text(page(f'Training {out.resolve().name}', ''.join(parts)), encoding='utf-8')
    return path


def _newest_policy(out: Path) -> Path | None:
    if (out / snapshots.POLICY).is_dir():
        return out / snapshots.POLICY
    found = snapshots.checkpoints(out)
    return found[-1] if found else None


def _facts(out: Path, steps: Sequence[Mapping[str, Any]], validations: Sequence[Mapping[str, Any]]) -> str:
    done = steps[-1]['step'] if steps else 0
    words = [f'{done} of {_settings(out).get("run", {}).get("steps", "?")} steps']
    if validations:
        best = min(validations, key=lambda entry: entry['error'])
        words.append(f'validation error {validations[-1]["error"]:.4f}, smallest {best["error"]:.4f}')
        words.append(f'at step {best["step"]} (1 is the spread of the recorded actions)')
    return f'<p class="facts">{text(", ".join(words))}</p>'


def _curves(steps: Sequence[Mapping[str, Any]], validations: Sequence[Mapping[str, Any]]) -> str:
    def of(entries: Sequence[Mapping[str, Any]], name: str) -> Curve:
        kept = [entry for entry in entries if name in entry]
        return Curve([entry['step'] for entry in kept], [entry[name] for entry in kept])

    return ''.join(
        [
            curves('denoising loss', {'': of(steps, 'denoising')}, logarithmic=True),
            curves('validation error', {'': of(validations, 'error')}),
            curves('balancing loss (k: even)', {'': of(steps, 'balancing')}),
            curves('norm of the gradient', {'': of(steps, 'gradient_norm')}, logarithmic=True),
            curves('learning rate', {'': of(steps, 'learning_rate')}),
            curves('steps per second', {'': of(steps, 'steps_per_second')}),
        ]
    )


def _validation(entry: Mapping[str, Any]) -> str:
    tasks = sorted(entry.get('by_task', {}).items(), key=lambda item: -item[1])
    horizon = [(name.removeprefix('step_'), value) for name, value in entry.items() if name.startswith('step_')]
    dimensions = [(name.removeprefix('of_'), value) for name, value in entry.items() if name.startswith('of_')]
    return (
        f'<p class="sub">At step {entry["step"]}.</p>'
        f'<h3>By task</h3>{_bars("task", tasks)}'
        f'<h3>By action of the chunk</h3>{_bars("action", horizon)}'
        f"<h3>By dimension, mean absolute error in the robot's units</h3>{_bars('dimension', dimensions, False)}"
    )


def _bars(head: str, rows: Sequence[tuple[str, float]], drawn: bool = True) -> str:
    """A row each; drawn: with a bar, where the values can be compared with one another."""
    largest = max((value for _, value in rows if np.isfinite(value)), default=0.0) or 1.0
    cells = []
    for name, value in rows:
        width = 100 * value / largest if np.isfinite(value) and drawn else 0
        bar = f'<div style="background:#0072b2;height:.7em;margin-top:.35em;width:{width:.0f}%"></div>'
        cells.append([text(name), f'{value:.4f}', bar])
    return table([head, 'error', ''], cells, (1,))


def _chunks(samples: Samples, contract: Contract) -> str:
    times = [(index + 1) / contract.rate for index in range(samples.recorded.shape[1])]
    parts = [f'<p class="sub">At step {samples.step}; of each task its best, median and worst moment.</p>']
    for task in sorted(set(samples.tasks))[:_TASKS]:
        rows = np.array([row for row, each in enumerate(samples.tasks) if each == task])
        ordered = rows[np.argsort(samples.errors[rows])]
        chosen = dict.fromkeys([ordered[0], ordered[len(ordered) // 2], ordered[-1]])
        parts += [
            f'<section><h3>{text(task)}</h3><div class="sub">error {samples.errors[row]:.3f}</div>'
            f'<div class="plots">{_chunk(samples, int(row), times, contract.action_names)}</div></section>'
            for row in chosen
        ]
    return ''.join(parts)


def _chunk(samples: Samples, row: int, times: Sequence[float], names: Sequence[str]) -> str:
    return ''.join(
        line_plot(
            name,
            ['recorded', 'predicted'],
            times,
            np.stack([samples.recorded[row, :, column], samples.predicted[row, :, column]], axis=1).tolist(),
        )
        for column, name in list(enumerate(names))[:_DIMENSIONS]
    )


def _profile(steps: Sequence[Mapping[str, Any]]) -> str:
    if not steps:
        return '<p class="sub">No step was logged.</p>'
    # The first line has start-up in it.
    counted = steps[1:] or steps
    rows = [
        ['steps per second, median', f'{np.median([entry["steps_per_second"] for entry in counted]):.3g}'],
        ['share of the time waiting for data', f'{np.mean([entry["data_share"] for entry in counted]):.1%}'],
    ]
    peaks = [entry['peak_memory_mb'] for entry in steps if 'peak_memory_mb' in entry]
    if peaks:
        rows.append(['peak memory', f'{max(peaks):.0f} MB'])
    return table(['what', 'measured'], rows, (1,))


def _experts(folder: Path, measured: Measurement) -> str:
    return (
        f'<p class="sub">Of {text(folder.name)}. `mode_ros inspect` shows more. The share of what is routed that uses '
        f'an expert, by noise level:</p>{findings_list(measured.findings)}<div class="plots">{use_maps(measured)}</div>'
        f'<p class="sub">How sure the routers are (1: no preference):</p>{entropy_map(measured)}'
    )


def _settings(out: Path) -> Mapping[str, Any]:
    try:
        values = yaml.safe_load((out / snapshots.SETTINGS).read_text(encoding='utf-8'))
    except (OSError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}


def _sigma_scale(out: Path) -> float:
    return float(_settings(out).get('loss', {}).get('sigma_scale', 0.5))
