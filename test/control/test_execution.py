"""Nothing is executed twice, nothing is left out, and nobody waits who need not: in ticks, without a clock."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.contracts import parse_contract
from support.thinking import STEP, Thinking

from mode_ros.control.delays import Delays
from mode_ros.control.seams import jerk, seam
from mode_ros.control.tick import Phase

TEXT = """
robot: counter
rate: 20.0
observation:
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.3}
action:
  - name: arm
    kind: KIND
    dimensions:
      - {name: x, unit: m, lower: -9.0, upper: 9.0}
      - {name: y, unit: m, lower: -9.0, upper: 9.0}
      - {name: z, unit: m, lower: -9.0, upper: 9.0}
    output: {adapter: ADAPTER, topic: arm/command}
"""
TARGETS = parse_contract(TEXT.replace('KIND', 'absolute').replace('ADAPTER', 'forward_command'), 'targets.yaml')
DISPLACEMENTS = parse_contract(
    TEXT.replace('KIND', 'delta').replace('ADAPTER, topic', 'twist, frame_id: b, topic'), 'd.yaml'
)
BOTH = pytest.mark.parametrize('contract', [TARGETS, DISPLACEMENTS], ids=['targets', 'displacements'])


@BOTH
@pytest.mark.parametrize('delay', [1, 2, 3, 4])
@pytest.mark.parametrize('lag', [0, 1])
def test_realtime_never_waits_where_the_chunk_is_long_enough(contract, delay, lag):
    bench = Thinking(contract, 'realtime', [delay], length=10, lag=lag).run(200)
    assert bench.executed == list(range(1, len(bench.executed) + 1))
    assert bench.held() == 0
    assert bench.refused == []
    assert bench.controller.execution.mode == 'realtime'


@BOTH
@given(
    delays=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    length=st.integers(2, 16),
    lag=st.integers(0, 3),
    actions=st.integers(0, 6),
)
# The next is asked for before the chunk that has come takes over, which ends before the old one.
@example([7], 16, 3, 0)
@settings(max_examples=40, deadline=None)
def test_whatever_comes_late_nothing_is_executed_twice_or_left_out(contract, delays, length, lag, actions):
    bench = Thinking(contract, 'realtime', delays, length, lag, actions).run(150)
    assert bench.executed == list(range(1, len(bench.executed) + 1))
    assert set(bench.refused) <= {'late', 'short'}
    assert bench.controller.execution.late == bench.refused.count('late')
    for stamp, plan in bench.plans:
        # What the policy is told of the past is what was commanded at the first tick at or after its observation.
        if plan.committed and stamp >= min(bench.issued):
            issued = bench.issued[min(now for now in bench.issued if now >= stamp)]
            # Before the first chunk nothing was sent to this robot, and it stood.
            assert np.isnan(issued) or plan.actions[0, 0] == pytest.approx(issued)


@BOTH
def test_the_chunk_is_asked_for_as_late_as_the_reserve_allows(contract):
    bench = Thinking(contract, 'realtime', [3], length=12).run(120)
    moving = [request for request in bench.requests if request.not_before is None]
    assert {request.reserved for request in moving} == {3}
    asked = np.diff([request.stamp for request in moving]) // contract.period
    assert set(asked[2:]) == {12 - 3 - 1}, 'a period of margin'


def test_the_reserve_is_a_high_percentile_without_the_warm_up():
    delays = Delays()
    assert delays.reserve is None
    delays.add(40)
    assert delays.reserve == 40, 'better than nothing'
    for periods in [2] * 18 + [5]:
        delays.add(periods)
    assert delays.reserve == 5
    for periods in [2] * 50:
        delays.add(periods)
    assert delays.reserve == 2
    assert (delays.of(50), delays.of(95)) == (2, 2)


def test_a_late_chunk_is_dropped_and_the_robot_plans_anew_from_rest():
    bench = Thinking(TARGETS, 'realtime', [2, 2, 2, 9, 2]).run(120)
    assert bench.refused == ['late']
    assert bench.controller.execution.late == 1
    assert bench.held() > 0
    assert bench.held(since=80) == 0, 'and goes on as before'
    assert {request.reserved for request in bench.requests} == {0, 2}, 'one in five would not be worth reserving nine'


def test_a_chunk_long_enough_is_reserved_what_the_slowest_of_late_took():
    bench = Thinking(TARGETS, 'realtime', [2, 2, 2, 9, 2], length=40).run(250)
    assert bench.refused == ['late']
    assert max(request.reserved for request in bench.requests) == 9


def test_chunks_too_short_to_overlap_are_played_one_by_one():
    bench = Thinking(TARGETS, 'realtime', [5], length=4).run(100)
    assert all(request.not_before is not None for request in bench.requests)
    assert bench.executed == list(range(1, len(bench.executed) + 1))


@BOTH
@pytest.mark.parametrize('first', [7, 40])
def test_a_first_delay_that_waited_for_the_policy_to_start_costs_no_wait(contract, first):
    bench = Thinking(contract, 'realtime', [first, 2], length=10).run(200)
    assert bench.executed == list(range(1, len(bench.executed) + 1))
    assert bench.held() == 0
    assert bench.refused == []


def test_one_that_was_as_long_as_all_that_follow_is_tried_once_and_delays_nothing():
    realtime = Thinking(TARGETS, 'realtime', [8], length=10).run(200)
    assert realtime.refused == ['late']
    assert realtime.executed == Thinking(TARGETS, 'synchronous', [8], length=10).run(200).executed


def test_a_little_less_than_twice_the_delay_holds_as_long_as_it_must_and_no_longer():
    length, delay = 9, 5
    bench = Thinking(TARGETS, 'realtime', [delay], length).run(300)
    assert bench.executed == list(range(1, len(bench.executed) + 1))
    assert bench.held() / len(bench.phases) == pytest.approx((2 * delay - length) / delay, abs=0.05)


def test_much_less_is_played_one_by_one_which_holds_less():
    length, delay = 8, 5
    share = {
        mode: Thinking(TARGETS, mode, [delay], length).run(300).held() / 300 for mode in ('realtime', 'synchronous')
    }
    assert share['realtime'] == share['synchronous']


def test_a_policy_that_does_not_continue_is_executed_synchronously():
    bench = Thinking(TARGETS, 'realtime', [3], continues=False)
    bench._actions = lambda plan: np.full((10, 3), 4.0) if plan.committed else np.full((10, 3), 0.2)
    bench.run(100)
    assert bench.refused == ['prefix']
    assert bench.controller.execution.mode == 'synchronous'
    assert bench.controller.chunks > 3


def test_synchronous_waits_at_the_end_of_every_chunk():
    bench = Thinking(DISPLACEMENTS, 'synchronous', [4]).run(141)
    assert bench.executed == list(range(1, len(bench.executed) + 1))
    assert bench.held() / len(bench.phases) == pytest.approx(4 / 14, abs=0.03)


def test_receding_plays_the_first_actions_of_each():
    bench = Thinking(TARGETS, 'receding', [2], actions=4).run(100)
    playing = ''.join('x' if phase is Phase.EXECUTING else '.' for phase in bench.phases)
    assert {part for part in playing.split('.') if part} - {playing.rsplit('.', 1)[1]} == {'xxxx'}


class Constant(Thinking):
    """Chunk after chunk, every action one number: 1, 2, 3, ..."""

    def _actions(self, plan):
        assert len(plan.actions) == 0, 'nothing is told'
        self.count += 1
        return np.full((self.length, 3), self.count * STEP)


def test_naive_switches_at_once():
    bench = Constant(TARGETS, 'naive', [3]).run(100)
    assert bench.held() == 0
    assert bench.executed[:10] == [1] * 9 + [2], 'asked for one period before the reserve makes it necessary'
    assert sorted(set(bench.executed)) == list(range(1, max(bench.executed) + 1))


def test_naive_takes_the_action_of_the_moment():
    class Clock(Thinking):
        def _actions(self, plan):
            # Each action says for which tick it is: the first at or after the observation, and so on.
            first = self.tick_number if self.requests[-1].not_before is None else self.tick_number + 3
            return np.tile(STEP * (first + np.arange(self.length))[:, None], (1, 3))

    bench = Clock(TARGETS, 'naive', [3]).run(60)
    numbers = [round(c / STEP) for c, p in zip(bench.commands, bench.phases, strict=True) if p is Phase.EXECUTING]
    assert numbers == list(range(3, 3 + len(numbers)))


def test_ensembling_averages_targets_and_never_displacements():
    for contract in (TARGETS, DISPLACEMENTS):
        bench = Constant(contract, 'ensemble', [2], length=8).run(60)
        values = [c / STEP for c, p in zip(bench.commands, bench.phases, strict=True) if p is Phase.EXECUTING]
        whole = [abs(value - round(value)) < 1e-9 for value in values]
        assert all(whole) == (contract is DISPLACEMENTS)
        assert bench.held() == 0
    # Two chunks that overlap: the older one weighs more.
    bench = Constant(TARGETS, 'ensemble', [2], length=8)
    values = [c / STEP for c in bench.run(12).commands]
    weights = np.exp(-0.1 * np.arange(2))
    assert values[10] == pytest.approx(np.average([1.0, 2.0], weights=weights)) or any(
        value == pytest.approx(np.average([1.0, 2.0], weights=weights)) for value in values
    )


def test_a_seam_is_what_jumps_where_chunks_meet():
    line = np.array([[0.1, 0, 0], [0.2, 0, 0], [0.3, 0, 0]])
    smooth = seam(TARGETS, line[0], line[1], None, line[2])
    assert (smooth.position, smooth.velocity) == pytest.approx((0.0, 0.0))
    jump = seam(TARGETS, line[0], line[1], line[2], line[2] + [0.3, 0.4, 0])
    assert (jump.position, jump.velocity) == pytest.approx((0.5, 10.0))
    step = seam(DISPLACEMENTS, line[0], line[0], line[0], line[1])
    assert (step.position, step.velocity) == pytest.approx((0.1, 2.0))


def test_jerk_is_the_third_derivative_of_position():
    t = np.arange(20) / 20.0
    commands = np.zeros((20, 3))
    commands[:, 1] = t**3
    assert jerk(TARGETS, commands) == pytest.approx(6.0)
    displacements = np.zeros((20, 3))
    displacements[:, 1] = np.diff(np.append(0.0, t**3))
    assert jerk(DISPLACEMENTS, displacements[3:]) == pytest.approx(6.0)
    assert jerk(TARGETS, commands[:3]) == 0.0
