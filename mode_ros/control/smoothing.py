"""One dimension's commands at control rate: within bounds, speed, acceleration and jerk, with a stop always at hand.

Between two actions a command follows a curve that ends, one period later, at the action, with the speed at which the
next one begins. Before a step of it is taken, the jerk-limited stop from where it leads is computed; where that stop
would leave the bounds, the stop from the present state, known from the step before, is followed instead. So no bound is
passed, stopping included, and no limit is exceeded: ruckig makes both curves.
"""

from __future__ import annotations

import math
from typing import Protocol

from ruckig import ControlInterface, InputParameter, Result, Ruckig, RuckigError, Trajectory

from mode_ros.control.contract import Contract, Dimension

# Numbers from ruckig are this near to the exact ones, relative to the range of the dimension.
_ROUNDING = 1e-9


class Axis(Protocol):
    """One dimension. Units are the dimension's and seconds."""

    velocity: float
    value: float  # an absolute one's position, a displacement's speed

    def start_from(self, value: float) -> None: ...
    def aim(self, action: float, following: float, period: float, pull_in: bool) -> float: ...

    # As `aim`, but where a stop after that period would end; it may leave the axis in any state.
    def rest_after(self, action: float, following: float, period: float, pull_in: bool) -> float: ...
    def stop(self) -> None: ...
    def advance(self, seconds: float) -> None: ...


def _path(otg: Ruckig, given: InputParameter) -> Trajectory | None:
    """The fastest way within the limits of `given`, None where ruckig finds none.

    It finds none, now and then, where a distance is exactly that of a profile's corner: limits that are a little
    narrower have their corners elsewhere.
    """
    jerk, acceleration = given.max_jerk, given.max_acceleration
    for share in (1.0, 0.999, 0.99):
        given.max_jerk, given.max_acceleration = [share * jerk[0]], [share * acceleration[0]]
        path = Trajectory(1)
        try:
            if otg.calculate(given, path) in (Result.Working, Result.Finished):
                return path
        except RuckigError:
            continue
        finally:
            given.max_jerk, given.max_acceleration = jerk, acceleration
    return None


