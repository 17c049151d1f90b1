"""Drivers that fall silent, repeat themselves, stamp wrongly, or do not move the arm."""

from __future__ import annotations

import threading
import time

import numpy as np

from mode_ros.bench_safety.contracts import TWIST
from mode_ros.bench_safety.faults.fault import COUNTED, Fault
from mode_ros.bench_safety.session import Session
from mode_ros.control.contract import NANOSECONDS

MAX_AGE = 0.2  # s, of the bench contracts' states
# What the bench's arm is moved by in this time (seconds) is more than max_tracking_error, wherever it is on its circle.
TRACKING = 0.55
# Identical states for so long, while it is moved, are frozen (seconds); with the path that it takes to tell.
FROZEN = 1.3


class Silent(Fault):
    """The driver's process ends, or its cable is pulled."""

    name = 'states silent'
    limit = MAX_AGE
    words = r'last message|no message|age|stale|silent'

    def inject(self, session: Session) -> None:
        session.rig.arm.silent = True


class SilentTwist(Silent):
    """The same with velocities, whose driver goes on with the last one."""

    name = 'states silent (velocities)'
    robot = TWIST


class Frozen(Fault):
    """The driver repeats its last reading with fresh stamps."""

    name = 'states frozen with fresh stamps'
    limit = TRACKING
    words = 'measured|same numbers'

    def inject(self, session: Session) -> None:
        session.rig.arm.frozen = True


class FrozenTwist(Frozen):
    """The same with velocities, which nothing else compares with what is measured."""

    name = 'states frozen (velocities)'
    robot = TWIST
    limit = FROZEN


class Stalled(Fault):
    """The arm does not move, by a protective stop or against a table; the driver says so truthfully."""

    name = 'arm does not follow'
    limit = TRACKING
    words = 'measured|same numbers'

    def inject(self, session: Session) -> None:
        session.rig.arm.stalled = True

    def restore(self, session: Session) -> None:
        session.rig.arm.stalled = False


class Jumped(Fault):
    """The arm is suddenly measured elsewhere: an encoder that slips, another robot's driver."""

    name = 'states jump'
    words = 'measured'

    def inject(self, session: Session) -> None:
        arm = session.rig.arm
        arm.stalled = True
        arm.position = arm.position + np.eye(len(arm.position))[1] * 0.8

    def restore(self, session: Session) -> None:
        session.rig.arm.stalled = False


class Ahead(Fault):
    """The driver's clock is ahead, by less than max_age would show."""

    name = 'stamps ahead'
    words = 'ahead|future|clock'
    offset = 10 * MAX_AGE

    def inject(self, session: Session) -> None:
        session.rig.arm.stamp_offset = round(self.offset * NANOSECONDS)


class SlightlyAhead(Ahead):
    """By less than max_age: would hide a silence for that long."""

    name = 'stamps slightly ahead'
    offset = 0.8 * MAX_AGE


class Behind(Ahead):
    """The driver's clock is behind, or its data are old."""

    name = 'stamps behind'
    words = 'ago|old|behind|clock|age'
    offset = -10 * MAX_AGE


class Two(Fault):
    """Two drivers publish the same topic, from two places."""

    name = 'two state publishers'
    limit = COUNTED
    words = 'publisher|two'

    def inject(self, session: Session) -> None:
        self._publisher = session.rig.arm.second_publisher()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(session,), daemon=True)
        self._thread.start()

    def _send(self, session: Session) -> None:
        arm, elsewhere = session.rig.arm, np.array([1.0, -1.0, 1.0])
        while not self._ended.wait(0.02):
            self._publisher.publish(arm.message(elsewhere, session.rig.clock.now()))

    def restore(self, session: Session) -> None:
        self._ended.set()
        self._thread.join()
        session.rig.arm.destroy(self._publisher)
        time.sleep(0.3)  # until the controller's side has seen it go


class MovedWhileSilent(Fault):
    """The driver is silent, the arm is moved by hand, the driver comes back: nothing may be sent from before."""

    name = 'moved by hand while silent'
    limit = MAX_AGE
    words = Silent.words

    def inject(self, session: Session) -> None:
        session.rig.arm.silent = True

    def restore(self, session: Session) -> None:
        arm = session.rig.arm
        arm.stalled = True
        arm.position = arm.position + np.eye(len(arm.position))[0] * 0.5
        arm.silent = False
        time.sleep(0.3)
        arm.stalled = False


FAULTS: tuple[Fault, ...] = (
    Silent(),
    SilentTwist(),
    MovedWhileSilent(),
    Frozen(),
    FrozenTwist(),
    Stalled(),
    Jumped(),
    Ahead(),
    SlightlyAhead(),
    Behind(),
    Two(),
)
