"""Ten thousand tiny episodes: what each costs in time and memory, from the first to the last."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from mode_ros.bench_data.memory import run_watched
from mode_ros.bench_data.outcome import Outcome
from mode_ros.errors import UserError

NAME = 'many'
HELP = 'time and memory per episode for very many tiny ones: converting, opening, editing'

AIM_GROWTH = 0.20
STEPS = ('convert', 'open', 'edit')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's own options; --folder is shared with --record."""
    parser.add_argument('--episodes', type=int, default=10_000, help='compared with a tenth of it (default 10000)')


def measure(arguments: argparse.Namespace) -> Outcome:
    """Makes a data set of a tenth of the episodes, and one of all, each in a process of its own."""
    count = arguments.episodes
    if count < 20:
        raise UserError(f'--episodes {count} is too small; give 20 or more.')
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='mode_ros_bench_', dir=arguments.folder) as name:
        few, many = (_run(Path(name) / str(size), size) for size in (count // 10, count))
    rows = [('episodes', f'{count // 10} and {count}, of 12 frames, without pictures')]
    numbers: dict[str, float] = {'episodes': count}
    reached = True
    for step in STEPS:
        before, after = few[f'{step} (ms)'], many[f'{step} (ms)']
        growth = after / before - 1
        reached &= growth <= AIM_GROWTH
        rows.append(
            (step, f'{before:.2f} and {after:.2f} ms of a core per episode ({growth:+.0%}; aim {AIM_GROWTH:.0%})')
        )
        numbers |= {f'{step}, few (ms)': before, f'{step}, many (ms)': after}
    first, last = many['stage, first tenth (ms)'], many['stage, last tenth (ms)']
    growth = last / first - 1
    reached &= growth <= AIM_GROWTH
    told = f'{first:.2f} ms in the first tenth and {last:.2f} in the last ({growth:+.0%}; aim {AIM_GROWTH:.0%})'
    rows.append(('of converting, what is done recording by recording', told))
    numbers |= {'stage, first tenth (ms)': first, 'stage, last tenth (ms)': last}
    rows.append(('memory', f'{few["memory (KB)"]:.1f} and {many["memory (KB)"]:.1f} KB per episode'))
    # What a process takes before the first episode is no episode's, and makes the few look dear.
    reached &= many['memory (KB)'] <= (1 + AIM_GROWTH) * few['memory (KB)']
    numbers |= {'memory, few (KB)': few['memory (KB)'], 'memory, many (KB)': many['memory (KB)']}
    return Outcome(tuple(rows), numbers, reached)


def _run(folder: Path, count: int) -> dict[str, float]:
    usage = run_watched([sys.executable, '-m', 'mode_ros.bench_data.many_worker', str(count), str(folder)])
    if usage.status:
        raise UserError(f'The benchmark failed:\n{usage.output[-2000:]}')
    found: dict[str, float] = json.loads(usage.output.splitlines()[-1])
    return found
