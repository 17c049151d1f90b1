"""A policy's static graph in ONNX Runtime, on the CPU, in float32, and without torch."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.policy.runtimes.graph_file import OUTPUT
from mode_ros.policy.runtimes.graph_policy import MAKE_ANEW, Feed, OpenGraph


def open_graph(graph: Path, threads: int, spinning: bool = False) -> OpenGraph:
    """Runs in the calling thread and threads − 1 others; spinning: whether these wait busily.

    Raises UserError for a graph that it cannot load.
    """
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
        version = onnxruntime.__version__
        raise UserError(f'ONNX Runtime {version} cannot load {graph} ({error}): {MAKE_ANEW}.') from error
    # What the packed weights were made from is free by now, but glibc keeps it: 60 of 266 MB for the shipped policy.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

    def compute(feed: Feed) -> NDArray[np.float32]:
        chunk: NDArray[np.float32] = session.run([OUTPUT], feed)[0]
        return chunk

    return OpenGraph('onnxruntime', compute, {each.name: each.shape for each in session.get_inputs()})
