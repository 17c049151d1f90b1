"""Whether people and other programs let the robot move, and the latch: what has stopped it keeps it stopped.

A breach is cleared by nothing but a release. Times are integer nanoseconds: `now` on the robot's clock, `wall` on one
that nobody sets.
"""

from __future__ import annotations

from collections.abc import Sequence

from mode_ros.control.safety import Breach, Problem, SafetySettings, Signs

ESTOP = Problem('estop', 'the emergency stop is engaged')

# What latches though nothing has been moved yet.
AT_REST = ('estop', 'workspace')


class Permission:
    """What was said, and what it has come to. `paused`: by a service; `signs`: of the deadman and the heartbeat."""

    def __init__(self, settings: SafetySettings) -> None:
        self.signs = Signs(settings)
        self.estop = self.paused = False
        self.breach: Breach | None = None
        self._crowd = self._others = self._listening = ''
        self._wall_start = 0
        self.mute = False
        """Somebody else may be driving: until that is known nothing is sent, not even that the robot is to stay."""

    def begin(self, wall: int, keep_breach: bool) -> None:
        """At an activation."""
        if not keep_breach:
            self.breach = None
        self._wall_start = wall
        self.mute = bool(self._listening or self._others) or (keep_breach and self.mute)

    def set_crowd(self, reason: str, others: str = '') -> None:
        """Who speaks where only one may, '' when all is well; others: who else commands this robot."""
        self._crowd, self._others = reason, others

    def set_listening(self, reason: str) -> None:
        """Why it must not speak yet, '' when it may."""
        self._listening = reason

    def speak(self, driven: bool) -> None:
        """At a control period: is silent no longer where there is nobody else and nothing to be released. driven: by a
        person, who may drive a robot that is stopped.
        """
        latched = self.breach is not None and not driven
        self.mute = self.mute and bool(self._listening or self._others or latched)

    def forbidden(self, wall: int) -> list[Problem]:
        """What must be over before anything moves."""
        found = [ESTOP] if self.estop else []
        found += [problem for problem in self.signs.problems(wall, self._wall_start) if problem.latches]
        if self._others:
            found.append(Problem('other publisher', self._others))
        if self._crowd:
            found.append(Problem('publishers', self._crowd))
        if self._listening:
            found.append(Problem('listening', self._listening, latches=False))
        return found

    def unasked(self, wall: int) -> list[Problem]:
        """What only keeps the policy from moving the robot: a pause, a deadman that nobody holds."""
        found = [Problem('paused', 'paused', latches=False)] if self.paused else []
        return found + [problem for problem in self.signs.problems(wall, self._wall_start) if not problem.latches]

    def latch(self, problems: Sequence[Problem], now: int, wall: int, moved: bool) -> bool:
        """Whether one of them stops the robot from now on; moved: since its start or release."""
        if self.breach is not None:
            return False
        at_rest = (*AT_REST, 'other publisher') if self.mute else AT_REST
        for problem in problems:
            if problem.latches and (moved or problem.name in at_rest):
                self.breach = Breach(problem, now, wall)
                return True
        return False
