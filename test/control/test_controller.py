"""What the robot is told, period by period, on a clock that the test turns."""

from dataclasses import replace

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, absolute_contract, delta_contract
from support.controller_bench import SECOND
from support.controller_bench import ControllerBench as Bench

from mode_ros.control.asking import RETRY_AFTER
from mode_ros.control.chunk import Chunk, ChunkRejected
from mode_ros.control.contract import parse_contract
from mode_ros.control.tick import Phase


def x_actions(values):
    return [[value, 0.0, 0.0, 0.0] for value in values]


def test_before_the_first_chunk_it_stands_still_and_asks():
    tick = Bench(delta_contract()).tick()
    assert tick.phase is Phase.WAITING
    assert tick.commands['arm'].tolist() == [0.0, 0.0, 0.0]
    assert 'gripper' not in tick.commands, 'nobody knows where the gripper is'
    assert tick.request.not_before == 100 * SECOND
    assert tick.request.times == (), 'nothing is decided while it stands'


def test_a_chunk_is_played_in_order_then_held_then_asked_for():
    bench = Bench(delta_contract())
    bench.tick()
    bench.controller.accept(bench.chunk(x_actions([0.01, 0.02, 0.03])), bench.now)
    ticks = [bench.tick() for _ in range(4)]
    assert [tick.commands['arm'][0] for tick in ticks] == [0.01, 0.02, 0.03, 0.0]
    assert [tick.phase for tick in ticks] == [Phase.EXECUTING] * 3 + [Phase.WAITING]
    assert [tick.request for tick in ticks[:3]] == [None] * 3
    # The last displacement lasts until the period after it begins: only what is seen from then on is at rest.
    assert ticks[3].request.not_before == bench.now - bench.contract.period
    assert ticks[3].commands['gripper'].tolist() == [0.0], 'a gripper keeps its last target'


def test_displacements_planned_before_the_last_motion_are_refused():
    bench = Bench(delta_contract())
    bench.tick()
    bench.controller.accept(bench.chunk(x_actions([0.01])), bench.now)
    planned_while_moving = bench.now
    bench.tick(2)
    with pytest.raises(ChunkRejected, match='moved since') as caught:
        bench.controller.accept(bench.chunk(x_actions([0.02]), planned_while_moving + 1), bench.now)
    assert caught.value.check == 'moved'
    assert bench.tick().commands['arm'][0] == 0.0


def test_displacements_are_never_skipped_however_late():
    bench = Bench(delta_contract())
    bench.tick()
    chunk = bench.chunk(x_actions([0.01, 0.02, 0.03]))
    bench.tick(10)
    bench.controller.accept(chunk, bench.now)
    bench.now += 3 * bench.contract.period  # ticks that were lost
    assert [bench.tick().commands['arm'][0] for _ in range(3)] == [0.01, 0.02, 0.03]


def test_targets_planned_before_the_last_motion_are_refused_too():
    bench = Bench(absolute_contract())
    bench.tick()
    bench.controller.accept(bench.chunk([[0.0, 0.1 * i] for i in range(3)]), bench.now)
    bench.tick(2)
    stamp = bench.now
    bench.tick(3)
    with pytest.raises(ChunkRejected, match='moved since') as caught:
        bench.controller.accept(bench.chunk([[0.0, 0.2]], stamp), bench.now)
    assert caught.value.check == 'moved'


def test_a_chunk_that_nobody_asked_for_is_refused():
    bench = Bench(absolute_contract())
    bench.tick()
    bench.controller.accept(bench.chunk([[0.0, 0.1 * i] for i in range(6)]), bench.now)
    bench.tick()
    with pytest.raises(ChunkRejected, match='not open') as caught:
        bench.controller.accept(bench.chunk([[0.0, 0.0]] * 5), bench.now)
    assert caught.value.check == 'identity'


def test_a_chunk_that_begins_far_from_the_arm_is_refused():
    bench = Bench(absolute_contract())
    bench.tick()
    with pytest.raises(ChunkRejected, match=r'a is 0\.6 from where it is measured \(limit 0\.5\)') as caught:
        bench.controller.accept(bench.chunk([[0.6, 0.0]] * 5), bench.now)
    assert caught.value.check == 'far'
    with pytest.raises(ChunkRejected, match=r'b is 0\.5 .* \(limit 0\.4\)'):
        bench.controller.accept(bench.chunk([[0.0, 0.5]] * 5), bench.now)


