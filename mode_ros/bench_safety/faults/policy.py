"""Policies that end, fall silent, are slow, or send what nobody can play."""

from __future__ import annotations

import math
import struct
import threading
import time
from collections.abc import Sequence
from types import MappingProxyType

from rclpy.serialization import serialize_message
from trajectory_msgs.msg import JointTrajectory

from mode_ros.bench_safety.faults.fault import BY_ITSELF, COUNTED, SERVICE, Fault
from mode_ros.bench_safety.policy import LENGTH
from mode_ros.bench_safety.session import Session
from mode_ros.control.request import ChunkRequest
from mode_ros.messages.trajectory_header import find_points

# What was planned before the policy failed is played to its end: seconds of one chunk at 20 Hz.
PLANNED = LENGTH / 20.0
NO_POLICY = 'no policy|no chunk|chunk'


class _Policy(Fault):
    """What was planned is played, then the arm rests."""

    limit: float | None = PLANNED
    words = NO_POLICY
    release: tuple[str, ...] = (BY_ITSELF, SERVICE)
    parameters = MappingProxyType({'policy_seconds': 1.0})
    told = 2.0


class Vanished(_Policy):
    """The policy's process ends."""

    name = 'policy gone'

    def inject(self, session: Session) -> None:
        session.rig.policy.vanish()


class Silent(_Policy):
    """The policy hangs: it is there and answers nothing."""

    name = 'policy silent'

    def inject(self, session: Session) -> None:
        session.rig.policy.silent = True


class Slow(_Policy):
    """A chunk takes far longer than the one before it lasts."""

    name = 'policy slow'

    def inject(self, session: Session) -> None:
        session.rig.policy.thinking = 3.0


class _Spoilt(_Policy):
    """Nothing but such chunks from now on."""

    def inject(self, session: Session) -> None:
        session.rig.policy.spoil = self.spoil

    def spoil(self, good: JointTrajectory, decided: int) -> Sequence[JointTrajectory | bytes]:
        """What is sent instead of `good`."""
        raise NotImplementedError


class NotANumber(_Spoilt):
    """A network that has diverged."""

    name = 'chunk with NaN'
    words = 'refused .finite'

    def spoil(self, good: JointTrajectory, decided: int) -> Sequence[JointTrajectory]:
        good.points[3].positions[0] = math.nan
        return [good]


class TooLong(_Spoilt):
    """Twenty thousand actions."""

    name = 'chunk too long'
    words = 'max_chunk_length'

    def spoil(self, good: JointTrajectory, decided: int) -> Sequence[JointTrajectory | bytes]:
        return [lengthened(good, 1000 * len(good.points))]


def lengthened(chunk: JointTrajectory, count: int) -> bytes:
    """The chunk in CDR with its last point repeated until it has `count`.

    Made of bytes: encoding so many points takes Python a third of a second, in which the fake arm, which lives in the
    same process, would be silent.
    """
    data = bytes(serialize_message(chunk))
    there = find_points(data)[0]
    found = bytearray(data[:there] + struct.pack('<I', count))
    last = b''
    for point in chunk.points:
        # Doubles are aligned to 8 bytes, counted from behind the encapsulation.
        gap = bytes(-len(found) % 8)
        time = struct.pack('<iI', point.time_from_start.sec, point.time_from_start.nanosec)
        size = len(point.positions)
        last = struct.pack('<I', size) + gap + struct.pack(f'<{size}d', *point.positions) + bytes(12) + time
        found += last
    return bytes(found) + last * (count - len(chunk.points))


class WrongRobot(_Spoilt):
    """The checkpoint of another robot."""

    name = "another robot's chunk"
    words = 'refused .names'

    def spoil(self, good: JointTrajectory, decided: int) -> Sequence[JointTrajectory]:
        good.joint_names = [f'other_{name}' for name in good.joint_names]
        return [good]


class FarAway(_Spoilt):
    """Chunks that continue what is decided, and then jump by 1.5 rad. Planned at rest they are only refused."""

    name = 'chunk begins far away'
    words = 'jumps|far'

    def spoil(self, good: JointTrajectory, decided: int) -> Sequence[JointTrajectory]:
        for point in good.points[decided:]:
            point.positions[1] += 1.5
        return [good]


class Two(Fault):
    """A second policy sends chunks that nobody asked it for."""

    name = 'two policies'
    limit = COUNTED
    words = 'publisher|two|polic'

    def inject(self, session: Session) -> None:
        self._publisher = session.rig.publisher(JointTrajectory, 'action_chunk')
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(session,), daemon=True)
        self._thread.start()

    def _send(self, session: Session) -> None:
        while not self._ended.wait(0.13):
            now = session.rig.clock.now()
            chunk = session.rig.policy.chunk(ChunkRequest('', now), now)
            for point in chunk.points:
                point.positions[0] -= 0.5
            self._publisher.publish(chunk)

    def restore(self, session: Session) -> None:
        self._ended.set()
        self._thread.join()
        session.rig.node.destroy_publisher(self._publisher)
        time.sleep(0.3)  # until the controller's side has seen it go


FAULTS: tuple[Fault, ...] = (
    Vanished(),
    Silent(),
    Slow(),
    NotANumber(),
    TooLong(),
    WrongRobot(),
    FarAway(),
    Two(),
)
