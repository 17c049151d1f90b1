"""Loading: random samples of two 128x128 cameras, a state and a chunk of actions, from the warm cache."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mode_ros.bench_data.memory import run_watched
from mode_ros.bench_data.outcome import Outcome
from mode_ros.errors import UserError

NAME = 'load'
HELP = 'samples per second for training: two 128x128 cameras from the warm cache'

SIZE = 128
EPISODES, EPISODE_SECONDS = 4, 30.0
BATCH = 64
ROUNDS, ROUND_SECONDS = 5, 2.0
AIM = 500.0  # samples per second


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's own options."""
    parser.add_argument('--chunk', type=int, default=10, help='actions per sample (default 10)')


def measure(arguments: argparse.Namespace) -> Outcome:
    """Converts a few bags, fills the cache, and draws batches at random."""
    if arguments.chunk < 1:
        raise UserError(f'--chunk {arguments.chunk} is too small; give 1 or more.')
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='mode_ros_bench_', dir=arguments.folder) as name:
        return _measure(Path(name), arguments.chunk)


def _measure(folder: Path, chunk: int) -> Outcome:
    import numpy as np

    from mode_ros.bench_data.bag import write_bag
    from mode_ros.training.data.dataset import open_dataset

    for number in range(EPISODES):
        write_bag(folder / 'bags' / f'{number}', EPISODE_SECONDS + number, SIZE, SIZE)
    target = folder / 'data_set'
    usage = run_watched([sys.executable, '-m', 'mode_ros', 'convert', str(folder / 'bags'), str(target)])
    if usage.status:
        raise UserError(f'The conversion failed:\n{usage.output}')
    begin = time.perf_counter()
    data = open_dataset(target, chunk, (SIZE, SIZE))
    filling = time.perf_counter() - begin
    generator = np.random.default_rng(0)
    data.batch(np.arange(len(data)))  # every page of the cache once
    rates = []
    for _ in range(ROUNDS):
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < ROUND_SECONDS:
            data.batch(generator.integers(len(data), size=BATCH))
            count += BATCH
        rates.append(count / (time.perf_counter() - begin))
    rate = statistics.median(rates)
    rows = (
        ('data set', f'{len(data)} frames, {EPISODES} episodes, two {SIZE}x{SIZE} cameras'),
        ('filling the cache', f'{filling:.1f} s, {2 * len(data) / filling:.0f} pictures/s'),
        ('loading', f'{rate:.0f} samples/s in one process, batches of {BATCH} (median of {ROUNDS}; aim {AIM:g})'),
        ('single rounds', ', '.join(f'{value:.0f}' for value in rates)),
    )
    numbers = {
        'frames': len(data),
        'filling (s)': round(filling, 2),
        'samples/s': round(rate, 1),
        'rounds (samples/s)': [round(value, 1) for value in rates],
    }
    return Outcome(rows, numbers, rate >= AIM)