class PositionAxis:
    """A target with limited acceleration, and possibly jerk."""

    def __init__(self, dimension: Dimension, contract: Contract) -> None:
        rate = contract.rate
        self._lower, self._upper = dimension.lower, dimension.upper
        self._tiny = _ROUNDING * (self._upper - self._lower)
        self._speed = dimension.max_step * rate if dimension.max_step else 10.0 * (self._upper - self._lower) * rate
        self._otg = Ruckig(1)
        self._input = InputParameter(1)
        self._input.max_velocity = [self._speed]
        self._input.max_acceleration = [(dimension.max_step_change or math.inf) * rate**2]
        self._input.max_jerk = [dimension.max_jerk or math.inf]
        self._input.target_acceleration = [0.0]
        self.start_from(math.nan)

    def start_from(self, value: float) -> None:
        """It stands at `value`."""
        self.value, self.velocity, self._acceleration = value, 0.0, 0.0
        self._path: Trajectory | None = None
        self._stop: Trajectory | None = None  # from the present state, which lies at _stop_time on it
        self._time = self._stop_time = 0.0
        self._stopping = False

    def aim(self, action: float, following: float, period: float, pull_in: bool) -> float:
        """Sets off for `action`, to be there after `period` s on the way to `following`; where it will then be."""
        target = min(max(action, self._lower), self._upper)
        if not pull_in:
            target = min(max(action, min(self._lower, self.value)), max(self._upper, self.value))
        if math.isnan(self.value):
            self.start_from(target)
            return target
        onward = min(max(following, self._lower), self._upper)
        speed = min(max((onward - target) / period, -self._speed), self._speed)
        path = self._path_to(target, speed, period)
        if path is None:
            self.stop()
            return self.value
        self._path, self._time, self._stopping = path, 0.0, False
        return float(path.at_time(min(period, path.duration))[0][0])

    def rest_after(self, action: float, following: float, period: float, pull_in: bool) -> float:
        reached = self.aim(action, following, period, pull_in)
        if self._path is None:
            return reached
        stop = self._stop_from(self._at(self._path, min(period, self._path.duration)))
        return reached if stop is None else float(stop.at_time(stop.duration)[0][0])

    def stop(self) -> None:
        """From now on the way to rest, as fast as the limits allow."""
        if not self._stopping:
            self._path, self._time, self._stopping = self._stop, self._stop_time, True

    def advance(self, seconds: float) -> None:
        """The next command, `seconds` after the last one."""
        if self._path is None or math.isnan(self.value):
            self.velocity = self._acceleration = 0.0
            return
        there = self._at(self._path, self._time + seconds)
        if not self._stopping:
            stop = self._stop_from(there)
            if stop is None or not self._inside(stop):
                self.stop()
                if self._path is None:
                    return
                there = self._at(self._path, self._time + seconds)
            else:
                self._stop, self._stop_time = stop, 0.0
        self._time += seconds
        if self._stopping:
            self._stop_time = self._time
        self.value, self.velocity, self._acceleration = there
        if self._stopping and self._path is not None and self._time >= self._path.duration:
            self.start_from(self.value)

    def _path_to(self, target: float, speed: float, period: float) -> Trajectory | None:
        """The way to `target` in `period` s, through it as fast as goes without backing off to take a run."""
        own = [self.value, target]
        if self._stop is not None:
            own += [self._stop.position_extrema[0].min, self._stop.position_extrema[0].max]
        low, high = min(own) - self._tiny, max(own) + self._tiny
        forwards = speed if speed * (target - self.value) > 0 else 0.0
        for part in (forwards, forwards / 2, 0.0):
            path = self._to(target, part, period)
            if path is not None and low <= path.position_extrema[0].min and path.position_extrema[0].max <= high:
                return path
        return self._to(target, 0.0, period) or self._to(target, 0.0, None)

    def _inside(self, path: Trajectory) -> bool:
        """Within the bounds, or no further out than now: one found beyond a bound must not jump back."""
        reached = path.position_extrema[0]
        low, high = min(self._lower, self.value), max(self._upper, self.value)
        return bool(reached.min >= low - self._tiny and reached.max <= high + self._tiny)

    def _to(self, target: float, speed: float, period: float | None) -> Trajectory | None:
        given = self._input
        given.control_interface = ControlInterface.Position
        given.current_position, given.current_velocity = [self.value], [self.velocity]
        given.current_acceleration = [self._acceleration]
        given.target_position, given.target_velocity = [target], [speed]
        given.minimum_duration = period
        return self._calculate()

    def _stop_from(self, state: tuple[float, float, float]) -> Trajectory | None:
        given = self._input
        given.control_interface = ControlInterface.Velocity
        given.current_position, given.current_velocity, given.current_acceleration = ([number] for number in state)
        given.target_position, given.target_velocity, given.minimum_duration = [state[0]], [0.0], None
        return self._calculate()

    def _calculate(self) -> Trajectory | None:
        return _path(self._otg, self._input)

    @staticmethod
    def _at(path: Trajectory, time: float) -> tuple[float, float, float]:
        position, velocity, acceleration = path.at_time(time)
        return position[0], velocity[0], acceleration[0]


