"""The controller's own process: ended, killed, halted, doubled, deactivated."""

from __future__ import annotations

import signal
import time

from mode_ros.bench_safety.contracts import TWIST
from mode_ros.bench_safety.faults.fault import BY_ITSELF, COUNTED, RESTART, Fault
from mode_ros.bench_safety.session import Session

# A participant that did not hear of another at once hears of it when that announces itself again (seconds).
ANNOUNCED = 3.0


class _Ending(Fault):
    """The last command that arrives stands still."""

    words = 'the process ends|stopp'
    release = (RESTART,)
    ends = True
    number = signal.SIGINT

    def inject(self, session: Session) -> None:
        session.send_signal(self.number)


class Interrupt(_Ending):
    """Ctrl-C."""

    name = 'controller SIGINT'


class InterruptTwist(_Ending):
    """Ctrl-C, with velocities."""

    name = 'controller SIGINT (velocities)'
    robot = TWIST


class Terminate(_Ending):
    """As launch and systemd end a process."""

    name = 'controller SIGTERM'
    number = signal.SIGTERM


class TerminateTwist(Terminate):
    """The same with velocities."""

    name = 'controller SIGTERM (velocities)'
    robot = TWIST


class Kill(_Ending):
    """Nothing can be sent any more. The driver is left with a target to hold."""

    name = 'controller kill -9'
    number = signal.SIGKILL
    alone = True
    limit = None
    words = ''


class KillTwist(Kill):
    """The driver is left with a velocity: its own timeout must stop the arm (docs/safety.md)."""

    name = 'controller kill -9 (velocities)'
    robot = TWIST


class Deactivated(Fault):
    """A lifecycle manager takes it out of service."""

    name = 'controller deactivated'
    words = 'deactivated'
    release = (BY_ITSELF,)  # activating it is the word to go

    def inject(self, session: Session) -> None:
        session.rig.operator.transition('deactivate')

    def restore(self, session: Session) -> None:
        session.rig.operator.transition('activate')


class DeactivatedTwist(Deactivated):
    """The same with velocities."""

    name = 'controller deactivated (velocities)'
    robot = TWIST


class Two(Fault):
    """A second controller for the same arm is started. Counted from when it is configured; it must be silent."""

    name = 'two controllers'
    blocking = True
    words = 'publisher|two|controller|another'
    limit = ANNOUNCED + COUNTED

    def inject(self, session: Session) -> None:
        session.start_second()

    def restore(self, session: Session) -> None:
        session.end_others()
        time.sleep(0.3)  # until the controller's side has seen it go


FAULTS: tuple[Fault, ...] = (
    Interrupt(),
    InterruptTwist(),
    Terminate(),
    TerminateTwist(),
    Kill(),
    KillTwist(),
    Deactivated(),
    DeactivatedTwist(),
    Two(),
)
