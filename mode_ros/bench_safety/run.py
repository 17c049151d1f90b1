"""The tries: for each fault a moving arm, the fault at varying moments, what came of it, and the way back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.bench_safety.contracts import OWN, TEXTS, bench_contract, bench_text
from mode_ros.bench_safety.faults.fault import BY_ITSELF, NOTHING, RESTART, SERVICE, Fault
from mode_ros.bench_safety.journal import Journal, Try
from mode_ros.bench_safety.measure import Commands, Limits, excesses, steps, stop_after, worst
from mode_ros.bench_safety.report import Row, summarise
from mode_ros.bench_safety.session import Session
from mode_ros.bringup.processes import isolated

# The fault comes this long after the arm has reached its speed, at most (seconds): spread over chunks and periods.
PHASES = 0.6
# The arm is set in motion so often for one try, where something else stops it first.
ATTEMPTS = 5
# No command that moves the arm for so long is rest (seconds).
REST_SECONDS = 0.4
# What is looked at beyond the time in which a stop is stated (seconds).
PATIENCE = 3.0
# So long an arm must rest after the fault has ended, or it started by itself (seconds).
BY_ITSELF_SECONDS = 0.6


def run(
    faults: Sequence[Fault],
    tries: int,
    folder: Path,
    tell: Callable[[str], None] = print,
    checkpoint: Path | None = None,
) -> list[Row]:
    """Makes what is missing of `tries` tries per fault, keeps each in `folder`, and returns the rows of the table.

    checkpoint: of the real policy that drives the arm, without which a fake one does.
    """
    contracts = dict(TEXTS) if checkpoint is None else {OWN: bench_text(OWN, checkpoint)}
    journal = Journal(folder, {'contracts': contracts})
    domain = own_domain()
    for (robot, simulated, parameters, alone), group in _sessions(faults):
        missing = [(fault, n) for fault in group for n in range(tries) if (fault.name, n) not in journal.tries]
        # What was killed is remembered by DDS for a while, so what comes after goes to another domain.
        shares = [[one] for one in missing] if alone else [missing] if missing else []
        for share in shares:
            domain = next_domain(domain)
            environment = {**os.environ, **domain}
            logs = folder / 'run' / domain['ROS_DOMAIN_ID']
            with Session(robot, simulated, dict(parameters), logs, environment, checkpoint=checkpoint) as session:
                for fault, number in share:
                    made = try_once(session, fault, number, tries)
                    journal.add(made)
                    tell(_told(made))
    rows = []
    for fault in faults:
        made_here = [journal.tries[fault.name, number] for number in range(tries)]
        rows.append(summarise(fault, made_here, bench_contract(fault.robot, checkpoint).period_seconds))
    return rows


def try_once(session: Session, fault: Fault, number: int, tries: int) -> Try:
    """One try. Its phase is the number's share of PHASES, so that tries are spread evenly."""
    rig = session.rig
    phase = PHASES * number / max(tries, 1)
    for _ in range(ATTEMPTS):
        session.ensure_moving()
        fault.before(session)
        rig.arm.forget()
        begun = time.monotonic()
        time.sleep(0.3 + phase)
        # A machine that is busy enough stops the arm by itself: that is no answer to this fault.
        if rig.moving() and not rig.said(begun):
            break
        rig.reset_faults()  # whoever took the stick before the fault lets go
        session.go_on()
    written = len(session.log())
    moment = time.monotonic()
    fault.inject(session)
    if fault.blocking:
        moment = time.monotonic()
    _observe(session, fault, moment)
    heard = rig.arm.heard()
    if fault.ends:
        session.wait_for_end()
        heard = rig.arm.heard()
    log = session.log()[written:]
    stop = stop_after(heard, rig.limits, moment)
    released = _release(session, fault)
    # The way back is looked at too: it must not begin with a jump.
    everything = rig.arm.heard()
    cause = '; '.join(rig.said(moment)) or '; '.join(_complaints(log))
    return Try(
        fault=fault.name,
        number=number,
        phase=round(phase, 3),
        first=_periods(stop.first, rig.period),
        rest=_periods(stop.rest, rig.period),
        excess=excesses(everything, rig.limits),
        cause=cause,
        named=fault.names(cause),
        released=released,
        note='; '.join(filter(None, (_note(heard, rig.limits, moment), worst(everything, rig.limits, moment)))),
    )


