"""Action chunks or a person's commands in, commands out at control rate, within the contract's limits.

A process of its own, so that a slow forward pass cannot delay a command.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.chunk import ChunkRejected
from mode_ros.control.contract import NANOSECONDS, Contract, State
from mode_ros.control.controller import Controller, Phase, Tick
from mode_ros.control.observation import Unusable
from mode_ros.control.takeover import TeleopRefused
from mode_ros.control.workspace import Workspace
from mode_ros.drivers.active import Drivers
from mode_ros.errors import UserError
from mode_ros.messages import commands, states
from mode_ros.messages.chunks import decode_chunk, encode_request
from mode_ros.messages.commands import encode_command
from mode_ros.messages.ingest import stamp_of
from mode_ros.messages.states import concerns, decode_state
from mode_ros.messages.teleop import decode_teleop
from mode_ros.nodes.managed import Diagnostics, ManagedNode
from mode_ros.nodes.parameters import parameter, read_parameters
from mode_ros.nodes.process import run_node
from mode_ros.nodes.qos import COMMAND, LATCHED, SENSOR, subscribe_latched
from mode_ros.nodes.statistics import Percentiles
from mode_ros.recording.episode import INTERVENTION_TOPIC
from mode_ros.robots import load_named_contract

# A safe stop may take this long, then the last command stands (seconds).
STOP_SECONDS = 1.0

# Control rate and period are told over this much of the past (seconds).
PERIOD_WINDOW_SECONDS = 10.0


@dataclass(frozen=True)
class ControllerParameters:
    contract: str = parameter('', 'Robot contract: a name in config/robots, or the path of a YAML file.')
    max_chunk_age: float = parameter(
        10.0, 'A chunk whose observation is older is refused.', unit='s', minimum=0.05, maximum=60.0
    )
    driver_wait: float = parameter(
        2.0,
        'How long an activation looks for the drivers to check them; 0.0: not at all.',
        unit='s',
        minimum=0.0,
        maximum=60.0,
    )
    autostart: bool = parameter(True, 'Configure and activate at start, without a lifecycle manager.')


class ControllerNode(ManagedNode):
    """Lifecycle node `controller_node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__('controller_node', **options)
        self.parameters = read_parameters(self, ControllerParameters)
        self.autostart = self.parameters.autostart
        self._entities: list[Any] = []
        self._outputs: dict[str, Any] = {}
        self._interventions: Any = None
        self._timer: Any = None
        self._diagnostics: Diagnostics | None = None
        self._drivers: Drivers | None = None

    def configure(self) -> None:
        self._contract: Contract = load_named_contract(self.parameters.contract)[0]
        refuse_unjudged(self._contract)
        self._controller = Controller(self._contract, self.parameters.max_chunk_age)
        self._groups = {group.name: group for group in self._contract.action}
        self._drivers = Drivers(self, self._contract)
        self._outputs = {
            group.name: self.create_publisher(commands.MESSAGE_TYPES[group.output.adapter], group.output.topic, COMMAND)
            for group in self._contract.action
        }
        self._requests = self.create_publisher(JointTrajectory, 'chunk_request', COMMAND)
        self._entities = [self.create_subscription(JointTrajectory, 'action_chunk', self._on_chunk, COMMAND)]
        self._entities.append(self.create_subscription(JointTrajectory, 'teleop_command', self._on_teleop, COMMAND))
        self._entities += subscribe_latched(self, Bool, 'estop', self._on_estop)
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
        window = round(PERIOD_WINDOW_SECONDS * self._contract.rate)
        # On the wall clock, for the regularity; on the ROS clock, which a simulation may slow down, for the rate.
        self._wall_period, self._ros_period = Percentiles(window), Percentiles(window)
        self._last_tick: tuple[float, int] | None = None
        self._ticks = self._limited = self._rejected = 0
        self._estop = False
        self._diagnostics = Diagnostics(self, self._report)
        self.get_logger().info(
            f'{self._contract.robot}: {", ".join(self._contract.action_names)} at '
            f'{self._contract.rate:g} Hz on '
            f'{", ".join(group.output.topic for group in self._contract.action)}'
        )

    def activate(self) -> None:
        assert self._drivers is not None
        self._drivers.prepare(self.parameters.driver_wait)
        self._controller.activate(self._now())
        self._tell_intervention(Phase.STOPPED)
        self._wall_period.clear()
        self._ros_period.clear()
        self._last_tick = None
        self._timer = self.create_timer(self._contract.period_seconds, self._tick)

    def deactivate(self, reason: str) -> None:
        self.destroy_timer(self._timer)
        self._timer = None
        # Wall time: the stop must come to its end even when a simulated clock stands.
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            self._last = self._controller.stop(self._now(), reason)
            self._send(self._last)
            self._tell_intervention(self._last.phase)
            if not self._controller.stopping or time.monotonic() > deadline:
                break
            time.sleep(self._contract.period_seconds)
        if self._drivers is not None:
            self._drivers.stop()

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
        if self._interventions is not None:
            self.destroy_publisher(self._interventions)
            self._interventions = None
        if self._diagnostics is not None:
            self._diagnostics.close()
            self._diagnostics = None

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_state(self, streams: Sequence[State], message: Any) -> None:
        for state in streams:
            if not concerns(message, state):
                continue  # another driver's joints
            try:
                stamp = stamp_of(state, message, self._now())
                self._controller.measure(state.name, stamp, decode_state(message, state))
            except Unusable as error:
                self.get_logger().warning(
                    f'{state.topic}: {error}; the stream {state.name!r} counts as missing', throttle_duration_sec=5.0
                )

    def _on_estop(self, message: Bool) -> None:
        if message.data != self._estop:
            self.get_logger().warning(f'emergency stop {"engaged" if message.data else "released"}')
        self._estop = bool(message.data)
        self._controller.set_estop(self._estop)

    def _on_chunk(self, message: JointTrajectory) -> None:
        if not self.active:
            return
        try:
            self._controller.accept(decode_chunk(message), self._now())
        except ChunkRejected as error:
            self._rejected += 1
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
        wall, now = time.perf_counter(), self._now()
        if self._last_tick is not None:
            self._wall_period.add(wall - self._last_tick[0])
            self._ros_period.add((now - self._last_tick[1]) / NANOSECONDS)
        self._last_tick = wall, now
        tick = self._controller.tick(now)
        # Told before it is done, so that a recording has the first command inside the span.
        self._tell_intervention(tick.phase)
        self._send(tick)
        if tick.request is not None:
            self._requests.publish(encode_request(tick.request, self._contract.action_names))
        self._ticks += 1
        self._limited += bool(tick.limited)
        if tick.phase is Phase.STOPPED and self._last.phase is not Phase.STOPPED and self._drivers is not None:
            self._drivers.stop()
        self._last = tick
        self._say_changes(tick)

    def _send(self, tick: Tick) -> None:
        now = self._now()
        assert self._drivers is not None
        for name, values in tick.commands.items():
            message = encode_command(values, self._groups[name], self._contract.period_seconds, now)
            self._drivers.command(name, message, moving=tick.phase in (Phase.EXECUTING, Phase.TELEOP))
            self._outputs[name].publish(message)

    def _say_changes(self, tick: Tick) -> None:
        # Ages change from tick to tick; what is wrong is told by the streams' names.
        key = ';'.join(part.split(':')[0] for part in tick.reason.split(';')) if tick.phase is Phase.HOLDING else ''
        if key != self._said:
            if key:
                self.get_logger().warning(f'holding: {tick.reason}')
            else:
                self.get_logger().info('all states are fresh again')
            self._said = key

    def _report(self) -> tuple[bytes, str, Mapping[str, Any]]:
        tick = self._last
        level = {Phase.HOLDING: DiagnosticStatus.WARN, Phase.STOPPED: DiagnosticStatus.ERROR}
        message = tick.phase.value + (f': {tick.reason}' if tick.phase in level else '')
        values = {
            'control rate (Hz)': _number(1.0 / self._ros_period.mean if self._ros_period.mean else math.nan, 2),
            'wall period p50 (ms)': _number(1000 * self._wall_period.of(50), 2),
            'wall period p99 (ms)': _number(1000 * self._wall_period.of(99), 2),
            'ticks': self._ticks,
            'chunks': self._controller.chunks,
            'chunks refused': self._rejected,
            'underruns': self._controller.underruns,
            'periods limited': self._limited,
        }
        drivers_well = True
        if self._drivers is not None:
            values |= self._drivers.report()
            drivers_well = self._drivers.well
        if not self.active:
            return DiagnosticStatus.OK, message, values
        well = DiagnosticStatus.OK if drivers_well else DiagnosticStatus.WARN
        return level.get(tick.phase, well), message, values


def refuse_unjudged(contract: Contract) -> None:
    """Raises UserError for a contract whose box or self_collision nobody would keep."""
    if Workspace(contract).needed:
        raise UserError(
            'This controller_node does not judge box and self_collision yet; take them out of the contract.'
        )


def _number(value: float, digits: int) -> str:
    return '' if math.isnan(value) else f'{value:.{digits}f}'


def main() -> None:
    """Entry point of the executable `controller_node`."""
    run_node(ControllerNode)


if __name__ == '__main__':
    main()
