"""The stages of a prediction: told as they begin, timed, and the places where it can be stopped. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable

# 'chunk' is the whole of a static graph, 'images', 'prefix' and 'steps' are torch's; on a CPU the first step goes along
# with the prefix.
STAGES = ('goal', 'images', 'prefix', 'steps')
GRAPH_STAGES = ('goal', 'chunk')
DONE = 'done'

ShouldStop = Callable[[], bool]
# Called with each of STAGES, or GRAPH_STAGES, as it begins, and DONE at the end.
OnStage = Callable[[str], None]


class Interrupted(Exception):
    """Sampling was asked to stop between two steps; there is no chunk."""


class StageTimer:
    """How long each stage of a prediction took, by the caller's clock: pass an instance as `on_stage`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds, for example time.perf_counter."""
        self._clock = clock
        self._since: tuple[str, float] | None = None
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str) -> None:
        """Note that `stage` begins."""
        now = self._clock()
        if stage == STAGES[0]:
            self.seconds = {}
        elif self._since is not None:
            self.seconds[self._since[0]] = now - self._since[1]
        self._since = None if stage == DONE else (stage, now)

    @property
    def total(self) -> float:
        """Seconds of the stages measured since the last prediction began."""
        return sum(self.seconds.values())
