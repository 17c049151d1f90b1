"""A request for a chunk, what it tells of the actions that are already decided, and which of them a policy continues.

Controller and policy use `prefix_of`, so both count the actions of a chunk from the same one. Times are integer
nanoseconds; an action's time is that of the tick that issues it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError


@dataclass(frozen=True)
class ChunkRequest:
    """Asks for a chunk.

    identity: repeated by the chunk that answers; stamp: the tick that asks; not_before: an observation stamped from
    then on is wanted, since the robot has stood still since then (None: the newest will do); reserved: periods, counted
    from the asking tick on, whose actions are decided, so that the chunk takes over at stamp + reserved periods;
    period: of the control, nanoseconds; times: nanoseconds after stamp at which each known action is issued, rising,
    negative for what has been commanded; actions: float64 [m, d], in the robot's units, one per time. Known actions
    from `reserved` periods on are only planned: the chunk may change them. delay: nanoseconds from a command to its
    motion. begun: nanoseconds, when the controller was activated or last reset, which begins an episode.
    """

    identity: str
    stamp: int
    not_before: int | None = None
    reserved: int = 0
    times: tuple[int, ...] = ()
    actions: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    period: int = 0
    delay: int = 0
    begun: int = 0


@dataclass(frozen=True)
class Plan:
    """What a chunk begins with. actions: float64 [m, d], its actions 0 to m - 1 as they are known, in the robot's
    units; committed: so many of them are decided and will be executed whatever the chunk says.
    """

    actions: NDArray[np.float64]
    committed: int


def prefix_of(request: ChunkRequest, stamp: int) -> Plan:
    """The plan that a chunk from the observation stamped `stamp` continues.

    Action 0 of the chunk belongs to the first known tick whose motion the observation cannot show yet. Action
    `committed` of the chunk is the first that it decides: the one of the tick at request.stamp + reserved periods.
    """
    times = np.asarray(request.times, dtype=np.int64)
    unseen = request.stamp + times + request.delay >= stamp
    decided = times < request.reserved * request.period
    return Plan(request.actions[unseen], int(np.count_nonzero(unseen & decided)))


def answered_by(request: ChunkRequest, waiting: ChunkRequest) -> bool:
    """Whether the chunk made for `request` is the answer to `waiting`, too, which came meanwhile.

    A robot that stands still asks anew after a while: it is still the same chunk that it waits for. One that moves asks
    for another chunk each time.
    """
    both_stand = request.not_before is not None and waiting.not_before is not None
    return both_stand or request.identity == waiting.identity


def check_request(request: ChunkRequest, dimensions: int) -> None:
    """Raises UserError for a request that no chunk can answer. dimensions: of an action."""
    known = len(request.times)
    if not request.identity:
        raise UserError('The request has no identity, so no chunk could answer it.')
    if request.reserved < 0 or (known and request.period <= 0):
        raise UserError(f'The request reserves {request.reserved} periods of {request.period} ns.')
    if known and request.actions.shape != (known, dimensions):
        raise UserError(
            f'The request tells {known} times and actions of the shape {list(request.actions.shape)}, expected '
            f'{[known, dimensions]}.'
        )
    if any(later <= earlier for earlier, later in zip(request.times, request.times[1:], strict=False)):
        raise UserError("The request's times do not rise.")
    if not np.isfinite(request.actions).all():
        raise UserError('The request tells an action that is not a number.')
