"""A controller, a robot that does what it is told, and a policy that thinks for a given number of periods."""

import numpy as np

from mode_ros.control.chunk import ChunkRejected, make_chunk
from mode_ros.control.controller import Controller
from mode_ros.control.execution import ExecutionSettings
from mode_ros.control.request import prefix_of
from mode_ros.control.tick import Phase

STEP = 0.001
START = 100_000_000_000


class Thinking:
    """Actions are numbered: the policy goes on counting, in steps of STEP, from what it is told is decided.

    So whatever is executed twice, or left out, is a gap in what was commanded.
    """

    def __init__(self, contract, mode, delays, length=10, lag=0, actions=0, continues=True):
        """delays: periods of thinking, one after the other, the last for ever; lag: periods by which observations are
        older than the tick that follows them.
        """
        self.contract, self.length, self.lag, self.continues = contract, length, lag, continues
        self.controller = Controller(contract, 10.0, execution=ExecutionSettings(mode, actions))
        self.controller.activate(START)
        self.delays = list(delays)
        self.now, self.tick_number = START, 0
        self.commands, self.phases, self.issued, self.refused, self.requests, self.plans = [], [], {}, [], [], []
        self.count = 0.0
        self._coming, self._answered = None, ''

    def run(self, periods):
        for _ in range(periods):
            self._period()
        return self

    def _period(self):
        if self._coming is not None and self.tick_number >= self._coming[0]:
            chunk, self._coming = self._coming[1], None
            try:
                self.controller.accept(chunk, self.now)
            except ChunkRejected as error:
                self.refused.append(error.check)
        rest = self.commands[-1] if self.commands else 0.0
        place = 0.0 if self.contract.delta_mask[0] or np.isnan(rest) else rest
        # Encoders do not repeat themselves exactly.
        self.controller.measure('joints', self.now, np.full(2, place) + 1e-12 * (self.tick_number % 5))
        tick = self.controller.tick(self.now)
        command = tick.commands.get('arm', [np.nan])[0]
        self.commands.append(float(command))
        self.phases.append(tick.phase)
        self.issued[self.now] = float(command)
        if tick.request is not None:
            self._think(tick.request)
        self.now += self.contract.period
        self.tick_number += 1

    def _think(self, request):
        if request.identity == self._answered or self._coming is not None:
            return  # only an idle policy takes a request
        stamp = self.now - self.lag * self.contract.period - (1_000_000 if self.lag else 0)
        if stamp < (request.not_before or 0):
            return  # it waits for an observation that will do
        self._answered = request.identity
        self.requests.append(request)
        delay = self.delays.pop(0) if len(self.delays) > 1 else self.delays[0]
        plan = prefix_of(request, stamp)
        self.plans.append((stamp, plan))
        self._coming = (
            self.tick_number + delay,
            make_chunk(self.contract, stamp, self._actions(plan), request.identity),
        )

    def _actions(self, plan):
        known = plan.actions[: plan.committed, 0][: self.length] if self.continues else np.zeros(0)
        executed = [c for c, p in zip(self.commands, self.phases, strict=True) if p is Phase.EXECUTING]
        last = max([0.0, *known, *executed])  # while it holds, a displacement is 0
        own = last + STEP * np.arange(1, self.length - len(known) + 1)
        actions = np.zeros((self.length, len(self.contract.dimensions)))
        actions[:, 0] = np.concatenate([known, own])
        return actions

    @property
    def executed(self):
        """Numbers of the actions that were executed, in order."""
        return [
            round(command / STEP)
            for command, phase in zip(self.commands, self.phases, strict=True)
            if phase is Phase.EXECUTING
        ]

    def held(self, since=0):
        """Periods from `since` on in which the robot waited, after the first chunk."""
        begin = max(self.phases.index(Phase.EXECUTING), since)
        return sum(phase is Phase.WAITING for phase in self.phases[begin:])
