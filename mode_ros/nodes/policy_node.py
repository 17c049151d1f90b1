"""Camera images, state and a goal in plain language in; action chunks out.

The node answers requests: the controller asks for a chunk planned from an observation no older than a given time, and
the node publishes one on `action_chunk`. Inference runs in a thread of its own, so that messages keep arriving while
the policy thinks.
"""

from __future__ import annotations

import dataclasses
import math
import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.chunk import make_chunk
from mode_ros.control.contract import NANOSECONDS, Camera, Contract, State
from mode_ros.control.observation import Observation, ObservationBuffer, ObservationUnavailable
from mode_ros.control.orientation import EpisodeSigns
from mode_ros.control.request import ChunkRequest, answered_by, prefix_of
from mode_ros.errors import UserError
from mode_ros.made_for import require_made_for
from mode_ros.messages import states
from mode_ros.messages.chunks import decode_request, encode_chunk
from mode_ros.messages.images import image_class
from mode_ros.messages.ingest import ingest
from mode_ros.messages.packets import Incoming
from mode_ros.nodes.camera_watch import CameraWatch
from mode_ros.nodes.managed import Diagnostics, ManagedNode
from mode_ros.nodes.parameters import read_parameters
from mode_ros.nodes.policy_parameters import PolicyParameters, spare_cores
from mode_ros.nodes.process import run_node
from mode_ros.nodes.qos import COMMAND, SENSOR, subscribe_latched
from mode_ros.nodes.statistics import Percentiles
from mode_ros.robots import load_named_contract

if TYPE_CHECKING:
    from mode_ros.policy.plans import Continuation
    from mode_ros.policy.runtimes.interface import RunningPolicy

# How long deactivation waits for the worker, which looks up between two denoising steps (seconds).
STOP_SECONDS = 1.5


