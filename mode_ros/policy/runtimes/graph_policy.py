"""A policy whose whole chunk is one static graph, on the CPU, without torch; opened by ONNX Runtime or OpenVINO.

How long it takes beside torch is in docs/performance.md. Its steps, solver and sizes are the graph's; how a plan is
continued is decided by what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint_info import CheckpointInfo
from mode_ros.policy.goals import SentenceEncoder
from mode_ros.policy.plans import Continuation, no_action_known
from mode_ros.policy.runtimes.graph_file import input_shapes
from mode_ros.policy.runtimes.interface import Given, RunningPolicy
from mode_ros.policy.stages import DONE, OnStage, ShouldStop

Feed = Mapping[str, NDArray[Any]]

# What helps where a runtime cannot load a graph that is whole: another version may have made it.
MAKE_ANEW = 'remove its folder, and make it anew where torch is, with `mode_ros export --runtime onnxruntime`'


class OpenGraph(NamedTuple):
    """A graph that a runtime has loaded.

    runtime: its name; compute: the graph's inputs by name → its chunk, [1, A, d]; inputs: their shapes by name.
    """

    runtime: str
    compute: Callable[[Feed], NDArray[np.float32]]
    inputs: Mapping[str, Sequence[int]]


class GraphPolicy(RunningPolicy):
    """A loaded policy that a static graph computes. Not for several threads at once."""

    device = 'cpu'

    def __init__(
        self,
        info: CheckpointInfo,
        graph: OpenGraph,
        text_encoder: SentenceEncoder,
        device_note: str = '',
        continuation: Continuation | None = None,
    ) -> None:
        """info: its config samples as the graph does.

        Raises UserError for a graph whose inputs are not the policy's.
        """
        if continuation == 'guided':
            raise UserError(
                'The continuation guided takes gradients, which a static graph has none of: use soft, or the runtime '
                'torch.'
            )
        super().__init__(info, text_encoder, device_note, continuation)
        self.runtime, self._compute, found = graph
        self._nothing = no_action_known(info.config.denoiser)
        expected = {name: list(shape) for name, shape in input_shapes(info.config).items()}
        if found != expected:
            raise UserError(f'The graph takes {found}, and the policy gives {expected}: export it anew.')

    def _chunk(self, given: Given, on_stage: OnStage, should_stop: ShouldStop | None) -> NDArray[np.float32]:
        on_stage('goal')
        inputs: dict[str, Any] = {'goal': np.asarray(self._goals.embed(given.sentence), np.float32)}
        on_stage('chunk')
        inputs['noise'] = given.noise
        for camera, image in zip(self.config.cameras, given.images, strict=True):
            inputs[f'image_{camera.name}'] = image.view(np.int16) if camera.depth else image
        if given.state is not None:
            inputs['state'] = given.state
        known = given.known or self._nothing
        inputs |= {'target': known.target, 'weight': known.weight}
        if self._nothing.clean is not None:
            inputs['clean'] = self._nothing.clean if known.clean is None else known.clean
        chunk = self._compute({name: np.ascontiguousarray(value[None]) for name, value in inputs.items()})[0]
        on_stage(DONE)
        return chunk
