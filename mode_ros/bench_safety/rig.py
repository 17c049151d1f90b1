"""Everything around the controller that a lab would have: arm, policy, operator, clock and an ear, in this process.

What the nodes are told goes over DDS, in a domain of the benchmark's own.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from mode_ros.bench_safety.arm import FakeArm
from mode_ros.bench_safety.clock import Clock, SimulatedClock, WallClock
from mode_ros.bench_safety.contracts import bench_contract, moved_state
from mode_ros.bench_safety.measure import Limits, is_moving
from mode_ros.bench_safety.operator import Operator
from mode_ros.bench_safety.path import JOINT_STEP, TWIST_STEP
from mode_ros.bench_safety.policy import FakePolicy
from mode_ros.bench_safety.surroundings import Surroundings
from mode_ros.nodes.qos import LATCHED
from mode_ros.policy.checkpoint_info import read_info

STEP = 0.01  # s, of everything in this process
# So many commands at cruising speed in a row are motion.
MOVING_COMMANDS = 4
CRUISING = 0.9  # of the fake policy's speed
# What a real policy must at least move the arm by, as a share of the largest step.
CRAWLING = 0.01


class Rig:
    """One robot of the bench, and what is said about it."""

    def __init__(self, robot: str, simulated: bool, domain: int, seed: int = 0, checkpoint: Path | None = None) -> None:
        """checkpoint: of the real policy, without which a fake one drives the arm."""
        self.contract = bench_contract(robot, checkpoint)
        self.period = self.contract.period_seconds
        self.limits = Limits.of(self.contract.action[0], self.period)
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        names = ('bench_driver', 'bench_policy', 'bench_operator', 'bench_clock')
        self._nodes = {name: rclpy.create_node(name, context=self._context) for name in names}
        self.clock: Clock = SimulatedClock(self._nodes['bench_clock']) if simulated else WallClock()
        means = {}
        if checkpoint is not None:
            means = {name: np.array(each.mean) for name, each in read_info(checkpoint).statistics.state.items()}
        state = moved_state(self.contract)
        driver = self._nodes['bench_driver']
        self.arm = FakeArm(driver, self.contract, self.clock, seed, means.get(state.name))
        self.surroundings: Surroundings | None = None
        if checkpoint is not None:
            publishers = {state.topic: self.arm.publisher}
            self.surroundings = Surroundings(driver, self.contract, self.clock, means, publishers, seed)
        policy = self._nodes['bench_policy']
        self.policy = FakePolicy(policy, self.contract, self.clock.now, self._where, absent=checkpoint is not None)
        self.operator = Operator(self._nodes['bench_operator'], self.contract, self.clock.now)
        self._said: list[tuple[float, str]] = []
        # What the controller last said of itself.
        self.diagnostics: dict[str, str] = {}
        self.node = self._nodes['bench_operator']
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._hear_diagnostics, 50)
        self.node.create_subscription(String, 'safety_state', self._hear_state, LATCHED)
        self._executor = SingleThreadedExecutor(context=self._context)
        for node in self._nodes.values():
            self._executor.add_node(node)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (('ears', self._spin), ('robot', self._run))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def cruising(self) -> float:
        """Distance per period that counts as motion."""
        if self.surroundings is not None:
            upper = np.where(np.isinf(self.limits.step), self.limits.upper, self.limits.step)
            return CRAWLING * float(upper.max())
        return CRUISING * (JOINT_STEP if self.limits.absolute else TWIST_STEP)

    def moving(self) -> bool:
        """Whether the arm is driven at the policy's speed."""
        return is_moving(self.arm.heard(), self.limits, time.monotonic(), MOVING_COMMANDS, self.cruising)

    def resting(self, since: float) -> bool:
        """Whether commands that move the arm have not come since `since` (a reading of time.monotonic)."""
        heard = self.arm.heard()
        moved = np.linalg.norm(np.diff(heard.values, axis=0), axis=1) if self.limits.absolute else None
        speeds = np.linalg.norm(heard.values, axis=1)[1:] if moved is None else moved
        return not np.any((heard.times[1:] > since) & (speeds > 1e-9))

    def said(self, since: float) -> list[str]:
        """What the controller complained of since then, each once, in order."""
        return list(dict.fromkeys(text for when, text in self._said if when > since))

    def publisher(self, message_type: Any, topic: str) -> Any:
        """One more publisher; destroy it with `self.node.destroy_publisher`."""
        return self.node.create_publisher(message_type, topic, 10)

    def reset_faults(self) -> None:
        """All is well again."""
        self.arm.reset_faults()
        self.policy.reset_faults()
        self.operator.reset_faults()
        if self.surroundings is not None:
            self.surroundings.reset_faults()

    def close(self) -> None:
        """Ends the threads and everything that was published."""
        self._ended.set()
        self.clock.close()
        self._executor.shutdown(timeout_sec=1.0)
        for thread in self._threads:
            thread.join(1.0)
        for node in self._nodes.values():
            node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _where(self) -> Any:
        if not self.limits.absolute:
            return self.arm.command
        command, position = self.arm.command, self.arm.position
        # Before the first command, and where the arm was moved meanwhile, the path begins at the arm.
        return position if command is None or np.abs(command - position).max() > 0.2 else command

    def _hear_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            level = status.level[0] if isinstance(status.level, bytes) else status.level
            if status.name.endswith('controller_node'):
                self.diagnostics = {item.key: item.value for item in status.values}
            heard = 'controller' in status.name or (self.surroundings is not None and 'policy_node' in status.name)
            if level and heard:
                self._said.append((time.monotonic(), status.message))

    def _hear_state(self, message: String) -> None:
        try:
            state = json.loads(message.data)
        except ValueError:
            return
        if isinstance(state, dict) and state.get('reason'):
            self._said.append((time.monotonic(), str(state['reason'])))

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _run(self) -> None:
        before = due = time.monotonic()
        while not self._ended.is_set():
            due = max(due + STEP, time.monotonic())
            self._ended.wait(max(due - time.monotonic(), 0.001))
            now = time.monotonic()
            self.policy.step()
            self.operator.step()
            if self.surroundings is not None:
                self.surroundings.step()
            self.arm.step(now - before)
            before = now
