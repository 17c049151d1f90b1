"""Recordings that used to teach what was never shown: each is right now, or named."""

import itertools

import numpy as np
import pytest
from support.bags import (
    DELTA_TEXT,
    SECOND,
    START,
    TYPES,
    Item,
    changed,
    demonstration,
    episode,
    flag,
    floats,
    header,
    image,
    joints,
    picture,
    text,
    without,
    write_bag,
)

from mode_ros.control.contract import parse_contract
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.frames import Frame, LeftOut
from mode_ros.training.data.recordings import About, RecordingProblem

ARM_TEXT = """
robot: bench_arm
rate: 20.0
observation:
  states:
    - {name: joints, topic: /joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.2}
action:
  - name: arm
    kind: absolute
    feedback: joints
    dimensions:
      - {name: a, unit: rad, lower: -3.0, upper: 3.0}
      - {name: b, unit: rad, lower: -3.0, upper: 3.0}
    output: {adapter: joint_trajectory, topic: /arm/trajectory}
  - name: gripper
    kind: absolute
    dimensions:
      - {name: grip, unit: m, lower: 0.0, upper: 0.1}
    output: {adapter: forward_command, topic: /gripper/command}
"""


def trajectory(names, points, stamp=0):
    """points: (positions, velocities, seconds from the start) each."""
    point, duration = (
        TYPES.types[kind] for kind in ('trajectory_msgs/msg/JointTrajectoryPoint', 'builtin_interfaces/msg/Duration')
    )
    made = [
        point(
            positions=np.array(p, float),
            velocities=np.array(v, float),
            accelerations=np.zeros(0),
            effort=np.zeros(0),
            time_from_start=duration(sec=int(s), nanosec=round((s % 1) * 1e9)),
        )
        for p, v, s in points
    ]
    return TYPES.types['trajectory_msgs/msg/JointTrajectory'](
        header=header(stamp), joint_names=list(names), points=made
    )


def arm(seconds=3.0, commanded=True, still=False, start=START):
    """Joints at 50 Hz, and a target and a gripper command at 20 Hz."""
    items = [Item('/goal', text('reach'), start)]
    for k in range(round(seconds * 50)):
        at = start + k * SECOND // 50
        place = [0.0, 0.0] if still else [k / 250, -k / 250]
        items.append(Item('/joint_states', joints(at, ['b', 'a'], place[::-1]), at + 1_000_000))
    for k in range(round(seconds * 20)):
        at = start + k * SECOND // 20 + 8_000_000
        if commanded:
            target = ([k / 100, -k / 100], [], 0.05)
            items.append(Item('/arm/trajectory', trajectory('ab', [target]), at))
        items.append(Item('/gripper/command', floats([0.05]), at))
    return sorted(items, key=lambda item: item.received)


def read(tmp_path, items, contract, goal='', **options):
    """Frames, spans and what is known, without making a data set."""
    contract = parse_contract(contract, 'here') if isinstance(contract, str) else contract
    about = About()
    path = write_bag(tmp_path / f'bag{len(list(tmp_path.iterdir()))}', items, **options)
    found = list(BagRecording(path).read(contract, goal, about, lambda seconds: None))
    return (
        [item for item in found if isinstance(item, Frame)],
        [item for item in found if isinstance(item, LeftOut)],
        about,
    )


