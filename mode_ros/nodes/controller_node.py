"""Action chunks or a person's commands in, commands out at control rate, within the contract's limits.

A process of its own, so that a slow forward pass cannot delay a command.
"""

from __future__ import annotations

import os
import time
import traceback
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from mode_ros.bringup.started_again import started_again
from mode_ros.control.chunk import Chunk, ChunkRejected
from mode_ros.control.contract import Contract, State
from mode_ros.control.controller import Controller
from mode_ros.control.kinematics import DESCRIPTION_TOPIC
from mode_ros.control.observation import Unusable
from mode_ros.control.takeover import TeleopRefused
from mode_ros.control.tick import Phase, Tick
from mode_ros.drivers.active import Drivers
from mode_ros.errors import UserError
from mode_ros.messages import commands, states
from mode_ros.messages.chunks import encode_request
from mode_ros.messages.commands import encode_command, encode_commands
from mode_ros.messages.ingest import stamp_of
from mode_ros.messages.states import concerns, decode_state
from mode_ros.messages.teleop import decode_teleop
from mode_ros.nodes.controller_parameters import ControllerParameters, execution_settings, safety_settings
from mode_ros.nodes.controller_status import ControllerStatus
from mode_ros.nodes.habits import freeze_garbage, in_time, thaw_garbage
from mode_ros.nodes.managed import Diagnostics, ManagedNode
from mode_ros.nodes.parameters import read_parameters
from mode_ros.nodes.process import run_node
from mode_ros.nodes.qos import COMMAND, LATCHED, SENSOR, subscribe_latched
from mode_ros.nodes.safety_inputs import SafetyInputs, Sources
from mode_ros.nodes.serialized import decode_serialized_chunk
from mode_ros.recording.episode import INTERVENTION_TOPIC
from mode_ros.robots import load_named_contract

# A safe stop may take this long, then displacements end at once and the last target stands (seconds).
STOP_SECONDS = 1.0

# And its last command may wait so long for the driver's acknowledgement.
ACKNOWLEDGED_SECONDS = 0.5


