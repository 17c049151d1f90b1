"""What a request tells of the past: what was sent, and when."""

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, VECTOR_TEXT, parse_contract
from support.thinking import Thinking

from mode_ros.control.chunk import make_chunk
from mode_ros.control.commanded import Commanded
from mode_ros.control.controller import Controller
from mode_ros.control.execution import ExecutionSettings

MS = 1_000_000
START = 100_000 * MS


def vector(value):
    return np.full(2, float(value))


def test_commands_are_dated_by_their_own_ticks():
    past = Commanded(10)
    for number, now in enumerate([0, 50, 180, 200]):
        past.add(now, vector(number))
    assert [time for time, _ in past.recent(3)] == [50, 180, 200]
    assert (past.before(3), past.before(4)) == (0, None)
    assert past.recent(0) == []


def test_a_clock_that_has_not_gone_on_gives_rising_times_all_the_same():
    past = Commanded(10)
    for now in [100, 100, 100, 150]:
        past.add(now, vector(0))
    assert [time for time, _ in past.recent(9)] == [100, 101, 102, 150]


def test_what_is_forgotten_is_remembered_to_have_been():
    past = Commanded(3)
    for number in range(3):
        past.add(number, vector(number))
    assert past.before(3) is None
    past.add(3, vector(3))
    assert past.before(3) == 0
    past.add(4, vector(np.nan))
    assert (len(past), past.before(3)) == (0, None), 'nothing was sent: it stood'


def test_only_the_last_is_corrected_and_only_by_numbers():
    past = Commanded(3)
    past.correct(vector(9))
    assert len(past) == 0
    past.add(0, vector(1))
    past.add(1, vector(2))
    past.correct(vector(5))
    past.correct(vector(np.nan))
    assert [command[0] for _, command in past.recent(2)] == [1.0, 5.0]


@pytest.mark.parametrize('text', [ABSOLUTE_TEXT, DELTA_TEXT], ids=['targets', 'displacements'])
def test_after_missed_and_late_ticks_the_policy_continues_what_was_really_commanded(text):
    for old, new in {'max_age: 0.3': 'max_age: 0.9', 'max_age: 0.2': 'max_age: 0.9', '0.04': '9.0'}.items():
        text = text.replace(old, new)
    contract = parse_contract(text, 'c.yaml')
    chance = np.random.default_rng(0)

    class Irregular(Thinking):
        def _period(self):
            super()._period()
            self.now += int(chance.choice([0, 0, 0, 1, 3]) * contract.period)  # ticks that did not come
            self.now += int(chance.integers(0, 20 * MS))

    bench = Irregular(contract, 'realtime', [3], length=12, lag=1).run(200)
    checked = 0
    for request in bench.requests:
        for time, action in zip(request.times, request.actions, strict=True):
            if time <= 0:
                assert bench.issued[request.stamp + time] == pytest.approx(action[0])
                checked += 1
    assert checked > 50
    assert bench.executed == list(range(1, len(bench.executed) + 1)), 'nothing twice, nothing left out'


@pytest.mark.parametrize(
    ('text', 'stream', 'row'),
    [
        (ABSOLUTE_TEXT, 'joints', [0.4, 0.3]),
        (
            DELTA_TEXT.replace('name: x, unit: m,', 'name: x, unit: m, max_step_change: 0.01,'),
            'joints',
            [0.04, 0, 0, 1],
        ),
        (VECTOR_TEXT, 'hand', [0.09, 0.05, 0.08, 0.6, 0.4, 0.2]),
    ],
    ids=['targets', 'displacements', 'poses'],
)
def test_between_actions_and_commands_the_request_tells_what_was_sent(text, stream, row):
    text = text.replace('rate: 10.0', 'rate: 10.0\ncontrol_rate: 50.0').replace(
        'rate: 20.0', 'rate: 20.0\ncontrol_rate: 100.0'
    )
    contract = parse_contract(text, 'c.yaml')
    controller = Controller(contract, 10.0, execution=ExecutionSettings('realtime'))
    controller.activate(START)
    step = round(contract.command_seconds * 1e9)
    sent, requests = [], []
    now = START
    for number in range(200 * contract.commands_per_action):
        for state in contract.observation.states:
            values = np.zeros(len(state.names)) + 1e-9 * (number % 3)
            if state.type == 'pose':
                values[6] = 1.0
            if state.name == stream and sent and contract.action[0].kind == 'absolute':
                place = sent[-1][: len(values)]
                values = place[::-1] if state.type == 'joint_state' else np.append(place[:3], [0, 0, 0, 1.0])
            controller.measure(state.name, now, values)
        tick = controller.tick(now)
        parts = [tick.commands.get(group.name, np.full(len(group.dimensions), np.nan)) for group in contract.action]
        sent.append(np.concatenate(parts))
        if tick.request is not None and (not requests or tick.request.identity != requests[-1][1].identity):
            requests.append((number, tick.request))
            rows = np.tile(row, (12, 1)) * (1.0 if len(requests) % 2 else 0.8)
            known = tick.request.actions[np.array(tick.request.times, int) >= 0]
            decided = min(tick.request.reserved, len(known))
            rows[:decided] = known[:decided]
            controller.accept(make_chunk(contract, now, rows, tick.request.identity), now)
        now += step
    per, delta = contract.commands_per_action, contract.delta_mask
    compared = 0
    for number, request in requests:
        past = [action for time, action in zip(request.times, request.actions, strict=True) if time < 0]
        for back, action in enumerate(reversed(past), start=1):
            begin = number - back * per
            period = np.array(sent[begin : begin + per])
            came = np.where(delta, period.sum(axis=0), period[-1])
            assert action == pytest.approx(came, abs=1e-9, nan_ok=True)
            compared += 1
    assert compared > 20
