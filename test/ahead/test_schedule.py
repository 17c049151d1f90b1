"""Which action belongs to which moment."""

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, parse_contract
from support.thinking import Thinking

from mode_ros.ahead.schedule import History, Schedule
from mode_ros.control.chunk import Chunk
from mode_ros.control.request import ChunkRequest
from mode_ros.control.tick import Phase

MS = 1_000_000
PERIOD = 50 * MS
NOW = 100_000 * MS


def chunk(identity, stamp, length=10):
    return Chunk(stamp, ('x',), tuple(range(length)), np.arange(float(length))[:, None], identity)


def moving(reserved=3, past=2):
    times = tuple(period * PERIOD for period in range(-past, reserved + 2))
    return ChunkRequest('a-1', NOW, None, reserved, times, np.zeros((len(times), 1)), PERIOD)


def test_a_chunk_from_rest_begins_when_it_comes():
    schedule = Schedule(PERIOD)
    schedule.request(ChunkRequest('a-1', NOW, NOW, period=PERIOD))
    schedule.chunk(chunk('a-1', NOW), NOW + 200 * MS)
    ahead, decided = schedule.planned.ahead(NOW + 200 * MS)
    assert (len(ahead), decided) == (10, 0)
    ahead, _ = schedule.planned.ahead(NOW + 200 * MS + 3 * PERIOD + 1)
    assert ahead[:, 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert len(schedule.planned.ahead(NOW + 2000 * MS)[0]) == 0


def test_a_chunk_in_motion_goes_on_from_what_was_decided():
    schedule = Schedule(PERIOD)
    schedule.request(moving())
    # Observed a period before it was asked: action 0 is the command of then, and four are decided.
    schedule.chunk(chunk('a-1', NOW - PERIOD), NOW + 2 * PERIOD)
    assert schedule.planned.first == NOW - PERIOD
    ahead, decided = schedule.planned.ahead(NOW + 2 * PERIOD)
    assert (ahead[0, 0], decided) == (3.0, 1)


@pytest.mark.parametrize(
    ('identity', 'come', 'drawn'), [('a-1', 3, True), ('a-1', 4, True), ('a-1', 5, False), ('b-7', 2, False)]
)
def test_what_the_controller_will_not_play_is_not_shown(identity, come, drawn):
    schedule = Schedule(PERIOD)
    schedule.request(moving())
    schedule.chunk(chunk(identity, NOW), NOW + come * PERIOD)
    assert (schedule.planned is not None) == drawn
    schedule.clear()
    assert schedule.planned is None


def test_a_switch_at_once_is_dated_by_its_observation():
    schedule = Schedule(PERIOD)
    schedule.request(ChunkRequest('a-1', NOW, None, period=PERIOD, delay=20 * MS))
    schedule.chunk(chunk('a-1', NOW - 10 * MS), NOW + 100 * MS)
    assert schedule.planned.first == NOW + 10 * MS


@pytest.mark.parametrize('text', [ABSOLUTE_TEXT, DELTA_TEXT], ids=['targets', 'displacements'])
def test_it_says_beforehand_what_the_controller_then_commands(text):
    contract = parse_contract(text.replace('0.04', '9.0'), 'c.yaml')
    schedule = Schedule(contract.period)
    foretold = []

    class Watched(Thinking):
        def _period(self):
            before = self._coming
            super()._period()
            if before is not None and self._coming is not before and not self.refused:
                schedule.chunk(before[1], self.now - contract.period)
            for request in self.requests[-2:]:
                schedule.request(request)
            if schedule.planned is not None:
                ahead, _ = schedule.planned.ahead(self.now)
                foretold.append((len(self.commands), ahead[0, 0] if len(ahead) else np.nan))

    bench = Watched(contract, 'realtime', [3], length=12).run(100)
    compared = [
        (bench.commands[tick], value)
        for tick, value in foretold
        if tick < len(bench.commands) and bench.phases[tick] is Phase.EXECUTING and np.isfinite(value)
    ]
    assert len(compared) > 60
    for commanded, value in compared:
        assert value == pytest.approx(commanded)


def test_the_past_is_kept_for_a_while_and_forgotten_with_the_clock():
    history = History(3, 1000)
    history.add(0, slice(0, 2), np.array([1.0, 2.0]))
    history.add(600, slice(2, 3), np.array([3.0]))
    times, rows = history.since(0)
    assert times.tolist() == [0, 600]
    assert np.isnan(rows[0, 2])
    assert rows[1].tolist() == [1.0, 2.0, 3.0]
    history.add(1100, slice(0, 2), np.array([4.0, 5.0]))
    assert history.since(0)[0].tolist() == [600, 1100]
    history.add(5, slice(0, 2), np.array([6.0, 7.0]))
    assert history.since(0)[0].tolist() == [5]
    assert history.since(6)[1].shape == (0, 3)
