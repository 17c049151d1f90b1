"""A simulated robot's sensors in the robot contract's terms, as the nodes would hear them, and their faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Camera, Contract, State
from mode_ros.control.controller import Controller
from mode_ros.control.observation import ObservationBuffer
from mode_ros.sim.simulator import Simulator
from mode_ros.simulated import state_readings, stream_values

Image = NDArray[np.uint8]
Array = TypeVar('Array', bound='NDArray[Any]')

# What sim_node compresses with; only contracts whose cameras are compressed lose anything by it.
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Faults:
    """What is wrong with the sensors, none by default.

    image_noise: standard deviation of what is added to each pixel and colour, in grey levels of 255; state_noise: of
    what is added to each number of the contract's states, in its own unit; drop_frames: probability that a camera
    repeats its previous picture.
    """

    image_noise: float = 0.0
    state_noise: float = 0.0
    drop_frames: float = 0.0


class Sensors:
    """Feeds what a simulated robot's sensors measure to the controller and to the policy's observations."""

    def __init__(
        self, simulator: Simulator, contract: Contract, faults: Faults, generator: np.random.Generator
    ) -> None:
        """generator: draws the faults."""
        self._simulator, self._contract, self._faults, self._generator = simulator, contract, faults, generator
        self._shown: dict[str, Image] = {}

    def read(self, now: int, controller: Controller, observations: ObservationBuffer) -> None:
        """Everything the contract names, stamped `now` (nanoseconds).

        A picture is rendered only when an observation takes it, before the simulation goes on: rendering takes most
        of an episode's time, and most pictures are seen by nobody. With drop_frames all are, since each may be
        repeated.
        """
        readings = state_readings(self._contract, self._simulator)
        for state in self._contract.observation.states:
            values = self._with_noise(state, stream_values(readings[state.topic], state))
            controller.measure(state.name, now, values)
            observations.push(state.name, now, partial(_same, values))
        for camera in self._contract.observation.cameras:
            look: Callable[[], Image] = partial(self._look, camera, self._simulator.steps)
            if self._faults.drop_frames:
                look = partial(_same, self._frame_or_its_predecessor(camera, look))
            observations.push(camera.name, now, look)

    def _look(self, camera: Camera, steps: int) -> Image:
        if self._simulator.steps != steps:
            raise RuntimeError(f'the camera {camera.name} was asked for a picture of the past')
        image = self._simulator.render(camera.name, camera.width, camera.height)
        if camera.transport == 'compressed':
            image = as_compressed(image)
        if self._faults.image_noise:
            noisy = image + self._generator.normal(0.0, self._faults.image_noise, image.shape)
            image = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        return image

    def _frame_or_its_predecessor(self, camera: Camera, look: Callable[[], Image]) -> Image:
        dropped = self._generator.random() < self._faults.drop_frames
        if not dropped or camera.name not in self._shown:
            self._shown[camera.name] = look()
        return self._shown[camera.name]

    def _with_noise(self, state: State, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._faults.state_noise:
            return values
        values = values + self._generator.normal(0.0, self._faults.state_noise, values.shape)
        if state.type == 'pose':
            values[3:] /= np.linalg.norm(values[3:])
        return values


def _same(value: Array) -> Array:
    return value


def as_compressed(image: Image) -> Image:
    """What is seen of a picture [h, w, 3] that went over a compressed topic."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, jpeg = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
