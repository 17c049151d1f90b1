"""The request that waits for its chunk: which chunk answers it, and when it is made anew.

Ticks are counted by who calls; `tick` is that of the period which has just begun or ended, as the methods say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mode_ros.control.chunk import ChunkRejected
from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.request import ChunkRequest

# A request that got no answer for this long is made anew (nanoseconds). One whose chunk was refused is made anew at the
# next tick; while refusals follow each other, after twice as long each time, up to the same.
RETRY_AFTER = 2 * NANOSECONDS

# Refusals that say nothing against the policy: the chunk came too late to play.
TIMING = ('late', 'short')


@dataclass
class Open:
    """A request that waits for its chunk. known: with all known actions, also where the policy is not told them;
    tick: that asked; forgotten: when the last command before the known ones was told, None where nothing was;
    identities: under which it was asked, each with its tick.
    """

    request: ChunkRequest
    known: ChunkRequest
    tick: int
    forgotten: int | None
    identities: dict[str, int]


class Asking:
    """At most one request at a time."""

    def __init__(self, contract: Contract, name: str) -> None:
        """name: begins the identities of requests, so that no other controller's are alike."""
        self._period, self._dimensions = contract.period, len(contract.dimensions)
        self._latency = contract.motion_delay
        self._name, self._asked = name, 0
        self.clear()

    def clear(self) -> None:
        """Nothing is open: a chunk that comes now answers nothing."""
        self._open: Open | None = None
        self._refusals = self._ask_from = 0

    # ---- what comes --------------------------------------------------------------------------------------------

    def answered_by(self, identity: str) -> Open:
        """The request that the chunk of this identity answers; raises ChunkRejected where it answers none."""
        if self._open is None or identity not in self._open.identities:
            raise ChunkRejected('identity', f'it answers the request {identity!r}, which is not open')
        return self._open

    def take(self) -> None:
        """The chunk of the open request is played."""
        self._open, self._refusals = None, 0

    def refuse(self, identity: str, check: str, tick: int) -> None:
        """A chunk was refused by `check`: what it answered is asked anew. tick: the next."""
        if self._open is None or identity not in self._open.identities:
            return
        self._open = None
        if check not in TIMING:
            most = max(RETRY_AFTER // self._period, 1)
            self._ask_from = tick + min(2 ** min(self._refusals, 30), most) - 1
            self._refusals += 1

    # ---- what is asked, at the end of `tick` -------------------------------------------------------------------

    def waiting(self, now: int, still_since: int | None, tick: int) -> ChunkRequest | None:
        """The open request, as it was or, after a while without an answer, anew; None where there is none any more.

        still_since: since when the robot stands, None while it moves.
        """
        waiting = self._open
        if waiting is None:
            return None
        patience = max(RETRY_AFTER, 2 * waiting.known.reserved * self._period)
        if now - waiting.request.stamp < patience:
            return waiting.request
        if waiting.request.not_before is not None and still_since is not None:
            # Whichever of them is answered: the robot has stood still for both.
            again = self.bare(now, now)
            waiting.request = again
            waiting.identities[again.identity] = tick
            return again
        self._open = None
        return None

    def may_ask(self, tick: int) -> bool:
        """Whether a new request may be made so soon after refusals."""
        return tick >= self._ask_from

    def ask(
        self, request: ChunkRequest, tick: int, known: ChunkRequest | None = None, forgotten: int | None = None
    ) -> ChunkRequest:
        """Opens `request`, which is returned; known, forgotten: see Open."""
        self._open = Open(request, known or request, tick, forgotten, {request.identity: tick})
        return request

    def bare(self, now: int, still_since: int | None, identity: str = '') -> ChunkRequest:
        """A request that tells no actions."""
        none = np.zeros((0, self._dimensions))
        return ChunkRequest(identity or self.identity(), now, still_since, 0, (), none, self._period, self._latency)

    def identity(self) -> str:
        """Another one each time."""
        self._asked += 1
        return f'{self._name}-{self._asked}'
