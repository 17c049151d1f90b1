"""Driving from a browser with a dead-man: what viewers say is held down, and one action per control period from it.

The browser repeats what is held some forty times a second. An action is stamped with the time at which the browser was
last heard, and the controller counts a command for one and a half periods after its stamp: so the robot is brought to a
hold that soon after the last message, whatever became of the browser, the line or this process.

The browser is told `wall` again and again, and says by it when it sent what it says. What it has heard is older than it
knows, so that a line which is slow in either direction, from its start or since, is seen to be.

Reads no clock. `now` is nanoseconds of the ROS clock, `wall` seconds of a steady one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract
from mode_ros.control.takeover import FRESH_PERIODS
from mode_ros.control.teleop import Jogger, Joystick
from mode_ros.control.teleop_mapping import TeleopMapping

# What took longer, to the browser and back, is the past: it must not move the robot (seconds).
LATE_SECONDS = 0.25
SLOW = f'the connection is too slow: what takes over {LATE_SECONDS:g} s to the browser and back is not obeyed'
# No honest message was sent later than it came: a clock has stood still since the browser heard of ours (seconds).
AHEAD_SECONDS = 0.1
AHEAD = 'the clock of the page is ahead: it is set anew'

MAX_KEYS, MAX_AXES = 16, 32
# Of any number in a message; JSON knows whole ones that no float holds.
LARGEST = 1e15

# The `standard` layout of the browsers' Gamepad API to the numbers of joy's game_controller_node: A B X Y, back, guide,
# start, sticks pressed, shoulders, cross up down left right.
_STANDARD_BUTTONS = (0, 1, 2, 3, 8, 16, 9, 10, 11, 4, 5, 12, 13, 14, 15)


class Malformed(ValueError):
    """A message that no page of ours sends."""


@dataclass(frozen=True)
class Held:
    """What one message says. sent: seconds of `wall`, as the browser knows it; keys: motion keys that are down; hold:
    the robot is held without motion; pad: (axes, buttons) of a gamepad in the browsers' standard layout.
    """

    sent: float
    keys: frozenset[str]
    hold: bool
    pad: tuple[tuple[float, ...], tuple[int, ...]] | None
    taps: tuple[str, ...]


def parse_held(message: Any) -> Held:
    """A message as it was decoded from JSON; raises Malformed."""
    if not isinstance(message, Mapping):
        raise Malformed('not an object')
    sent = message.get('sent')
    if isinstance(sent, bool) or not isinstance(sent, int | float) or not abs(sent) <= LARGEST:
        raise Malformed('without the time at which it was sent')
    keys, taps = _texts(message.get('keys', [])), _texts(message.get('taps', []))
    pad = None
    if 'axes' in message:
        axes, buttons = message['axes'], message.get('buttons', [])
        if not _numbers(axes) or not _numbers(buttons):
            raise Malformed('a gamepad that is no numbers')
        pad = tuple(float(value) for value in axes), tuple(int(bool(value)) for value in buttons)
    return Held(float(sent), frozenset(keys), message.get('hold') is True, pad, taps)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_KEYS or not all(isinstance(key, str) for key in value):
        raise Malformed('keys that are none')
    return tuple(value)


def _numbers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_AXES
        and all(isinstance(number, int | float) and abs(number) <= LARGEST for number in value)
    )


def as_game_controller(axes: Sequence[float], buttons: Sequence[int]) -> tuple[list[float], list[int]]:
    """A gamepad of the browsers' standard layout as the driver game_controller_node tells it, up and left positive."""
    return [-value for value in axes[:4]], [
        buttons[index] if index < len(buttons) else 0 for index in _STANDARD_BUTTONS
    ]


class PageKeys:
    """Keys that are told down and up. Drives while one of motion or gripper is down, or `hold`."""

    def __init__(self, mapping: TeleopMapping) -> None:
        self.mapping = mapping
        self.driving_keys = frozenset(
            [key for motion in mapping.motions for key in (motion.plus, motion.minus) if key is not None]
            + [gripper.input for gripper in mapping.grippers]
        )
        self._down: frozenset[str] = frozenset()
        self._hold = False
        self._pressed: list[str] = []

    def update(self, held: Held) -> None:
        """Takes a message."""
        down = held.keys & self.driving_keys
        self._pressed += sorted(down - self._down) + list(held.taps)
        self._down, self._hold = down, held.hold

    def engaged(self, now: float) -> bool:
        return self._hold or bool(self._down)

    def deflection(self, name: str, now: float) -> float:
        return float(name in self._down)

    def pressed(self) -> list[str]:
        pressed, self._pressed = self._pressed, []
        return pressed


@dataclass(frozen=True)
class Drive:
    """For one control period. stamp: nanoseconds; action: float64 [d], None at the moment of letting go."""

    stamp: int
    action: NDArray[np.float64] | None


@dataclass
class _Viewer:
    """A connection. armed: which of keys and pad have been seen with nothing held since it came, and since another one
    drove, so that what is held has been pressed since.
    """

    name: str
    armed: set[str] = field(default_factory=set)


