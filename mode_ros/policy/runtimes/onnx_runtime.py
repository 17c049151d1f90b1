"""A policy whose whole chunk is one static graph, on the CPU, without torch; by ONNX Runtime, or by a subclass.

How long it takes beside torch is in docs/performance.md. Its steps, solver and sizes are the graph's; how a plan is
continued is decided by what it is given.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint_info import CheckpointInfo
from mode_ros.policy.goals import SentenceEncoder
from mode_ros.policy.plans import Continuation, no_action_known
from mode_ros.policy.runtimes.graph_file import OUTPUT, input_shapes
from mode_ros.policy.runtimes.interface import Given, RunningPolicy
from mode_ros.policy.stages import DONE, OnStage, ShouldStop

# The graph's inputs by name → its chunk, [1, A, d].
Compute = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float32]]


class GraphPolicy(RunningPolicy):
    """A loaded policy that ONNX Runtime computes. Not for several threads at once."""

    runtime = 'onnxruntime'
    device = 'cpu'

    def __init__(
        self,
        info: CheckpointInfo,
        graph: Path,
        threads: int,
        text_encoder: SentenceEncoder,
        device_note: str = '',
        continuation: Continuation | None = None,
        spinning: bool = False,
    ) -> None:
        """graph: as find_graph gives it; info: its config samples as the graph does; threads: at least 1; spinning:
        whether they wait busily.

        Raises UserError for a graph that the runtime cannot load, or whose inputs are not the policy's.
        """
        if continuation == 'guided':
            raise UserError(
                'The continuation guided takes gradients, which a static graph has none of: use soft, or the runtime '
                'torch.'
            )
        super().__init__(info, text_encoder, device_note, continuation)
        self._nothing = no_action_known(info.config.denoiser)
        self._compute, found = self._open(graph, threads, spinning)
        expected = {name: list(shape) for name, shape in input_shapes(info.config).items()}
        if found != expected:
            raise UserError(f'The graph takes {found}, and the policy gives {expected}: export it anew.')

    def _open(self, graph: Path, threads: int, spinning: bool) -> tuple[Compute, Mapping[str, Sequence[int]]]:
        """What computes the graph, and the shapes of its inputs."""
        session = open_session(graph, threads, spinning)

        def compute(feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
            chunk: NDArray[np.float32] = session.run([OUTPUT], feed)[0]
            return chunk

        return compute, {each.name: each.shape for each in session.get_inputs()}

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


def open_session(graph: Path, threads: int, spinning: bool = False) -> Any:
    """An onnxruntime.InferenceSession on the CPU, which runs the graph in the calling thread and threads − 1 others."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry('session.intra_op.allow_spinning', '1' if spinning else '0')
    options.log_severity_level = 3
    try:
        # From the file and not from bytes, which would be one more copy of the weights.
        session = onnxruntime.InferenceSession(str(graph), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # its exceptions have no common base
        raise UserError(f'ONNX Runtime {onnxruntime.__version__} cannot load {graph} ({error}).') from error
    # What the packed weights were made from is free by now, but glibc keeps it: 60 of 266 MB for the shipped policy.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    return session
