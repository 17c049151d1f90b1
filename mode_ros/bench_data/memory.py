"""How much memory a command and its children take, while it runs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY = 0.1


@dataclass(frozen=True)
class Usage:
    """seconds: on the clock; cpu: seconds of all cores; peak: bytes of memory, what processes share counted once."""

    seconds: float
    cpu: float
    peak: int
    status: int
    output: str


def run_watched(command: Sequence[str]) -> Usage:
    """Runs `command` and watches it; Linux only."""
    before = os.times()
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_shared_size, _family(process.pid))))
        time.sleep(_LOOK_EVERY)
    seconds = time.perf_counter() - begin
    after = os.times()
    output = process.stdout.read() if process.stdout else ''
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Usage(seconds, cpu, peak, process.returncode, output)


def _family(process: int) -> list[int]:
    found = [process]
    for parent in found:  # grows while it is gone through
        for path in Path(f'/proc/{parent}/task').glob('*/children'):
            try:
                found += [int(child) for child in path.read_text().split()]
            except OSError:
                continue  # it has ended
    return found


def _shared_size(process: int) -> int:
    """Proportional set size in bytes: pages that several processes share are divided between them."""
    try:
        lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith('Pss:')), 0)
