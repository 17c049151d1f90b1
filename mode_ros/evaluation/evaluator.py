"""Runs episode after episode with one policy, and keeps the simulator of the task at hand."""

from __future__ import annotations

import math
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np
import torch

from mode_ros.control.contract import Contract, parse_contract
from mode_ros.control.execution import ExecutionSettings
from mode_ros.evaluation.calvin import CalvinSimulator, run_chain
from mode_ros.evaluation.episodes import Episode, save_commands
from mode_ros.evaluation.protocol import CALVIN, goal_of
from mode_ros.evaluation.rollout import Outcome, run_episode
from mode_ros.evaluation.sensors import Faults
from mode_ros.evaluation.settings import EvaluationSettings
from mode_ros.pairing import load_paired
from mode_ros.policy.checkpoint import read_info
from mode_ros.policy.runtimes.interface import RunningPolicy
from mode_ros.sim.factory import make_simulator
from mode_ros.sim.simulator import Simulator
from mode_ros.simulated import check_fits

MEASURED_CHUNKS = 9


@dataclass(frozen=True)
class Work:
    """What every process of an evaluation needs to know. latency: control periods."""

    settings: EvaluationSettings
    simulator: str
    latency: int


def load_policy(settings: EvaluationSettings) -> RunningPolicy:
    """The checkpoint's policy, for the contract that it carries; UserError where it cannot be loaded."""
    return load_paired(
        str(settings.checkpoint),
        checkpoint_contract(settings.checkpoint),
        settings.device,
        number_format=settings.number_format,
        steps=settings.steps,
        solver=settings.solver,
        continuation=settings.continuation,
        runtime=settings.runtime,
        threads=settings.threads or 1,
        say=partial(print, file=sys.stderr),
    )


def checkpoint_contract(checkpoint: Path) -> Contract:
    """The robot contract that a checkpoint was made for; UserError without one."""
    return parse_contract(read_info(checkpoint).contract_text, f'{checkpoint}/contract.yaml')


def inference_seconds(policy: RunningPolicy, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """How long the policy takes for a chunk on this machine, several times, with what is running on it now.

    clock: seconds.
    """
    policy.warm_up()
    images = {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in policy.config.cameras}
    state = np.zeros(policy.config.denoiser.state_dim) if policy.config.state_streams else None
    taken = []
    for _ in range(MEASURED_CHUNKS):
        begin = clock()
        policy.predict(images, state, 'how long does it take', np.random.default_rng(0))
        taken.append(clock() - begin)
    return taken


def in_periods(seconds: float, contract: Contract) -> int:
    """A latency in control periods, rounded up; at least one, since a chunk comes after the tick that asked for it."""
    return max(math.ceil(seconds / contract.period_seconds - 1e-9), 1)


class Evaluator:
    """One policy on one simulator at a time. A context: leaving it closes the simulator."""

    def __init__(self, work: Work, policy: RunningPolicy) -> None:
        self._work, self._policy = work, policy
        self._contract = checkpoint_contract(work.settings.checkpoint)
        self._simulator: Simulator | None = None

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._simulator is not None:
            self._simulator.close()
            self._simulator = None

    def episode(self, task: str, seed: int, should_stop: Callable[[], bool] | None = None) -> Episode:
        """Runs one episode; of a failed one the commands are kept beside the results.

        Raises UserError where the task cannot be simulated or the contract does not fit, Interrupted when stopped.
        """
        simulator = self._simulator_of(task)
        settings = self._work.settings
        # Everything random follows from task and seed, so that an episode is the same in any order and process.
        number = zlib.crc32(f'{task} {seed}'.encode())
        noise = torch.Generator().manual_seed(number)
        faults = Faults(settings.image_noise, settings.state_noise, settings.drop_frames)
        generator = np.random.default_rng(number)

        def run(goal: str) -> Outcome:
            return run_episode(
                simulator,
                self._contract,
                self._policy,
                goal,
                self._work.latency,
                noise,
                faults,
                generator,
                should_stop,
                ExecutionSettings(settings.execution, settings.actions),
                settings.delays[1] if settings.delay is not None else None,
            )

        if isinstance(simulator, CalvinSimulator):
            goal, outcomes = run_chain(simulator, seed, run)
            of = len(simulator.chain)
        else:
            simulator.reset(seed)
            goal = goal_of(simulator, settings.goals, seed)
            outcomes, of = [run(goal)], 1
        episode = make_episode(task, seed, goal, outcomes, of)
        if not episode.success and of == 1:
            save_commands(settings.output, episode, outcomes[0].commands, outcomes[0].end)
        return episode

    def _simulator_of(self, task: str) -> Simulator:
        if self._simulator is None or self._simulator.task != task:
            self.__exit__(None, None, None)
            self._simulator = open_simulator(self._work, task, self._contract)
        return self._simulator


def open_simulator(work: Work, task: str, contract: Contract) -> Simulator:
    """The simulator of a task, for this contract; UserError where there is none or the contract does not fit."""
    if work.simulator == CALVIN:
        simulator: Simulator = CalvinSimulator.load(work.settings.calvin_data, contract.period_seconds)
    else:
        simulator = make_simulator(work.simulator, task, contract.period_seconds)
    try:
        check_fits(contract, f'The checkpoint {work.settings.checkpoint}', simulator)
    except BaseException:
        simulator.close()
        raise
    return simulator


def make_episode(task: str, seed: int, goal: str, outcomes: list[Outcome], of: int = 1) -> Episode:
    """The record of an episode: of one rollout, or of the rollouts of a chain until the first failure."""
    solved = sum(outcome.success for outcome in outcomes)
    seams = sum(outcome.seams for outcome in outcomes)
    return Episode(
        task=task,
        seed=seed,
        goal=goal,
        success=solved == of,
        seconds=round(sum(outcome.seconds for outcome in outcomes), 6),
        periods=sum(outcome.periods for outcome in outcomes),
        chunks=sum(outcome.chunks for outcome in outcomes),
        held=sum(outcome.held for outcome in outcomes),
        refused=sum(outcome.refused for outcome in outcomes),
        limited=sum(outcome.limited for outcome in outcomes),
        late=sum(outcome.late for outcome in outcomes),
        seams=seams,
        seam_position=_mean([(outcome.seam_position, outcome.seams) for outcome in outcomes]),
        seam_velocity=_mean([(outcome.seam_velocity, outcome.seams) for outcome in outcomes]),
        jerk=_mean([(outcome.jerk, outcome.periods) for outcome in outcomes]),
        solved=solved,
        of=of,
        acting=sum(outcome.acting for outcome in outcomes),
    )


def _mean(weighted: list[tuple[float, int]]) -> float:
    """The mean of (value, weight) pairs, 0 without any weight; in nine digits."""
    total = sum(weight for _, weight in weighted)
    return float(f'{sum(value * weight for value, weight in weighted) / total:.9g}') if total else 0.0
