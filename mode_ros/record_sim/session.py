"""One demonstration: what a simulator, a controller and a recorder that run as nodes would have done together.

Time is the simulation's own. In each control period everything is observed first and stamped with the period's
beginning, then the command is given under the same time, and then the simulation steps through the period. So the
frame that the converter makes of an observation has the very command that the demonstrator gave when seeing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Bool, String

from mode_ros.control.contract import NANOSECONDS, Camera, Contract
from mode_ros.control.controller import Controller
from mode_ros.control.takeover import TeleopCommand
from mode_ros.control.tick import Phase
from mode_ros.messages.commands import encode_commands
from mode_ros.messages.images import encode_compressed_image, encode_image
from mode_ros.messages.states import concerns, decode_state
from mode_ros.recording.episode import INTERVENTION_TOPIC, SUCCESS_TOPIC
from mode_ros.sim.demonstrator import Demonstrator, Noise
from mode_ros.sim.simulator import Simulator
from mode_ros.simulated import state_readings
from mode_ros.simulated_messages import encode_reading

# Stamps of zero mean 'not stamped', so a simulation begins later (nanoseconds).
START = NANOSECONDS

Write = Callable[[str, int, Any], None]
"""Takes a topic by the contract's name, the time of reception in nanoseconds, and a ROS message."""


@dataclass(frozen=True)
class Result:
    """How a demonstration ended. periods: control periods with a command; success: within the task's time limit."""

    periods: int
    success: bool


def demonstrate(simulator: Simulator, contract: Contract, goal: str, seed: int, noise: Noise, write: Write) -> Result:
    """Shows the simulator's task once, from its initial state for `seed`, and writes all that a recorder would hear.

    Raises UserError where the task has no expert.
    """
    controller = Controller(contract, max_chunk_age=1.0)
    return _Demonstration(simulator, contract, write, controller).run(goal, seed, noise)


class Session:
    """A simulated robot, its controller, and all that a recorder would hear of them."""

    def __init__(self, simulator: Simulator, contract: Contract, write: Write, controller: Controller) -> None:
        self._simulator, self._contract, self._write, self._controller = simulator, contract, write, controller
        self._steps = round(simulator.steps_per_period)
        self._ending = round(simulator.ending_seconds * contract.rate)
        self._step = round(simulator.step_seconds * NANOSECONDS)
        self._now = START
        self._success = False

    def _begin(self, goal: str) -> int:
        """Activates the controller and writes what is latched when a recording starts; returns the time."""
        self._controller.activate(self._now)
        self._write(self._contract.goal_topic, self._now, String(data=goal))
        self._write(INTERVENTION_TOPIC, self._now, Bool(data=False))
        self._write(SUCCESS_TOPIC, self._now, Bool(data=False))
        return self._now

    def _observe(self) -> None:
        now = self._now
        for topic, reading in state_readings(self._contract, self._simulator).items():
            message = encode_reading(reading, now)
            self._write(topic, now, message)
            for state in self._contract.observation.states:
                if state.topic == topic and concerns(message, state):
                    self._heard_state(state.name, decode_state(message, state))
        for camera in self._contract.observation.cameras:
            encode = encode_compressed_image if camera.transport == 'compressed' else encode_image
            rgb = self._simulator.render(camera.name, camera.width, camera.height)
            self._write(camera.topic, now, encode(rgb, now, camera.name))
            self._heard_image(camera, rgb)

    def _heard_state(self, name: str, values: NDArray[np.float64]) -> None:
        """values: [n] of the contract's stream `name`, observed now."""
        self._controller.measure(name, self._now, values)

    def _heard_image(self, camera: Camera, rgb: NDArray[np.uint8]) -> None:
        """rgb: [height, width, 3] of a camera, observed now."""

    def _send(self, commands: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Writes the commands of a period, and returns them as one action [d], 0 where nothing is commanded."""
        action = np.zeros(len(self._contract.dimensions))
        for group in self._contract.action:
            if group.name in commands:
                action[self._contract.group_slices[group.name]] = commands[group.name]
        for topic, _, message in encode_commands(commands, self._contract, self._contract.period_seconds, self._now):
            self._write(topic, self._now, message)
        return action

    def _execute(self, action: NDArray[np.float64]) -> None:
        for _ in range(self._steps):
            self._simulator.step(action)
            self._now += self._step
            if self._simulator.success() and not self._success:
                self._success = True
                self._write(SUCCESS_TOPIC, self._now, Bool(data=True))


class _Demonstration(Session):
    def run(self, goal: str, seed: int, noise: Noise) -> Result:
        self._simulator.reset(seed)
        demonstrator = Demonstrator(self._simulator, noise, seed)
        self._begin(goal)
        periods = left = 0
        while left > 0 or not self._success:
            self._observe()
            if not self._success and self._simulator.steps >= self._simulator.time_limit_steps:
                return Result(periods, success=False)
            command = self._command(demonstrator.action(), first=periods == 0)
            left = left - 1 if self._success else self._ending
            self._execute(command + demonstrator.disturbance())
            periods += 1
        # The last command's period is known to have ended only by what is observed after it.
        self._observe()
        return Result(periods, success=True)

    def _command(self, action: NDArray[np.float64], first: bool) -> NDArray[np.float64]:
        """Commands what the demonstrator wants within the contract's limits, and returns that, [d]."""
        now = self._now
        self._controller.drive(TeleopCommand(now, self._contract.action_names, action), now)
        tick = self._controller.tick(now)
        if tick.phase is not Phase.TELEOP:
            raise RuntimeError(f'the controller is {tick.phase.value} ({tick.reason}) while the demonstrator drives')
        if first:
            # The demonstrator takes the part of the person; told before it is done, as by the controller's node.
            self._write(INTERVENTION_TOPIC, now, Bool(data=True))
        return self._send(tick.commands)
