"""What nodes say of themselves, as data for the page: in their own words, with how long ago."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from mode_ros.control.contract import Contract
from mode_ros.control.teleop_mapping import SELECTED, TeleopMapping

# Nodes report twice a second; one that has been silent for so long is told as silent (seconds).
SILENT_SECONDS = 2.5
_LEVELS = ('ok', 'warning', 'error', 'stale')


class Told:
    """The last status of each node. Levels: ok, warning, error, stale (its own word), silent, missing."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """names: what a node is to the page ('controller') to its name."""
        self._names = dict(names)
        self._heard: dict[str, tuple[float, str, str, dict[str, str]]] = {}

    def hear(self, message: Any, now: float, namespace: str) -> None:
        """A diagnostic_msgs/DiagnosticArray of /diagnostics, which every robot in the graph shares.

        namespace: of the page, which tells whose nodes are meant; now: seconds of a steady clock.
        """
        for status in message.status:
            for what, name in self._names.items():
                if status.name == f'{namespace.rstrip("/")}/{name}' or (name.startswith('/') and status.name == name):
                    self.hear_of(what, status, now)

    def hear_of(self, what: str, status: Any, now: float) -> None:
        """A DiagnosticStatus of one node."""
        level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
        values = {str(item.key): str(item.value) for item in status.values}
        self._heard[what] = now, _LEVELS[min(level, 3)], str(status.message), values

    def now(self, now: float) -> dict[str, dict[str, Any]]:
        """What -> {name, level, words, values}, for JSON."""
        return {what: self._of(what, name, now) for what, name in self._names.items()}

    def _of(self, what: str, name: str, now: float) -> dict[str, Any]:
        if what not in self._heard:
            return {'name': name, 'level': 'missing', 'words': f'{name} has not been heard', 'values': {}}
        at, level, words, values = self._heard[what]
        if now - at > SILENT_SECONDS:
            silent = f'{name} has been silent for {now - at:.0f} s; it said last: {words}'
            return {'name': name, 'level': 'silent', 'words': silent, 'values': {}}
        return {'name': name, 'level': level, 'words': words, 'values': values}


class Outcomes:
    """Successes of the last episodes, from the topic `success`: false begins an episode, true is its success."""

    def __init__(self, kept: int = 10) -> None:
        self._episodes: deque[bool] = deque(maxlen=kept)

    def hear(self, success: bool) -> None:
        if not success:
            self._episodes.append(False)
        elif self._episodes:
            self._episodes[-1] = True
        else:
            self._episodes.append(True)

    def told(self) -> dict[str, Any]:
        """now: of this episode, None where nobody tells; before: of the finished ones, oldest first."""
        episodes = list(self._episodes)
        return {'now': episodes[-1] if episodes else None, 'before': episodes[:-1]}


def read_object(text: str) -> Mapping[str, Any] | None:
    """The JSON of a topic as `safety_state` or `goal_queue`; None for what is none, NaN and Infinity among it."""
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _no_number(word: str) -> float:
    raise ValueError(f'{word} is no JSON, and no browser reads it')


def describe_keys(mapping: TeleopMapping, contract: Contract) -> list[dict[str, Any]]:
    """The buttons of the page, from a keyboard's mapping: {kind, label, key, …}, those for this contract only.

    kind: 'motion' (held; with `sign` and `unit`), 'gripper' (held), 'tap'.
    """
    units = dict(zip(contract.action_names, (dimension.unit for dimension in contract.dimensions), strict=True))
    keys: list[dict[str, Any]] = []
    for motion in mapping.motions:
        if motion.dimension != SELECTED and motion.dimension not in units:
            continue
        for sign, key in (('+', motion.plus), ('−', motion.minus)):
            if key is not None:
                label = 'joint' if motion.dimension == SELECTED else motion.dimension.replace('_', ' ')
                unit = units.get(motion.dimension, '')
                keys.append({'kind': 'motion', 'label': label, 'sign': sign, 'key': key, 'unit': unit})
    for gripper in mapping.grippers:
        if gripper.group in contract.group_slices:
            keys.append({'kind': 'gripper', 'label': gripper.group, 'key': gripper.input})
    if mapping.select is not None:
        keys.append({'kind': 'tap', 'label': 'previous joint', 'key': mapping.select.previous})
        keys.append({'kind': 'tap', 'label': 'next joint', 'key': mapping.select.next})
    keys.append({'kind': 'tap', 'label': 'slower', 'key': mapping.speeds.slower})
    keys.append({'kind': 'tap', 'label': 'faster', 'key': mapping.speeds.faster})
    return keys
