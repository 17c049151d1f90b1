"""One episode in simulated time, in one process, with the very parts that run on the robot.

The controller asks for chunks, plays them within the contract's limits and holds while it waits, as in its node; the
policy sees an observation assembled by the buffer of its node. Only the middleware is left out, and the time that the
policy takes is not measured but given, so that an episode is the same whenever and wherever it is repeated.

In each control period everything is observed first, then the controller ticks, then the simulation steps through the
period under the command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mode_ros.control.chunk import Chunk, ChunkRejected, make_chunk
from mode_ros.control.contract import Contract
from mode_ros.control.controller import Controller
from mode_ros.control.execution import ExecutionSettings
from mode_ros.control.observation import Observation, ObservationBuffer
from mode_ros.control.orientation import EpisodeSigns
from mode_ros.control.request import ChunkRequest, answered_by, prefix_of
from mode_ros.control.seams import jerk
from mode_ros.control.tick import Tick
from mode_ros.evaluation.sensors import Faults, Sensors
from mode_ros.evaluation.settings import MAX_CHUNK_AGE
from mode_ros.pairing import predict
from mode_ros.policy.runtimes.interface import RunningPolicy
from mode_ros.policy.stages import Interrupted
from mode_ros.sim.simulator import Simulator


@dataclass(frozen=True)
class Outcome:
    """How an episode went.

    seconds: simulated, to the success or to the time limit; periods: control periods begun, of which acting: from the
    first chunk on, in which the policy could have moved the robot; chunks: played; held: those of acting in which the
    robot stood and waited for a chunk; refused: chunks that the controller did not take, of which
    late came later than what was reserved for them; seams: where one chunk took over from another in motion, and means
    over them (see control.seams); jerk: root mean square;
    limited: periods in which a limit of the contract changed the command; commands: [periods, d], what the simulator
    was given; end: [3] where the hand was in the end, m.
    """

    success: bool
    seconds: float
    periods: int
    acting: int
    chunks: int
    held: int
    refused: int
    late: int
    limited: int
    seams: int
    seam_position: float
    seam_velocity: float
    jerk: float
    commands: NDArray[np.float64]
    end: NDArray[np.float64]


def run_episode(
    simulator: Simulator,
    contract: Contract,
    policy: RunningPolicy,
    goal: str,
    latency: int,
    noise: torch.Generator,
    faults: Faults | None = None,
    faults_generator: np.random.Generator | None = None,
    should_stop: Callable[[], bool] | None = None,
    execution: ExecutionSettings | None = None,
    slowest: int | None = None,
) -> Outcome:
    """Runs the policy on a simulator that has just been reset, to success or the benchmark's time limit.

    latency: control periods from a request until its chunk is played, at least 1, since a chunk comes after the tick
    that asked for it; slowest: where given, the delay of each chunk is drawn evenly from latency to slowest, by
    faults_generator; noise: draws the policy's sampling noise; should_stop: asked in every period, after its yes
    Interrupted is raised; execution: of the chunks, synchronous where it is not given.
    """
    chance = faults_generator or np.random.default_rng(0)
    sensors = Sensors(simulator, contract, faults or Faults(), chance)
    # A generator of its own, so that what is drawn for the sensors does not depend on how many chunks there are.
    delays = np.random.default_rng(chance.bit_generator.seed_seq.spawn(1)[0])  # type: ignore[attr-defined]
    slow = max(slowest or latency, latency)
    player = Player(
        contract, policy, goal, lambda: int(delays.integers(latency, slow + 1)), noise, execution or ExecutionSettings()
    )
    steps = round(simulator.steps_per_period)
    commands: list[NDArray[np.float64]] = []
    limited = 0
    now = 0
    player.controller.activate(now)
    while not simulator.success() and simulator.steps < simulator.time_limit_steps:
        if should_stop is not None and should_stop():
            raise Interrupted('the evaluation is being stopped')
        sensors.read(now, player.controller, player.observations)
        tick = player.tick(now)
        limited += bool(tick.limited)
        commands.append(_action(tick, contract))
        for _ in range(steps):
            simulator.step(commands[-1])
            if simulator.success() or simulator.steps >= simulator.time_limit_steps:
                break
        now += contract.period
    seams = player.controller.execution.seams
    told = np.array(commands).reshape(len(commands), len(contract.dimensions))
    return Outcome(
        success=simulator.success(),
        seconds=simulator.steps * simulator.step_seconds,
        periods=len(commands),
        acting=player.controller.periods,
        chunks=player.controller.chunks,
        held=player.controller.held,
        refused=player.refused,
        late=player.controller.execution.late,
        limited=limited,
        seams=len(seams),
        seam_position=float(np.mean([seam.position for seam in seams])) if seams else 0.0,
        seam_velocity=float(np.mean([seam.velocity for seam in seams])) if seams else 0.0,
        jerk=jerk(contract, told),
        commands=told,
        end=simulator.state().end_effector_position,
    )


class Player:
    """The controller and, at the other end of its requests, the policy: what the two nodes do between two ticks."""

    def __init__(
        self,
        contract: Contract,
        policy: RunningPolicy,
        goal: str,
        delay: Callable[[], int],
        noise: torch.Generator,
        execution: ExecutionSettings,
    ) -> None:
        """delay: periods that the next chunk takes."""
        self.controller = Controller(contract, MAX_CHUNK_AGE, execution=execution)
        self.observations = ObservationBuffer(contract)
        self._signs = EpisodeSigns(contract)
        self.refused = 0
        self._contract, self._policy, self._goal, self._noise = contract, policy, goal, noise
        self._delay = delay
        self._answered = ''
        self._waiting: ChunkRequest | None = None
        self._coming: tuple[int, ChunkRequest, Chunk] | None = None

    def tick(self, now: int) -> Tick:
        """The control period that begins at `now` (nanoseconds), after the sensors were read."""
        if self._coming is not None and now >= self._coming[0]:
            self._deliver(*self._coming[1:], now)
        tick = self.controller.tick(now)
        if tick.request is not None and tick.request.identity != self._answered:
            self._waiting = tick.request
        # As the node, the policy takes a request when it is idle: the newest.
        if self._waiting is not None and self._coming is None:
            observation = self.observations.latest(now)
            if observation.stamp >= (self._waiting.not_before or 0):
                request, self._waiting = self._waiting, None
                self._answered = request.identity
                self._coming = (now + self._delay() * self._contract.period, request, self._plan(observation, request))
        return tick

    def _plan(self, observation: Observation, request: ChunkRequest) -> Chunk:
        plan = prefix_of(request, observation.stamp) if request.times else None
        observation = replace(observation, states=self._signs.of(observation.states, self._goal))
        actions = predict(self._policy, observation, self._goal, self._noise, plan=plan)
        return make_chunk(self._contract, observation.stamp, actions, request.identity)

    def _deliver(self, request: ChunkRequest, chunk: Chunk, now: int) -> None:
        self._coming = None
        if self._waiting is not None and answered_by(request, self._waiting):
            self._answered, self._waiting = self._waiting.identity, None
        try:
            self.controller.accept(chunk, now)
        except ChunkRejected:
            self.refused += 1


def _action(tick: Tick, contract: Contract) -> NDArray[np.float64]:
    """The action [d] that sim_node makes of a tick's commands; 0 where nothing safe could be commanded yet."""
    action = np.zeros(len(contract.dimensions))
    for name, values in tick.commands.items():
        action[contract.group_slices[name]] = values
    return action