def test_targets_planned_at_rest_are_played_from_the_first():
    bench = Bench(absolute_contract())
    bench.tick()
    chunk = bench.chunk([[0.0, 0.1], [0.0, 0.2]])
    bench.tick(5)
    bench.controller.accept(chunk, bench.now)
    assert [bench.tick().commands['arm'][1] for _ in range(2)] == pytest.approx([0.1, 0.2])


def test_a_request_is_made_anew_after_a_while():
    bench = Bench(delta_contract())
    first = bench.tick().request
    bench.tick(RETRY_AFTER // bench.contract.period - 2)
    assert bench.tick().request == first, 'repeated as it was'
    second = bench.tick().request
    assert second.not_before == first.not_before + RETRY_AFTER
    assert second.identity != first.identity


def test_stale_state_stops_the_robot_and_drops_the_chunk():
    bench = Bench(delta_contract())
    bench.tick()
    bench.controller.accept(bench.chunk(x_actions([0.01] * 20)), bench.now)
    bench.tick(2)
    bench.alive = False
    tick = bench.tick(6)
    assert tick.phase is Phase.STOPPED
    assert tick.reason.startswith('joints: last message 0.')
    assert tick.commands['arm'][0] == 0.0
    assert tick.request is None
    assert bench.controller.release(bench.now).startswith('joints: last message'), 'not while it is as it was'
    bench.alive = True
    tick = bench.tick(3)
    assert tick.phase is Phase.STOPPED, 'until somebody says go'
    assert tick.commands['arm'][0] == 0.0
    assert bench.controller.release(bench.now) == ''
    tick = bench.tick()
    assert tick.phase is Phase.WAITING, 'old actions must not resume'
    assert tick.commands['arm'][0] == 0.0
    assert tick.request is not None


def test_a_state_that_was_never_heard_is_waited_for():
    bench = Bench(delta_contract())
    bench.alive = False
    tick = bench.tick(5)
    assert (tick.phase, tick.reason) == (Phase.HOLDING, 'joints: no message yet')
    bench.alive = True
    assert bench.tick().phase is Phase.WAITING, 'nothing has moved: there is nothing to release'


def test_emergency_stop_drops_the_chunk_and_refuses_new_ones():
    bench = Bench(delta_contract())
    bench.tick()
    bench.controller.accept(bench.chunk(x_actions([0.01] * 20)), bench.now)
    bench.tick()
    bench.controller.set_estop(True)
    tick = bench.tick()
    assert tick.phase is Phase.STOPPED
    assert tick.commands['arm'][0] == 0.0
    with pytest.raises(ChunkRejected, match='emergency stop'):
        bench.controller.accept(bench.chunk(x_actions([0.01])), bench.now)
    bench.controller.set_estop(False)
    tick = bench.tick()
    assert (tick.phase, tick.request) == (Phase.STOPPED, None), 'its release does not start motion by itself'
    with pytest.raises(ChunkRejected, match='the robot is stopped: the emergency stop'):
        bench.controller.accept(bench.chunk(x_actions([0.01])), bench.now)
    assert bench.controller.release(bench.now) == ''
    assert bench.tick().commands['arm'][0] == 0.0
    bench.controller.accept(bench.chunk(x_actions([0.01])), bench.now)
    assert bench.tick().commands['arm'][0] == 0.01


def test_after_an_emergency_stop_targets_start_from_where_the_arm_was_moved_to():
    bench = Bench(absolute_contract())
    bench.tick()
    bench.controller.accept(bench.chunk([[0.5, 0.0]] * 20), bench.now)
    bench.tick(10)
    bench.controller.set_estop(True)
    assert 'arm' not in bench.tick(10).commands, 'an arm under an emergency stop may be moved by hand'
    bench.joints = np.array([0.0, -1.0])  # b, a
    bench.controller.set_estop(False)
    assert 'arm' not in bench.tick().commands
    assert bench.controller.release(bench.now) == ''
    assert bench.tick().commands['arm'].tolist() == [-1.0, 0.0]


def test_reactivation_forgets_the_target_of_before():
    bench = Bench(absolute_contract())
    bench.tick()
    bench.controller.accept(bench.chunk([[0.5, 0.3]] * 20), bench.now)
    bench.tick(20)
    bench.controller.activate(bench.now)
    bench.alive = False
    bench.now += SECOND
    assert 'arm' not in bench.tick().commands
    bench.alive, bench.joints = True, np.array([0.3, 0.2])
    assert bench.tick().commands['arm'].tolist() == [0.2, 0.3]


def test_stopping_ramps_within_the_limits():
    bench = Bench(absolute_contract())
    bench.tick()
    bench.controller.accept(bench.chunk([[0.3 * i, 0.0] for i in range(1, 21)]), bench.now)
    bench.tick(4)
    positions = []
    while True:
        positions.append(bench.controller.stop(bench.now, 'test').commands['arm'][0])
        if not bench.controller.stopping:
            break
    assert len(positions) == 4  # 0.1 a period less 0.03 each: 0.07, 0.04, 0.01, 0
    assert np.diff(positions).tolist() == pytest.approx([0.04, 0.01, 0.0], abs=1e-9)


@pytest.mark.parametrize('smooth', [False, True])
def test_after_missed_periods_an_arm_sets_off_as_from_rest(smooth):
    """It has reached its last target meanwhile and stands there."""
    text = ABSOLUTE_TEXT.replace('rate: 10.0', 'rate: 10.0\ncontrol_rate: 50.0') if smooth else ABSOLUTE_TEXT
    contract = parse_contract(text, 'absolute.yaml')
    bench, period = Bench(contract), contract.period // contract.commands_per_action

    def tick(count):
        targets = []
        for _ in range(count):
            bench.controller.measure('joints', bench.now, bench.joints)
            made = bench.controller.tick(bench.now)
            targets.append(made.commands['arm'][0])
            bench.joints[1] = targets[-1]  # it follows; the state tells b first
            bench.identity = made.request.identity if made.request else bench.identity
            bench.now += period
        return np.array(targets)

    tick(contract.commands_per_action)
    bench.controller.accept(bench.chunk([[0.1 * i, 0.0] for i in range(1, 21)]), bench.now)
    tick(5 * contract.commands_per_action)
    full = np.diff(tick(contract.commands_per_action + 1))
    assert full.min() > 0.08 / contract.commands_per_action, 'it moves'
    bench.now += 4 * period
    before = bench.joints[1]
    step = tick(1)[0] - before
    change = 0.03 / contract.commands_per_action**2
    assert 0 <= step <= change * (1 + 1e-6)


def test_a_clock_set_back_starts_over():
    bench = Bench(delta_contract())
    bench.tick()
    bench.controller.accept(bench.chunk(x_actions([0.01] * 20)), bench.now)
    bench.tick(3)
    bench.now = SECOND
    tick = bench.tick()
    assert tick.phase is Phase.STOPPED
    assert tick.reason.startswith('the clock was set back by 99')
    assert tick.commands['arm'][0] == 0.0
    bench.tick()
    assert bench.controller.release(bench.now) == ''
    assert bench.tick().request.not_before == SECOND + 2 * bench.contract.period
    bench.controller.accept(bench.chunk(x_actions([0.02])), bench.now)
    assert bench.tick().commands['arm'][0] == 0.02


def test_limited_dimensions_are_named():
    bench = Bench(delta_contract())
    bench.tick()
    bench.controller.accept(bench.chunk([[0.5, 0.0, 0.0, 0.0]]), bench.now)
    tick = bench.tick()
    assert tick.limited == ('x',)
    assert tick.commands['arm'][0] == 0.04


def test_a_request_tells_since_when_its_episode_runs():
    bench = Bench(delta_contract())
    begun = bench.now
    requests = [bench.tick().request for _ in range(3)]
    bench.controller.set_estop(True)
    bench.tick(3)
    bench.controller.set_estop(False)
    bench.tick(3)
    assert bench.controller.release(bench.now) == ''
    requests.append(bench.tick().request)
    assert {request.begun for request in requests} == {begun}, 'a release goes on with it'
    bench.controller.activate(bench.now)
    assert bench.tick().request.begun > begun


def test_counts():
    bench = Bench(delta_contract())
    bench.tick(3)
    bench.controller.accept(bench.chunk(x_actions([0.01])), bench.now)
    bench.tick(4)
    assert bench.controller.chunks == 1
    assert bench.controller.underruns == 3


def refused(bench, chunk):
    with pytest.raises(ChunkRejected) as caught:
        bench.controller.accept(chunk, bench.now)
    assert bench.tick().phase is Phase.WAITING
    return caught.value


@pytest.mark.parametrize(
    ('change', 'check', 'words'),
    [
        ({'names': ('x', 'y', 'grip', 'z')}, 'names', "['x', 'y', 'grip', 'z']"),
        ({'actions': np.zeros((2, 3))}, 'shape', '[2, 3]'),
        ({'actions': np.zeros((0, 4)), 'times': ()}, 'shape', 'at least 1'),
        ({'actions': np.array([[0, 0, 0, 0], [0, np.nan, 0, 0]])}, 'finite', 'action 1 has y = nan'),
        ({'times': (100_000_000, 200_000_000)}, 'timing', 'at 20.0 Hz'),
        ({'actions': np.zeros((257, 4)), 'times': tuple(range(257))}, 'length', 'max_chunk_length 256'),
        ({'identity': ''}, 'identity', "the request ''"),
        ({'identity': 'another-1'}, 'identity', 'not open'),
        ({'stamp': 102 * SECOND}, 'future', 'same clock'),
        ({'stamp': 98 * SECOND}, 'age', 'limit 1.00 s'),
    ],
)
def test_a_chunk_is_refused_whole_and_says_which_check(change, check, words):
    bench = Bench(delta_contract())
    bench.tick()
    good = {
        'stamp': bench.now,
        'names': bench.contract.action_names,
        'times': (50_000_000, 100_000_000),
        'actions': np.zeros((2, 4)),
        'identity': bench.identity,
    }
    error = refused(bench, Chunk(**{**good, **change}))
    assert error.check == check
    assert words in str(error)


def test_the_same_chunk_twice_is_refused():
    bench = Bench(delta_contract())
    bench.tick()
    chunk = bench.chunk(x_actions([0.01]))
    bench.controller.accept(chunk, bench.now)
    bench.tick()
    assert refused(bench, chunk).check == 'identity', 'its request is answered'


def test_while_it_waits_it_tells_why_the_last_chunk_was_refused():
    bench = Bench(delta_contract())
    bench.tick()
    bench.controller.refusal = 'names: its names are others'
    assert bench.tick().reason == 'no chunk; the last one was refused (names: its names are others)'
    bench.controller.accept(bench.chunk(x_actions([0.01])), bench.now)
    assert bench.tick(2).reason == 'no chunk'


@pytest.mark.parametrize(
    ('actions', 'stamp', 'check'),
    [
        ([[0.6, 0.0]] * 5, 0, 'far'),
        ([[0.0, 0.0], [0.0, 1.9]], 0, 'jump'),
        ([[0.0, 0.0]] * 5, -2 * SECOND, 'age'),
        ([[0.0, 0.0]] * 5, 2 * SECOND, 'future'),
        ([[np.nan, 0.0]] * 5, 0, 'finite'),
        ([[0.0, 0.0]] * 5, -SECOND // 5, 'moved'),
    ],
)
def test_what_a_refused_chunk_answered_is_asked_anew_in_the_next_period(actions, stamp, check):
    bench = Bench(absolute_contract())
    bench.tick()
    first = bench.identity
    with pytest.raises(ChunkRejected) as caught:
        bench.controller.accept(bench.chunk(actions, bench.now + stamp), bench.now)
    assert caught.value.check == check
    request = bench.tick().request
    assert request.identity not in ('', first)
    bench.controller.accept(bench.chunk([[0.0, 0.1]]), bench.now)
    assert bench.tick().phase is Phase.EXECUTING


def test_a_refused_chunk_of_another_request_closes_nothing():
    bench = Bench(absolute_contract())
    waiting = bench.tick().request
    for identity in ('', 'another-1'):
        with pytest.raises(ChunkRejected):
            bench.controller.accept(replace(bench.chunk([[0.6, 0.0]]), identity=identity), bench.now)
    assert bench.tick().request == waiting


def test_a_policy_that_keeps_sending_what_is_refused_is_asked_less_and_less():
    bench = Bench(absolute_contract())
    asked, known = [], ''
    for period in range(200):
        request = bench.tick().request
        if request is not None and request.identity != known:
            asked.append(period)
            known = request.identity
            with pytest.raises(ChunkRejected):
                bench.controller.accept(bench.chunk([[0.6, 0.0]] * 5), bench.now)
    most = RETRY_AFTER // bench.contract.period
    assert np.diff(asked).tolist() == [1, 2, 4, 8, 16] + [most] * (len(asked) - 6)
    bench.tick(most)
    bench.controller.accept(bench.chunk([[0.0, 0.1]]), bench.now)
    bench.tick(2)
    with pytest.raises(ChunkRejected):
        bench.controller.accept(bench.chunk([[0.6, 0.0]] * 5), bench.now)
    assert bench.tick().request is not None, 'one that was taken makes up for those before'
