"""Two drivers of the same joints, in a recording that says nothing of how many published."""

import numpy as np
import pytest
from support.bags import START, Item, demonstration, joints, write_bag
from support.contracts import DELTA_TEXT, absolute_contract, delta_contract

from mode_ros.checks.two_sources import Alternation, commander_findings, publisher_findings
from mode_ros.control.contract import parse_contract
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.recordings import About


def said(values, contract=None, rate=50, stamps=None):
    contract = contract or delta_contract()
    watch = Alternation(contract, contract.state('joints'))
    for k, each in enumerate(values):
        watch.add(START + round(k * 1e9 / rate) if stamps is None else stamps[k], np.asarray(each, float))
    return [finding.text for finding in watch.findings('/joint_states')]


def swing(count, size=0.5):
    t = np.arange(count) / 50
    return np.stack([size * np.sin(3 * t), size * np.cos(2 * t)], axis=1)


def mixed(one, other, order):
    return [(one if first else other)[k // 2] for k, first in enumerate(order)]


@pytest.mark.parametrize('order', ['alternating', 'random', 'twice each', 'three to one'])
@pytest.mark.parametrize('size', [0.0, 0.5])
def test_two_sources_are_named_however_they_take_turns(order, size):
    count = 200
    first = {
        'alternating': np.arange(count) % 2 == 0,
        'random': np.random.default_rng(0).random(count) < 0.5,
        'twice each': np.arange(count) % 4 < 2,
        'three to one': np.arange(count) % 4 < 3,
    }[order]
    (text,) = said(mixed(swing(count, size), swing(count, size) + [0.0, 0.3], first))
    assert 'joints: two sources on /joint_states disagree: in ' in text
    assert 'of the messages b jumps by up to 0.3' in text or 'b jumps by up to 0.4' in text


@pytest.mark.parametrize('size', [0.0, 0.5])
@pytest.mark.parametrize('rarer', [4.3, 5, 10, 37.1])
def test_a_second_source_that_is_rarer_is_told_by_its_time(rarer, size):
    stamps, others = np.arange(400) / 50, np.arange(0.013, 7.9, rarer / 50)
    values = [*swing(400, size), *(swing(400, size)[(50 * others).astype(int)] + [0.0, 0.3])]
    times = np.concatenate([stamps, others])
    order = np.argsort(times)
    jitter = np.random.default_rng(2).normal(0, 1e-3, len(times))
    at = [START + round(1e9 * each) for each in (times + jitter)[order]]
    (text,) = said([values[k] for k in order], stamps=at)
    assert 'two sources on /joint_states disagree: ' in text
    assert 'times, between two messages that are a period apart, b jumps by up to 0.3' in text


@pytest.mark.parametrize('every', [5, 6, 10, 40])
@pytest.mark.parametrize('times', ['even', 'jitter', 'bursts', 'gaps'])
def test_glitches_in_the_place_of_messages_are_no_second_source(every, times):
    count, generator = 800, np.random.default_rng(3)
    values = swing(count) + np.where(np.arange(count) % every == 0, 1, 0)[:, None] * [0.0, 0.3]
    steps = {
        'even': np.full(count, 0.02),
        'jitter': generator.uniform(0.012, 0.028, count),
        'bursts': np.where(np.arange(count) % 2, 0.0002, 0.0398),
        'gaps': np.where(generator.random(count) < 0.2, 0.15, 0.02),
    }[times]
    assert said(values, stamps=[START + round(1e9 * each) for each in np.cumsum(steps)]) == []


@pytest.mark.parametrize(
    'values',
    [
        swing(400),
        swing(400, 3.0),  # fast
        swing(400) + np.random.default_rng(1).normal(0, 2e-3, (400, 2)),  # noisy
        np.sign(np.sin(np.arange(400) / 7))[:, None] * [1.0, 0.2],  # jumps now and then
        np.repeat(swing(100, 2.0), 4, axis=0),  # a driver that repeats itself
        np.where(np.arange(400)[:, None] % 40 == 0, 9.0, swing(400)),  # glitches
        mixed(swing(200), swing(200), np.arange(200) % 2 == 0),  # two that agree
        swing(400) + np.where(np.arange(400) < 300, 0, (-1) ** np.arange(400))[:, None] * [0.2, 0],  # at the end
    ],
    ids=['slow', 'fast', 'noisy', 'steps', 'repeating', 'glitches', 'agreeing', 'chattering'],
)
def test_one_source_is_not_complained_of(values):
    assert said(values) == []


def test_what_the_contract_lets_it_move_is_no_jump():
    jagged = [[0.0, 0.0], [0.0, 0.4]] * 100  # 0.4 from one message to the next and back
    assert said(jagged, absolute_contract())  # 50 Hz
    slow = absolute_contract()
    seconds = 0.45 / (slow.dimensions[0].max_step * slow.rate)
    assert said(jagged, slow, rate=1 / seconds) == []


def test_efforts_may_jump():
    text = DELTA_TEXT.replace('type: joint_state,', 'type: joint_state, field: effort,')
    assert said([[0.0, 0.0], [0.0, 9.0]] * 100, parse_contract(text, 'x')) == []


def test_a_recording_with_a_second_driver_says_so(tmp_path):
    items = demonstration(2.0)
    for k in range(100):
        stamp = START + k * 20_000_000 + 7_000_000
        items.append(Item('/joint_states', joints(stamp, ['b', 'a'], [k / 100 + 0.5, -k / 100]), stamp + 1_000_000))
    items.sort(key=lambda item: item.received)
    about = About()
    recording = BagRecording(write_bag(tmp_path / 'bag', items))
    list(recording.read(delta_contract(), 'a goal', about, lambda _: None))
    assert any('sources: joints: two sources on /joint_states disagree' in note for note in about.notes)


def test_publishers_that_were_counted_while_recording():
    state = delta_contract().state('joints')
    (found,) = publisher_findings([(state, '/joint_states', 2)])
    assert 'joints: 2 publishers were recorded on /joint_states, expected 1' in found.text
    both = state.model_copy(update={'publishers': 2})
    assert publisher_findings([(both, '/joint_states', 2), (state, '/joint_states', 0)]) == []


def test_several_that_command_are_counted_too():
    (found,) = commander_findings({'/arm/command': (['arm', 'gripper'], 2), '/other': (['other'], 1), '/a': (['a'], 0)})
    assert 'arm, gripper: 2 publishers were recorded on /arm/command, expected 1' in found.text


def test_a_bag_that_counted_two_commanders_says_so(tmp_path):
    about = About()
    recording = BagRecording(write_bag(tmp_path / 'bag', demonstration(2.0), publishers={'/arm/twist': 2}))
    heard = list(recording.read(delta_contract(), 'a goal', about, lambda _: None))
    assert heard
    (note,) = [note for note in about.notes if note.startswith('sources')]
    assert note.startswith('sources: arm: 2 publishers were recorded on /arm/twist, expected 1')
