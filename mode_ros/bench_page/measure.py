"""The page beside a controller that drives a fake arm at 50 Hz: its share of a core, control periods, pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.bench_data.transport import with_transport
from mode_ros.bench_page import cameras
from mode_ros.bench_page.viewer import CAMERAS
from mode_ros.bench_safety.contracts import FAST, TEXTS
from mode_ros.bench_safety.run import own_domain
from mode_ros.bench_safety.session import Session
from mode_ros.control.contract import NANOSECONDS
from mode_ros.errors import UserError
from mode_ros.with_parent import ending_with_us

# What must be reached.
CPU_SHARE, PERIOD_MORE_MS, PICTURES_A_SECOND, AGE_SECONDS = 25.0, 1.0, 10.0, 0.2
SLOW_PAUSE, MANY = 1.0, 10
READY_SECONDS, END_SECONDS = 60.0, 5.0


@dataclass(frozen=True)
class Phase:
    """What was measured. period: of the controller, ms (p50, p99, max); cpu: % of a core that the page takes; seen: as
    viewer.Seen.told, {} without viewers.
    """

    name: str
    period: tuple[float, float, float]
    cpu: float | None
    seen: Mapping[str, float]


def measure(folder: Path, seconds: float, large: bool = True, tell: Callable[[str], None] = print) -> list[Phase]:
    """Without the page, with one viewer, with a slow one, with ten; each for so long. Logs in `folder`.

    large: the cameras have shared memory for their pictures, as config/fastdds.xml says; else Fast DDS's own, in which
    most of them are lost.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = with_transport({**os.environ, **own_domain()}, False)
    contract = folder / 'contract.yaml'
    contract.write_text(_contract(), encoding='utf-8')
    found: list[Phase] = []
    with ExitStack() as running:
        session = running.enter_context(Session(FAST, False, {'execution': 'realtime'}, folder, environment))
        session.rig.policy.thinking, session.rig.policy.length = 0.15, 40
        roomy = with_transport(environment, large)
        running.enter_context(_process(['-m', 'mode_ros.bench_page.cameras'], folder / 'cameras.log', roomy))
        session.ensure_moving()
        found.append(_phase('without the page', session, seconds, None, None))
        tell(describe(found[-1]))
        page = running.enter_context(
            _process(
                ['-m', 'mode_ros', 'page', str(contract), '--port', '0', '--work', str(folder)],
                folder / 'page.log',
                environment,
            )
        )
        url = _address(folder / 'page.log', page)
        watching = ['-m', 'mode_ros.bench_page.viewer', url, '--seconds', f'{seconds:g}']
        for name, more in (
            ('one viewer', []),
            (f'one viewer that takes {SLOW_PAUSE:g} s a picture', ['--pause', f'{SLOW_PAUSE:g}']),
            (f'{MANY} viewers', ['--viewers', str(MANY)]),
        ):
            _move(session, tell)
            found.append(_phase(name, session, seconds, page.pid, [*watching, *more]))
            tell(describe(found[-1]))
    return found


def _move(session: Session, tell: Callable[[str], None]) -> None:
    try:
        session.ensure_moving()
    except UserError:  # a controller that holds keeps its period, too
        tell('The fake arm stands: this machine is too busy for these numbers to count.')


def _phase(name: str, session: Session, seconds: float, page: int | None, watch: Sequence[str] | None) -> Phase:
    viewer = None
    if watch is not None:
        viewer = subprocess.Popen(
            [sys.executable, *watch],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=ending_with_us(os.environ),
        )
        time.sleep(1.0)  # imported and connected
    said, begun, used = len(session.rig.arm.sent), time.monotonic(), _used(page)
    time.sleep(max(seconds - 2.0, 1.0))
    sent = np.array(list(session.rig.arm.sent)[said:], dtype=np.int64)
    after, took = _used(page), time.monotonic() - begun
    seen = json.loads(viewer.communicate(timeout=seconds + 30)[0]) if viewer is not None else {}
    cpu = None if used is None or after is None else 100 * (after - used) / took
    return Phase(name, period_of(sent), cpu, seen)


