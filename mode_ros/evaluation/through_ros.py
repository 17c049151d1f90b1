"""The same episodes through the nodes: simulator, policy and controller as processes over DDS, in real time.

Between two episodes the controller is deactivated, the simulator reset with the episode's seed and the controller
activated again: it starts from a standing robot, and refuses a chunk that was planned before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger

from mode_ros.bringup.nodes import NodeSpec, simulation_nodes
from mode_ros.bringup.processes import Processes, isolated
from mode_ros.control.contract import Contract
from mode_ros.demo.monitor import Monitor, Seen
from mode_ros.errors import UserError
from mode_ros.evaluation.episodes import Episode
from mode_ros.evaluation.evaluator import Work, checkpoint_contract, open_simulator
from mode_ros.evaluation.films import EVERY, film_path, write_film
from mode_ros.evaluation.protocol import CALVIN, goal_of
from mode_ros.paths import share_folder
from mode_ros.policy.folder import CONTRACT

# LIBERO needs up to half a minute to its first image on two cores, and as much for a reset.
START_SECONDS = 180.0
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class _Task:
    """What the benchmark says about a task: its sentence for each seed, and its time limit in simulated seconds."""

    goals: dict[int, str]
    seconds: float


def run_through_ros(work: Work, waiting: Sequence[tuple[str, int]]) -> Iterator[Episode]:
    """Runs the (task, seed) in `waiting`, task after task; raises UserError where a node does not come up or ends."""
    if work.simulator == CALVIN:
        raise UserError('CALVIN has no node: leave out --through-ros.')
    contract = checkpoint_contract(work.settings.checkpoint)
    os.environ.update(isolated(os.environ))
    rclpy.init(args=[])
    try:
        for task in dict.fromkeys(task for task, _ in waiting):
            seeds = [seed for other, seed in waiting if other == task]
            about = _look_up(work, task, seeds, contract)
            logs = work.settings.output / 'logs'
            with Processes(_nodes(work, task, seeds[0]), share_folder() / 'config' / 'nodes.yaml', logs) as processes:
                session = _Session(contract, processes)
                try:
                    session.wait_for_nodes()
                    for seed in seeds:
                        yield session.episode(work, task, seed, about)
                finally:
                    session.close()
    finally:
        rclpy.try_shutdown()


def _look_up(work: Work, task: str, seeds: Sequence[int], contract: Contract) -> _Task:
    with open_simulator(work, task, contract) as simulator:
        goals = {seed: goal_of(simulator, work.settings.goals, seed) for seed in seeds}
        return _Task(goals, simulator.time_limit_steps * simulator.step_seconds)


def _nodes(work: Work, task: str, seed: int) -> list[NodeSpec]:
    settings = work.settings
    specs = simulation_nodes(
        contract=str((settings.checkpoint / CONTRACT).absolute()),
        checkpoint=str(settings.checkpoint.absolute()),
        device=settings.device,
        simulator=work.simulator,
        task=task,
        seed=seed,
        publish_goal=False,
    )
    # What the settings leave to the checkpoint, the node's settings file leaves to it too.
    policy = {
        'number_format': settings.number_format,
        'runtime': settings.runtime,
        'steps': settings.steps,
        'solver': settings.solver,
        'threads': settings.threads,
        'continuation': settings.continuation,
    }
    more: dict[str, dict[str, Any]] = {
        'policy_node': {name: value for name, value in policy.items() if value is not None},
        'controller_node': {'execution': settings.execution, 'actions': settings.actions},
    }
    return [NodeSpec(spec.executable, {**spec.parameters, **more.get(spec.executable, {})}) for spec in specs]


class _Session:
    """The running nodes of one task, and the node that conducts them."""

    def __init__(self, contract: Contract, processes: Processes) -> None:
        self._contract, self._processes = contract, processes
        self._monitor = Monitor(contract)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._monitor)
        self._reset = self._monitor.create_client(Trigger, 'sim_node/reset')
        self._parameters = self._monitor.create_client(SetParameters, 'sim_node/set_parameters')
        self._lifecycle = self._monitor.create_client(ChangeState, 'controller_node/change_state')

    def close(self) -> None:
        self._executor.shutdown()
        self._monitor.destroy_node()

    def wait_for_nodes(self) -> None:
        """Until all three report that they are up."""
        nodes = ('sim_node', 'policy_node', 'controller_node')
        services = (self._reset, self._parameters, self._lifecycle)
        self._until(
            lambda: (
                all(name in self._monitor.seen.diagnostics for name in nodes)
                and all(service.service_is_ready() for service in services)
            ),
            START_SECONDS,
            'the nodes to come up',
        )

    def episode(self, work: Work, task: str, seed: int, about: _Task) -> Episode:
        """One episode, from the reset to the success or the time limit on the simulated clock."""
        goal, period = about.goals[seed], self._contract.period_seconds
        self._transition(Transition.TRANSITION_DEACTIVATE)
        self._reset_with(seed)
        self._monitor.goals.say(goal)
        self._forget()
        # A chunk that was asked for before the reset is thought out first, and is not counted.
        self._until(
            lambda: 'a request' in self._monitor.seen.messages.get('policy_node', ''), ANSWER_SECONDS, 'a free policy'
        )
        before = self._counts()
        self._forget()
        self._transition(Transition.TRANSITION_ACTIVATE)
        seen = self._monitor.seen
        self._until(lambda: seen.first_chunk is not None or seen.success, ANSWER_SECONDS, 'the first action')
        while not seen.success and self._monitor.episode_seconds < about.seconds:
            self._spin()
        success, seconds = seen.success, min(self._monitor.episode_seconds, about.seconds)
        after = self._counts()
        episode = Episode(
            task=task,
            seed=seed,
            goal=goal,
            success=success,
            seconds=round(seconds, 6),
            periods=round(seconds / period),
            chunks=after['chunks'],
            held=min(after['underruns'], round(seconds / period)),
            refused=after['chunks refused'] - before['chunks refused'],
            limited=after['periods limited'] - before['periods limited'],
            solved=int(success),
            late=after['chunks late'] - before['chunks late'],
        )
        film = film_path(work.settings.output, episode)
        if not success and seen.frames and self._wants_film(film.parent, task, work.settings.videos):
            write_film(film, seen.frames[::EVERY], episode, self._contract.rate / EVERY)
        return episode

    def _forget(self) -> None:
        """Begins to watch anew; what the nodes have reported so far does not count."""
        self._monitor.seen = Seen()

    def _counts(self) -> dict[str, int]:
        """What the controller counts, from a report that it makes now; it makes one every half second."""
        self._monitor.seen.diagnostics.pop('controller_node', None)
        self._until(lambda: 'controller_node' in self._monitor.seen.diagnostics, ANSWER_SECONDS, 'a report')
        found = self._monitor.seen.diagnostics['controller_node']
        return {
            key: int(found[key]) for key in ('chunks', 'chunks late', 'chunks refused', 'underruns', 'periods limited')
        }

    def _wants_film(self, folder: Path, task: str, videos: int) -> bool:
        return len(list(folder.glob(f'{task.replace("/", "-")}-[0-9]*.mp4'))) < videos

    def _reset_with(self, seed: int) -> None:
        value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=seed)
        request = SetParameters.Request(parameters=[ParameterMessage(name='seed', value=value)])
        result = self._ask(self._parameters, request, 'the seed').results[0]
        if not result.successful:
            raise UserError(f'sim_node refused the seed {seed}: {result.reason}.')
        answer = self._ask(self._reset, Trigger.Request(), 'the reset')
        if not answer.success or answer.message != f'reset with seed {seed}':
            raise UserError(f'sim_node did not reset with seed {seed}: {answer.message}.')

    def _transition(self, transition: int) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        if not self._ask(self._lifecycle, request, 'a transition of controller_node').success:
            raise UserError(
                f'controller_node refused a transition; see {self._processes.log("controller_node")} for why.'
            )

    def _ask(self, client: Any, request: Any, what: str) -> Any:
        future = client.call_async(request)
        self._until(future.done, ANSWER_SECONDS, f'the answer about {what}')
        return future.result()

    def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self._spin()
            if time.monotonic() > deadline:
                waiting = '; '.join(f'{name}: {text}' for name, text in self._monitor.seen.messages.items())
                raise UserError(
                    f'Waited {seconds:.0f} s for {what} ({waiting or "no node has reported"}); the logs are in '
                    f'{self._processes.log("sim_node").parent}.'
                )

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.1)
        for name, code in self._processes.ended().items():
            raise UserError(f'{name} ended with status {code}; its log is {self._processes.log(name)}.')
