"""From keys, axes and buttons to actions. Reads no clock: times are seconds of any steady clock, passed in.

A device (Joystick, Keyboard) says what is held and what has just been pressed; a Jogger turns that into one action per
control period, so that nothing jumps: displacements are zero while nothing is held, and targets start from where the
robot was last told to be, or else from where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup, Contract
from mode_ros.control.teleop_mapping import SELECTED, Gripper, Motion, TeleopMapping

Vector = NDArray[np.float64]

# A joystick that has been silent for this long counts as unplugged (seconds); its driver repeats at 20 Hz or so.
JOYSTICK_SILENCE = 0.25

# Terminals tell no release. A key counts as held for this long after it came (seconds): longer than the pause between
# two repetitions (30 to 40 ms), short enough to stand still soon after it is let go.
KEY_HOLD = 0.15

# Held keys begin to repeat after 250 to 660 ms: within this time (seconds) a key that toggles has not come anew.
REPEAT_DELAY = 0.7

# A target runs ahead of the last command by no more than this many periods of full speed, so that a limit that slows
# the robot down leaves nothing to catch up on when the stick is turned.
LEAD_PERIODS = 3.0


class Device(Protocol):
    """What the operator does with one device."""

    mapping: TeleopMapping

    def engaged(self, now: float) -> bool:
        """Whether the operator drives."""

    def deflection(self, name: str, now: float) -> float:
        """How far an input is moved: -1 to 1."""

    def pressed(self) -> list[str]:
        """Inputs that have gone down since the last call."""


class Joystick:
    """The state of a sensor_msgs/Joy. Drives while the deadman button is held."""

    def __init__(self, mapping: TeleopMapping) -> None:
        self.mapping = mapping
        self._axes: Sequence[float] = ()
        self._buttons: Sequence[int] = ()
        self._heard = float('-inf')
        # Held from before the first message, or since a silence, is not pressed: it must be seen to go down.
        self._armed = False
        self._pressed: list[str] = []

    def update(self, axes: Sequence[float], buttons: Sequence[int], now: float) -> None:
        """Takes a message."""
        silent = now - self._heard > JOYSTICK_SILENCE
        before = buttons if silent else self._buttons
        for index, value in enumerate(buttons):
            if value and not (index < len(before) and before[index]):
                self._pressed.append(f'button{index}')
        self._axes, self._buttons, self._heard = tuple(axes), tuple(buttons), now
        if silent:
            self._armed = False
        if not self._value(self.mapping.deadman):
            self._armed = True

    def engaged(self, now: float) -> bool:
        """Whether the deadman is held, and the joystick not silent."""
        if now - self._heard > JOYSTICK_SILENCE:
            return False
        return self._armed and self._value(self.mapping.deadman) != 0.0

    def deflection(self, name: str, now: float) -> float:
        """-1 to 1, 0 within the dead zone and beyond what the joystick has."""
        value = self._value(name)
        zone = self.mapping.deadzone
        # Rescaled, so that motion begins gently at the edge of the zone.
        return float(np.sign(value) * max(abs(value) - zone, 0.0) / (1.0 - zone)) if 'axis' in name else value

    def pressed(self) -> list[str]:
        """Buttons that have gone down since the last call."""
        pressed, self._pressed = self._pressed, []
        return pressed

    def _value(self, name: str) -> float:
        sign, plain = (-1.0, name[1:]) if name.startswith('-') else (1.0, name)
        values: Sequence[float] = self._axes if plain.startswith('axis') else self._buttons
        index = int(plain.removeprefix('axis').removeprefix('button'))
        value = float(values[index]) if index < len(values) else 0.0
        return sign * min(max(value, -1.0), 1.0) if np.isfinite(value) else 0.0


class Keyboard:
    """Keys of a terminal, which tells presses and repetitions, and no release.

    The deadman key takes over: from then on the robot stands still under the operator's hand, and moves while a motion
    key repeats. The same key gives it back.
    """

    def __init__(self, mapping: TeleopMapping) -> None:
        self.mapping = mapping
        self._taken = False
        recorder = mapping.recorder.model_dump().values() if mapping.recorder is not None else ()
        self._toggles = {mapping.deadman, *recorder, *(gripper.input for gripper in mapping.grippers)}
        self._last: dict[str, float] = {}
        self._pressed: list[str] = []

    def press(self, key: str, now: float) -> None:
        """Takes a key: a character, or one of KEY_NAMES."""
        pause = now - self._last.get(key, float('-inf'))
        self._last[key] = now
        if pause <= (REPEAT_DELAY if key in self._toggles else KEY_HOLD):
            return  # a repetition of a key that is held
        self._pressed.append(key)
        if key == self.mapping.deadman:
            self._taken = not self._taken

    def let_go(self) -> None:
        """Gives the robot back, as when the terminal has gone."""
        self._taken = False

    def engaged(self, now: float) -> bool:
        return self._taken

    def deflection(self, name: str, now: float) -> float:
        """1 while the key repeats."""
        return 1.0 if now - self._last.get(name, float('-inf')) <= KEY_HOLD else 0.0

    def pressed(self) -> list[str]:
        """Keys that have gone down since the last call, repetitions left out."""
        pressed, self._pressed = self._pressed, []
        return pressed


class Jogger:
    """Turns one device's state into actions of a contract."""

    def __init__(self, contract: Contract, device: Device) -> None:
        self._contract, self._device, self._mapping = contract, device, device.mapping
        dimensions = contract.dimensions
        self._lower = np.array([dimension.lower for dimension in dimensions])
        self._upper = np.array([dimension.upper for dimension in dimensions])
        self._speed = self._mapping.speeds.start
        self._chosen = 0
        self._choices = self._selectable()
        self._lead = self._leads()
        self._target: Vector | None = None
        self._reference: Vector = np.full(len(dimensions), np.nan)
        self._closed: dict[str, bool] = {}
        self._grippers = [g for g in self._mapping.grippers if g.group in contract.group_slices]

    @property
    def speed(self) -> float:
        """The share of full speed."""
        return self._speed

    @property
    def chosen(self) -> str:
        """The joint that `selected` stands for, '' without a choice."""
        return self._choices[self._chosen] if self._choices else ''

    def release(self) -> None:
        """The operator has let go: the next action starts from where the robot then is."""
        self._target = None
        self._closed.clear()

    def handle(self, pressed: Sequence[str]) -> list[str]:
        """Applies speed, choice and grippers; returns what has to do with the recorder: start, stop, discard, success,
        failure.
        """
        wanted = []
        speeds, select, recorder = self._mapping.speeds, self._mapping.select, self._mapping.recorder
        for name in pressed:
            if name in (speeds.faster, speeds.slower):
                steps = sorted(speeds.steps)
                place = steps.index(self._speed) + (1 if name == speeds.faster else -1)
                self._speed = steps[min(max(place, 0), len(steps) - 1)]
            if select is not None and name in (select.next, select.previous) and self._choices:
                self._chosen = (self._chosen + (1 if name == select.next else -1)) % len(self._choices)
            if recorder is not None:
                wanted += [word for word, key in recorder.model_dump().items() if key == name]
            for gripper in self._grippers:
                # Only while driving: a button touched before must not move the gripper when the deadman is pressed.
                if gripper.input == name and self._target is not None:
                    self._closed[gripper.group] = gripper.mode == 'hold' or not self._is_closed(gripper)
        return wanted

    def action(self, reference: Vector, now: float) -> Vector:
        """The action [d] of the next control period.

        reference: what absolute dimensions were last commanded, or else measured, NaN where neither is known. Such a
        dimension is left alone (NaN) until it is known or, for a gripper, opened or closed.
        """
        delta = self._contract.delta_mask
        self._reference = reference
        if self._target is None:
            self._target = reference
        step = self._velocity(now) * self._contract.period_seconds
        known = np.where(np.isnan(self._target), reference, self._target)
        moved = known + step
        # A robot found beyond a bound is not pulled back by the first touch, only never pushed further.
        moved = np.clip(moved, np.fmin(self._lower, known), np.fmax(self._upper, known))
        near = np.clip(moved, reference - self._lead, reference + self._lead)
        moved = np.where(np.isnan(reference), moved, near)
        # What is not moved keeps its target; one that the robot was not allowed to reach is given up.
        given_up = np.abs(known - reference) > self._lead
        self._target = np.where(step != 0.0, moved, np.where(given_up, reference, known))
        action = np.where(delta, step, self._target)
        for gripper in self._grippers:
            self._apply(gripper, action, now)
        return action

    def _velocity(self, now: float) -> Vector:
        """Units per second, [d]."""
        velocity = np.zeros(len(self._contract.dimensions))
        for motion in self._mapping.motions:
            index = self._index(motion)
            if index is None:
                continue
            if motion.axis is not None:
                value = self._device.deflection(motion.axis, now)
            else:
                value = sum(
                    sign * self._device.deflection(name, now)
                    for sign, name in ((1.0, motion.plus), (-1.0, motion.minus))
                    if name is not None
                )
            velocity[index] += value * motion.speed * self._speed
        return velocity

    def _index(self, motion: Motion) -> int | None:
        name = self.chosen if motion.dimension == SELECTED else motion.dimension
        names = self._contract.action_names
        return names.index(name) if name in names else None

    def _selectable(self) -> tuple[str, ...]:
        if self._mapping.select is None:
            return ()
        wanted = self._mapping.select.group or self._contract.action[0].name
        return self._contract.group_action_names[wanted]

    def _leads(self) -> Vector:
        lead = np.zeros(len(self._contract.dimensions))
        for motion in self._mapping.motions:
            names = self._choices if motion.dimension == SELECTED else (motion.dimension,)
            for name in names:
                if name in self._contract.action_names:
                    index = self._contract.action_names.index(name)
                    lead[index] = max(lead[index], LEAD_PERIODS * motion.speed * self._contract.period_seconds)
        return lead

    # ---- grippers ---------------------------------------------------------------------------------------------

    def _apply(self, gripper: Gripper, action: Vector, now: float) -> None:
        if gripper.group not in self._closed:
            return
        if gripper.mode == 'hold':
            self._closed[gripper.group] = self._device.deflection(gripper.input, now) != 0.0
        place = self._contract.group_slices[gripper.group]
        action[place] = self._ends(gripper)[self._closed[gripper.group]]

    def _is_closed(self, gripper: Gripper) -> bool:
        """What it was told in this hold, or else the end that it is nearer to; open where nobody knows."""
        if gripper.group in self._closed:
            return self._closed[gripper.group]
        now = self._reference[self._contract.group_slices[gripper.group]]
        opened, closed = self._ends(gripper)[False], self._ends(gripper)[True]
        if np.isnan(now).any():
            return False
        return bool(np.abs(now - closed).sum() < np.abs(now - opened).sum())

    def _ends(self, gripper: Gripper) -> Mapping[bool, Vector]:
        group: ActionGroup = next(group for group in self._contract.action if group.name == gripper.group)

        def end(value: str | float) -> Vector:
            bounds = [(dimension.lower, dimension.upper) for dimension in group.dimensions]
            if isinstance(value, str):
                return np.array([low if value == 'lower' else high for low, high in bounds])
            return np.array([min(max(float(value), low), high) for low, high in bounds])

        return {False: end(gripper.open), True: end(gripper.closed)}
