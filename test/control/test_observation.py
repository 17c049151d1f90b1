"""Alignment by stamp, freshness of each stream by itself, and lazy decoding."""

import numpy as np
import pytest
from support.contracts import DELTA_TEXT, delta_contract

from mode_ros.control.contract import parse_contract
from mode_ros.control.observation import ObservationBuffer, ObservationUnavailable, StreamHistory, Unusable

MS = 1_000_000


def image(value):
    return np.full((32, 32, 3), value, np.uint8)


def push(buffer, stream, milliseconds, value):
    content = image(value) if stream == 'static' else np.array([value, -value], float)
    buffer.push(stream, milliseconds * MS, lambda: content)


def test_observation_is_of_the_slowest_streams_time():
    buffer = ObservationBuffer(delta_contract())
    push(buffer, 'static', 100, 1)
    for milliseconds in range(50, 180, 10):
        push(buffer, 'joints', milliseconds, milliseconds)
    observation = buffer.latest(now=180 * MS)
    assert observation.stamp == 100 * MS
    assert observation.images['static'][0, 0, 0] == 1
    assert observation.states['joints'].tolist() == [100, -100]


def test_between_samples_the_earlier_one_counts():
    buffer = ObservationBuffer(delta_contract())
    push(buffer, 'static', 107, 7)
    push(buffer, 'joints', 100, 100)
    push(buffer, 'joints', 110, 110)
    observation = buffer.latest(now=120 * MS)
    assert observation.stamp == 107 * MS
    assert observation.states['joints'][0] == 100


def test_a_live_stream_does_not_hide_a_dead_one():
    buffer = ObservationBuffer(delta_contract())
    push(buffer, 'joints', 100, 1)
    for milliseconds in range(100, 500, 50):
        push(buffer, 'static', milliseconds, 1)
    with pytest.raises(ObservationUnavailable) as caught:
        buffer.latest(now=500 * MS)
    assert 'joints: last message 0.40 s ago (limit 0.20 s)' in str(caught.value)
    assert 'static' not in str(caught.value)


def test_every_silent_stream_is_named():
    with pytest.raises(ObservationUnavailable) as caught:
        ObservationBuffer(delta_contract()).latest(now=0)
    assert str(caught.value) == 'static: no message yet; joints: no message yet'


def test_a_sample_too_old_for_the_observation_is_named():
    buffer = ObservationBuffer(delta_contract())
    push(buffer, 'static', 1000, 1)
    push(buffer, 'joints', 790, 1)
    with pytest.raises(ObservationUnavailable, match=r'joints: its last sample is 0\.21 s older'):
        buffer.at(1000 * MS)


def test_a_stamp_from_another_clock_is_said():
    buffer = ObservationBuffer(delta_contract())
    push(buffer, 'static', 100_000, 1)
    push(buffer, 'joints', 1_000, 1)
    with pytest.raises(ObservationUnavailable, match=r'static: last message stamped 99\.00 s ahead of the clock'):
        buffer.latest(now=1_000 * MS)


def test_an_unusable_message_counts_as_missing_until_the_next():
    def broken():
        raise Unusable('the encoding 16UC1 cannot be converted')

    buffer = ObservationBuffer(delta_contract())
    push(buffer, 'joints', 100, 1)
    buffer.push('static', 100 * MS, broken)
    with pytest.raises(ObservationUnavailable, match='static: the encoding 16UC1'):
        buffer.latest(now=100 * MS)
    push(buffer, 'static', 101, 3)
    push(buffer, 'joints', 101, 1)
    assert buffer.latest(now=101 * MS).images['static'][0, 0, 0] == 3


def test_decodes_only_what_is_asked_for_and_once():
    decoded = []
    history = StreamHistory(keep=1000 * MS)
    for stamp in (1, 2, 3):
        history.push(stamp, lambda stamp=stamp: decoded.append(stamp) or stamp)
    assert history.at(2) == (2, 2)
    assert history.at(2) == (2, 2)
    assert decoded == [2]


def test_reordered_and_repeated_stamps():
    history = StreamHistory(keep=1000)
    for stamp, value in ((10, 'a'), (30, 'c'), (20, 'b'), (30, 'd')):
        history.push(stamp, lambda value=value: value)
    assert history.newest == 30
    assert [history.at(stamp) for stamp in (9, 10, 25, 30)] == [None, (10, 'a'), (20, 'b'), (30, 'd')]


def test_history_is_bounded():
    history = StreamHistory(keep=50)
    for stamp in range(0, 1000, 10):
        history.push(stamp, lambda: 0)
    assert history.at(939) is None
    assert history.at(940) == (940, 0)


def test_clear_forgets():
    buffer = ObservationBuffer(delta_contract())
    push(buffer, 'static', 100, 1)
    push(buffer, 'joints', 100, 1)
    buffer.clear()
    assert buffer.latest_common_stamp() is None


