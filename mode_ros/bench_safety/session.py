"""One rig with one controller process, in which many tries of many faults are made."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mode_ros.bench_safety.contracts import bench_text
from mode_ros.bench_safety.rig import Rig
from mode_ros.bringup.nodes import NodeSpec
from mode_ros.bringup.processes import Processes
from mode_ros.control.listening import LISTEN_SECONDS
from mode_ros.errors import UserError
from mode_ros.paths import share_folder

START_SECONDS = 30.0
# A release is refused while something is wrong; what is over is noticed within this (seconds).
RELEASE_SECONDS = 3.0
# From a release, or the end of a fault, to full speed.
MOVING_SECONDS = 5.0
END_SECONDS = 10.0
CONTROLLER, POLICY = 'controller_node', 'policy_node'
# What a controller logs when it is.
CONFIGURED = ' Hz on '


class Session:
    """Starts controllers as they are needed; a context that ends them all."""

    def __init__(
        self,
        robot: str,
        simulated: bool,
        parameters: Mapping[str, Any],
        folder: Path,
        environment: Mapping[str, str],
        seed: int = 0,
        checkpoint: Path | None = None,
    ) -> None:
        """parameters: of controller_node; folder: for logs; environment: of the nodes, with their domain; checkpoint:
        of the real policy, without which a fake one drives the arm.
        """
        self._parameters, self._checkpoint = dict(parameters), checkpoint
        self.rig = Rig(robot, simulated, int(environment['ROS_DOMAIN_ID']), seed, checkpoint)
        self._folder, self._environment = folder, environment
        self._contract = folder / f'{robot}.yaml'
        folder.mkdir(parents=True, exist_ok=True)
        self._contract.write_text(bench_text(robot, checkpoint))
        self._running: dict[str, Processes] = {}
        self._others: list[Processes] = []
        self._started = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.end(CONTROLLER)
        self.end_others()
        self.end(POLICY)
        self.rig.close()

    def ensure_moving(self) -> None:
        """A controller that drives the arm at the policy's speed; raises UserError where that cannot be reached."""
        fresh = CONTROLLER not in self._running
        self.ensure_policy()
        if not self._runs(CONTROLLER):
            self.end(CONTROLLER)
            self._running[CONTROLLER] = self._start()
        begins = START_SECONDS if self._checkpoint else MOVING_SECONDS + LISTEN_SECONDS
        if self.wait(self.rig.moving, begins if fresh else MOVING_SECONDS) or self.go_on():
            return
        # Whatever the fault before has left behind, a new process has not.
        self.end(CONTROLLER)
        self._running[CONTROLLER] = self._start()
        if not self.wait(self.rig.moving, START_SECONDS):
            raise UserError(f'The controller does not move the fake arm. Its log: {self.log()[-2000:]}')

    def go_on(self) -> bool:
        """Releases a latched stop, as soon as that is granted; whether the arm then moves."""
        self.wait(lambda: not self.rig.operator.release(), RELEASE_SECONDS, pause=0.1)
        return self.wait(self.rig.moving, MOVING_SECONDS)

    def start_second(self) -> None:
        """A second controller for the same robot; returns when its publishers are there."""
        second = self._start()
        self._others.append(second)
        # It is the arm's stop that is measured, not how many cores the start of Python needs.
        os.setpriority(os.PRIO_PROCESS, second.pid(CONTROLLER), 10)
        log = second.log(CONTROLLER)
        self.wait(lambda: CONFIGURED in log.read_text(errors='replace'), START_SECONDS)

    def end_others(self) -> None:
        """Ends what `start_second` started."""
        while self._others:
            self._others.pop().end()

    def ensure_policy(self) -> None:
        """The real policy runs, where there is to be one."""
        if self._checkpoint is not None and not self._runs(POLICY):
            self.end(POLICY)
            given = {'contract': str(self._contract), 'checkpoint': str(self._checkpoint), 'threads': 1}
            self._running[POLICY] = self._run(NodeSpec(POLICY, given))

    def end(self, name: str = CONTROLLER) -> None:
        """Ends the controller, or the real policy, if it has not ended."""
        if name in self._running:
            self._running.pop(name).end()

    def send_signal(self, number: signal.Signals, name: str = CONTROLLER) -> None:
        """To a node's process."""
        os.kill(self._running[name].pid(name), number)

    def wait_for_end(self) -> bool:
        """Until the controller's process has ended; False where it does not."""
        return self.wait(lambda: not self._runs(CONTROLLER), END_SECONDS)

    def log(self) -> str:
        """What the controller printed."""
        controller = self._running.get(CONTROLLER)
        return '' if controller is None else controller.log(CONTROLLER).read_text(errors='replace')

    def wait(self, condition: Callable[[], bool], seconds: float, pause: float = 0.005) -> bool:
        """Whether the condition held within so long."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
        return True

    def _start(self) -> Processes:
        given = {
            'contract': str(self._contract),
            'use_sim_time': self.rig.clock.simulated,
            'driver_wait': 0.0,  # there are none to be found here
            **self._parameters,
        }
        return self._run(NodeSpec(CONTROLLER, given))

    def _runs(self, name: str) -> bool:
        return name in self._running and not self._running[name].ended()

    def _run(self, spec: NodeSpec) -> Processes:
        self._started += 1
        started = Processes(
            [spec],
            share_folder() / 'config' / 'nodes.yaml',
            self._folder / 'logs' / f'{self._started:03d}',
            self._environment,
        )
        return started.__enter__()
