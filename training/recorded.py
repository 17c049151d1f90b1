"""A step of the training as one CUDA graph: a GPU that waits for a slow processor to launch thousands of operations
is then told a single one.

Recording fixes what may change from step to step: the numbers in a batch, never its shapes, and nothing that the host
would have to look at. So every expert sees everything (`Mixture.all_see_all`), and the learning rate lies on the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mode_ros.policy.mixture import Mixture
from mode_ros.training.batches import Batch

Outputs = Mapping[str, Tensor]

# Steps that are run as they are before one is recorded: by then every library has chosen its kernels, and the optimiser
# has made its state.
_PLAIN_STEPS = 3


class _Recording(NamedTuple):
    """A graph, and the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    shown: Batch
    outputs: Outputs


class RecordedStep:
    """Runs a step as it is a few times, records it, and from then on replays it with each batch's numbers."""

    def __init__(self, step: Callable[[Batch], Outputs]) -> None:
        """step: forward, backward and optimiser, with outputs that are tensors of fixed shapes on the GPU."""
        self._step = step
        self._plain = 0
        self._recording: _Recording | None = None

    def __call__(self, batch: Batch) -> Outputs:
        """batch: on the GPU, of the same shapes each time. The outputs are the caller's to keep."""
        if self._plain < _PLAIN_STEPS:
            self._plain += 1
            return self._aside(batch)
        if self._recording is None:
            self._recording = self._record(batch)
        for to, of in zip(self._recording.shown.tensors(), batch.tensors(), strict=True):
            to.copy_(of)
        self._recording.graph.replay()
        return {name: value.clone() for name, value in self._recording.outputs.items()}

    def _aside(self, batch: Batch) -> Outputs:
        # On a stream of its own, so that no gradient waits for the usual one, which a recording must not.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            found = self._step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return found

    def _record(self, batch: Batch) -> _Recording:
        shown, graph = batch.each(torch.clone), torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        # The thread that makes the next batch may go on meanwhile.
        with torch.cuda.graph(graph, capture_error_mode='thread_local'):
            outputs = self._step(shown)
        return _Recording(graph, shown, outputs)


def fix_shapes(network: nn.Module) -> None:
    """Make a network compute in shapes that no draw changes."""
    for module in network.modules():
        if isinstance(module, Mixture):
            module.all_see_all = True


def put_on_gpu(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimiser be recorded, also one whose state is of a training that was not: all it counts lies beside its
    weights, and its learning rate becomes a number there, to be filled in by the caller.
    """
    for group in optimizer.param_groups:
        device = group['params'][0].device
        group['capturable'] = group['fused'] = True
        group['lr'] = torch.as_tensor(group['lr'], dtype=torch.float32).to(device)
    for weight, state in optimizer.state.items():
        if 'step' in state:
            state['step'] = state['step'].to(weight.device)


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimiser's state dict as one that was never recorded has it, so that any machine can go on from it."""
    groups = [{**group, 'capturable': False, 'lr': float(group['lr'])} for group in state['param_groups']]
    return {**state, 'param_groups': groups}