def _observe(session: Session, fault: Fault, moment: float) -> None:
    """Until the arm has rested for a while and the cause is named, or long enough."""
    rig = session.rig
    stated = fault.stated_periods(rig.period)
    longest = fault.observe if stated is None else stated * rig.period + max(PATIENCE, fault.told)
    while (passed := time.monotonic() - moment) < longest:
        time.sleep(0.02)
        # The rest must be that of the fault, not one from before it had any effect.
        looked = stated is not None and passed > REST_SECONDS + (fault.limit or 0.0)
        if looked and rig.resting(time.monotonic() - REST_SECONDS):
            said = '; '.join(rig.said(moment))
            if (said and fault.names(said)) or passed > (stated or 0.0) * rig.period + fault.told:
                return


def _release(session: Session, fault: Fault) -> str:
    """What made the arm move again after the fault had ended."""
    rig = session.rig
    fault.restore(session)
    ended = time.monotonic()
    rig.reset_faults()
    if fault.ends:
        session.end()
        return RESTART
    if fault.limit is None:
        return NOTHING
    if session.wait(lambda: not rig.resting(ended + 0.05), BY_ITSELF_SECONDS):
        return BY_ITSELF
    return SERVICE if session.go_on() else RESTART


_Kind = tuple[str, bool, tuple[tuple[str, Any], ...], bool]


def _sessions(faults: Sequence[Fault]) -> Iterator[tuple[_Kind, list[Fault]]]:
    """Faults that one session can make, in the order of the list."""

    def kind(fault: Fault) -> _Kind:
        return fault.robot, fault.simulated, tuple(sorted(fault.parameters.items())), fault.alone

    for key, group in groupby(sorted(faults, key=kind), key=kind):
        yield key, list(group)


def own_domain() -> dict[str, str]:
    """Never the domain of the terminal: a robot may listen there."""
    return dict(isolated({key: value for key, value in os.environ.items() if key != 'ROS_DOMAIN_ID'}))


def next_domain(domain: Mapping[str, str]) -> dict[str, str]:
    """Another domain, nor that of the terminal."""
    taken = os.environ.get('ROS_DOMAIN_ID')
    number = 1 + int(domain['ROS_DOMAIN_ID']) % 100
    return {**domain, 'ROS_DOMAIN_ID': str(number if str(number) != taken else 1 + number % 100)}


def _periods(seconds: float | None, period: float) -> float | None:
    return None if seconds is None else round(seconds / period, 2)


def _complaints(log: str) -> list[str]:
    """The warnings and errors in what a node printed, each once."""
    lines = [line for line in log.splitlines() if line.startswith(('[WARN]', '[ERROR]', '[FATAL]'))]
    return list(dict.fromkeys(line.split(']: ')[-1] for line in lines))


def _note(heard: Commands, limits: Limits, moment: float) -> str:
    count = int((heard.times > moment).sum())
    last = float(np.linalg.norm(steps(heard, limits)[-1])) if len(heard.times) else 0.0
    left = f', the last of which moves the arm by {last:.4f} per period' if last > 1e-9 else ''
    return f'{count} commands after the fault{left}'


def _told(made: Try) -> str:
    first = 'no stop' if made.first is None else f'stops after {made.first:.1f} periods'
    rest = 'no rest' if made.rest is None else f'rests after {made.rest:.1f}'
    excess = '' if made.worst == 0.0 else f', {100 * made.worst:.1f} % over a limit'
    said = made.cause[:120] or 'nothing said'
    return f'{made.fault} {made.number + 1}: {first}, {rest}{excess}; {said}; {made.released}'
