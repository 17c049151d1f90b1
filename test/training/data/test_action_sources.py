"""Where the actions of a recording come from: a leader arm, one message for arm and gripper, the next state."""

import numpy as np
import pytest
from support.bags import SECOND, START, Item, changed, flag, floats, joints, text, without, write_bag

from mode_ros.control.contract import parse_contract
from mode_ros.errors import UserError
from mode_ros.recording.episode import Episode
from mode_ros.recording.topics import recorded_topics
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.convert import Conversion, choose_contract
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.data.frames import Frame, LeftOut
from mode_ros.training.data.inputs import find_recordings
from mode_ros.training.data.recordings import About, RecordingProblem
from mode_ros.training.data.staging import Settings

LED = """
robot: led
rate: 20.0
observation:
  states:
    - {name: joints, topic: /joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.2}
action:
  - name: arm
    kind: absolute
    feedback: joints
    from: leader
    leader: {topic: /leader/joint_states, names: [l1, l2], max_age: 0.2, scale: [1.0, -1.0], offset: [0.0, 0.1]}
    dimensions:
      - {name: a, unit: rad, lower: -3.0, upper: 3.0}
      - {name: b, unit: rad, lower: -3.0, upper: 3.0}
    output: {adapter: joint_trajectory, topic: /arm/trajectory}
"""


def led(seconds=2.0, leader='/leader/joint_states'):
    """The follower trails its leader by 0.1 s; both at 50 Hz. The leader tells a trigger that nobody asked for, too."""
    items = [Item('/goal', text('follow'), START)]
    for k in range(round(seconds * 50)):
        at = START + k * SECOND // 50
        items.append(Item('/joint_states', joints(at, ['a', 'b'], [(k - 5) / 100, 0.0]), at + 1_000_000))
        items.append(Item(leader, joints(at, ['trigger', 'l2', 'l1'], [9.0, 0.1, k / 100]), at + 1_000_000))
    return sorted(items, key=lambda item: item.received)


def read(tmp_path, items, contract, **options):
    about = About()
    path = write_bag(tmp_path / f'bag{len(list(tmp_path.iterdir()))}', items, **options)
    found = list(BagRecording(path).read(parse_contract(contract, 'here'), '', about, lambda seconds: None))
    return [x for x in found if isinstance(x, Frame)], [x for x in found if isinstance(x, LeftOut)], about


def test_where_the_leader_is_is_the_action(tmp_path):
    frames, spans, about = read(tmp_path, led(), LED)
    assert not [span for span in spans if span.fault]
    assert len(frames) >= 37
    for frame in frames:
        place = frame.observation.states['joints'][0]
        # The newest word of the period that begins: 40 ms after its begin, and 100 ms ahead of the follower.
        assert frame.action[0] - place == pytest.approx(0.07, abs=0.011)
        assert frame.action[1] == pytest.approx(0.0)
    assert about.health['arm']['topic'] == '/leader/joint_states'


def test_a_leader_that_falls_silent_is_no_target(tmp_path):
    frames, spans, _ = read(tmp_path, without(led(), '/leader/joint_states', 0.5, 1.5), LED)
    assert any('its leader was silent for' in span.reason and span.fault for span in spans)
    stamps = {round((frame.observation.stamp - START) / 5e7) for frame in frames}
    assert not stamps & set(range(14, 29))
    assert {5, 32} <= stamps
    late, spans, _ = read(tmp_path, without(led(), '/leader/joint_states', 0.0, 0.5), LED)
    assert min(frame.observation.stamp for frame in late) >= START + SECOND // 2 - 50_000_000


def test_a_leader_without_one_of_the_joints_costs_its_frames(tmp_path):
    def lose(k, item):
        if 40 <= k < 60:
            item.message = joints(item.received - 1_000_000, ['l1'], [0.0])
        return item

    _, spans, _ = read(tmp_path, changed(led(), '/leader/joint_states', lose), LED)
    assert any("the leader does not tell ['l2'] once" in span.reason and span.fault for span in spans)


def test_a_leader_on_the_followers_topic(tmp_path):
    shared = LED.replace('/leader/joint_states', '/joint_states')
    frames, spans, _ = read(tmp_path, led(leader='/joint_states'), shared)
    assert not [span for span in spans if span.fault]
    assert len(frames) >= 37


def test_a_bag_without_the_leader_says_so(tmp_path):
    with pytest.raises(RecordingProblem, match='/leader/joint_states'):
        read(tmp_path, without(led(), '/leader/joint_states'), LED)


