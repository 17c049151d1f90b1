"""How much memory a command and its children take, while it runs."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mode_ros.with_parent import ending_with_us

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
    # A pipe that nobody reads would stop a command that says more than fits into it, as a progress bar does.
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, env=ending_with_us(os.environ))
        peak = 0
        while process.poll() is None:
            peak = max(peak, _size(_family(process.pid)))
            time.sleep(_LOOK_EVERY)
        seconds = time.perf_counter() - begin
        after = os.times()
        told.seek(0)
        output = told.read().decode('utf-8', 'replace')
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


def _size(processes: Sequence[int]) -> int:
    """Bytes that the processes take together: what is their own, and libraries once.

    The kernel's proportional size divides a library by all that use it, and so depends on what else the machine does.
    """
    own, libraries = 0, 0
    for process in processes:
        try:
            lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()
        except OSError:
            continue  # it has ended
        sizes = {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(':') for line in lines[1:])}
        own += sizes['Pss_Anon'] + sizes['Pss_Shmem']
        libraries = max(libraries, sizes['Rss'] - sizes['Anonymous'] - sizes['Pss_Shmem'])
    return own + libraries
