"""policy_node while the robot moves: it continues what is decided, and no request or observation ends it."""

import time

import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray
from support.bench import wait_for
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.observation import Observation
from mode_ros.control.request import ChunkRequest, prefix_of
from mode_ros.messages.chunks import encode_request
from mode_ros.nodes.policy_node import PolicyNode
from mode_ros.nodes.policy_parameters import spare_cores
from mode_ros.pairing import load_paired, predict

SECOND = 1_000_000_000
PERIOD = SECOND // 20


@pytest.fixture
def start(bench, contract_file, checkpoint):
    def run(**parameters):
        return bench.start(
            PolicyNode, contract=contract_file, checkpoint=checkpoint, device='cpu', seed=7, **parameters
        )

    return run


def known_actions(count, seed=0):
    return np.random.default_rng(seed).uniform(-0.01, 0.01, (count, 4))


def ask(bench, request, names=('x', 'y', 'z', 'grip')):
    bench.publish(encode_request(request, tuple(names)), 'chunk_request')


def moving(identity, stamp, reserved=2, first=-2, count=5):
    """Asked at `stamp`: two actions commanded before, `reserved` to come, and one that is only planned."""
    times = tuple(PERIOD * k for k in range(first, first + count))
    return ChunkRequest(identity, stamp, None, reserved, times, known_actions(count), PERIOD)


def test_a_chunk_begins_with_what_is_decided(bench, start, checkpoint):
    start()
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    seen = bench.now()
    bench.joints(seen)
    bench.image(seen, value=200)
    request = moving('tester-1', seen + PERIOD)  # the observation is a period old
    ask(bench, request)
    [chunk] = wait_for(lambda: chunks, 'a chunk')
    assert chunk.header.frame_id == 'tester-1'
    published = np.array([point.positions for point in chunk.points])
    plan = prefix_of(request, seen)
    assert plan.committed == 3  # one commanded that it cannot show yet, and the two reserved
    np.testing.assert_allclose(published[:3], request.actions[1:4], atol=1e-12)

    again = load_paired(checkpoint, bench.contract, 'cpu')
    observation = Observation(seen, {'static': np.full((32, 32, 3), 200, np.uint8)}, {'joints': np.array([0.1, 0.2])})
    expected = predict(again, observation, 'push the button', np.random.default_rng(7), plan=plan)
    np.testing.assert_allclose(published, expected, rtol=1e-4, atol=1e-7)


def test_without_continuation_the_plan_is_not_looked_at(bench, start):
    start(continuation='none')
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    bench.observe()
    request = moving('tester-1', bench.now())
    ask(bench, request)
    bench.observe_until(lambda: chunks, 'a chunk')
    assert np.abs(np.array(chunks[0].points[0].positions) - request.actions[2]).max() > 1e-6


def test_requests_that_no_chunk_can_answer_cost_no_more_than_their_own(bench, start):
    node = start()
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    bench.observe()
    stamp = bench.now()
    three = ChunkRequest('tester-1', stamp, None, 1, (0, PERIOD), np.zeros((2, 3)), PERIOD)
    ask(bench, three, names=('x', 'y', 'z'))
    bench.publish(JointTrajectory(), 'chunk_request')
    odd = encode_request(moving('tester-2', stamp), ('x', 'y', 'z', 'grip'))
    odd.points[1].positions = [float('nan')] * 4
    bench.publish(odd, 'chunk_request')
    time.sleep(0.3)
    assert not chunks
    ask(bench, moving('tester-3', bench.now()))
    bench.observe_until(lambda: chunks, 'a chunk')
    assert [chunk.header.frame_id for chunk in chunks] == ['tester-3']
    assert node.active


def test_more_decided_than_a_chunk_is_said_and_counted(bench, start):
    start()
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    bench.observe()
    request = moving('tester-1', bench.now(), reserved=6, first=0, count=7)
    ask(bench, request)
    bench.observe_until(lambda: chunks, 'a chunk')
    published = np.array([point.positions for point in chunks[0].points])
    first = next(row for row in range(7) if np.allclose(request.actions[row], published[0], atol=1e-12))
    np.testing.assert_allclose(published[: 4 - first], request.actions[first : first + 4][: 4 - first], atol=1e-12)
    wait_for(lambda: told(diagnostics, 'plans whole chunk') == '1', 'the count')
    assert told(diagnostics, 'continuation') == 'rejoin', 'this robot takes displacements'


def told(diagnostics, key):
    found = [
        item.value for array in diagnostics for status in array.status for item in status.values if item.key == key
    ]
    return found[-1] if found else None


def test_a_failure_costs_one_chunk_and_is_said(bench, start):
    node = start()
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    whole = node._policy.predict

    def fail(*_):
        raise RuntimeError('the device is busy')

    node._policy.predict = fail
    ask(bench, moving('tester-1', bench.now()))
    bench.observe_until(lambda: told(diagnostics, 'failed') == '1', 'the failure in the diagnostics')
    words = [status.message for array in diagnostics for status in array.status]
    assert any('no chunk: ' in text and 'the device is busy' in text for text in words)
    node._policy.predict = whole
    ask(bench, moving('tester-2', bench.now()))
    bench.observe_until(lambda: chunks, 'a chunk')
    assert [chunk.header.frame_id for chunk in chunks] == ['tester-2']


@pytest.mark.parametrize('watched', [True, False])
def test_a_camera_that_hangs_is_not_used(bench, start, watched):
    start(frozen_periods=2 if watched else 0)
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    for step in range(20):  # one picture, while the joints go on
        bench.joints(values=(0.2 * step, 0.0))
        bench.image()
        time.sleep(0.03)
    ask(bench, moving('tester-1', bench.now()))

    def words():
        bench.joints(values=(5.0, 0.0))
        bench.image()
        time.sleep(0.03)
        return [status.message for array in diagnostics for status in array.status]

    if watched:
        wait_for(lambda: any('static: its picture has not changed for' in text for text in words()), 'the word')
        assert not chunks
        bench.observe_until(lambda: bench.image(value=9) or chunks, 'a chunk once the picture changes')
    else:
        wait_for(lambda: words() and chunks, 'a chunk')


def test_a_core_is_left_to_the_control(bench, start, monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(6)), raising=False)
    assert spare_cores() == 5
    monkeypatch.setattr('os.sched_getaffinity', lambda _: {3}, raising=False)
    assert spare_cores() == 1
    before = torch.get_num_threads()
    try:
        start()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
