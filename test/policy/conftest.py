"""Helper modules importable (pytest's importlib mode does not do it), torch on one thread, and the devices."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope='package')
def one_thread() -> Iterator[None]:
    """These networks are too small for threads to help, and on a busy machine they wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module', params=['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """Each device that a policy runs on, in float32 proper: cuDNN's convolutions round to TF32 unless told not to."""
    rounds = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield torch.device(request.param)
    torch.backends.cudnn.allow_tf32 = rounds