def test_what_is_forgotten_changes_no_later_observation():
    kept, pruned = ObservationBuffer(delta_contract()), ObservationBuffer(delta_contract())
    for buffer in (kept, pruned):
        for milliseconds in range(0, 300, 20):
            push(buffer, 'static', milliseconds, milliseconds // 4)
            push(buffer, 'joints', milliseconds, milliseconds)
    pruned.forget_before(150 * MS)
    for at in (150, 160, 199, 280):
        assert pruned.at(at * MS).states['joints'].tolist() == kept.at(at * MS).states['joints'].tolist()
        assert (pruned.at(at * MS).images['static'] == kept.at(at * MS).images['static']).all()
    with pytest.raises(ObservationUnavailable, match='nothing at or before'):
        pruned.at(139 * MS)


def test_one_message_stamped_an_hour_ahead_does_not_silence_its_stream():
    buffer = ObservationBuffer(delta_contract())

    def come(milliseconds, stream='joints', stamp=None):
        content = image(1) if stream == 'static' else np.array([milliseconds, 0.0])
        buffer.push(stream, (stamp or milliseconds) * MS, lambda: content, milliseconds * MS)

    come(100, 'static')
    come(100)
    come(105, stamp=3_600_105)
    assert buffer.latest(now=106 * MS).states['joints'][0] == 100
    come(120)
    come(120, 'static')
    assert buffer.latest(now=121 * MS).states['joints'][0] == 120


def test_a_stream_that_is_always_ahead_of_the_clock_is_said_to_be():
    buffer = ObservationBuffer(delta_contract())
    for k in range(10):
        buffer.push('static', (k + 5000) * MS, lambda: image(1), k * MS)
        push(buffer, 'joints', k, k)
    with pytest.raises(ObservationUnavailable, match=r'static: last message stamped 5\.00 s ahead of the clock'):
        buffer.latest(now=9 * MS)


def hand_buffer():
    from mode_ros.robots import load_named_contract

    contract = load_named_contract('metaworld_sawyer')[0]
    observation = contract.observation.model_copy(update={'cameras': (), 'states': (contract.state('end_effector'),)})
    return ObservationBuffer(contract.model_copy(update={'observation': observation}))


def test_a_quaternion_keeps_its_sign():
    buffer, seen = hand_buffer(), []
    for k in range(8):
        sign = 1 if k % 3 else -1
        pose = np.array([0.1, 0.2, 0.3, 0.0, sign * 0.6, 0.0, sign * 0.8])
        buffer.push('end_effector', k * 50 * MS, lambda pose=pose: pose)
        seen.append(buffer.latest(now=k * 50 * MS).states['end_effector'])
    assert (np.array(seen) == seen[0]).all()


@pytest.mark.parametrize('turn', [100, 200, 300, 540])
@pytest.mark.parametrize('pruned', [False, True])
def test_a_quaternions_sign_follows_the_messages_that_no_observation_holds(turn, pruned):
    def broken():
        raise Unusable('its orientation has the length 0, not 1')

    buffers = hand_buffer(), hand_buffer()  # one is asked for every message, as a converter may, and one twice
    seen = ([], [])
    for k in range(201):
        half = np.radians(turn) * k / 400
        pose = np.array([0.1, 0.2, 0.3, 0.0, np.sin(half), 0.0, np.cos(half)])
        pose[3:] *= np.sign(pose[6]) or 1.0  # as many drivers give it
        for each, (buffer, found) in enumerate(zip(buffers, seen, strict=True)):
            buffer.push('end_effector', k * 10 * MS, lambda pose=pose: pose)
            if each == 0 or k in (0, 200):
                found.append(buffer.latest(now=k * 10 * MS).states['end_effector'])
            buffer.push('end_effector', (k * 10 + 1) * MS, broken)
            if pruned:
                buffer.forget_before(k * 10 * MS)
    assert np.abs(np.diff(seen[0], axis=0)).max() < 0.05
    assert (seen[1] == np.array(seen[0])[[0, -1]]).all()


def test_a_delayed_camera_is_paired_with_the_state_of_what_it_shows():
    contract = parse_contract(DELTA_TEXT.replace('max_age: 0.3', 'max_age: 0.3, delay: 0.05'), 'late.yaml')
    buffer = ObservationBuffer(contract)
    push(buffer, 'static', 150, 1)
    for milliseconds in range(50, 180, 10):
        push(buffer, 'joints', milliseconds, milliseconds)
    observation = buffer.latest(now=400 * MS - 30 * MS)
    assert observation.stamp == 100 * MS
    assert observation.states['joints'][0] == 100
    with pytest.raises(ObservationUnavailable, match=r'static: last message 0\.31 s ago'):
        buffer.latest(now=460 * MS)  # by its stamp: what a stream's own clock tells


def test_a_delay_beyond_the_freshness_of_the_other_streams_leaves_them_their_samples():
    text = DELTA_TEXT.replace('max_age: 0.3', 'max_age: 0.3, delay: 0.5')
    contract = parse_contract(text, 'later.yaml')
    assert 2 * contract.state('joints').max_age < 0.5
    buffer = ObservationBuffer(contract)
    for milliseconds in range(0, 1000, 10):
        push(buffer, 'joints', milliseconds, milliseconds)
        if milliseconds % 50 == 0:
            push(buffer, 'static', milliseconds, 1)
    observation = buffer.latest(now=1000 * MS)
    assert observation.stamp == 450 * MS
    assert observation.states['joints'][0] == 450