class PolicyNode(ManagedNode):
    """Lifecycle node `policy_node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__('policy_node', **options)
        self.parameters = read_parameters(self, PolicyParameters)
        self.autostart = self.parameters.autostart
        self._loaded = False
        self.add_on_set_parameters_callback(self._may_be_set)
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._stopping = threading.Event()
        self._entities: list[Any] = []
        self._publisher: Any = None
        self._diagnostics: Diagnostics | None = None
        self._jumps: Any = None

    def _may_be_set(self, parameters: list[Any]) -> SetParametersResult:
        if self._loaded and any(each.name == 'checkpoint' for each in parameters):
            reason = f'{self.parameters.checkpoint} is loaded: deactivate the node and clean it up before'
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def configure(self) -> None:
        checkpoint = self.get_parameter('checkpoint').value
        self.parameters = dataclasses.replace(self.parameters, checkpoint=str(checkpoint))
        contract = load_named_contract(self.parameters.contract)[0]
        require_made_for(self.parameters.checkpoint, contract)
        # Torch's threads are not to wait busily for each other: beside the control, which needs the cores, that takes
        # twice the time (docs/performance.md). It is read when torch is loaded.
        os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
        # Only now: it takes time to import, and a wrong contract or checkpoint is told before.
        from mode_ros.goal_watch import GoalWatch
        from mode_ros.pairing import load_paired
        from mode_ros.policy.stages import StageTimer

        given = self.parameters
        threads = given.threads or spare_cores()
        policy = load_paired(
            given.checkpoint,
            contract,
            given.device,
            number_format=given.number_format,
            steps=given.steps or None,
            solver=None if given.solver == 'checkpoint' else given.solver,
            continuation=None if given.continuation == 'checkpoint' else cast('Continuation', given.continuation),
            runtime=given.runtime,
            threads=threads,
            make=True,
            say=self.get_logger().info,
        )
        if policy.runtime == 'torch':
            import torch

            torch.set_num_threads(threads)
        if not policy.is_trained:
            self.get_logger().warning(
                f'the checkpoint {self.parameters.checkpoint} is untrained: its actions are random'
            )
        policy.warm_up()
        self._contract: Contract = contract
        self._policy: RunningPolicy = policy
        # NumPy's, which is the same for every runtime.
        self._generator = np.random.default_rng(None if given.seed < 0 else given.seed)
        self._buffer = ObservationBuffer(contract)
        self._signs, self._begun = EpisodeSigns(contract), 0
        self._incoming = Incoming()
        spread = {name: np.array(state.std) for name, state in policy.info.statistics.state.items()}
        self._cameras = CameraWatch(contract, spread, given.frozen_periods)
        self._goal = ''
        self._goal_watch = GoalWatch(policy.info.goals, policy.text_encoder)
        for finding in self._goal_watch.among_known():
            self.get_logger().warning(str(finding))
        self._goal_looked_at, self._goal_finding = '', ''
        self._empty_goal_seen = False
        self._request: ChunkRequest | None = None
        self._answered = ''
        self._waiting_for = 'a request from the controller'
        self._told_waiting = False  # in the log, which must then say too that it is over
        self._timer = StageTimer(time.perf_counter)
        self._latency, self._age, self._prefix = Percentiles(), Percentiles(), Percentiles()
        self._failures = 0
        self._stages: dict[str, Percentiles] = {}
        self._chunks = 0
        self._failure = ''
        self._publisher = self.create_publisher(JointTrajectory, 'action_chunk', COMMAND)
        self._subscribe()
        self._diagnostics = Diagnostics(self, self._report)
        # Under /clock a restarted simulation sets time back: stamps from before then mean nothing.
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1))
        self._jumps = self.get_clock().create_jump_callback(back, post_callback=self._time_set_back)
        self._loaded = True
        self.get_logger().info(
            f'policy for the robot {contract.robot} from {self.parameters.checkpoint}; {policy.device_note}'
        )

    def activate(self) -> None:
        self._stopping.clear()
        self._signs.begin()
        self._worker = threading.Thread(target=self._work, name='inference', daemon=True)
        self._worker.start()

    def deactivate(self, reason: str) -> None:
        self._stopping.set()
        with self._changed:
            self._request = None
            self._changed.notify_all()
        if self._worker is not None:
            self._worker.join(STOP_SECONDS)
            if self._worker.is_alive():
                self.get_logger().warning(f'inference did not end within {STOP_SECONDS} s; its chunk is discarded')

    def cleanup(self) -> None:
        for entity in self._entities:
            self.destroy_subscription(entity)
        self._entities.clear()
        if self._publisher is not None:
            self.destroy_publisher(self._publisher)
            self._publisher = None
        if self._diagnostics is not None:
            self._diagnostics.close()
            self._diagnostics = None
        self._jumps = None
        self._loaded = False
        if hasattr(self, '_policy'):  # memory for the next one
            del self._policy

    def _subscribe(self) -> None:
        for camera in self._contract.observation.cameras:
            kind = image_class(camera)
            self._entities.append(self.create_subscription(kind, camera.topic, partial(self._push, camera), SENSOR))
        for state in self._contract.observation.states:
            kind = states.MESSAGE_TYPES[state.type]
            self._entities.append(self.create_subscription(kind, state.topic, partial(self._push, state), SENSOR))
        self._entities += subscribe_latched(self, String, self._contract.goal_topic, self._on_goal)
        self._entities.append(self.create_subscription(JointTrajectory, 'chunk_request', self._on_request, COMMAND))

    def _push(self, stream: Camera | State, message: Any) -> None:
        now = self.get_clock().now().nanoseconds
        with self._changed:
            for each in self._incoming.of(stream, message):
                ingest(self._buffer, stream, each, now, now)
            self._cameras.push(stream, message, now)
            self._changed.notify_all()

    def _on_goal(self, message: String) -> None:
        goal = message.data.strip()
        if not goal:
            if not self._empty_goal_seen:
                self.get_logger().warning('an empty goal is ignored; say the task in plain language')
            self._empty_goal_seen = True
            return
        with self._changed:
            if goal == self._goal:
                return
            self._goal = goal
            self._changed.notify_all()
        self.get_logger().info(f'goal: {goal!r}')

    def _on_request(self, message: JointTrajectory) -> None:
        if not self.active:
            return
        try:
            request = decode_request(message)
            if tuple(message.joint_names) != self._contract.action_names:
                names = list(self._contract.action_names)
                raise UserError(f'It names the actions {list(message.joint_names)}, and the policy has {names}.')
        except UserError as error:
            self.get_logger().warning(f'request refused: {error}', throttle_duration_sec=2.0)
            return
        with self._changed:
            if request.identity != self._answered:
                self._request = request
                self._changed.notify_all()

    def _time_set_back(self, jump: Any) -> None:
        with self._changed:
            self._buffer.clear()
            self._signs.begin()
            self._incoming.clear()
            self._cameras.clear()
            self._request, self._answered = None, ''

    def _work(self) -> None:
        from mode_ros.policy.stages import Interrupted

        while not self._stopping.is_set():
            work = self._next_work()
            if work is None:
                if self._request is None:  # nobody waits for an answer
                    self._look_at_goal(self._goal)
                continue
            try:
                self._answer(*work)
            except Interrupted:
                return
            except Exception as error:  # noqa: BLE001 - one observation or request must not cost all that follow
                self._failed(work[0], error)

    def _failed(self, request: ChunkRequest, error: Exception) -> None:
        """No chunk came of a request; the controller, whose robot stands still by then, asks anew."""
        if self._stopping.is_set():
            return
        self._failures += 1
        self._failure = str(error) if isinstance(error, UserError) else repr(error)
        self.get_logger().error(f'no chunk: {self._failure}', throttle_duration_sec=5.0)
        with self._changed:
            self._answered = request.identity
            if self._request is request:
                self._request = None

    def _next_work(self) -> tuple[ChunkRequest, Observation, str] | None:
        """Waits until something can be done; None means look again."""
        with self._changed:
            if self._request is None:
                self._waiting_for = 'a request from the controller'
                self._changed.wait(timeout=0.5)
                return None
            try:
                observation = self._buffer.latest(self.get_clock().now().nanoseconds)
                missing = self._cameras.problems() or ('' if self._goal else f'a goal on {self._contract.goal_topic}')
            except ObservationUnavailable as error:
                observation, missing = None, str(error)
            if missing:
                self._waiting_for = missing
                self._told_waiting = True
                self.get_logger().warning(f'no action yet, waiting for {missing}', throttle_duration_sec=5.0)
            elif self._told_waiting:
                self._told_waiting = False
                self.get_logger().info('everything is there, going on')
            too_old = observation is not None and observation.stamp < (self._request.not_before or 0)
            if observation is None or missing or too_old:
                self._changed.wait(timeout=0.5)
                return None
            if self._request.begun != self._begun:
                self._begun = self._request.begun
                self._signs.begin()
            states = self._signs.of(observation.states, self._goal)
            return self._request, dataclasses.replace(observation, states=states), self._goal

    def _answer(self, request: ChunkRequest, observation: Observation, goal: str) -> None:
        from mode_ros.pairing import predict

        self._waiting_for = ''
        start = time.perf_counter()
        plan, fallbacks = prefix_of(request, observation.stamp), sum(self._policy.fallbacks.values())
        actions = predict(self._policy, observation, goal, self._generator, self._stopping.is_set, self._timer, plan)
        self._latency.add(time.perf_counter() - start)
        self._failure = ''
        self._prefix.add(plan.committed)
        if sum(self._policy.fallbacks.values()) > fallbacks:
            self.get_logger().warning(
                f'{plan.committed} actions are decided before a chunk comes, more than the policy was trained to '
                'continue, or than a chunk has: it thinks too slowly for its chunks',
                throttle_duration_sec=10.0,
            )
        for stage, seconds in self._timer.seconds.items():
            self._stages.setdefault(stage, Percentiles()).add(seconds)
        with self._changed:
            self._answered = request.identity
            if self._request is not None and answered_by(request, self._request):
                self._answered, self._request = self._request.identity, None
        if self._stopping.is_set():
            return
        self._publisher.publish(encode_chunk(make_chunk(self._contract, observation.stamp, actions, request.identity)))
        self._chunks += 1
        self._look_at_goal(goal)  # after the answer, which must not wait for it
        self._age.add((self.get_clock().now().nanoseconds - observation.stamp) / NANOSECONDS)

    def _look_at_goal(self, goal: str) -> None:
        """Whether the text encoder sees it, and tells it from those before; once for each."""
        if goal == self._goal_looked_at:
            return
        try:
            for finding in self._goal_watch.hear(goal):
                self.get_logger().warning(str(finding))
            if meaning := self._goal_watch.read_as(goal):
                self.get_logger().info(f'goal {goal!r} is read as {meaning!r}')
            self._goal_finding = ' '.join(finding.text for finding in self._goal_watch.about(goal))
        except Exception as error:  # noqa: BLE001 - what can be computed of it, predicting says
            self.get_logger().error(f'the goal cannot be looked at: {error!r}')
            self._goal_finding = ''
        self._goal_looked_at = goal

    def _report(self) -> tuple[bytes, str, Mapping[str, Any]]:
        waiting = self._waiting_for if self.active else 'inactive'
        failure = self._failure if self.active else ''
        finding = self._goal_finding if self._goal == self._goal_looked_at else ''
        trouble = bool(failure or finding) or (bool(waiting) and 'request' not in waiting)
        values = {
            'checkpoint': self.parameters.checkpoint,
            'chunks': self._chunks,
            'goal': self._goal,
            'goal finding': finding,
            'goal read as': self._goal_watch.read_as(self._goal),
            'device': str(self._policy.device),
            'runtime': self._policy.runtime,
            'inference latency p50 (ms)': _milliseconds(self._latency.of(50)),
            'inference latency p99 (ms)': _milliseconds(self._latency.of(99)),
            'observation age (ms)': _milliseconds(self._age.of(50)),
            'continuation': self._policy.continuation,
            'prefix length p50 (actions)': _whole(self._prefix.of(50)),
            'prefix length p99 (actions)': _whole(self._prefix.of(99)),
            **{f'plans {reason}': count for reason, count in self._policy.fallbacks.items()},
            'failed': self._failures,
            **{f'{stage} p50 (ms)': _milliseconds(found.of(50)) for stage, found in list(self._stages.items())},
        }
        level = DiagnosticStatus.WARN if trouble else DiagnosticStatus.OK
        doing = f'no chunk: {failure}' if failure else f'waiting for {waiting}' if waiting else 'thinking'
        return level, '; '.join(filter(None, (doing, finding))), values


def _whole(number: float) -> str:
    return '' if math.isnan(number) else f'{number:.0f}'


def _milliseconds(seconds: float) -> str:
    return '' if math.isnan(seconds) else f'{1000 * seconds:.1f}'


def main() -> None:
    """Entry point of the executable `policy_node`."""
    run_node(PolicyNode)


if __name__ == '__main__':
    main()
