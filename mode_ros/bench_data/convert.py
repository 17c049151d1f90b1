"""Conversion: a bag with two raw 640x480 cameras at 30 Hz and joints at 100 Hz, to a data set of the same size."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from mode_ros.bench_data.memory import Usage, run_watched
from mode_ros.bench_data.outcome import Outcome
from mode_ros.errors import UserError

NAME = 'convert'
HELP = 'speed and memory of `mode_ros convert` for a bag with two raw 640x480 cameras at 30 Hz'

WIDTH, HEIGHT = 640, 480
AIM_SPEED = 4.0  # times real time
AIM_MEMORY = 700e6  # bytes
AIM_GROWTH = 0.10  # of memory, for a longer bag
BYTES_PER_SECOND = 56e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's own options; --seconds and --folder are shared with --record."""
    parser.add_argument('--repeat', type=int, default=3, help='conversions to take the median of (default 3)')
    parser.add_argument('--longer', type=int, default=1, help='compare memory with a bag so many times as long')


def measure(arguments: argparse.Namespace) -> Outcome:
    """Writes the bag, converts it again and again, and once a longer one."""
    for option, value, least in (('--repeat', arguments.repeat, 1), ('--longer', arguments.longer, 1)):
        if value < least:
            raise UserError(f'{option} {value} is too small; give {least} or more.')
    if not 1.0 <= arguments.seconds <= 3600.0:
        raise UserError(f'--seconds {arguments.seconds:g} is out of range; give 1 to 3600.')
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix='mode_ros_bench_', dir=arguments.folder))
    try:
        return _measure(arguments, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(arguments: argparse.Namespace, folder: Path) -> Outcome:
    seconds, longer = arguments.seconds, arguments.longer
    runs = _convert(folder, seconds, arguments.repeat)
    took = statistics.median(usage.seconds for usage in runs)
    cpu = statistics.median(usage.cpu for usage in runs)
    peak = max(usage.peak for usage in runs)
    speed = seconds / took
    rows = [
        ('recording', f'{seconds:g} s, two {WIDTH}x{HEIGHT} rgb8 cameras'),
        ('conversion', f'{took:.1f} s, {speed:.1f} times real time (median of {len(runs)}; aim {AIM_SPEED:g})'),
        ('single runs', ', '.join(f'{usage.seconds:.1f} s' for usage in runs)),
        ('CPU', f'{cpu:.1f} s of one core'),
        ('memory', f'{peak / 1e6:.0f} MB at most (aim {AIM_MEMORY / 1e6:.0f})'),
    ]
    numbers = {
        'seconds': seconds,
        'conversion (s)': [round(usage.seconds, 2) for usage in runs],
        'times real time': round(speed, 2),
        'CPU (s)': round(cpu, 2),
        'memory (MB)': round(peak / 1e6, 1),
    }
    reached = speed >= AIM_SPEED and peak < AIM_MEMORY
    if longer > 1:
        long_peak = _convert(folder, seconds * longer, 1)[0].peak
        growth = long_peak / peak - 1
        rows.append((f'memory, {longer} times as long', f'{long_peak / 1e6:.0f} MB ({growth:+.1%})'))
        numbers['memory of the longer bag (MB)'] = round(long_peak / 1e6, 1)
        reached = reached and long_peak < AIM_MEMORY and abs(growth) <= AIM_GROWTH
    return Outcome(tuple(rows), numbers, reached)


def _convert(folder: Path, seconds: float, times: int) -> list[Usage]:
    from mode_ros.bench_data.bag import write_bag

    need, free = seconds * BYTES_PER_SECOND, shutil.disk_usage(folder).free
    if need * 1.1 > free:
        raise UserError(
            f'The bag needs {need / 1e9:.0f} GB, and {folder.parent} has {free / 1e9:.0f} left; give another --folder.'
        )
    bag, target = folder / 'bag', folder / 'data_set'
    write_bag(bag, seconds, WIDTH, HEIGHT)
    runs = []
    for _ in range(times):
        shutil.rmtree(target, ignore_errors=True)
        usage = run_watched([sys.executable, '-m', 'mode_ros', 'convert', str(bag), str(target)])
        if usage.status:
            raise UserError(f'The conversion failed:\n{usage.output}')
        runs.append(usage)
    shutil.rmtree(bag)
    shutil.rmtree(target)
    return runs