class ControllerNode(ManagedNode):
    """Lifecycle node `controller_node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__('controller_node', **options)
        self.parameters = read_parameters(self, ControllerParameters)
        self.autostart = self.parameters.autostart
        self._again = started_again(os.environ)
        self._entities: list[Any] = []
        self._outputs: dict[str, Any] = {}
        self._interventions: Any = None
        self._timer: Any = None
        self._diagnostics: Diagnostics | None = None
        self._drivers: Drivers | None = None
        self._safety: Any = None
        self._watchdog: Any = None

    def configure(self) -> None:
        self._contract: Contract = load_named_contract(self.parameters.contract)[0]
        given = self.parameters
        self._controller = Controller(
            self._contract,
            given.max_chunk_age,
            f'{self.get_name()}-{uuid.uuid4().hex[:8]}',
            execution_settings(given),
            safety_settings(given, self._contract, bool(self.get_parameter('use_sim_time').value)),
        )
        if self._again:
            # What had stopped the robot before is forgotten, and so is a pause.
            self._controller.permission.paused = True
            self.get_logger().warning(
                'it was started in the place of a controller that ended, and is paused: see why that ended and that '
                'nothing is wrong with the robot, then call ~/start'
            )
        self._drivers = Drivers(self, self._contract)
        self._outputs = {
            topic: self.create_publisher(commands.MESSAGE_TYPES[groups[0].output.adapter], topic, COMMAND)
            for topic, groups in self._contract.outputs.items()
        }
        self._requests = self.create_publisher(JointTrajectory, 'chunk_request', COMMAND)
        # Serialised: a chunk may be too long to be decoded within a control period.
        chunks = self.create_subscription(JointTrajectory, 'action_chunk', self._on_chunk, COMMAND, raw=True)
        self._entities = [chunks]
        self._entities.append(self.create_subscription(JointTrajectory, 'teleop_command', self._on_teleop, COMMAND))
        sources = Sources(given.deadman_topic, given.deadman_button, given.count_publishers, given.listen_seconds)
        self._safety = SafetyInputs(self, self._contract, self._controller, sources, self._reset)
        if self._controller.workspace.needs_description:
            self._entities += subscribe_latched(self, String, DESCRIPTION_TOPIC, self._on_description)
            topic = self.resolve_topic_name(DESCRIPTION_TOPIC)
            self.get_logger().info(f'the robot is held until its description has come on {topic}')
        self._interventions = self.create_publisher(Bool, INTERVENTION_TOPIC, LATCHED)
        self._driven: bool | None = None
        # Streams that share a topic share a subscription.
        by_topic: dict[tuple[str, str], list[State]] = defaultdict(list)
        for state in self._contract.observation.states:
            by_topic[state.topic, state.type].append(state)
        for (topic, kind), streams in by_topic.items():
            callback = partial(self._on_state, streams)
            self._entities.append(self.create_subscription(states.MESSAGE_TYPES[kind], topic, callback, SENSOR))
        self._last = Tick({}, Phase.STOPPED, 'inactive')
        self._said = ''
        self._status = ControllerStatus(self._contract)
        self._diagnostics = Diagnostics(self, self._report)
        self.get_logger().info(
            f'{self._contract.robot}: {", ".join(self._contract.action_names)} at '
            f'{1.0 / self._contract.command_seconds:g} Hz on '
            f'{", ".join(self._contract.outputs)}'
        )
        self._again = False  # configured anew by somebody, it is another controller

    def activate(self) -> None:
        assert self._drivers is not None
        self._drivers.prepare(self.parameters.driver_wait)
        for refusal in in_time(self.parameters.realtime_priority, self.parameters.cpu):
            self.get_logger().warning(refusal)
        self._controller.activate(self._now(), time.monotonic_ns(), keep_breach=True)
        self._safety.count()
        self._tell_intervention(Phase.STOPPED)
        self._status.begin()
        freeze_garbage()
        self._timer = self.create_timer(self._contract.command_seconds, self._tick)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._watchdog = self.create_timer(self._contract.command_seconds, self._watch, clock=steady)

    def deactivate(self, reason: str) -> None:
        self.destroy_timer(self._timer)
        self.destroy_timer(self._watchdog)
        self._timer = None
        thaw_garbage()
        try:
            self._come_to_rest(reason)
        except BaseException:
            # A defect that ended the control periods comes again here, and a velocity that is left goes on.
            self._send_no_displacement()
            raise
        finally:
            # Whatever ends now, the last command is the one that the driver must have.
            for publisher in self._outputs.values():
                publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGED_SECONDS))
            if self._drivers is not None:
                self._drivers.stop()

    def _come_to_rest(self, reason: str) -> None:
        # Wall time: the stop must come to its end even when a simulated clock stands.
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            self._last = self._controller.stop(self._now(), reason)
            self._send(self._last)
            self._tell_intervention(self._last.phase)
            if not self._controller.stopping:
                break
            time.sleep(self._contract.command_seconds)
            if time.monotonic() > deadline:
                self._last = self._controller.halt(self._now(), reason)
                self._send(self._last)
                break

    def _send_no_displacement(self) -> None:
        """Straight to the drivers, past all that may be defective; a target needs nothing, since it is held."""
        now, period = int(self.get_clock().now().nanoseconds), self._contract.command_seconds
        for group in self._contract.action:
            if group.kind != 'delta':
                continue
            try:
                message = encode_command(np.zeros(len(group.dimensions)), group, period, now)
                self._outputs[group.output.topic].publish(message)
            except Exception:  # noqa: BLE001 - the other arms are to stop all the same
                self.get_logger().error(f'{group.name} is not told to stop:\n{traceback.format_exc()}')

    def cleanup(self) -> None:
        for entity in self._entities:
            self.destroy_subscription(entity)
        self._entities.clear()
        for publisher in self._outputs.values():
            self.destroy_publisher(publisher)
        self._outputs.clear()
        if self._drivers is not None:
            self._drivers.close()
            self._drivers = None
        if self._safety is not None:
            self._safety.close()
            self._safety = None
        if self._interventions is not None:
            self.destroy_publisher(self._interventions)
            self._interventions = None
        if self._diagnostics is not None:
            self._diagnostics.close()
            self._diagnostics = None

    def _now(self) -> int:
        now = int(self.get_clock().now().nanoseconds)
        self._controller.read_clock(now)  # a step back may have been made up for by the next period
        return now

    def _on_state(self, streams: Sequence[State], message: Any) -> None:
        for state in streams:
            if not concerns(message, state):
                continue  # another driver's joints
            try:
                stamp = stamp_of(state, message, self._now())
                self._controller.measure(state.name, stamp, decode_state(message, state), time.monotonic_ns())
            except Unusable as error:
                self.get_logger().warning(
                    f'{state.topic}: {error}; the stream {state.name!r} counts as missing', throttle_duration_sec=5.0
                )

    def _on_description(self, message: String) -> None:
        folders = [f'{prefix}/share' for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix]
        try:
            self._controller.workspace.describe(message.data, folders)
        except UserError as error:
            self.get_logger().error(f'{error} Until then the robot is held.')

    def _on_chunk(self, data: bytes) -> None:
        longest, names = self._contract.max_chunk_length, self._contract.action_names
        self._take(lambda: decode_serialized_chunk(data, longest, len(names)))

    def _take(self, decode: Callable[[], Chunk]) -> None:
        if not self.active:
            return
        try:
            self._controller.accept(decode(), self._now())
        except ChunkRejected as error:
            self._status.rejected += 1
            self._controller.refusal = f'{error.check}: {error}'
            self.get_logger().warning(f'chunk refused ({error.check}): {error}')

    def _on_teleop(self, message: JointTrajectory) -> None:
        if not self.active:
            return
        try:
            self._controller.drive(decode_teleop(message), self._now())
        except TeleopRefused as error:
            self.get_logger().warning(
                f'teleoperation command refused ({error.check}): {error}', throttle_duration_sec=2.0
            )

    def _tell_intervention(self, phase: Phase) -> None:
        driven = phase is Phase.TELEOP
        if driven != self._driven:
            if driven:
                self.get_logger().info('a person drives the robot')
            elif self._driven:
                self.get_logger().info('the person has let go')
            self._interventions.publish(Bool(data=driven))
            self._driven = driven

    def _tick(self) -> None:
        if not self.active:
            return
        wall, now = time.monotonic_ns(), self._now()
        self._status.period(wall, now)
        self._do(self._controller.tick(now, wall))

    def _watch(self) -> None:
        """On wall time: what stops the robot where the control periods do not come."""
        if self.active and (tick := self._controller.stall(self._now(), time.monotonic_ns())) is not None:
            self._do(tick)

    def _reset(self) -> str:
        if not self.active:
            return 'the node is not active'
        if self._controller.stopping:
            return 'the robot moves; pause it first'
        if self._controller.breach is not None:
            return 'the robot is stopped; call ~/release first'
        self._controller.activate(self._now(), time.monotonic_ns())
        return ''

    def _do(self, tick: Tick) -> None:
        # Told before it is done, so that a recording has the first command inside the span.
        self._tell_intervention(tick.phase)
        self._send(tick)
        if tick.request is not None:
            self._requests.publish(encode_request(tick.request, self._contract.action_names))
        self._status.done(tick)
        if tick.phase is Phase.STOPPED and self._last.phase is not Phase.STOPPED and self._drivers is not None:
            self._drivers.stop()
        self._last = tick
        self._safety.tell(tick)

    def _send(self, tick: Tick) -> None:
        now = self._now()
        assert self._drivers is not None
        period = self._contract.command_seconds
        for topic, groups, message in encode_commands(tick.commands, self._contract, period, now, tick.velocities):
            for group in groups:
                self._drivers.command(group.name, message, moving=tick.phase in (Phase.EXECUTING, Phase.TELEOP))
            self._outputs[topic].publish(message)
        self._controller.sent(time.monotonic_ns())

    def _report(self) -> tuple[bytes, str, Mapping[str, Any]]:
        drivers = self._drivers
        told, well = (drivers.report(), drivers.well) if drivers is not None else ({}, True)
        return self._status.report(self._controller, self._last, self._now(), self.active, told, well)


def main() -> None:
    """Entry point of the executable `controller_node`."""
    run_node(ControllerNode)


if __name__ == '__main__':
    main()
