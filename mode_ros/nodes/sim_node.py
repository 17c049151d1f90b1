"""A simulated robot behind the topics of a real one: commands in; cameras, state, /clock and success out.

The simulator lives in a thread of its own, where physics, rendering and the OpenGL context are; callbacks only leave
commands and reset requests for it and are never kept waiting by it.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock as NodeClock
from rclpy.clock import ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from mode_ros.control.contract import NANOSECONDS, ActionGroup, Camera, Contract
from mode_ros.control.observation import Unusable
from mode_ros.control.setpoints import Setpoint
from mode_ros.errors import UserError
from mode_ros.messages import commands
from mode_ros.messages.images import encode_compressed_image, encode_image
from mode_ros.messages.setpoints import decode_setpoint, names_any
from mode_ros.messages.stamps import to_time
from mode_ros.messages.states import MESSAGE_TYPES
from mode_ros.nodes.goal_speaker import GoalSpeaker
from mode_ros.nodes.managed import Diagnostics
from mode_ros.nodes.parameters import parameter, read_parameters
from mode_ros.nodes.process import run_node
from mode_ros.nodes.qos import COMMAND, LATCHED
from mode_ros.robots import load_named_contract
from mode_ros.sim.factory import make_simulator
from mode_ros.sim.simulator import Simulator
from mode_ros.simulated import check_fits, state_readings
from mode_ros.simulated_messages import encode_reading

# Like a servo driver: displacements end when no command has come for this many control periods.
COMMAND_TIMEOUT_PERIODS = 2.5
START_SECONDS = 60.0
# After so long whoever publishes the clock has been heard of, on a busy machine too.
DISCOVERY_SECONDS = 10.0


@dataclass(frozen=True)
class SimParameters:
    contract: str = parameter('metaworld_sawyer', 'Robot contract: a name in config/robots, or the path of a file.')
    simulator: str = parameter('metaworld', 'Simulator.', choices=('metaworld', 'libero'))
    task: str = parameter('reach', "Task: for Meta-World 'drawer-open', for LIBERO 'libero_spatial/0'.")
    seed: int = parameter(0, 'Seed of the next reset; every reset raises it by one.', minimum=0, read_only=False)
    real_time_factor: float = parameter(
        1.0, 'Simulated seconds per second at most; 0.0: as fast as possible.', minimum=0.0, maximum=100.0
    )
    clock_topic: str = parameter(
        '/clock', 'Where the simulated time is published; of two simulators in one domain each needs its own.'
    )
    publish_goal: bool = parameter(True, "Publish the task's instruction as the goal at start.")


class SimNode(Node):
    """Node `sim_node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__('sim_node', automatically_declare_parameters_from_overrides=True, **options)
        self.parameters = read_parameters(self, SimParameters)
        self._contract: Contract = load_named_contract(self.parameters.contract)[0]
        self._commands = _Commands(self._contract)
        self._wake = threading.Condition()
        self._closing = False
        self._resets: list[Future] = []
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._time = 0
        self._steps = 0
        self._factor = float('nan')
        self._success = False
        self._make_publishers()
        for group in self._contract.action:
            kind = commands.MESSAGE_TYPES[group.output.adapter]
            self.create_subscription(kind, group.output.topic, partial(self._on_command, group), COMMAND)
        # A group of its own: a callback that awaits something keeps its group busy all the while.
        self.create_service(Trigger, '~/reset', self._on_reset, callback_group=ReentrantCallbackGroup())
        self._thread = threading.Thread(target=self._run, name='simulator', daemon=True)
        self._thread.start()
        started = self._ready.wait(START_SECONDS)
        if isinstance(self._failure, UserError):
            raise self._failure
        if not started or self._failure is not None:
            raise UserError(
                f'The simulator {self.parameters.simulator} did not start within {START_SECONDS:.0f} s: '
                f'{self._failure or "no answer"}'
            )
        self._diagnostics = Diagnostics(self, self._report)
        self._clock_until = time.monotonic() + DISCOVERY_SECONDS
        self._clock_watch = self.create_timer(0.5, self._watch_clock, clock=NodeClock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Ends the simulator's thread."""
        self._closing = True
        with self._wake:
            self._wake.notify_all()
        self._thread.join(timeout=1.5)

    def _watch_clock(self) -> None:
        """In the first seconds alone: a simulator that comes later must end, and not the one that was there."""
        self._refuse_second_clock()
        if time.monotonic() > self._clock_until:
            self.destroy_timer(self._clock_watch)

    def _refuse_second_clock(self) -> None:
        """Two senders of one time make it run to and fro. Asked when the simulator is made, and again for a while."""
        topic = self.resolve_topic_name(self.parameters.clock_topic)
        if self.count_publishers(topic) > 1:
            raise UserError(
                f'Somebody else publishes {topic}, another simulator or a bag that is played: end it, use another '
                'ROS_DOMAIN_ID, or give this robot a clock of its own: clock_topic:=/left/clock here, and '
                '-r /clock:=/left/clock on its other nodes.'
            )

    def _make_publishers(self) -> None:
        self._clock_publisher = self.create_publisher(Clock, self.parameters.clock_topic, 10)
        self._images: dict[str, tuple[Camera, Any, Any]] = {}
        for camera in self._contract.observation.cameras:
            base = camera.topic.removesuffix('/compressed')
            self._images[camera.name] = (
                camera,
                self.create_publisher(Image, base, 2),
                self.create_publisher(CompressedImage, f'{base}/compressed', 2),
            )
        types = {state.topic: MESSAGE_TYPES[state.type] for state in self._contract.observation.states}
        self._states = {topic: self.create_publisher(kind, topic, 10) for topic, kind in types.items()}
        self._goal = GoalSpeaker(self, self._contract.goal_topic)
        self._success_publisher = self.create_publisher(Bool, 'success', LATCHED)

    def _on_command(self, group: ActionGroup, message: Any) -> None:
        if not names_any(message, group):
            return  # of other joints, on the same topic
        try:
            self._commands.take(group, decode_setpoint(message, group, self._contract.period_seconds), self._time)
        except Unusable as error:
            self.get_logger().warning(f'{group.output.topic}: {error} is ignored', throttle_duration_sec=5.0)

    async def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        # Awaited, not waited for: a reset takes seconds, and commands and parameters must be heard meanwhile.
        done: Future = Future()
        with self._wake:
            self._resets.append(done)
            self._wake.notify_all()
        seed = await done
        response.success = seed is not None
        response.message = f'no reset: {self._failure}' if seed is None else f'reset with seed {seed}'
        return response

    # ---- the simulator's thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with make_simulator(
                self.parameters.simulator, self.parameters.task, self._contract.period_seconds
            ) as simulator:
                check_fits(self._contract, f'The contract {self.parameters.contract}', simulator)
                self._refuse_second_clock()
                self._reset(simulator)
                if self.parameters.publish_goal:
                    self._goal.say(simulator.instruction)
                self._ready.set()
                self.get_logger().info(f'{self.parameters.simulator}: {simulator.task}, "{simulator.instruction}"')
                self._simulate(simulator)
        except BaseException as error:  # noqa: BLE001 - told on /diagnostics, and raised by the constructor
            self._failure = error
            if self._ready.is_set() and not self._closing:
                self.get_logger().fatal(f'the simulator has failed: {error}\n{traceback.format_exc()}')
        finally:
            self._ready.set()
            _answer(self._take_resets(), None)

    def _simulate(self, simulator: Simulator) -> None:
        steps_per_period = round(simulator.steps_per_period)
        step = round(simulator.step_seconds * NANOSECONDS)
        pace = _Pace(self.parameters.real_time_factor, step / NANOSECONDS)
        steps_to_observation = 0
        while not self._closing:
            if asked := self._take_resets():
                self._reset(simulator)
                _answer(asked, self._last_seed)
                pace.restart()
                steps_to_observation = 0
            if steps_to_observation == 0:
                self._observe(simulator)
                steps_to_observation = steps_per_period
            steps_to_observation -= 1
            simulator.step(self._commands.at(self._time))
            self._time += step
            self._steps += 1
            self._clock_publisher.publish(Clock(clock=to_time(self._time)))
            self._announce_success(simulator.success())
            with self._wake:
                if not self._closing:
                    self._wake.wait(timeout=pace.wait_seconds())
            self._factor = pace.factor

    def _reset(self, simulator: Simulator) -> None:
        self._last_seed = int(self.get_parameter('seed').value)
        simulator.reset(self._last_seed)
        self._commands.clear()
        self.set_parameters([Parameter('seed', value=self._last_seed + 1)])
        self._announce_success(False, always=True)

    def _take_resets(self) -> list[Future]:
        with self._wake:
            asked, self._resets = self._resets, []
        return asked

    def _announce_success(self, success: bool, always: bool = False) -> None:
        if always or success != self._success:
            self._success_publisher.publish(Bool(data=success))
        self._success = success

    def _observe(self, simulator: Simulator) -> None:
        now = self._time
        for topic, reading in state_readings(self._contract, simulator).items():
            self._states[topic].publish(encode_reading(reading, now))
        for camera, raw, compressed in self._images.values():
            # The camera in the contract is what the policy needs; what nobody listens to is not encoded.
            wants_compressed = camera.transport == 'compressed' or compressed.get_subscription_count() > 0
            wants_raw = camera.transport == 'raw' or raw.get_subscription_count() > 0
            rgb = simulator.render(camera.name, camera.width, camera.height)
            if wants_raw:
                raw.publish(encode_image(rgb, now, camera.name))
            if wants_compressed:
                compressed.publish(encode_compressed_image(rgb, now, camera.name))

    def _report(self) -> tuple[bytes, str, Mapping[str, Any]]:
        if self._failure is not None:
            return DiagnosticStatus.ERROR, f'the simulator has failed: {self._failure}', {}
        wanted = self.parameters.real_time_factor
        slow = wanted > 0 and self._factor < 0.9 * wanted
        return (
            DiagnosticStatus.WARN if slow else DiagnosticStatus.OK,
            'slower than real time' if slow else 'running',
            {
                'real-time factor': f'{self._factor:.2f}',
                'simulated time (s)': f'{self._time / NANOSECONDS:.2f}',
                'steps': self._steps,
                'task': self.parameters.task,
                'success': self._success,
            },
        )


def _answer(resets: list[Future], seed: int | None) -> None:
    for done in resets:
        done.set_result(seed)


class _Commands:
    """The newest command of each group, from the callbacks' thread to the simulator's.

    A trajectory is followed as conversion reads it: what its n-th period is to reach is asked for in that period.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._timeout = round(COMMAND_TIMEOUT_PERIODS * contract.period)
        self._lock = threading.Lock()
        self.clear()

    def take(self, group: ActionGroup, setpoint: Setpoint, now: int) -> None:
        with self._lock:
            # It sets out from where the one before had come; nobody knows for the first.
            self._taken[group.name] = (now, setpoint, self._asked(group, now))

    def clear(self) -> None:
        with self._lock:
            self._taken: dict[str, tuple[int, Setpoint, NDArray[np.float64] | None]] = {}

    def _asked(self, group: ActionGroup, now: int) -> NDArray[np.float64] | None:
        """What a group is to do now; None before its first command."""
        if group.name not in self._taken:
            return None
        since, setpoint, start = self._taken[group.name]
        # In the period that has begun: its end counts, so that one point due in a period is the target at once.
        return setpoint.in_period(now - since + 1, self._contract.period, start)

    def at(self, now: int) -> NDArray[np.float64]:
        """The action [d] to simulate: displacements end after a timeout, targets stay."""
        action = np.zeros(len(self._contract.dimensions))
        with self._lock:
            for group in self._contract.action:
                values = self._asked(group, now)
                if values is not None and (
                    group.kind == 'absolute' or now - self._taken[group.name][0] <= self._timeout
                ):
                    action[self._contract.group_slices[group.name]] = values
        return action


class _Pace:
    """Holds the simulation to a real-time factor, and measures the one it reaches over the last second or so."""

    def __init__(self, factor: float, step_seconds: float) -> None:
        self._step_seconds = step_seconds
        self._step_wall = step_seconds / factor if factor > 0 else 0.0
        self.restart()

    def restart(self) -> None:
        self._due = self._since = time.perf_counter()
        self._counted = 0
        self.factor = float('nan')

    def wait_seconds(self) -> float:
        """How long to wait before the next step."""
        now = time.perf_counter()
        self._counted += 1
        if now - self._since >= 1.0:
            self.factor = self._counted * self._step_seconds / (now - self._since)
            self._since, self._counted = now, 0
        self._due += self._step_wall
        # What was lost to a slow moment is not caught up by racing through the next second.
        self._due = max(self._due, now - 2 * self._step_wall)
        return max(self._due - now, 0.0)


def main() -> None:
    """Entry point of the executable `sim_node`."""
    run_node(SimNode)


if __name__ == '__main__':
    main()
