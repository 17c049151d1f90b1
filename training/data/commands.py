"""The action that belongs to an observation, from recorded commands.

The action recorded at observation time t is what the robot was told for the control period [t, t + period): the same
pairing as live, where the first action of a chunk planned at t is the one sent first after t.

absolute: the newest command before the period ends; a target stays in force until the next one, and a trajectory is
followed point by point until another replaces it (mode_ros.control.setpoints).
delta: the displacement commanded within the period, and zero where none was, since a displacement ends by itself.
A sender at the contract's rate jitters, and where it sends close to the edge of a period, some periods hold two
commands and others none. So the second of two commands counts for the next period if it came in the later half of this
one: no displacement is lost or doubled, at most one period at the start is empty. Where commands come clearly more
often, as with a control rate or from somebody else's teleoperation, each counts for the share of the period in which it
was in force (displacements).

Before the first command of all groups there is no action, so no segment begins. From then on a group that has not been
commanded yet has its `initial` action, or stays where its feedback measured it; a displacement is zero. A group with
neither has no action before its first command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import dropwhile, islice, takewhile

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS, ActionGroup, Contract
from mode_ros.control.setpoints import Setpoint
from mode_ros.training.data.displacements import KEPT, come_often, shares

# A group that moves by more than this share of its range without a command is moved by somebody else.
_STANDS = 0.02


class NoAction(Exception):
    """No action belongs to this time. fault: whether something is wrong, or the robot was just not commanded yet."""

    def __init__(self, reason: str, fault: bool) -> None:
        super().__init__(reason)
        self.fault = fault


@dataclass(frozen=True)
class Command:
    """One command of a group. time: nanoseconds; asked: a target or displacement [n], or the course of a trajectory;
    None where `problem` says why it cannot be used.
    """

    time: int
    asked: NDArray[np.float64] | Setpoint | None
    problem: str = ''

    def target(self, elapsed: int, period: int, start: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """The action [n] of the period that ends `elapsed` nanoseconds after the command."""
        if isinstance(self.asked, Setpoint):
            return self.asked.in_period(elapsed, period, start)
        return self.asked

    def reached(self, elapsed: int, start: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Where a trajectory is after `elapsed` nanoseconds, from where another sets out."""
        return self.asked.at(elapsed, start) if isinstance(self.asked, Setpoint) else self.asked


# A command, and from where it set out.
Followed = tuple[Command, NDArray[np.float64] | None]


def _set_out(followed: Followed, command: Command, place: NDArray[np.float64] | None) -> Followed:
    """The next command, from where the one before had come; place: where that asked for nothing that can be used."""
    before, start = followed
    reached = before.reached(command.time - before.time, start)
    return command, place if reached is None else reached


def _refuse_silence(group: ActionGroup, command: Command, end: int) -> None:
    """NoAction where a leader has not spoken for so long that nobody knows where it is. end: of the period."""
    assert group.leader is not None
    if end - command.time > group.leader.max_age * NANOSECONDS:
        silent = (end - command.time) / NANOSECONDS
        raise NoAction(
            f'{group.name}: its leader was silent for {silent:.2f} s (limit {group.leader.max_age:.2f} s)', fault=True
        )


