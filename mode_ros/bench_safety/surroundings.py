"""What a real policy needs besides the arm: cameras, the other states and a goal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import String

from mode_ros.bench_safety.arm import NOISE, state_message
from mode_ros.bench_safety.clock import Clock
from mode_ros.bench_safety.contracts import moved_state
from mode_ros.control.contract import Camera, Contract
from mode_ros.errors import UserError
from mode_ros.messages import states
from mode_ros.messages.images import encode_compressed_image, encode_image, image_class
from mode_ros.nodes.qos import LATCHED

GOAL = 'open the drawer'
# Pictures of noise: the policy has seen none such, and moves the arm as it likes.
PICTURES = 16


class Surroundings:
    """Publishes everything that the contract observes and the fake arm does not say. Its fault: `dark`, the cameras
    fall silent.
    """

    def __init__(
        self,
        node: Any,
        contract: Contract,
        clock: Clock,
        means: Mapping[str, NDArray[np.float64]],
        publishers: Mapping[str, Any],
        seed: int = 0,
    ) -> None:
        """means: of the states, by stream [n], as the policy's demonstrations had them; publishers: of the arm, by
        topic, which others may share. Raises UserError for a state or camera that it cannot make.
        """
        self._clock, self._period = clock, contract.period_seconds
        self._random = np.random.default_rng(seed)
        self._next, self._count = 0.0, 0
        self.dark = False
        arm = moved_state(contract)
        others = [state for state in contract.observation.states if state.name != arm.name]
        strange = [state.name for state in others if state.type not in ('joint_state', 'pose')]
        strange += [camera.name for camera in contract.observation.cameras if camera.transport == 'ffmpeg']
        strange += [camera.name for camera in contract.observation.cameras if camera.is_depth]
        if strange:
            raise UserError(f'The benchmark has no fake of {", ".join(strange)}; give a checkpoint without.')
        made = dict(publishers)

        def publisher(topic: str, kind: Any) -> Any:
            if topic not in made:  # one for all the streams of a topic
                made[topic] = node.create_publisher(kind, topic, 10)
            return made[topic]

        self._states = [
            (state, means[state.name], publisher(state.topic, states.MESSAGE_TYPES[state.type])) for state in others
        ]
        self._cameras = [(each, publisher(each.topic, image_class(each))) for each in contract.observation.cameras]
        self._pictures = {camera.name: self._noise(camera) for camera, _ in self._cameras}
        self._goals = node.create_publisher(String, contract.goal_topic, LATCHED)
        self._goals.publish(String(data=GOAL))

    def reset_faults(self) -> None:
        """All is well again."""
        self.dark = False

    def step(self) -> None:
        """To be called often."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next, self._count = max(self._next + self._period, now), self._count + 1
        stamp = self._clock.now()
        for state, mean, publisher in self._states:
            publisher.publish(state_message(state, mean + self._random.normal(0.0, NOISE, len(mean)), stamp))
        for camera, publisher in [] if self.dark else self._cameras:
            picture = self._pictures[camera.name][self._count % PICTURES]
            encode = encode_compressed_image if camera.transport == 'compressed' else encode_image
            publisher.publish(encode(picture, stamp, camera.name))

    def _noise(self, camera: Camera) -> NDArray[np.uint8]:
        return self._random.integers(0, 255, (PICTURES, camera.height, camera.width, 3), np.uint8)
