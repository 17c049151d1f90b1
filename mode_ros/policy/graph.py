"""The step loop as one CUDA graph: recorded once, then replayed with a single launch.

At batch 1 a GPU finishes a step's small products faster than Python launches them. Everything in the loop that could
depend on the input's values, the routing above all, is decided before, so the same kernels run for every chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from mode_ros.policy.continuation import Known


class Prefix(NamedTuple):
    """Keys and values of the tokens so far, in all layers and at all N noise levels; each [layers, N, B·H, T, hd].

    A whole prefix has room for the A action tokens at the end of T, where every denoising step writes its own.
    """

    keys: Tensor
    values: Tensor


# Runs a function once for the record → (a call that runs it again on the same tensors, the tensor it returns).
Record = Callable[[Callable[[], Tensor]], 'tuple[Callable[[], None], Tensor]']


class LoopGraph:
    """A step loop recorded for one batch size."""

    def __init__(
        self,
        loop: Callable[[Prefix, Tensor, Known], Tensor],
        prefix: Prefix,
        noise: Tensor,
        known: Known,
        record: Record,
    ) -> None:
        """prefix, noise, known: examples of the shapes, kept as the places that the recorded kernels read from."""
        self._prefix, self._noise, self._known = prefix, noise, known
        with torch.inference_mode():
            self._replay, self._chunk = record(lambda: loop(prefix, noise, known))

    @property
    def batch(self) -> int:
        """The batch size it was recorded for."""
        return len(self._noise)

    def __call__(self, prefix: Prefix, noise: Tensor, known: Known) -> Tensor:
        """As the loop: noise [B, A, d], known with the fields of the example → chunk [B, A, d]."""
        torch._foreach_copy_([*self._prefix], [*prefix])
        self._noise.copy_(noise)
        for place, value in zip(self._known, known, strict=True):
            if place is not None and value is not None:
                place.copy_(value)
        self._replay()
        return self._chunk.clone()  # the next replay writes over it


def record_cuda(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """Record `run` on the current CUDA device."""
    # Recording must not meet a library's first call, which allocates and synchronises: run it before, on a stream of
    # its own, as torch.cuda.graph asks for.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        chunk = run()
    return graph.replay, chunk