class CommandTrack:
    """The recent commands of every group of a contract. Ask for times in rising order, a period apart in a segment."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._commands: dict[str, deque[Command]] = {group.name: deque() for group in contract.action}
        # Commands that count for the next tick although they came before it, and that tick.
        self._carried: dict[str, Command] = {}
        self._next: int | None = None
        # Groups of displacements that are commanded more often than one a period.
        self._often: dict[str, bool] = {}
        # The command that each absolute group follows, and from where it set out; and where a group stands that has
        # none yet.
        self._followed: dict[str, Followed] = {}
        self._standing: dict[str, NDArray[np.float64]] = {}

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
        self._often.clear()
        self._followed.clear()
        self._standing.clear()

    def at(
        self,
        stamp: int,
        measured: Mapping[str, NDArray[np.float64]] | None = None,
        following: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> NDArray[np.float64]:
        """float64 [d], the action for [stamp, stamp + period) in the contract's order; raises NoAction.

        Every command before stamp + period must have been pushed. measured: where groups with feedback are at `stamp`;
        following: where they are a period later, which is the action of those whose actions are states.
        """
        if stamp != self._next:
            self._carried.clear()
        self._next = stamp + self._contract.period
        begun = [
            group.source == 'state' or (bool(c) and c[0].time < self._next)
            for group, c in zip(self._contract.action, self._commands.values(), strict=True)
        ]
        parts = []
        for group, known in zip(self._contract.action, begun, strict=True):
            place = (measured or {}).get(group.name)
            if group.source == 'state':
                parts.append(self._measured_next(group, following or {}))
                continue
            command = self._choose(group, stamp)
            if not known:
                if not any(begun):
                    raise NoAction(f'{group.name}: before its first command', fault=False)
                parts.append(self._uncommanded(group, place))
                continue
            if self._often.get(group.name):
                parts.append(self._held(group, stamp))
                continue
            if group.leader is not None and command is not None:
                _refuse_silence(group, command, self._next)
            values = np.zeros(len(group.names)) if command is None else self._asked(group, command, place)
            if values is None:
                raise NoAction(f'{group.name}: {command.problem if command else ""}', fault=True)
            parts.append(values)
        return np.concatenate(parts)

    def forget_before(self, stamp: int) -> None:
        """Drops commands that no action at `stamp` or later needs."""
        for name, commands in self._commands.items():
            while len(commands) > KEPT and commands[KEPT].time < stamp:
                gone, followed = commands.popleft(), self._followed.get(name)
                if followed is not None and followed[0].time < gone.time:  # not asked for while there was no action
                    self._followed[name] = _set_out(followed, gone, None)

    def _measured_next(self, group: ActionGroup, following: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        values = following.get(group.name)
        if values is None or np.isnan(values).any():
            raise NoAction(f'{group.name}: where it was a period later is not known', fault=False)
        return values

    def _uncommanded(self, group: ActionGroup, place: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if group.kind == 'delta':
            return np.zeros(len(group.names))
        if group.initial is not None:
            return np.array(group.initial)
        if place is None or np.isnan(place).any() or group.leader is not None:
            raise NoAction(f'{group.name}: before its first command', fault=False)
        standing = self._standing.setdefault(group.name, place)
        room = _STANDS * np.array([dimension.upper - dimension.lower for dimension in group.dimensions])
        if (np.abs(place - standing) > room).any():
            raise NoAction(f'{group.name}: it moves, and no command for it has been recorded yet', fault=True)
        return standing

    def _asked(
        self, group: ActionGroup, command: Command, place: NDArray[np.float64] | None
    ) -> NDArray[np.float64] | None:
        """What the command in force asks for in this period, None where it cannot be used."""
        assert self._next is not None
        if group.kind == 'delta':
            return command.target(0, self._contract.period, None)
        followed = self._followed.get(group.name)
        if followed is None:
            followed = command, place
        elif followed[0] is not command:
            # Each command sets out from where the one before had come; those that this period skips count, too.
            between = [c for c in self._commands[group.name] if followed[0].time < c.time <= command.time]
            for following in between:
                followed = _set_out(followed, following, place)
            if not between:  # one that came late, for a time before
                followed = command, followed[1]
        self._followed[group.name] = followed
        return followed[0].target(self._next - followed[0].time, self._contract.period, followed[1])

    def _back_from(self, group: ActionGroup, end: int) -> Iterator[Command]:
        """The commands before `end`, the newest one first."""
        return dropwhile(lambda command: command.time >= end, reversed(self._commands[group.name]))

    def _choose(self, group: ActionGroup, stamp: int) -> Command | None:
        """The command in force, None where it is none (zero displacement) or where several are (_held)."""
        period = self._contract.period
        carried = self._carried.pop(group.name, None)
        if group.kind == 'absolute':
            return next(self._back_from(group, stamp + period), None)
        known = list(islice(self._back_from(group, stamp + period), KEPT))[::-1]
        # The controller of a contract with a control rate sends that often from its first command on.
        often = self._often.get(group.name, self._contract.commands_per_action > 1)
        if len(known) > 1:  # one alone tells no rate, and is the action of its period
            self._often[group.name] = come_often([command.time for command in known], period, often)
            if self._often[group.name]:
                return None  # not one, but all that were in force
        choice = [command for command in known if stamp <= command.time]
        if carried is not None:
            choice.insert(0, carried)
        if len(choice) < 2:
            return choice[0] if choice else None
        before, last = choice[-2:]
        if last.time >= stamp + period // 2 and last.time - before.time > period // 2:
            self._carried[group.name] = last
            return before
        return last

    def _held(self, group: ActionGroup, stamp: int) -> NDArray[np.float64]:
        """The displacement [n] of all commands that were in force in the period; NoAction where one is not known."""
        period = self._contract.period
        commands = list(takewhile(lambda c: c.time > stamp - period, self._back_from(group, stamp + period)))[::-1]
        total = np.zeros(len(group.names))
        for command, share in zip(commands, shares([c.time for c in commands], stamp, period), strict=True):
            if not share and command.time < stamp:
                continue  # another one had taken its place by then
            values = command.target(0, period, None)
            if values is None:
                raise NoAction(f'{group.name}: {command.problem}', fault=True)
            total += share * values
        return total
