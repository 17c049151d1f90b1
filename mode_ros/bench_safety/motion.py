"""How evenly the real controller_node moves a fake arm: waiting, delays, seams and control periods, cell by cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.bench_safety.contracts import FAST, JOINTS
from mode_ros.bench_safety.measure import excesses
from mode_ros.bench_safety.run import next_domain, own_domain
from mode_ros.bench_safety.session import Session
from mode_ros.control.contract import NANOSECONDS
from mode_ros.with_parent import ending_with_us

# What must be reached: share of the control periods that the arm waits, and how regular 50 Hz are (milliseconds).
HELD_SHARE = 2.0
PERIOD_OFF, PERIOD_MAX = 3.0, 30.0
# Diagnostics come twice a second; the last ones are awaited for so long.
REPORT_SECONDS = 0.7


@dataclass(frozen=True)
class Cell:
    """What is measured. robot: a contract of the bench; thinking: s per chunk; length: actions of a chunk; seconds: so
    long; busy: processes that infer meanwhile; priority: the controller's realtime_priority.
    """

    robot: str
    mode: str
    thinking: float
    length: int
    seconds: float
    busy: int = 0
    priority: int = 0


@dataclass(frozen=True)
class Motion:
    """What came of it. held: % of the control periods; delays and reserve in periods; seams: positions in rad, speeds
    in rad/s, medians; period: ms as (p50, p99, max), by the stamps of the commands, or as they came; excess:
    largest over any limit; stopped: why the controller stopped the arm, '' where it did not.
    """

    cell: Cell
    held: float | None
    delay_p50: str
    delay_p95: str
    reserved: str
    chunks: int
    late: int
    seams: int
    seam_position: str
    seam_velocity: str
    period: tuple[float, ...]
    misses: int
    excess: float
    stopped: str

    @property
    def reached(self) -> bool:
        """Whether the arm waited little enough, or, where inference fills the cores, the periods were regular."""
        if self.stopped or self.excess or self.held is None:
            return False
        if not self.cell.busy:
            return self.held < HELD_SHARE
        usual = 1000 / self.cell_rate
        return bool(self.period) and abs(self.period[1] - usual) <= PERIOD_OFF and self.period[2] <= PERIOD_MAX

    @property
    def cell_rate(self) -> float:
        """Hz of the cell's control."""
        return 50.0 if self.cell.robot == FAST else 20.0


def grid(mode: str, thinking: Sequence[float], lengths: Sequence[int], seconds: float, priority: int = 0) -> list[Cell]:
    """Every time of thinking (s) with every length of chunks."""
    return [Cell(JOINTS, mode, think, length, seconds, 0, priority) for think in thinking for length in lengths]


def steady(mode: str, seconds: float, priority: int = 0) -> Cell:
    """50 Hz beside inference on every core."""
    return Cell(FAST, mode, 0.15, 40, seconds, len(os.sched_getaffinity(0)), priority)


def measure(cells: Sequence[Cell], folder: Path, tell: Callable[[str], None] = print) -> list[Motion]:
    """One after the other, each with a controller of its own; logs in `folder`."""
    domain, found = own_domain(), []
    for number, cell in enumerate(cells):
        domain = next_domain(domain)
        parameters = {'execution': cell.mode, 'realtime_priority': cell.priority}
        with Session(cell.robot, False, parameters, folder / f'{number:02d}', {**os.environ, **domain}) as session:
            found.append(_measure(session, cell))
        tell(' '.join(_cells(found[-1])))
    return found


def _measure(session: Session, cell: Cell) -> Motion:
    rig = session.rig
    rig.policy.thinking, rig.policy.length = cell.thinking, cell.length
    with _busy(cell.busy):
        session.ensure_moving()
        rig.arm.forget()
        begun, said = time.monotonic(), len(rig.arm.sent)
        time.sleep(cell.seconds)
        sent = np.array(list(rig.arm.sent)[said:], dtype=np.int64)
        complaints = rig.said(begun)
        rig.diagnostics = {}
        session.wait(lambda: bool(rig.diagnostics), REPORT_SECONDS + cell.seconds)
    return describe(cell, rig.diagnostics, sent, excesses(rig.arm.heard(), rig.limits), complaints)


def describe(
    cell: Cell, told: Mapping[str, str], sent: Any, excess: Mapping[str, float], complaints: Sequence[str]
) -> Motion:
    """From what the controller told of itself (/diagnostics) and when it sent its commands (nanoseconds [n])."""
    periods = np.diff(sent) * 1000.0 / NANOSECONDS
    held = told.get('held share (%)', '')
    return Motion(
        cell=cell,
        held=float(held) if held else None,
        delay_p50=told.get('delay p50 (periods)', ''),
        delay_p95=told.get('delay p95 (periods)', ''),
        reserved=told.get('reserved (periods)', ''),
        chunks=int(told.get('chunks', 0)),
        late=int(told.get('chunks late', 0)),
        seams=int(told.get('seams', 0)),
        seam_position=told.get('seam position p50', ''),
        seam_velocity=told.get('seam velocity p50 (1/s)', ''),
        period=tuple(round(float(np.percentile(periods, share)), 2) for share in (50, 99, 100)) if len(periods) else (),
        misses=int(told.get('deadline misses', 0)),
        excess=max(excess.values(), default=0.0),
        stopped=told.get('stopped by', '') or '; '.join(text for text in complaints if text.startswith('stopped')),
    )


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many processes that infer all the time."""
    command = [sys.executable, '-m', 'mode_ros.bench_safety.load']
    environment = ending_with_us(os.environ)
    running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


COLUMNS = (
    'mode',
    'thinking (ms)',
    'chunk',
    'beside',
    'priority',
    'held (%)',
    'delay p50 / p95',
    'reserved',
    'chunks / late',
    'seam (rad; rad/s)',
    'period p50 / p99 / max (ms)',
    'misses',
    'over a limit',
    'reached',
)


def write(folder: Path, found: Sequence[Motion], about: Mapping[str, Any]) -> str:
    """Writes table.md and table.json into `folder`; returns the table."""
    rows = [COLUMNS, tuple('---' for _ in COLUMNS), *(_cells(motion) for motion in found)]
    machine = ', '.join(f'{key} {value}' for key, value in about.items())
    text = '\n'.join('| ' + ' | '.join(row) + ' |' for row in rows) + f'\n\nDelays in control periods. On {machine}.\n'
    numbers = {'machine': dict(about), 'cells': [{**asdict(motion), 'reached': motion.reached} for motion in found]}
    (folder / 'table.md').write_text(text, encoding='utf-8')
    (folder / 'table.json').write_text(json.dumps(numbers, indent=1) + '\n', encoding='utf-8')
    return text


def _cells(motion: Motion) -> tuple[str, ...]:
    cell = motion.cell
    return (
        cell.mode,
        f'{1000 * cell.thinking:.0f}',
        str(cell.length),
        f'{cell.busy} inferring' if cell.busy else '',
        f'FIFO {cell.priority}' if cell.priority else '',
        'none' if motion.held is None else f'{motion.held:.1f}',
        f'{motion.delay_p50} / {motion.delay_p95}',
        motion.reserved,
        f'{motion.chunks} / {motion.late}',
        f'{motion.seam_position}; {motion.seam_velocity}',
        ' / '.join(f'{value:.1f}' for value in motion.period),
        str(motion.misses),
        f'{100 * motion.excess:.1f} %' if motion.excess else '0',
        ('yes' if motion.reached else 'no') + (f', stopped: {motion.stopped}' if motion.stopped else ''),
    )
