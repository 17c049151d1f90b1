"""The static graph in OpenVINO: the same chunks as by torch. Skipped where it is not installed."""

from __future__ import annotations

import numpy as np
import pytest
from test_policy_runtimes import GRAPH, Plan, chunk, load, saved, state_config

from mode_ros.errors import UserError
from mode_ros.policy.runtimes import export

openvino = pytest.importorskip('openvino')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """With its graph; not to be changed."""
    folder = saved(tmp_path_factory.mktemp('policies') / 'state', state_config(max_committed=3))
    export.export_graph(folder)
    return folder


@pytest.mark.parametrize('plan', [None, Plan()])
def test_the_chunks_are_torchs(checkpoint, plan):
    policy = load(checkpoint, 'openvino')
    assert policy.runtime == 'openvino'
    np.testing.assert_allclose(chunk(policy, plan), chunk(load(checkpoint, 'torch'), plan), rtol=1e-5, atol=1e-5)


def test_two_chunks_are_two(checkpoint):
    policy = load(checkpoint, 'openvino')
    first = chunk(policy)
    kept = first.copy()
    assert np.abs(chunk(policy, Plan()) - kept).max() > 1e-3
    assert np.array_equal(first, kept)
    assert np.array_equal(chunk(policy), kept)


def test_bfloat16_is_near_where_the_processor_has_it(checkpoint):
    if 'BF16' not in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        pytest.skip('no bfloat16')
    expected = chunk(load(checkpoint, 'torch'))
    distance = np.abs(chunk(load(checkpoint, 'openvino', number_format='bfloat16')) - expected).max() / expected.std()
    assert 1e-5 < distance < 0.1


def test_bfloat16_is_refused_where_the_processor_lacks_it(checkpoint, monkeypatch):
    monkeypatch.setattr(openvino.Core, 'get_property', lambda *_: ['FP32'])
    with pytest.raises(UserError, match='does not multiply in bfloat16'):
        load(checkpoint, 'openvino', number_format='bfloat16')


def test_what_it_cannot_is_refused(checkpoint):
    with pytest.raises(UserError, match='OpenVINO is in float32 or bfloat16'):
        load(checkpoint, 'openvino', number_format='int8')
    with pytest.raises(UserError, match='gradients'):
        load(checkpoint, 'openvino', continuation='guided')


def test_a_graph_that_it_cannot_read(checkpoint, tmp_path):
    from mode_ros.policy.runtimes.openvino_runtime import open_graph

    (tmp_path / 'chunk.onnx').write_bytes((checkpoint / GRAPH).read_bytes()[:-100])
    with pytest.raises(UserError, match='cannot load'):
        open_graph(tmp_path / 'chunk.onnx', 1)