def test_the_recorder_keeps_what_the_leader_says():
    topics = {topic.name: topic.type for topic in recorded_topics(parse_contract(LED, 'here'))}
    assert topics['/leader/joint_states'] == 'sensor_msgs/msg/JointState'
    assert topics['/arm/trajectory'] == 'trajectory_msgs/msg/JointTrajectory'


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (('    from: leader\n', ''), "'from: leader' and the section 'leader'"),
        (('names: [l1, l2]', 'names: [l1]'), 'leader.names has 1 entries for 2 dimensions'),
        (('scale: [1.0, -1.0]', 'scale: [1.0, 0.0]'), 'leader.scale has a 0'),
        (('topic: /leader/joint_states', 'topic: /arm/trajectory'), 'a topic has one message type'),
        (('kind: absolute', 'kind: delta'), "its kind is 'absolute'"),
    ],
)
def test_a_leader_that_cannot_be_is_refused(change, words):
    with pytest.raises(UserError) as caught:
        parse_contract(LED.replace(*change), 'here')
    assert words in str(caught.value)


def test_arm_and_gripper_out_of_one_array(tmp_path):
    output = 'output: {adapter: forward_command, topic: /all, joints: [grip, b, a]}'
    contract = LED.replace('    from: leader\n', '')
    contract = '\n'.join(line for line in contract.splitlines() if 'leader:' not in line and 'output:' not in line)
    contract += f'\n    {output}\n' + (
        '  - name: gripper\n    kind: absolute\n    dimensions: [{name: grip, unit: m, lower: 0.0, upper: 0.1}]\n'
        f'    {output}\n'
    )
    items = without(led(), '/leader/joint_states')
    for k in range(40):
        at = START + k * SECOND // 20 + 8_000_000
        items.append(Item('/all', floats([0.05, k / 10, -k / 10]), at))
    frames, spans, _ = read(tmp_path, sorted(items, key=lambda item: item.received), contract)
    assert not [span for span in spans if span.fault]
    for frame in frames:
        k = (frame.observation.stamp - START) // 50_000_000
        assert frame.action.tolist() == pytest.approx([-k / 10, k / 10, 0.05])


def test_the_next_state_through_to_the_data_set(tmp_path):
    """Recorded under a contract of commands that nobody gave, converted with `from: state`, and opened."""
    lines = [line for line in LED.splitlines() if 'leader:' not in line]
    commanded = '\n'.join(lines).replace('    from: leader\n', '')
    guided = '\n'.join(lines).replace('from: leader', 'from: state')
    items = without(led(), '/leader/joint_states')
    write_bag(tmp_path / 'bags' / '0', items, custom=Episode(contract_text=commanded, goal='follow'))
    recordings = find_recordings([tmp_path / 'bags'], 'auto')
    with Conversion(tmp_path / 'data', Settings(choose_contract(recordings, guided)), 'tester') as conversion:
        assert conversion.run(recordings, 1, strict=True).new == 1
    data = open_dataset(tmp_path / 'data', 2)
    assert len(data) >= 37
    state, action = data.state, np.stack([data[k].actions[0] for k in range(len(data))])
    assert action[:-1] == pytest.approx(state[1:], abs=1e-6)
    assert 'from: state' in (tmp_path / 'data' / 'meta' / 'contract.yaml').read_text()


@pytest.mark.parametrize('before', [False, True])
def test_a_word_on_success_counts_where_the_actions_are_states(tmp_path, before):
    """A bag without commands that a judge calls a failure at its end; what is latched from before is not of it."""
    lines = [line for line in LED.splitlines() if 'leader:' not in line]
    items = without(led(), '/leader/joint_states')
    at = min(item.received for item in items) if before else max(item.received for item in items)
    items = sorted([*items, Item('/success', flag(False), at)], key=lambda item: item.received)
    write_bag(tmp_path / 'bags' / '0', items)
    recordings = find_recordings([tmp_path / 'bags'], 'auto')
    guided = '\n'.join(lines).replace('from: leader', 'from: state')
    settings = Settings(choose_contract(recordings, guided), 'follow')
    with Conversion(tmp_path / 'data', settings, 'tester') as conversion:
        if before:
            assert conversion.run(recordings, 1, strict=True).new == 1
        else:
            with pytest.raises(UserError, match='marked as failures'):
                conversion.run(recordings, 1, strict=True)