def at(frames, seconds):
    """The action of the frame at a time from the start."""
    return next(f.action for f in frames if f.observation.stamp == START + round(seconds * 20) * SECOND // 20)


def test_commands_for_joints_that_the_contract_does_not_know_are_no_standing_still(tmp_path):
    items = arm(3.0)
    for item in items:
        if item.topic == '/arm/trajectory':
            item.message.joint_names = ['left_a', 'left_b']
    frames, spans, _ = read(tmp_path, items, ARM_TEXT)
    assert not frames
    words = "arm: its topic commands ['left_a', 'left_b'], and the contract says ['a', 'b']"
    assert words in {span.reason for span in spans if span.fault}


def test_commands_for_another_arm_on_the_topic_beside_the_own_are_no_fault(tmp_path):
    items = arm(3.0)
    theirs = [([0.0, 0.0], [], 0.05)]
    others = [
        Item('/arm/trajectory', trajectory('cd', theirs), START + k * SECOND // 20 + 6_000_000) for k in range(60)
    ]
    alone, _, _ = read(tmp_path, items, ARM_TEXT)
    beside, spans, _ = read(tmp_path, sorted([*items, *others], key=lambda item: item.received), ARM_TEXT)
    assert not [span for span in spans if span.fault and 'topic commands' in span.reason]
    assert len(beside) == len(alone)


# ---- one trajectory of many points -----------------------------------------------------------------------------


def planned(points, sent=0.5, seconds=5.0, **more):
    items = [*arm(seconds, commanded=False), Item('/arm/trajectory', trajectory('ab', points, **more), 0)]
    items[-1].received = START + round(sent * SECOND)
    return sorted(items, key=lambda item: item.received)


def test_a_plan_of_many_points_is_followed_in_time(tmp_path):
    points = [([k / 20, -k / 20], [], k / 10) for k in range(31)]
    frames, _, _ = read(tmp_path, planned(points), ARM_TEXT)
    for seconds in (0.5, 1.0, 2.0, 3.0):
        assert at(frames, seconds)[:2] == pytest.approx([(seconds - 0.45) / 2, -(seconds - 0.45) / 2], abs=1e-6)
    assert at(frames, 4.0)[:2] == pytest.approx([1.5, -1.5])


def test_a_later_plan_replaces_the_rest(tmp_path):
    first = planned([([0, 0], [], 0.0), ([3, 3], [], 3.0)])
    second = Item('/arm/trajectory', trajectory('ab', [([0.5, 0.5], [], 1.0)]), START + round(1.5 * SECOND))
    frames, _, _ = read(tmp_path, sorted([*first, second], key=lambda item: item.received), ARM_TEXT)
    assert at(frames, 1.4)[0] == pytest.approx(0.95)
    assert at(frames, 1.95)[0] == pytest.approx(0.75)  # half way from 1.0 to 0.5
    assert at(frames, 3.0)[0] == pytest.approx(0.5)


def test_velocities_and_a_start_in_the_future(tmp_path):
    points = [([0, 0], [0, 0], 0.0), ([1, 1], [0, 0], 1.0)]
    frames, _, _ = read(tmp_path, planned(points, stamp=START + SECOND), ARM_TEXT)
    assert at(frames, 1.2)[0] == pytest.approx(0.15625)  # at 0.25 s: 3 s^2 - 2 s^3
    assert at(frames, 2.5)[0] == pytest.approx(1.0)


def test_one_far_point_is_approached_from_where_the_arm_is(tmp_path):
    items = [item for item in planned([([2, 2], [], 2.0)], sent=0.0) if item.topic != '/joint_states']
    items += [item for item in arm(5.0, still=True) if item.topic == '/joint_states']
    frames, _, _ = read(tmp_path, sorted(items, key=lambda item: item.received), ARM_TEXT)
    assert at(frames, 0.95)[0] == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize('points', [[([], [0.1, 0.1], 0.05)], [], [([0.1], [], 0.05)]])
def test_a_trajectory_without_positions_costs_its_frames_alone(convert, tmp_path, points):
    items = arm()
    for item in items:
        if item.topic == '/arm/trajectory' and 1.0 <= (item.received - START) / SECOND < 1.2:
            item.message = trajectory('ab', points)
    (tmp_path / 'contract.yaml').write_text(ARM_TEXT)
    write_bag(tmp_path / 'bags' / 'a', items)
    write_bag(tmp_path / 'bags' / 'b', arm(start=START + 60 * SECOND))
    status, printed = convert(tmp_path / 'bags', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 3
    assert '3 new episodes' in printed
    assert 'left out: a: 1.00 to 1.20 s: arm: a' in printed


# ---- two publishers on one joint topic -------------------------------------------------------------------------


@pytest.mark.parametrize('rate', [10, 50, 200])
def test_another_drivers_joints_on_the_same_topic_are_no_fault(tmp_path, rate):
    items = demonstration(3.0)
    for k in range(3 * rate):
        when = START + k * SECOND // rate + 9_000_000
        items.append(Item('/joint_states', joints(when, ['finger'], [0.02]), when + 500_000))
    frames, spans, _ = read(tmp_path, sorted(items, key=lambda item: item.received), DELTA_TEXT)
    assert len(frames) == 59
    assert not [span for span in spans if span.fault]
    assert frames[20].observation.states['joints'].tolist() == [-0.5, 0.5]


def test_both_of_them_as_states_of_their_own(tmp_path):
    line = '    - {name: joints, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.2}\n'
    finger = line.replace('name: joints', 'name: finger').replace('[a, b]', '[finger]')
    items = demonstration(3.0)
    for k in range(150):
        when = START + k * SECOND // 50 + 9_000_000
        items.append(Item('/joint_states', joints(when, ['finger'], [k / 100]), when + 500_000))
    contract = DELTA_TEXT.replace(line, line + finger)
    frames, spans, _ = read(tmp_path, sorted(items, key=lambda item: item.received), contract)
    assert len(frames) == 59
    assert not [span for span in spans if span.fault]
    assert frames[0].observation.states['finger'].shape == (1,)


def test_a_topic_on_which_nobody_names_the_joints_is_said(tmp_path):
    def others(k, item):
        item.message = joints(START + k * SECOND // 50, ['x', 'y'], [0, 0])
        return item

    with pytest.raises(RecordingProblem, match=r"joints: no message on /joint_states names any of \['a', 'b'\]"):
        read(tmp_path, changed(demonstration(1.0), '/joint_states', others), DELTA_TEXT)


# ---- which topic is taken --------------------------------------------------------------------------------------

TWO_CAMERAS = DELTA_TEXT.replace(
    '  states:\n', '    - {name: wrist, topic: wrist/static/image, width: 32, height: 32, max_age: 0.3}\n  states:\n'
)


def renamed(items, **topics):
    for item in items:
        item.topic = topics.get(item.topic.lstrip('/').replace('/', '_'), item.topic)
    return items


def test_a_missing_camera_is_not_replaced_by_another_whose_topic_ends_alike(tmp_path):
    items = renamed(demonstration(1.0), static_image='/wrist/static/image')
    with pytest.raises(RecordingProblem, match="the topic 'static/image' is missing"):
        read(tmp_path, items, TWO_CAMERAS)


@pytest.mark.parametrize('namespace', ['', '/wrist'])
def test_what_another_stream_names_in_full_is_not_taken_through_a_namespace(tmp_path, namespace):
    contract = TWO_CAMERAS.replace('topic: wrist/static', 'topic: /wrist/static')
    items = renamed(demonstration(1.0), static_image='static/image')
    for item in items:
        item.topic = '/wrist/static/image' if item.topic == 'static/image' else namespace + item.topic
    with pytest.raises(RecordingProblem, match="the topic 'static/image' is missing"):
        read(tmp_path, items, contract)
    if not namespace:  # all else in full, so that one relative name is left
        for topic in ('joint_states', 'arm/twist', 'gripper/command'):
            contract = contract.replace(f'topic: {topic}', f'topic: /{topic}')
        with pytest.raises(RecordingProblem, match="the topic 'static/image' is missing"):
            read(tmp_path, items, contract)


@pytest.mark.parametrize('kind', ['stranger', 'absolute', 'state'])
def test_names_that_only_end_alike_are_others(tmp_path, kind):
    contract = DELTA_TEXT
    if kind == 'state':
        items = renamed(demonstration(1.0), joint_states='/right/joint_states')
        missing = 'joint_states'
    else:
        items = renamed(demonstration(1.0), static_image='/overhead/static/image')
        missing = 'static/image'
    if kind == 'absolute':
        contract = contract.replace('topic: static/image', 'topic: /static/image')
        for item in items:
            item.topic = item.topic if item.topic.startswith('/overhead') else '/overhead' + item.topic
        missing = '/static/image'
    near = '/right/joint_states' if kind == 'state' else '/overhead/static/image'
    with pytest.raises(RecordingProblem, match=f"the topic '{missing}' is missing; did you mean '{near}'"):
        read(tmp_path, items, contract)


def test_a_missing_topic_comes_with_the_way_out(tmp_path):
    items = renamed(demonstration(1.0), static_image='/camera')
    # The goal's topic is none to read a picture from.
    with pytest.raises(RecordingProblem, match=r'record it, or name in the contract one that nothing .*: /camera$'):
        read(tmp_path, items, DELTA_TEXT)
    other = '{name: other, topic: /camera, type: number, names: [n], unit: m, max_age: 1.0, stamps: reception}'
    text = DELTA_TEXT.replace('action:', f'    - {other}\naction:')
    with pytest.raises(RecordingProblem, match=r'all others .* are of other streams; record it, or take it out'):
        read(tmp_path, items, text)


def test_a_gripper_that_was_never_told_is_given_an_initial_value(tmp_path):
    items = [item for item in demonstration(1.0) if item.topic != '/gripper/command']
    with pytest.raises(RecordingProblem, match=r'if gripper was never commanded, .* \(gripper: initial: \[...\]\)'):
        read(tmp_path, items, DELTA_TEXT)
    contract = DELTA_TEXT.replace('  - name: gripper', '  - name: gripper\n    initial: [0.25]')
    frames, _, _ = read(tmp_path, items, contract)
    assert {frame.action[-1] for frame in frames} == {0.25}


def test_two_robots_in_one_bag_are_not_mixed(tmp_path):
    left = demonstration(1.0)
    for item in left:
        item.topic = '/left' + item.topic
    right = [item for item in demonstration(1.0) if item.topic == '/static/image']
    for item in right:
        item.topic = '/right' + item.topic
    both = sorted([*left, *right], key=lambda item: item.received)
    _, _, about = read(tmp_path, both, DELTA_TEXT)
    assert about.topics['static/image'] == '/left/static/image'
    without_left = [item for item in both if item.topic != '/left/static/image']
    with pytest.raises(RecordingProblem, match="the topic 'static/image' is missing"):
        read(tmp_path, without_left, DELTA_TEXT)


# ---- goals, marks, and names that mean something else ----------------------------------------------------------


@pytest.mark.parametrize('custom', [None, 'push the block'])
def test_a_goal_that_changes_midway_splits_whoever_recorded_it(tmp_path, custom):
    items = [*demonstration(3.0), Item('/goal', text('place it'), START + 1_510_000_000)]
    items.sort(key=lambda item: item.received)
    options = {'custom': episode(custom)} if custom else {}
    frames, _, _ = read(tmp_path, items, DELTA_TEXT, **options)
    assert [frame.goal for frame in frames].count('push the block') == 31
    assert frames[-1].goal == 'place it'
    frames, _, _ = read(tmp_path, items, DELTA_TEXT, goal='given', **options)
    assert {frame.goal for frame in frames} == {'given'}


@pytest.mark.parametrize(
    ('said', 'success'),
    [
        ([(0.0, True)], None),
        ([(0.0, True), (2.5, False)], False),
        ([(0.0, False), (0.6, False), (2.9, True)], True),
        ([(1.0, True)], True),
    ],
)
def test_only_what_was_said_after_the_start_is_about_this_episode(tmp_path, said, success):
    items = [Item('/success', flag(value), START + round(when * SECOND)) for when, value in said]
    items = sorted([*items, *demonstration(3.0)], key=lambda item: item.received)
    assert read(tmp_path, items, DELTA_TEXT, custom=episode())[2].success is success
    assert read(tmp_path, items, DELTA_TEXT)[2].success is success
    assert read(tmp_path, items, DELTA_TEXT, custom=episode(success=True))[2].success is True


@pytest.mark.parametrize('name', ['goal', 'intervention', 'joints', 'static'])
def test_an_action_group_may_have_any_name(tmp_path, name):
    frames, _, about = read(tmp_path, demonstration(2.0), DELTA_TEXT.replace('name: arm', f'name: {name}'))
    assert len(frames) == 39
    assert frames[5].action[0] == pytest.approx(0.005)
    assert len(about.health) == 4, 'a row of its own in the report'


# ---- groups that are commanded late or never ------------------------------------------------------------------

INITIAL = DELTA_TEXT.replace(
    'kind: absolute\n    dimensions:\n      - {name: grip',
    'kind: absolute\n    initial: [1]\n    dimensions:\n      - {name: grip',
)


def test_frames_before_the_first_gripper_command_are_counted(tmp_path):
    _, spans, _ = read(tmp_path, without(demonstration(3.0), '/gripper/command', 0.0, 2.0), DELTA_TEXT)
    lost = [span for span in spans if span.reason == 'gripper: before its first command']
    assert sum(span.stop - span.start for span in lost) == 2 * SECOND


def test_an_initial_value_keeps_them(tmp_path):
    frames, _, _ = read(tmp_path, without(demonstration(3.0), '/gripper/command', 0.0, 1.1), INITIAL)
    assert len(frames) == 59
    assert [frames[k].action[3] for k in (0, 20, 30)] == [1, 1, -1]
    never = [item for item in demonstration(3.0) if item.topic != '/gripper/command']
    frames, _, about = read(tmp_path, never, INITIAL)
    assert {frame.action[3] for frame in frames} == {1.0}
    assert 'gripper was never commanded; its initial action' in about.notes[0]


def test_a_group_with_feedback_stays_where_it_is_until_it_is_commanded(tmp_path):
    contract = ARM_TEXT
    late = without(arm(3.0, still=True), '/arm/trajectory', 0.0, 1.0)
    frames, _, _ = read(tmp_path, late, contract)
    assert len(frames) == 59
    assert frames[10].action[:2].tolist() == [0.0, 0.0]
    moving = without(arm(3.0), '/arm/trajectory', 0.0, 2.0)
    _, spans, _ = read(tmp_path, moving, contract)
    assert any('it moves, and no command for it' in span.reason and span.fault for span in spans)


# ---- clocks ----------------------------------------------------------------------------------------------------


def shifted(items, topic, seconds):
    """The stamps of a topic by another clock."""

    def stamp(k, item):
        stamp = item.message.header.stamp
        time = stamp.sec * SECOND + stamp.nanosec + round(seconds * SECOND)
        item.message.header = header(time)
        return item

    return changed(items, topic, stamp)


def stampless(items):
    """Commands without stamps."""
    return changed(items, '/arm/twist', lambda k, item: setattr(item.message, 'header', header(0)) or item)


@pytest.mark.parametrize('seconds', [-5.1, -3.0, -1.0, -0.3, 0.3, 1.0, 4.9, 3600.0])
def test_commands_meet_their_observations_whatever_the_recorders_clock_is(tmp_path, seconds):
    items = stampless(demonstration(3.0))
    for topic in ('/static/image', '/joint_states'):
        items = shifted(items, topic, seconds)
    frames, _, about = read(tmp_path, items, DELTA_TEXT)
    assert len(frames) >= 57
    for frame in frames:
        k = round((frame.observation.stamp - START) / SECOND * 20 - seconds * 20)
        assert frame.action[0] == pytest.approx(0.001 * (k % 20)), k
    assert ('all stamps are' in ''.join(about.notes)) == (abs(seconds) > 0.2)


def test_after_a_clock_was_set_back_in_the_middle_commands_still_meet_their_observations(tmp_path):
    items = stampless(demonstration(6.0))
    for item in items:
        if item.topic in ('/static/image', '/joint_states') and item.received > START + 3 * SECOND:
            stamp = item.message.header.stamp
            item.message.header = header(stamp.sec * SECOND + stamp.nanosec - 2 * SECOND)
    frames, spans, _ = read(tmp_path, items, DELTA_TEXT)
    assert any('its stamps run backwards by' in span.reason for span in spans)
    assert len(frames) > 105
    stamps = [frame.observation.stamp for frame in frames]
    numbers = next(k for k in range(1, len(stamps)) if stamps[k] < stamps[k - 1])
    for part, shift in ((frames[:numbers], 0), (frames[numbers:], 40)):
        for frame in part[3:-3]:
            k = round((frame.observation.stamp - START) / SECOND * 20) + shift
            assert frame.action[0] == pytest.approx(0.001 * (k % 20)), k


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (-2.0, 'the stamps of static are of another clock: 2.00 s behind the others'),
        (0.5, 'the stamps of static are of another clock: 0.50 s ahead of the others'),
        (1000 - START / SECOND, 'the stamps of static are of another clock: 19676 days behind the others'),
    ],
)
def test_a_camera_with_a_clock_of_its_own_is_said_to_have_one(tmp_path, seconds, words):
    frames, spans, _ = read(tmp_path, shifted(demonstration(3.0), '/static/image', seconds), DELTA_TEXT)
    assert not frames
    (span,) = [span for span in spans if span.fault]
    assert span.reason.startswith(words)
    assert 2.5 < (span.stop - span.start) / SECOND < 3.5


def test_pictures_stamped_after_they_came_are_said_to_be(tmp_path):
    frames, _, about = read(tmp_path, shifted(demonstration(3.0), '/static/image', 0.104), DELTA_TEXT)
    assert len(frames) > 50
    assert 'the stamps of static are 0.10 s ahead of when its messages came' in about.notes[0]


@pytest.mark.parametrize('topic', ['/static/image', '/joint_states'])
def test_a_stream_that_is_late_within_its_limit_is_noted(tmp_path, topic):
    frames, _, about = read(tmp_path, shifted(demonstration(3.0), topic, -0.12), DELTA_TEXT)
    assert len(frames) > 50
    (note,) = about.notes
    name = 'static' if 'image' in topic else 'joints'
    assert f'the stamps of {name} are 0.12 s old when its messages come' in note


def test_a_clock_that_is_set_by_little_in_the_middle_is_noted(tmp_path):
    items = demonstration(5.0)
    for item in items:
        if item.topic == '/static/image' and item.received > START + 3 * SECOND:
            stamp = item.message.header.stamp
            item.message.header = header(stamp.sec * SECOND + stamp.nanosec - SECOND // 10)
    frames, _, about = read(tmp_path, items, DELTA_TEXT)
    assert len(frames) > 90
    (note,) = about.notes
    assert 'the stamps of static moved by 0.10 s against those of the others' in note


@pytest.mark.parametrize(
    ('stamp', 'words'),
    [
        (
            lambda k: START + 50 * SECOND // 50 if k > 50 else START + k * SECOND // 50,
            'it speaks, and its stamps stand still until the end',
        ),
        (lambda k: 0 if k > 50 else START + k * SECOND // 50, 'its stamps are zero until the end'),
        (
            lambda k: START + SECOND if 50 < k < 90 else START + k * SECOND // 50,
            'it speaks, and its stamps stand still for 0.80 s',
        ),
        (lambda k: 0 if 50 < k < 90 else START + k * SECOND // 50, 'its stamps are zero for 0.80 s'),
        (lambda k: None if k > 50 else START + k * SECOND // 50, 'silent until the end'),
    ],
)
def test_stamps_that_end_although_messages_come_are_called_that(tmp_path, stamp, words):
    items = changed(demonstration(3.0), '/joint_states', lambda k, item: stamped(item, stamp(k)))
    frames, spans, _ = read(tmp_path, items, DELTA_TEXT)
    assert len(frames) >= 19
    assert any(f'joints: {words}' in span.reason and span.fault for span in spans)


def test_a_stream_whose_clock_is_set_back_in_the_middle_loses_the_time_after_it_and_not_before(tmp_path):
    items = demonstration(6.0)
    for item in items:
        if item.topic == '/joint_states' and item.received > START + 3 * SECOND:
            stamp = item.message.header.stamp
            item.message.header = header(stamp.sec * SECOND + stamp.nanosec - SECOND)
    frames, spans, about = read(tmp_path, items, DELTA_TEXT)
    assert 55 < len(frames) < 62
    faults = [((span.start - about.start) / SECOND, (span.stop - about.start) / SECOND) for span in spans if span.fault]
    assert faults == [(pytest.approx(3.0, abs=0.1), pytest.approx(each, abs=0.1)) for each in (3.0, 6.0)]


def stamped(item, time):
    """None for no message."""
    if time is None:
        return None
    item.message.header = header(time)
    return item


def test_stamps_of_reception_where_the_contract_says_so(tmp_path):
    contract = DELTA_TEXT.replace('height: 32, max_age', 'height: 32, stamps: reception, max_age')
    items = shifted(demonstration(3.0), '/static/image', 1000 - START / SECOND)
    frames, spans, _ = read(tmp_path, items, contract)
    assert not [span for span in spans if span.fault]
    assert len(frames) >= 58
    assert (frames[10].observation.images['static'] == picture(10)).all()


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (-7.0, '7.00 s before they came'),
        (-0.15, '0.15 s before they came'),
        (0.15, '0.15 s ahead of'),
        (1.0, '1.00 s ahead'),
    ],
)
def test_a_stamped_command_of_another_clock_counts_by_its_reception(tmp_path, seconds, words):
    frames, _, about = read(tmp_path, shifted(demonstration(3.0), '/arm/twist', seconds), DELTA_TEXT)
    assert len(frames) >= 57
    for k, frame in enumerate(frames):
        assert frame.action[0] == pytest.approx(0.001 * (k % 20))
    (note,) = [note for note in about.notes if 'commands of arm are stamped by another clock' in note]
    assert words in note


def test_plans_that_are_replaced_before_their_start_are_of_another_clock(tmp_path):
    """One that is not is for later: its robot waits."""
    items = arm(4.0, commanded=False)
    for k in range(80):
        sent = START + k * SECOND // 20 + 8_000_000
        points = [([k / 100, 0], [], 0.05), ([k / 100 + 0.03, 0], [], 0.2)]
        items.append(Item('/arm/trajectory', trajectory('ab', points, stamp=sent + SECOND), sent))
    frames, _, about = read(tmp_path, sorted(items, key=lambda item: item.received), ARM_TEXT)
    assert len(frames) >= 77
    for k, frame in enumerate(frames[2:], 2):
        assert frame.action[0] == pytest.approx(k / 100, abs=1e-6)
    assert any('stamped by another clock than the streams (1.00 s ahead of when they came)' in n for n in about.notes)


def test_a_command_that_came_late_alone_keeps_its_stamp(tmp_path):
    items = shifted(demonstration(3.0), '/arm/twist', 0.0)
    late = [item for item in items if item.topic == '/arm/twist'][30]
    late.received += 180_000_000
    frames, _, about = read(tmp_path, sorted(items, key=lambda item: item.received), DELTA_TEXT)
    for k, frame in enumerate(frames):
        assert frame.action[0] == pytest.approx(0.001 * (k % 20))
    assert not about.notes


# ---- one sign, one encoding ------------------------------------------------------------------------------------


HAND = '    - {name: hand, topic: pose, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 0.2}\n'
HAND_TEXT = DELTA_TEXT.replace('action:', HAND + 'action:')


def hand(k, qy, qw):
    """The k-th pose at 50 Hz."""
    kinds = [TYPES.types[f'geometry_msgs/msg/{name}'] for name in ('PoseStamped', 'Pose', 'Point', 'Quaternion')]
    stamped, pose, point, quaternion = kinds
    when = START + k * SECOND // 50
    made = pose(position=point(0.1, 0.2, 0.3), orientation=quaternion(0.0, qy, 0.0, qw))
    return Item('/pose', stamped(header=header(when), pose=made), when + 1_000_000)


def test_a_constant_pose_whose_driver_flips_the_sign_is_constant(tmp_path):
    items = demonstration(3.0)
    for k in range(150):
        sign = 1 if k // 30 % 2 == 0 else -1
        items.append(hand(k, sign * 0.6, sign * 0.8))
    frames, _, _ = read(tmp_path, sorted(items, key=lambda item: item.received), HAND_TEXT)
    assert np.std([frame.observation.states['hand'] for frame in frames], axis=0).max() < 1e-12


def test_a_hand_that_has_gone_once_around_begins_the_next_episode_as_it_began_the_first(tmp_path):
    items = [*demonstration(3.0), Item('/goal', text('turn back'), START + 2 * SECOND)]
    for k in range(150):
        half = np.pi * min(k / 75, 1.0)  # a turn in 1.5 s
        items.append(hand(k, np.sin(half + 0.2), np.cos(half + 0.2)))
    frames, _, _ = read(tmp_path, sorted(items, key=lambda item: item.received), HAND_TEXT)
    first, second = ([f for f in frames if (f.goal == 'turn back') is again] for again in (False, True))
    begun, ended, again = (f.observation.states['hand'] for f in (first[0], first[-1], second[0]))
    assert ended[3:] == pytest.approx(-begun[3:], abs=1e-6), 'within an episode it turns on'
    assert again[3:] == pytest.approx(begun[3:], abs=1e-6)
    assert np.ptp([f.observation.states['hand'] for f in second], axis=0).max() < 1e-12


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_depth_is_named(tmp_path, encoding):
    def depth(k, item):
        item.message = image(START + k * SECOND // 20, picture(k), encoding)
        return item

    _, spans, _ = read(tmp_path, changed(demonstration(1.0), '/static/image', depth), DELTA_TEXT)
    assert any(encoding in span.reason and span.fault for span in spans)


# ---- hand-guided: the next state is the action ----------------------------------------------------------------


def test_the_next_measured_state_as_the_action(tmp_path):
    contract = ARM_TEXT.replace('    feedback: joints\n', '    feedback: joints\n    from: state\n')
    frames, spans, _ = read(tmp_path, arm(commanded=False), contract)
    assert not [span for span in spans if span.fault]
    assert len(frames) >= 58
    for now, then in itertools.pairwise(frames):
        assert now.action[:2] == pytest.approx(then.observation.states['joints'])
    gap = without(arm(commanded=False), '/joint_states', 1.0, 1.5)
    frames, _, _ = read(tmp_path, gap, contract)
    for frame in frames:
        assert frame.action[0] - frame.observation.states['joints'][0] == pytest.approx(0.01, abs=0.011)
