"""A person's command, and what makes it good for one control period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.poses import without_rotation

# A command drives the robot for this many periods after its stamp: one that comes a little late leaves no gap, and
# after one that does not come the robot is stopped.
FRESH_PERIODS = 1.5

# After a stop, a silence of so many seconds and periods counts as letting go; a command that is only late does not.
LET_GO_SECONDS = 0.5
LET_GO_PERIODS = 3


@dataclass(frozen=True)
class TeleopCommand:
    """What a person wants in one control period.

    stamp: nanoseconds; names: the contract's action names; action: float64 [d], NaN in a dimension that is to be left
    as it is, None when the person has let go.
    """

    stamp: int
    names: tuple[str, ...]
    action: NDArray[np.float64] | None


class TeleopRefused(Exception):
    """A command is refused whole. check: the failed check's name; the message says what was found."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


def check_command(command: TeleopCommand, contract: Contract, now: int) -> None:
    """Refuses a command that is not made for this contract, is not finite, or is not of now."""
    if command.names != contract.action_names:
        raise TeleopRefused(
            'names', f'its names are {list(command.names)}, the contract has {list(contract.action_names)}'
        )
    if command.action is not None and command.action.shape != (len(contract.action_names),):
        raise TeleopRefused(
            'shape', f'its action has the shape {list(command.action.shape)}, expected [{len(contract.action_names)}]'
        )
    if command.action is not None and np.isinf(command.action).any():
        name = command.names[int(np.flatnonzero(np.isinf(command.action))[0])]
        raise TeleopRefused('finite', f'{name} is infinite')
    if command.action is not None and (found := without_rotation(command.action[None], contract)):
        raise TeleopRefused('rotation', f'the axes of {found[1]!r} give no rotation')
    if command.action is not None and not is_fresh(command, contract, now):
        raise TeleopRefused(
            'age',
            f'it is stamped {(now - command.stamp) / NANOSECONDS:.3f} s before now (limit '
            f'{FRESH_PERIODS * contract.period_seconds:.3f} s); do both nodes use the same clock?',
        )


def is_fresh(command: TeleopCommand, contract: Contract, now: int) -> bool:
    """Whether the command counts at `now`; one from the future does not either."""
    return abs(now - command.stamp) <= FRESH_PERIODS * contract.period


def has_let_go(silence: int, contract: Contract, said: bool = False) -> bool:
    """Whether a silence of so many nanoseconds between two commands means that the person had let go.

    said: somebody has said so. Where two people publish it may have been the other one; whoever still holds on is heard
    again in the next period.
    """
    periods = LET_GO_PERIODS * contract.period
    return silence >= (periods if said else max(LET_GO_SECONDS * NANOSECONDS, periods))


class Takeover:
    """A person's commands override the policy's while they are fresh.

    After an emergency stop or a breach the person must let go before driving on: the robot must not move by the release
    of the stop.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.begin()

    def begin(self, let_go_first: int | None = None) -> None:
        """Nobody drives, nor has. let_go_first: nanoseconds since when whoever holds on must let go before driving."""
        self._command: TeleopCommand | None = None
        self._last = let_go_first
        self._let_go_first = let_go_first is not None
        self._said_so = False  # that somebody has let go, since it was asked for
        self.over = False
        """Whether a person has driven since the last chunk was taken."""

    def take(self, command: TeleopCommand, now: int, estop: bool) -> None:
        """Raises TeleopRefused naming the failed check."""
        check_command(command, self._contract, now)
        if command.action is None:
            self._command, self._said_so = None, True
            return
        before, self._last = self._last, command.stamp
        if estop:
            self._let_go_first, self._said_so = True, False
            raise TeleopRefused('estop', 'the emergency stop is engaged')
        silent = before is None or has_let_go(command.stamp - before, self._contract, self._said_so)
        if self._let_go_first and not silent:
            raise TeleopRefused('held', 'the deadman has been held since the robot was stopped; let go of it first')
        self._command, self._let_go_first = command, False

    def wish(self, now: int) -> NDArray[np.float64] | None:
        """What the person wants at `now`, [d]; None where nobody drives."""
        command = self._command
        return None if command is None or not is_fresh(command, self._contract, now) else command.action

    def stop(self) -> None:
        """Whoever drives must let go first: also who was not heard at this moment, for commands may come with a gap."""
        self._let_go_first, self._said_so = True, False
        self._command = None

    def forget(self) -> None:
        """Whoever drove has let go."""
        self._command = None

    def time_jumped(self, now: int) -> None:
        """Stamps from before mean nothing."""
        self.stop()
        self._last = None if self._last is None else now