class SpeedAxis:
    """A displacement with limited acceleration, and possibly jerk: its speed follows the actions' speeds."""

    def __init__(self, dimension: Dimension, contract: Contract) -> None:
        rate = contract.rate
        largest = dimension.max_step or math.inf
        self._lower, self._upper = max(dimension.lower, -largest) * rate, min(dimension.upper, largest) * rate
        self._otg = Ruckig(1)
        self._input = InputParameter(1)
        self._input.control_interface = ControlInterface.Velocity
        self._input.max_velocity = [math.inf]
        self._input.max_acceleration = [(dimension.max_step_change or math.inf) * rate**2]
        self._input.max_jerk = [dimension.max_jerk or math.inf]
        self._input.current_position, self._input.target_acceleration = [0.0], [0.0]
        self.start_from(0.0)

    def start_from(self, value: float) -> None:
        self.value = self.velocity = self._acceleration = 0.0
        self._path: Trajectory | None = None
        self._time, self._target = 0.0, 0.0

    def aim(self, action: float, following: float, period: float, pull_in: bool) -> float:
        """The displacement over the next `period` s."""
        self._follow(min(max(action / period, self._lower), self._upper))
        return 0.0 if self._path is None else float(self._path.at_time(period)[0][0])

    def rest_after(self, action: float, following: float, period: float, pull_in: bool) -> float:
        way = self.aim(action, following, period, pull_in)
        if self._path is None:
            return way
        _, velocity, acceleration = self._path.at_time(period)
        self.velocity, self._acceleration = velocity[0], acceleration[0]
        self._follow(0.0)
        return way if self._path is None else way + float(self._path.at_time(self._path.duration)[0][0])

    def stop(self) -> None:
        if (self._target != 0.0 or self._path is None) and not self._follow(0.0):
            # It must stop, and a ramp that knows no jerk always exists.
            jerk, self._input.max_jerk = self._input.max_jerk, [math.inf]
            self._acceleration = 0.0
            self._follow(0.0)
            self._input.max_jerk = jerk

    def advance(self, seconds: float) -> None:
        if self._path is None:
            return
        self._time += seconds
        _, velocity, acceleration = self._path.at_time(self._time)
        self.velocity, self._acceleration = velocity[0], acceleration[0]
        if self._time >= self._path.duration:  # no rest of rounding: standing is standing
            self.velocity, self._acceleration = self._target, 0.0
        self.value = self.velocity

    def _follow(self, speed: float) -> bool:
        """Sets off for `speed`; False where ruckig finds no way, and it goes on as before."""
        self._input.current_velocity, self._input.current_acceleration = [self.velocity], [self._acceleration]
        self._input.target_velocity = [speed]
        path = _path(self._otg, self._input)
        if path is not None:
            self._path, self._target, self._time = path, speed, 0.0
        return path is not None


class PlainAxis:
    """A target without a limit of acceleration: a straight line to the action, as fast as the speed allows."""

    def __init__(self, dimension: Dimension, contract: Contract) -> None:
        self._lower, self._upper = dimension.lower, dimension.upper
        self._speed = (dimension.max_step or math.inf) * contract.rate
        self.start_from(math.nan)

    def start_from(self, value: float) -> None:
        self.value, self.velocity, self._target, self._left = value, 0.0, value, 0.0

    def aim(self, action: float, following: float, period: float, pull_in: bool) -> float:
        if math.isnan(self.value):
            self.start_from(min(max(action, self._lower), self._upper))
            return self.value
        low, high = (
            (self._lower, self._upper) if pull_in else (min(self._lower, self.value), max(self._upper, self.value))
        )
        self._target, self._left = min(max(action, low), high), period
        away = self._target - self.value
        return self.value + math.copysign(min(abs(away), self._speed * period), away)

    def rest_after(self, action: float, following: float, period: float, pull_in: bool) -> float:
        return self.aim(action, following, period, pull_in)

    def stop(self) -> None:
        self._target, self._left = self.value, 0.0

    def advance(self, seconds: float) -> None:
        if math.isnan(self.value):  # a gripper that nobody has told anything yet stands still
            self.velocity = 0.0
            return
        away = self._target - self.value
        share = 1.0 if self._left <= seconds * (1 + 1e-9) else seconds / self._left
        step = math.copysign(min(abs(away) * share, self._speed * seconds), away) if away else 0.0
        self.value = self._target if abs(step) == abs(away) else self.value + step
        self.velocity = step / seconds
        self._left = max(self._left - seconds, 0.0)


class PlainSpeedAxis:
    """A displacement without a limit of acceleration: the action's speed at once."""

    def __init__(self, dimension: Dimension, contract: Contract) -> None:
        largest = dimension.max_step or math.inf
        self._lower, self._upper = max(dimension.lower, -largest), min(dimension.upper, largest)
        self.value = self.velocity = 0.0

    def start_from(self, value: float) -> None:
        self.value = self.velocity = 0.0

    def aim(self, action: float, following: float, period: float, pull_in: bool) -> float:
        step = min(max(action, self._lower), self._upper)
        self.value = self.velocity = step / period
        return step

    def rest_after(self, action: float, following: float, period: float, pull_in: bool) -> float:
        return self.aim(action, following, period, pull_in)

    def stop(self) -> None:
        self.value = self.velocity = 0.0

    def advance(self, seconds: float) -> None: ...
