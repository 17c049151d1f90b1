"""One attempt of a policy, with an expert beside it who takes over as a person does with the deadman.

The policy drives through the controller of the robot, its requests, its limits and its way to execute chunks. The
expert's commands are teleoperation commands to the same controller, so that taking over, driving and letting go are
what they are there: the chunk is dropped, the robot comes to rest, and the policy plans anew. What is written is what
a recorder would have heard, with `intervention` as the controller's node tells it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from std_msgs.msg import Bool

from mode_ros.attempts.supervision import Supervision, Supervisor, distance
from mode_ros.control.contract import Camera, Contract
from mode_ros.control.execution import ExecutionSettings
from mode_ros.control.takeover import TeleopCommand
from mode_ros.control.tick import Phase
from mode_ros.evaluation.rollout import Player
from mode_ros.evaluation.sensors import as_compressed
from mode_ros.policy.runtimes.interface import RunningPolicy
from mode_ros.record_sim.session import Session, Write
from mode_ros.recording.episode import INTERVENTION_TOPIC
from mode_ros.sim.demonstrator import Demonstrator, Noise
from mode_ros.sim.simulator import Simulator

# An attempt may take so many times the benchmark's time limit: a rescue takes time, too.
TIME_LIMITS = 2


@dataclass(frozen=True)
class Attempt:
    """How it went. periods: with a command; driven: of these, by the expert; takeovers: (when in s, why)."""

    success: bool
    periods: int
    driven: int
    takeovers: list[tuple[float, str]] = field(default_factory=list)


def attempt(
    simulator: Simulator,
    contract: Contract,
    policy: RunningPolicy,
    goal: str,
    seed: int,
    write: Write,
    execution: ExecutionSettings,
    delay: int = 1,
    rule: Supervision | None = None,
    noise: Noise | None = None,
) -> Attempt:
    """Lets the policy try the simulator's task once, from its initial state for `seed`, and writes everything down.

    delay: control periods that a chunk takes, at least 1; noise: what disturbs the arm while the expert drives.
    Raises UserError where the task has no expert.
    """
    player = Player(
        contract,
        policy,
        goal,
        lambda: max(delay, 1),
        # As everywhere, what is random follows from task and seed.
        torch.Generator().manual_seed(zlib.crc32(f'{simulator.task} {seed}'.encode())),
        execution,
    )
    return _Attempt(simulator, contract, write, player, rule or Supervision()).run(
        goal, seed, noise or Noise().scaled(0)
    )


class _Attempt(Session):
    def __init__(
        self, simulator: Simulator, contract: Contract, write: Write, player: Player, rule: Supervision
    ) -> None:
        super().__init__(simulator, contract, write, player.controller)
        self._player, self._rule = player, rule
        self._told = False

    def run(self, goal: str, seed: int, noise: Noise) -> Attempt:
        simulator = self._simulator
        simulator.reset(seed)
        expert = Demonstrator(simulator, noise, seed)
        begun = self._begin(goal)
        supervisor = Supervisor(self._rule, begun)
        limit = TIME_LIMITS * simulator.time_limit_steps
        periods = driven = left = 0
        while left > 0 or not self._success:
            self._observe()
            if not self._success and simulator.steps >= limit:
                break
            left = left - 1 if self._success else self._ending
            by_expert = supervisor.driving
            advice = expert.action()
            command, phase = self._command(advice if by_expert else None)
            hand = simulator.state().end_effector_position
            self._execute(command + expert.disturbance() if by_expert else command)
            periods += 1
            driven += by_expert
            if by_expert:
                supervisor.expert_drove(self._now, hand)
            elif not self._success:
                away = distance(command, advice, simulator.action_limits) if phase is Phase.EXECUTING else None
                supervisor.policy_drove(self._now, hand, away)
        else:
            self._observe()
        takeovers = [((when - begun) / 1e9, why) for when, why in supervisor.takeovers]
        return Attempt(self._success, periods, driven, takeovers)

    def _heard_state(self, name: str, values: NDArray[np.float64]) -> None:
        super()._heard_state(name, values)
        self._player.observations.push(name, self._now, lambda: values)

    def _heard_image(self, camera: Camera, rgb: NDArray[np.uint8]) -> None:
        image = as_compressed(rgb) if camera.transport == 'compressed' else rgb
        self._player.observations.push(camera.name, self._now, lambda: image)

    def _command(self, expert: NDArray[np.float64] | None) -> tuple[NDArray[np.float64], Phase]:
        """What the expert, or without one the policy, does in this period, [d], written down."""
        names, now = self._contract.action_names, self._now
        if expert is not None or self._told:
            self._controller.drive(TeleopCommand(now, names, expert), now)
        tick = self._player.tick(now)
        driven = tick.phase is Phase.TELEOP
        if (expert is not None) and not driven:
            raise RuntimeError(f'the controller is {tick.phase.value} ({tick.reason}) while the expert drives')
        if driven != self._told:
            # Told before it is done, as by the controller's node.
            self._write(INTERVENTION_TOPIC, now, Bool(data=driven))
            self._told = driven
        return self._send(tick.commands), tick.phase
