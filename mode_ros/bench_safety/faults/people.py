"""The emergency stop, the stick and the deadman."""

from __future__ import annotations

import time
from types import MappingProxyType

from mode_ros.bench_safety.contracts import TWIST
from mode_ros.bench_safety.faults.fault import BY_ITSELF, SERVICE, Fault
from mode_ros.bench_safety.operator import DEADMAN_TOPIC
from mode_ros.bench_safety.session import Session

# How long a word of the emergency stop's publisher and of the deadman counts here (seconds).
HEARTBEAT = 0.3
DEADMAN = 0.25


class Estop(Fault):
    """Somebody presses it. Letting go of it must not start the arm."""

    name = 'emergency stop'
    words = 'emergency|e-?stop'

    def inject(self, session: Session) -> None:
        session.rig.operator.set_estop(True)


class EstopTwist(Estop):
    """The same with velocities."""

    name = 'emergency stop (velocities)'
    robot = TWIST


class EstopBriefly(Estop):
    """Pressed for 0.1 s, shorter than a hand can: the arm rests until somebody says go."""

    name = 'emergency stop let go at once'

    def inject(self, session: Session) -> None:
        session.rig.operator.set_estop(True)
        time.sleep(0.1)
        session.rig.operator.set_estop(False)


class _Driving(Fault):
    """A person drives, and then does not; the policy may go on from there."""

    limit = 0.075  # a command counts for one and a half periods
    release = (BY_ITSELF, SERVICE)
    words = ''

    def before(self, session: Session) -> None:
        """Somebody takes the stick."""
        command = session.rig.arm.command
        session.rig.operator.drive(session.rig.arm.position if command is None else command)


class TeleopSilent(_Driving):
    """The operator's node ends while driving."""

    name = 'teleoperation silent'

    def inject(self, session: Session) -> None:
        session.rig.policy.silent = True
        session.rig.operator.driving = False


class TeleopReleased(_Driving):
    """The operator lets go of the stick's deadman."""

    name = 'teleoperation let go'
    limit = 0.0

    def inject(self, session: Session) -> None:
        session.rig.policy.silent = True
        session.rig.operator.let_go()


class HeartbeatMissing(Fault):
    """The emergency stop's publisher ends, so that pressing it would do nothing."""

    name = "emergency stop's heartbeat missing"
    limit = HEARTBEAT
    parameters = MappingProxyType({'heartbeat_seconds': HEARTBEAT})
    words = 'estop: its publisher is silent'

    def inject(self, session: Session) -> None:
        session.rig.operator.heartbeat = False


class DeadmanReleased(Fault):
    """The person who watches lets go of the deadman; held again, the policy goes on."""

    name = 'deadman released'
    parameters = MappingProxyType({'deadman_topic': DEADMAN_TOPIC, 'deadman_seconds': DEADMAN})
    words = 'deadman'
    release = (BY_ITSELF, SERVICE)

    def inject(self, session: Session) -> None:
        session.rig.operator.let_go_of_deadman()


class DeadmanSilent(DeadmanReleased):
    """The deadman's cable is pulled while it is held."""

    name = 'deadman silent'
    limit = DEADMAN

    def inject(self, session: Session) -> None:
        session.rig.operator.holding = None


FAULTS: tuple[Fault, ...] = (
    Estop(),
    EstopTwist(),
    EstopBriefly(),
    HeartbeatMissing(),
    DeadmanReleased(),
    DeadmanSilent(),
    TeleopSilent(),
    TeleopReleased(),
)
