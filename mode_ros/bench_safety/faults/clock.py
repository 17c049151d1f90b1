"""Simulated clocks that stop, jump, run fast, or are two."""

from __future__ import annotations

import threading
import time
from types import MappingProxyType

from rosgraph_msgs.msg import Clock as ClockMessage

from mode_ros.bench_safety.clock import SimulatedClock
from mode_ros.bench_safety.faults.fault import COUNTED, Fault
from mode_ros.bench_safety.session import Session
from mode_ros.control.contract import NANOSECONDS
from mode_ros.messages.stamps import to_time

# As on a robot, where the states' max_age counts; under /clock the default is longer (seconds).
CLOCK_LIMIT = 0.2


class _Clock(Fault):
    simulated = True
    words = 'clock|time'

    def clock(self, session: Session) -> SimulatedClock:
        """The session's, which is simulated."""
        clock = session.rig.clock
        assert isinstance(clock, SimulatedClock)
        return clock


class Stops(_Clock):
    """The simulator hangs."""

    name = '/clock stops'
    limit = CLOCK_LIMIT
    parameters = MappingProxyType({'clock_seconds': CLOCK_LIMIT})

    def inject(self, session: Session) -> None:
        self.clock(session).set_speed(0.0)

    def restore(self, session: Session) -> None:
        self.clock(session).set_speed(1.0)


class EstopWhileStopped(Stops):
    """The emergency stop is pressed just after the clock stopped."""

    name = 'emergency stop while /clock stands'
    words = 'emergency|e-?stop|clock'
    limit = 0.1

    def inject(self, session: Session) -> None:
        self.clock(session).set_speed(0.0)
        session.rig.operator.set_estop(True)


class StepsBack(_Clock):
    """Another simulation begins, or the machine's clock is set."""

    name = '/clock steps back 50 s'
    seconds = -50.0

    def inject(self, session: Session) -> None:
        self.clock(session).jump(self.seconds)


class StepsBackABit(StepsBack):
    """As a time server does."""

    name = '/clock steps back 0.1 s'
    seconds = -0.1


class StepsAhead(StepsBack):
    """The machine slept, or a bag is played from elsewhere."""

    name = '/clock steps ahead 100 s'
    seconds = 100.0
    words = 'clock|time|last message|ago'


class Fast(_Clock):
    """Five seconds in one: commands would come five times as often as the arm was promised."""

    name = '/clock 5 times fast'
    limit = 0.3

    def inject(self, session: Session) -> None:
        self.clock(session).set_speed(5.0)

    def restore(self, session: Session) -> None:
        self.clock(session).set_speed(1.0)


class Two(_Clock):
    """Two simulators, 30 s apart."""

    name = 'two clocks'
    limit = COUNTED

    def inject(self, session: Session) -> None:
        self._publisher = session.rig.publisher(ClockMessage, '/clock')
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(session,), daemon=True)
        self._thread.start()

    def _send(self, session: Session) -> None:
        while not self._ended.wait(0.013):
            now = session.rig.clock.now() - 30 * NANOSECONDS
            self._publisher.publish(ClockMessage(clock=to_time(now)))

    def restore(self, session: Session) -> None:
        self._ended.set()
        self._thread.join()
        session.rig.node.destroy_publisher(self._publisher)
        time.sleep(0.3)  # until the controller's side has seen it go


FAULTS: tuple[Fault, ...] = (Stops(), EstopWhileStopped(), StepsBack(), StepsBackABit(), StepsAhead(), Fast(), Two())
