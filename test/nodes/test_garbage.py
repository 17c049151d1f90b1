"""Nothing that arrives ends a node: every callback takes structured garbage, and the node still works afterwards."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import garbage
from support.contracts import ABSOLUTE_TEXT

from mode_ros.messages.chunks import decode_chunk
from mode_ros.nodes.controller_node import ControllerNode
from mode_ros.nodes.policy_node import PolicyNode
from mode_ros.nodes.recorder_node import RecorderNode
from mode_ros.nodes.teleop_node import TeleopNode

NORMAL, SLOW = 25, 700
COUNTS = [NORMAL, pytest.param(SLOW, marks=pytest.mark.slow)]


def feed(count, strategies):
    """Draws from each (what to call, messages) and calls it."""

    @settings(
        max_examples=count, derandomize=count == NORMAL, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def run(data):
        for call, messages in strategies:
            call(data.draw(messages))

    run()


@pytest.mark.parametrize('count', COUNTS)
def test_policy_node(bench, contract_file, checkpoint, count):
    node = bench.start(PolicyNode, contract=contract_file, checkpoint=checkpoint, device='cpu', seed=7)
    camera, joints = bench.contract.observation.cameras[0], bench.contract.observation.states[0]
    feed(
        count,
        [
            (lambda m: node._push(camera, m), garbage.images()),
            (lambda m: node._push(joints, m), garbage.joint_states()),
            (node._on_request, garbage.trajectories()),
        ],
    )
    bench.goal('push the button')
    bench.observe_until(lambda: node._buffer.latest_common_stamp(), 'an observation')
    assert node._worker.is_alive()


@pytest.mark.parametrize('count', COUNTS)
def test_controller_node(bench, contract_file, count):
    node = bench.start(ControllerNode, contract=contract_file)
    states = bench.contract.observation.states
    feed(
        count,
        [
            (lambda m: node._on_state(states, m), garbage.joint_states()),
            (lambda m: node._take(lambda: decode_chunk(m)), garbage.trajectories()),
            (node._on_chunk, st.binary(max_size=200)),
            (node._on_teleop, garbage.trajectories()),
        ],
    )
    assert node.active
    node._tick()


@pytest.mark.parametrize('count', COUNTS)
def test_teleop_node(bench, tmp_path, count):
    path = tmp_path / 'jointed.yaml'
    path.write_text(ABSOLUTE_TEXT)
    mapping = tmp_path / 'mine.yaml'
    mapping.write_text(
        'device: joystick\ndeadman: button0\nspeeds: {faster: button1, slower: button2, steps: [1.0], start: 1.0}\n'
        'motions: [{dimension: a, axis: axis0, speed: 0.5}]\n'
    )
    node = bench.start(TeleopNode, activate=False, contract=str(path), joystick=str(mapping), keyboard='none')
    contract = node._contract
    joy = st.builds(lambda axes, buttons: type('Joy', (), {'axes': axes, 'buttons': buttons})(), garbage.vectors, st.lists(st.integers(0, 1), max_size=6))  # fmt: skip # noqa: E501
    feed(
        count,
        [
            (lambda m: node._reference._on_state(contract.observation.states[0], m), garbage.joint_states()),
            (lambda m: node._reference._on_command(contract.action[0], m), garbage.trajectories()),
            (node._on_joy, joy),
            (lambda m: node._reference.now(), st.none()),
        ],
    )
    node._tick()


@pytest.mark.parametrize('count', COUNTS)
def test_recorder_node(bench, contract_file, tmp_path, count):
    node = bench.start(RecorderNode, activate=False, contract=contract_file, folder=str(tmp_path), min_free_megabytes=0)

    def hear(data):
        for topic in node._topics:
            topic._on_unnumbered(data)
        node._problems()
        node._report()

    feed(count, [(hear, st.binary(max_size=200))])
    assert not node._start()[0]
