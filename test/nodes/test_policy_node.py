"""policy_node among real messages: what a chunk looks like, what it waits for, and what it refuses."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from support.bench import wait_for
from support.contracts import ABSOLUTE_TEXT, PATIENT_TEXT
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.contract import parse_contract
from mode_ros.control.observation import Observation
from mode_ros.control.request import ChunkRequest
from mode_ros.errors import UserError
from mode_ros.messages.chunks import encode_request
from mode_ros.messages.stamps import to_nanoseconds, to_time
from mode_ros.messages.states import encode_pose
from mode_ros.nodes.policy_node import PolicyNode
from mode_ros.pairing import load_paired, make_untrained, predict

SECOND = 1_000_000_000


@pytest.fixture
def policy(bench, contract_file, checkpoint):
    return bench.start(PolicyNode, contract=contract_file, checkpoint=checkpoint, device='cpu', seed=7)


def said(bench, topic_list):
    return [status.message for array in topic_list for status in array.status]


def test_a_chunk_follows_from_images_state_and_goal(bench, policy, checkpoint):
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    start = bench.now()
    bench.image(start - SECOND // 20, value=40)
    bench.image(start, value=200)
    for offset in (-2, 0, 2):
        bench.joints(start + offset * SECOND // 100, values=(offset, 1.0))
    bench.request(start)
    [chunk] = wait_for(lambda: chunks, 'a chunk')

    assert to_nanoseconds(chunk.header.stamp) == start, 'the time of the slowest stream'
    assert chunk.joint_names == ['x', 'y', 'z', 'grip']
    times = [to_nanoseconds(point.time_from_start) for point in chunk.points]
    assert times == [50_000_000, 100_000_000, 150_000_000, 200_000_000]

    again = load_paired(checkpoint, bench.contract, 'cpu')
    seen = Observation(start, {'static': np.full((32, 32, 3), 200, np.uint8)}, {'joints': np.array([0.0, 1.0])})
    expected = predict(again, seen, 'push the button', np.random.default_rng(7))
    published = np.array([point.positions for point in chunk.points])
    assert published == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_torchs_threads_are_to_sleep_while_they_wait(bench, contract_file, checkpoint, monkeypatch):
    monkeypatch.setenv('OMP_WAIT_POLICY', '')
    monkeypatch.delenv('OMP_WAIT_POLICY')
    bench.start(PolicyNode, contract=contract_file, checkpoint=checkpoint, device='cpu')
    assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'


def test_one_request_one_chunk(bench, policy):
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    bench.request(5)
    bench.observe_until(lambda: chunks, 'a chunk')
    bench.request(5)  # the controller repeats itself until the chunk has reached it
    bench.request(6)
    bench.observe_until(lambda: len(chunks) > 1, 'the sentinel')
    time.sleep(0.3)
    assert len(chunks) == 2


def test_an_observation_from_before_the_request_will_not_do(bench, policy):
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    bench.observe()
    standing_since = bench.now()
    bench.request(standing_since)
    time.sleep(0.3)
    assert not chunks
    bench.observe_until(lambda: chunks, 'a chunk')
    [chunk] = chunks
    assert to_nanoseconds(chunk.header.stamp) >= standing_since


def test_it_says_what_it_waits_for(bench, policy):
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    bench.joints()
    bench.request(1)
    wait_for(lambda: any('waiting for static: no message yet' in text for text in said(bench, diagnostics)), 'the word')
    assert not chunks
    bench.observe_until(lambda: chunks, 'a chunk')


def test_without_a_goal_nothing_moves_and_an_empty_one_is_none(bench, policy):
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('   ')
    bench.request(1)
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        bench.observe()
        time.sleep(0.05)
    word = 'waiting for a goal on goal'
    bench.observe_until(lambda: any(word in text for text in said(bench, diagnostics)), 'the word')
    assert not chunks


def test_an_ordinary_publisher_of_goals_is_heard(bench, policy):
    from std_msgs.msg import String

    bench.publish(String(data='close the box'), 'goal')  # volatile, as `ros2 topic pub` is
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    wait_for(
        lambda: any(
            item.value == 'close the box' for array in diagnostics for status in array.status for item in status.values
        ),
        'the goal in the diagnostics',
    )


def test_an_unusable_encoding_counts_as_missing(bench, policy):
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    depth = Image(height=32, width=32, encoding='16UC1', step=64, data=bytes(64 * 32))
    depth.header.stamp = to_time(bench.now())
    bench.publish(depth, 'static/image')
    bench.joints()
    bench.request(1)
    wait_for(
        lambda: any("the encoding '16UC1' is depth, not colours" in text for text in said(bench, diagnostics)),
        'the word',
    )
    assert not chunks
    bench.observe_until(lambda: chunks, 'a chunk once the camera is right')


def test_another_image_size_is_resized(bench, policy):
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.goal('push the button')
    bench.observe(size=(48, 64))
    bench.request(1)
    wait_for(lambda: chunks, 'a chunk')


def test_an_inactive_node_answers_nothing(bench, policy):
    chunks = bench.listen(JointTrajectory, 'action_chunk')
    assert bench.transition(policy, 'deactivate')
    bench.goal('push the button')
    bench.observe()
    bench.request(1)
    time.sleep(0.5)
    assert not chunks
    assert not any(thread.name == 'inference' for thread in threading.enumerate())
    assert bench.transition(policy, 'activate')
    bench.request(2)
    bench.observe_until(lambda: chunks, 'a chunk after the reactivation')


def test_it_can_be_configured_again(bench, policy):
    assert bench.transition(policy, 'deactivate')
    assert bench.transition(policy, 'cleanup')
    assert bench.transition(policy, 'configure')


def refuses(bench, capfd, **parameters):
    node = bench.start(PolicyNode, activate=False, **parameters)
    assert node.trigger_configure().name == 'FAILURE'
    return capfd.readouterr().err


def test_refuses_to_configure(bench, capfd, tmp_path, contract_file, checkpoint):
    assert 'No checkpoint is given' in refuses(bench, capfd, contract=contract_file)
    absent = str(tmp_path / 'absent')
    assert absent in refuses(bench, capfd, contract=contract_file, checkpoint=absent)
    assert 'No robot contract is given' in refuses(bench, capfd, checkpoint=checkpoint)
    other = tmp_path / 'other.yaml'
    other.write_text(ABSOLUTE_TEXT)
    error = refuses(bench, capfd, contract=str(other), checkpoint=checkpoint)
    assert 'made for another robot contract' in error
    assert 'rate: 10.0, not 20.0' in error


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has CUDA')
def test_cuda_without_cuda(bench, capfd, contract_file, checkpoint):
    error = refuses(bench, capfd, contract=contract_file, checkpoint=checkpoint, device='cuda')
    assert 'CUDA is not available' in error


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'chekpoint': 'x'}, "no parameter 'chekpoint'; did you mean 'checkpoint'?"),
        ({'threads': 2.0}, "'threads' of policy_node is 2.0, which is not a whole number"),
        ({'threads': -1}, "'threads' of policy_node is -1; it goes from 0 to 256"),
        ({'device': 'gpu'}, "'device' of policy_node is 'gpu'; it can be ['auto', 'cpu', 'cuda']"),
    ],
)
def test_parameters_that_do_not_fit(bench, parameters, words):
    with pytest.raises(UserError) as caught:
        bench.start(PolicyNode, activate=False, **parameters)
    assert words in str(caught.value)


def test_parameters_are_described_and_read_only(bench, policy):
    descriptor = policy.describe_parameter('threads')
    assert 'CPU threads' in descriptor.description
    assert descriptor.read_only
    assert descriptor.integer_range[0].to_value == 256


def test_what_made_it_wait_is_over_in_the_log_too(bench, policy, capfd):
    log = []

    def logged(words):
        log.append(capfd.readouterr().err)
        return words in ''.join(log)

    chunks = bench.listen(JointTrajectory, 'action_chunk')
    bench.request(5)
    wait_for(lambda: logged('no action yet, waiting for'), 'waiting is told')
    bench.goal('push the button')
    bench.observe_until(lambda: chunks, 'a chunk')

    assert logged('everything is there, going on')


def test_a_wrong_contract_is_told_before_torch_is_imported(tmp_path):
    without_torch = (
        "import runpy, sys; sys.modules['torch'] = None; sys.argv[1:] = ['--ros-args', '-p', 'contract:=nobody']\n"
        "runpy.run_module('mode_ros.nodes.policy_node', run_name='__main__')"
    )

    result = subprocess.run([sys.executable, '-c', without_torch], capture_output=True, text=True, timeout=60)

    assert result.returncode == 1
    assert "The robot contract 'nobody' is neither a file nor a known robot" in result.stderr


def test_the_sign_of_a_pose_is_chosen_anew_with_each_episode(bench, tmp_path, monkeypatch):
    """A hand that has gone once around is at home with the other sign: within an episode alone."""
    line = '    - {name: hand, topic: hand, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 9.0}\n'
    words = PATIENT_TEXT.replace('action:', line + 'action:').replace('max_age: 1.0', 'max_age: 9.0')
    contract, seen, identities = parse_contract(words, 'handy.yaml'), [], iter(range(99))
    (tmp_path / 'handy.yaml').write_text(words)
    make_untrained(contract, words, seed=1, chunk_length=4).save(tmp_path / 'policy')

    def look(policy, observation, *_):
        seen.append(observation.states['hand'][[4, 6]])
        return np.zeros((4, 4))

    monkeypatch.setattr('mode_ros.pairing.predict', look)
    node = bench.start(
        PolicyNode, contract=str(tmp_path / 'handy.yaml'), checkpoint=str(tmp_path / 'policy'), device='cpu'
    )

    def turn(*angles):
        for angle in angles:
            heading = np.array([0.0, np.sin(angle / 2), 0.0, np.cos(angle / 2)])
            stamp = bench.now()
            bench.publish(encode_pose(np.zeros(3), heading, stamp, 'base'), 'hand')
            wait_for(lambda: node._buffer._histories['hand'].newest == stamp, 'the pose')  # noqa: B023

    def asked(begun):
        stamp = bench.now()
        bench.joints(stamp)
        bench.image(stamp)
        turn(around[0])  # the same place, at the end of a turn too: what comes last makes the observation
        request = ChunkRequest(f'a-{next(identities)}', stamp, stamp, period=SECOND // 20, begun=begun)
        before = len(seen)
        bench.publish(encode_request(request, contract.action_names), 'chunk_request')
        wait_for(lambda: len(seen) > before, 'an observation')
        return seen[-1]

    bench.goal('turn')
    around = np.linspace(0, 2 * np.pi, 7) + 0.4
    turn(around[0])
    home = asked(begun=5)
    turn(*around)
    assert asked(begun=5) == pytest.approx(-home), 'within an episode it turns on'
    assert asked(begun=6) == pytest.approx(home), 'the controller was activated or reset'
    turn(*around)
    assert asked(begun=6) == pytest.approx(-home)
    bench.goal('turn back')
    wait_for(lambda: node._goal == 'turn back', 'the goal')
    assert asked(begun=6) == pytest.approx(home)
    turn(*around)
    assert asked(begun=6) == pytest.approx(-home)
    assert bench.transition(node, 'deactivate')
    assert bench.transition(node, 'activate')
    assert asked(begun=6) == pytest.approx(home)
