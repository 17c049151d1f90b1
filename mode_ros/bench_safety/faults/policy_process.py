"""The real policy_node: killed, halted, ended, deactivated, or without its cameras."""

from __future__ import annotations

import signal
from types import MappingProxyType

from mode_ros.bench_safety.contracts import OWN
from mode_ros.bench_safety.faults.fault import BY_ITSELF, RESTART, SERVICE, Fault
from mode_ros.bench_safety.session import POLICY, START_SECONDS, Session


class _PolicyNode(Fault):
    """What was planned is played, then the arm rests."""

    robot = OWN
    words = 'no policy|no chunk'
    release: tuple[str, ...] = (BY_ITSELF, SERVICE)
    parameters = MappingProxyType({'policy_seconds': 1.0})
    told = 2.0

    def __init__(self, planned: float) -> None:
        """planned: seconds that a chunk lasts."""
        self.limit = planned

    def back(self, session: Session) -> None:
        """Waits until the arm moves again, as far as it does so by itself."""
        session.wait(session.rig.moving, START_SECONDS)


class Killed(_PolicyNode):
    """kill -9. DDS remembers it for a while, so none is started again here: the arm stays at rest."""

    name = 'policy_node kill -9'
    alone = True
    release = (RESTART,)

    def inject(self, session: Session) -> None:
        session.send_signal(signal.SIGKILL, POLICY)


class Hangs(_PolicyNode):
    """SIGSTOP: the process is there and does nothing, as one whose machine swaps."""

    name = 'policy_node hangs'

    def inject(self, session: Session) -> None:
        session.send_signal(signal.SIGSTOP, POLICY)

    def restore(self, session: Session) -> None:
        session.send_signal(signal.SIGCONT, POLICY)
        self.back(session)


class Terminated(_PolicyNode):
    """SIGTERM, as launch and systemd end a process."""

    name = 'policy_node SIGTERM'

    def inject(self, session: Session) -> None:
        session.send_signal(signal.SIGTERM, POLICY)

    def restore(self, session: Session) -> None:
        session.end(POLICY)
        session.ensure_policy()
        self.back(session)


class Deactivated(_PolicyNode):
    """A lifecycle manager takes it out of service."""

    name = 'policy_node deactivated'

    def inject(self, session: Session) -> None:
        session.rig.operator.transition('deactivate', POLICY)

    def restore(self, session: Session) -> None:
        session.rig.operator.transition('activate', POLICY)
        self.back(session)


class Blind(_PolicyNode):
    """The cameras fall silent: the policy plans nothing from an old picture."""

    name = 'cameras silent'
    words = 'no policy|no chunk|image'

    def __init__(self, planned: float, max_age: float) -> None:
        """max_age: s, the cameras' longest."""
        super().__init__(planned + max_age)

    def inject(self, session: Session) -> None:
        assert session.rig.surroundings is not None
        session.rig.surroundings.dark = True

    def restore(self, session: Session) -> None:
        session.rig.reset_faults()
        self.back(session)


def policy_faults(length: int, rate: float, max_age: float) -> tuple[Fault, ...]:
    """length: actions of a chunk; rate: Hz; max_age: s, the longest of the cameras', 0.0 without any."""
    planned = length / rate
    found: list[Fault] = [Killed(planned), Hangs(planned), Terminated(planned), Deactivated(planned)]
    return (*found, Blind(planned, max_age)) if max_age else tuple(found)