class Driving:
    """Who drives and what the robot is to do. Safe to call from several threads."""

    def __init__(self, contract: Contract, keys: TeleopMapping, pad: TeleopMapping | None) -> None:
        """keys: a mapping of a keyboard; pad: of a gamepad in the numbers of game_controller_node."""
        self._patience = round(FRESH_PERIODS * contract.period)
        self._keys = PageKeys(keys)
        self._pad = Joystick(pad) if pad is not None else None
        self._joggers = {'keys': Jogger(contract, self._keys)}
        if self._pad is not None:
            self._joggers['pad'] = Jogger(contract, self._pad)
        self._viewers: dict[str, _Viewer] = {}
        self._driver: str | None = None
        self._last = ('', '')
        self._device = 'keys'
        self._stamp = 0
        self._let_go = False
        self._words: list[str] = []
        self._lock = threading.Lock()

    @property
    def driver(self) -> str:
        """The name of who drives, '' for nobody."""
        viewer = self._viewers.get(self._driver or '')
        return viewer.name if viewer is not None else ''

    def other_before(self, session: str) -> str:
        """The name of who drove last, '' where that was this session or nobody."""
        last, name = self._last
        return '' if last == session else name

    def told(self) -> dict[str, Any]:
        """For the page: who drives, the share of full speed, the joint that is chosen."""
        jogger = self._joggers[self._device]
        return {'driver': self.driver, 'speed': jogger.speed, 'chosen': jogger.chosen}

    def come(self, session: str, name: str) -> None:
        """A connection begins. What is held from before does not count."""
        with self._lock:
            self._viewers[session] = _Viewer(name)

    def leave(self, session: str) -> None:
        """A connection has ended, however."""
        with self._lock:
            self._viewers.pop(session, None)
            if self._driver == session:
                self._release()

    def take(self, session: str, held: Held, now: int, wall: float, others: str = '') -> str:
        """A message; returns why it does not drive, '' when it does or holds nothing.

        others: why nobody may drive from a page now, as when a joystick does.
        """
        with self._lock:
            viewer = self._viewers[session]
            device = 'keys' if held.pad is None else 'pad'
            if device == 'keys' and not held.taps:
                # By such a word, which says nothing of the pad, the browser lets go of that, too.
                viewer.armed.discard('pad')
            if device == 'pad' and self._pad is None:
                return 'there is no gamepad mapping that fits this robot'
            wants, other = self._wants(held), self._driver not in (None, session)
            if other and wants:
                # Who holds something when the other one lets go, or is late, does not take the robot over by that.
                viewer.armed.discard(device)
            if held.sent - wall > AHEAD_SECONDS:
                return AHEAD
            if wall - held.sent > LATE_SECONDS:
                return SLOW
            if other:
                if not wants:
                    viewer.armed.add(device)
                return f'{self.driver} drives' if wants else ''
            if not wants:
                viewer.armed.add(device)
                self._update(held, wall)
                if self._driver == session:
                    self._release()
                self._device = device
                return ''
            if others:
                return others
            if device not in viewer.armed:
                return 'let go first'
            self._update(held, wall)
            self._driver, self._device, self._stamp = session, device, now
            self._last = session, viewer.name
            return ''

    def tick(self, now: int, wall: float, reference: NDArray[np.float64]) -> Drive | None:
        """What to publish in this control period, None for nothing.

        reference: float64 [d], as Jogger.action wants it.
        """
        with self._lock:
            if self._driver is not None and not 0 <= now - self._stamp <= self._patience:
                self._release()
            jogger, drive = self._joggers[self._device], None
            if self._driver is not None:
                drive = Drive(self._stamp, jogger.action(reference, wall))
            elif self._let_go:
                drive, self._let_go = Drive(now, None), False
            # After the action, as a gripper is opened and closed only while somebody drives.
            self._words += jogger.handle(self._pressed())
            return drive

    def take_words(self) -> list[str]:
        """What a gamepad asked of the recorder since the last call: start, stop, discard, success, failure."""
        with self._lock:
            words, self._words = self._words, []
            return words

    def _wants(self, held: Held) -> bool:
        if held.pad is None:
            return held.hold or bool(held.keys & self._keys.driving_keys)
        _, buttons = as_game_controller(*held.pad)
        assert self._pad is not None
        return bool(buttons[int(self._pad.mapping.deadman.removeprefix('button'))])

    def _update(self, held: Held, wall: float) -> None:
        if held.pad is None:
            self._keys.update(held)
        elif self._pad is not None:
            self._pad.update(*as_game_controller(*held.pad), wall)

    def _pressed(self) -> list[str]:
        device = self._keys if self._device == 'keys' else self._pad
        return device.pressed() if device is not None else []

    def _release(self) -> None:
        self._driver, self._let_go = None, True
        # Whoever held something must be seen to let go of it, here or on a line that comes back.
        for jogger in self._joggers.values():
            jogger.release()
