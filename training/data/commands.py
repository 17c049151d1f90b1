"""The action that belongs to an observation, from recorded commands.

The action recorded at observation time t is what the robot was told for the control period [t, t + period): the same
pairing as live, where the first action of a chunk planned at t is the one sent first after t.

absolute: the newest command before the period ends; a target stays in force until the next one.
delta: the displacement commanded within the period, and zero where none was, since a displacement ends by itself.
A sender at the contract's rate jitters, and where it sends close to the edge of a period, some periods hold two
commands and others none. So the second of two commands counts for the next period if it came in the later half of this
one: no displacement is lost or doubled, at most one period at the start is empty. Where commands come more often than
every half period, the newest in the period counts.

Before the first command of any group there is no action, so no segment begins.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup, Contract


class NoAction(Exception):
    """No action belongs to this time. fault: whether something is wrong, or the robot was just not commanded yet."""

    def __init__(self, reason: str, fault: bool) -> None:
        super().__init__(reason)
        self.fault = fault


@dataclass(frozen=True)
class Command:
    """One command of a group. time: nanoseconds; values: [n], or None where `problem` says why it cannot be used."""

    time: int
    values: NDArray[np.float64] | None
    problem: str = ''


class CommandTrack:
    """The recent commands of every group of a contract. Ask for times in rising order, a period apart in a segment."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._commands: dict[str, deque[Command]] = {group.name: deque() for group in contract.action}
        # Commands that count for the next tick although they came before it, and that tick.
        self._carried: dict[str, Command] = {}
        self._next: int | None = None

    def push(self, group: str, command: Command) -> None:
        """Adds a command, in the order of time."""
        commands = self._commands[group]
        index = len(commands)
        while index > 0 and commands[index - 1].time > command.time:
            index -= 1
        commands.insert(index, command)

    def clear(self) -> None:
        """Forgets everything, as after a jump of the clock."""
        for commands in self._commands.values():
            commands.clear()
        self._carried.clear()

    def at(self, stamp: int) -> NDArray[np.float64]:
        """float64 [d], the action for [stamp, stamp + period) in the contract's order; raises NoAction.

        Every command before stamp + period must have been pushed.
        """
        if stamp != self._next:
            self._carried.clear()
        self._next = stamp + self._contract.period
        chosen = {group.name: self._choose(group, stamp) for group in self._contract.action}
        parts = []
        for group in self._contract.action:
            commands, command = self._commands[group.name], chosen[group.name]
            if not commands or commands[0].time >= self._next:
                raise NoAction(f'{group.name}: before its first command', fault=False)
            values = np.zeros(len(group.names)) if command is None else command.values
            if values is None:
                raise NoAction(f'{group.name}: {command.problem if command else ""}', fault=True)
            parts.append(values)
        return np.concatenate(parts)

    def forget_before(self, stamp: int) -> None:
        """Drops commands that no action at `stamp` or later needs."""
        for commands in self._commands.values():
            while len(commands) > 1 and commands[1].time < stamp:
                commands.popleft()

    def _choose(self, group: ActionGroup, stamp: int) -> Command | None:
        """The command in force, None where it is none (zero displacement)."""
        commands, period = self._commands[group.name], self._contract.period
        carried = self._carried.pop(group.name, None)
        if group.kind == 'absolute':
            return next((command for command in reversed(commands) if command.time < stamp + period), None)
        choice = [command for command in commands if stamp <= command.time < stamp + period]
        if carried is not None:
            choice.insert(0, carried)
        if len(choice) < 2:
            return choice[0] if choice else None
        before, last = choice[-2:]
        if last.time >= stamp + period // 2 and last.time - before.time > period // 2:
            self._carried[group.name] = last
            return before
        return last
