import dataclasses

import numpy as np
import pytest
import torch
from evaluation.stand_in import CONTRACT, TEXT, PointSimulator

from mode_ros.evaluation import evaluator
from mode_ros.pairing import make_untrained
from mode_ros.policy.normalization import StreamStatistics


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    """An untrained policy for the simulated Sawyer."""
    folder = tmp_path_factory.mktemp('checkpoint') / 'untrained'
    make_untrained(CONTRACT, TEXT, seed=0).save(folder)
    return folder


@pytest.fixture(scope='session')
def pusher(tmp_path_factory):
    """A policy that always moves its hand 2 cm forwards and 2 cm down, give or take a millimetre: it closes drawers.

    Its network says nothing, which leaves bounded noise, and its statistics put that where all actions seem to lie.
    """
    policy = make_untrained(CONTRACT, TEXT, seed=0)
    torch.nn.init.zeros_(policy.network.denoiser.output.weight)
    torch.nn.init.zeros_(policy.network.denoiser.output.bias)
    middle, spread = np.array([0.0, 0.02, -0.02, -0.95]), np.array([0.0003, 0.0003, 0.0003, 0.01])
    actions = StreamStatistics.of(np.linspace(middle - spread, middle + spread, 101))
    statistics = policy.info.statistics.model_copy(update={'action': actions})
    policy.info = dataclasses.replace(policy.info, statistics=statistics)
    folder = tmp_path_factory.mktemp('checkpoint') / 'pusher'
    policy.save(folder)
    return folder


@pytest.fixture
def point(monkeypatch):
    """Instead of Meta-World, hands that go where they are told."""
    monkeypatch.setattr(PointSimulator, 'made', 0)
    monkeypatch.setattr(evaluator, 'make_simulator', lambda name, task, period: PointSimulator(task, period))
    return PointSimulator