def period_of(sent: Any) -> tuple[float, float, float]:
    """p50, p99 and max (ms) of the times (ns [n]) at which commands were stamped."""
    periods = np.diff(sent) * 1000.0 / NANOSECONDS
    if not len(periods):
        raise UserError('The controller has sent nothing: see its log in the folder of --output.')
    p50, p99, most = (round(float(np.percentile(periods, share)), 2) for share in (50, 99, 100))
    return p50, p99, most


def missed(found: Sequence[Phase]) -> list[str]:
    """What has not been reached, in words."""
    without, one, slow, many = found
    checks = [
        (one.cpu is None or one.cpu < CPU_SHARE, f'the page takes {one.cpu:.0f} % of a core, not under {CPU_SHARE:g}'),
        (one.seen['rate'] >= PICTURES_A_SECOND, f'{one.seen["rate"]:.1f} pictures a second, not {PICTURES_A_SECOND:g}'),
        (
            one.seen['age p95'] <= AGE_SECONDS,
            f'pictures are {one.seen["age p95"]:.3f} s old (p95), over {AGE_SECONDS:g}',
        ),
        (slow.seen['rate'] < one.seen['rate'], 'a slow viewer gets as many pictures as a quick one'),
        (slow.seen['age p95'] <= AGE_SECONDS, f'a slow viewer sees pictures {slow.seen["age p95"]:.3f} s old (p95)'),
    ]
    for phase in (one, many):
        more = phase.period[1] - without.period[1]
        checks.append((more <= PERIOD_MORE_MS, f"with {phase.name} the period's p99 is {more:.1f} ms longer"))
    return [words for reached, words in checks if not reached]


def describe(phase: Phase) -> str:
    """One line."""
    words = [f'{phase.name}: control period p50 / p99 / max {" / ".join(f"{value:.1f}" for value in phase.period)} ms']
    if phase.cpu is not None:
        words.append(f'the page {phase.cpu:.0f} % of a core')
    if phase.seen:
        seen = phase.seen
        words.append(
            f'{seen["rate"]:.1f} pictures/s of a camera ({seen["arriving"]:.1f} arrive), '
            f'{1000 * seen["age p50"]:.0f} / {1000 * seen["age p95"]:.0f} / '
            f'{1000 * seen["age max"]:.0f} ms old (p50 / p95 / max), {seen["kB"]:.0f} kB each'
        )
    return ', '.join(words)


def write(folder: Path, found: Sequence[Phase], about: Mapping[str, Any]) -> None:
    """table.md and table.json in `folder`."""
    lines = [f'* {describe(phase)}' for phase in found] + [f'* missed: {words}' for words in missed(found)]
    machine = ', '.join(f'{key} {value}' for key, value in about.items())
    (folder / 'table.md').write_text('\n'.join([*lines, '', f'On {machine}.', '']), encoding='utf-8')
    values = {'machine': dict(about), 'phases': [asdict(phase) for phase in found], 'missed': missed(found)}
    (folder / 'table.json').write_text(json.dumps(values, indent=1) + '\n', encoding='utf-8')


def _contract() -> str:
    """The fake arm's, with the cameras that the page shows."""
    streams = '\n'.join(
        f'    - {{name: {name}, topic: {topic}, width: {cameras.WIDTH}, height: {cameras.HEIGHT}, max_age: 0.3}}'
        for name, topic in zip(CAMERAS, cameras.TOPICS, strict=True)
    )
    return TEXTS[FAST].replace('observation:\n', f'observation:\n  cameras:\n{streams}\n', 1)


def _address(log: Path, page: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and page.poll() is None:
        for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
            if line.startswith('The page is at '):
                return line.split()[-1]
        time.sleep(0.1)
    raise UserError(f'The page does not start; {log} says: {log.read_text(errors="replace").strip()[-500:]}')


def _used(number: int | None) -> float | None:
    """Seconds of CPU that a process has taken; None where the system does not tell."""
    try:
        # Behind the name, which may have spaces, user and system time are the 12th and 13th.
        fields = Path(f'/proc/{number}/stat').read_text().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    except (OSError, ValueError, IndexError):
        return None


@contextmanager
def _process(arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open('wb') as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=ending_with_us(environment),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
