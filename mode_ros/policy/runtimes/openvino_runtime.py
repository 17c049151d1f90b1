"""A policy's static graph in OpenVINO, on the CPU: float32, or bfloat16 on processors that multiply in it.

It reads the file that ONNX Runtime reads. docs/performance.md says what each takes, in time and in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.policy.runtimes.graph_policy import MAKE_ANEW, Feed, OpenGraph

# Its names of ours.
_PRECISIONS = {'float32': 'f32', 'bfloat16': 'bf16'}


def number_formats() -> tuple[str, ...]:
    """What it computes in on this processor. Raises ImportError where it is not installed."""
    import openvino

    capabilities = openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    return ('float32', 'bfloat16') if 'BF16' in capabilities else ('float32',)


def open_graph(graph: Path, threads: int, number_format: str = 'float32') -> OpenGraph:
    """number_format: 'float32' or 'bfloat16', of all that it computes; threads: at least 1, which wait asleep.

    Raises UserError for a graph that it cannot load, and for bfloat16 on a processor that does not multiply in it.
    """
    import openvino

    core = openvino.Core()
    if number_format not in number_formats():
        raise UserError('This processor does not multiply in bfloat16: leave the number format at float32.')
    settings = {
        'INFERENCE_PRECISION_HINT': _PRECISIONS[number_format],
        'INFERENCE_NUM_THREADS': threads,
        'NUM_STREAMS': 1,
        'PERFORMANCE_HINT': 'LATENCY',
        # Where a control loop runs beside it, the system knows better which core is free.
        'ENABLE_CPU_PINNING': False,
    }
    try:
        compiled = core.compile_model(core.read_model(graph), 'CPU', settings)
    except RuntimeError as error:
        version = openvino.__version__
        raise UserError(f'OpenVINO {version} cannot load {graph} ({error}): {MAKE_ANEW}.') from error
    request = compiled.create_infer_request()

    def compute(feed: Feed) -> NDArray[np.float32]:
        request.infer(dict(feed), share_inputs=True)
        chunk: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
        return chunk

    inputs = {each.get_any_name(): list(each.shape) for each in compiled.inputs}
    return OpenGraph('openvino', compute, inputs)
