"""A person and the policy at one robot: who drives, when, and that nothing jumps. The test turns the clock."""

import contextlib

import numpy as np
import pytest
from support.contracts import absolute_contract, delta_contract
from support.controller_bench import SECOND, ControllerBench

from mode_ros.control.chunk import ChunkRejected
from mode_ros.control.controller import Controller
from mode_ros.control.safety import SafetySettings
from mode_ros.control.takeover import FRESH_PERIODS, TeleopCommand, TeleopRefused
from mode_ros.control.tick import Phase


class Bench(ControllerBench):
    """And a person."""

    def drive(self, action, stamp=None):
        action = None if action is None else np.asarray(action, float)
        command = TeleopCommand(self.now if stamp is None else stamp, self.contract.action_names, action)
        self.controller.drive(command, self.now)

    def driven(self, action, periods=1):
        for _ in range(periods):
            self.drive(action)
            tick = self.tick()
        return tick

    def accept(self, actions, stamp=None):
        self.controller.accept(self.chunk(actions, stamp), self.now)


NAN = np.nan
X = [0.01, 0.0, 0.0, NAN]


def stopped_while_driven(periods=1):
    """An emergency stop came while a person drove, and was released after so many periods."""
    bench = Bench(delta_contract())
    bench.tick()
    bench.driven(X)
    bench.controller.set_estop(True)
    bench.tick(periods)
    bench.controller.set_estop(False)
    return bench


def test_a_person_overrides_the_policy_and_its_chunk_is_gone():
    bench = Bench(delta_contract())
    bench.tick()
    bench.accept([[0.02, 0.0, 0.0, 0.5]] * 20)
    assert bench.tick().phase is Phase.EXECUTING
    tick = bench.driven(X)
    assert tick.phase is Phase.TELEOP
    assert tick.request is None
    assert tick.commands['arm'].tolist() == [0.01, 0.0, 0.0]
    assert tick.commands['gripper'].tolist() == [0.5], 'NaN leaves it where the policy has put it'
    bench.drive(None)
    tick = bench.tick()
    assert tick.commands['arm'].tolist() == [0.0, 0.0, 0.0], 'the safe command within one period'
    assert tick.phase is Phase.WAITING
    bench.tick(5)
    assert bench.tick().commands['arm'].tolist() == [0.0, 0.0, 0.0], 'the old chunk does not resume'


def test_silence_is_letting_go():
    bench = Bench(delta_contract())
    bench.tick()
    bench.drive(X, stamp=bench.now)
    assert bench.tick().phase is Phase.TELEOP
    assert bench.tick().phase is Phase.TELEOP, 'one command that comes late leaves no gap'
    tick = bench.tick()
    assert tick.phase is Phase.WAITING
    assert tick.commands['arm'][0] == 0.0
    assert FRESH_PERIODS == 1.5


def test_the_policy_resumes_by_a_request_from_rest():
    bench = Bench(delta_contract())
    bench.tick()
    bench.driven(X, 3)
    while_driven = bench.now
    bench.drive([0.01, 0.04, 0.0, NAN])
    assert bench.tick().request is None
    bench.drive(None)
    first = bench.tick()
    assert first.commands['arm'][1] == 0.0
    requested = first.request
    assert requested is not None
    assert requested.not_before > while_driven, 'an observation from while it moved will not do'
    with pytest.raises(ChunkRejected):
        bench.accept([[0.02, 0, 0, 0]], stamp=while_driven)
    again = bench.tick().request
    assert again.identity != requested.identity, 'what was refused is asked anew'
    bench.accept([[0.02, 0, 0, 0]], stamp=again.not_before)
    assert bench.tick().phase is Phase.EXECUTING


def test_no_request_before_a_ramped_stop_has_ended():
    bench = Bench(delta_contract())
    bench.tick()
    bench.driven([0.0, 0.03, 0.0, NAN], 5)
    bench.drive(None)
    ticks = [bench.tick() for _ in range(4)]
    assert [tick.commands['arm'][1] for tick in ticks] == pytest.approx([0.02, 0.01, 0.0, 0.0])
    assert [tick.request is None for tick in ticks] == [True, True, False, False]


@pytest.mark.parametrize('contract', [delta_contract(), absolute_contract()], ids=['delta', 'absolute'])
def test_a_chunk_on_its_way_while_a_person_drives_is_refused(contract):
    """For targets too, of which a late chunk would otherwise be played from where its time has come."""
    bench = Bench(contract)
    bench.tick()
    planned = bench.now
    zeros = np.zeros(len(contract.action_names))
    bench.driven(zeros)
    with pytest.raises(ChunkRejected, match='a person drives'):
        bench.accept([zeros] * 5, stamp=planned)
    bench.drive(None)
    with pytest.raises(ChunkRejected, match='came to rest') as caught:
        bench.accept([zeros] * 5, stamp=planned)
    assert caught.value.check == 'teleop'
    bench.tick()
    bench.accept([zeros] * 5)


def test_limits_apply_to_people():
    bench = Bench(delta_contract())
    bench.tick()
    tick = bench.driven([0.5, 0.04, 0.04, 9.0])
    assert tick.commands['arm'].tolist() == pytest.approx([0.04, 0.01, 0.02])
    assert tick.commands['gripper'].tolist() == [1.0]
    assert tick.limited == ('x', 'y', 'z', 'grip')


def test_a_gripper_of_which_nobody_knows_is_not_sent():
    bench = Bench(delta_contract())
    bench.tick()
    assert 'gripper' not in bench.driven(X).commands


def test_taking_over_a_moving_arm_brakes_within_the_limits():
    bench = Bench(absolute_contract())
    bench.tick()
    bench.accept([[0.3 * i, 0.0] for i in range(1, 31)])
    bench.tick(4)
    a = [bench.driven([NAN, NAN]).commands['arm'][0] for _ in range(10)]
    steps = np.diff(a)
    assert np.abs(np.diff(steps)).max() <= 0.03 + 1e-9
    assert a[-1] == pytest.approx(a[-2]), 'and then it stands'
    assert bench.tick(3).commands['arm'][0] == pytest.approx(a[-1]), 'let go, it stays there'


def test_an_arm_beyond_its_bounds_stays_where_it_is_until_it_is_driven():
    bench = Bench(absolute_contract())
    bench.joints = np.array([2.5, 0.0])  # b, a
    bench.tick()
    assert bench.driven([0.0, 2.5], 3).commands['arm'].tolist() == [0.0, 2.5]
    assert bench.driven([0.0, 2.6]).commands['arm'].tolist() == [0.0, 2.5]
    assert bench.driven([0.0, 2.4]).commands['arm'].tolist() == [0.0, 2.4]


def test_a_dead_state_stops_a_person_too():
    bench = Bench(delta_contract())
    bench.tick()
    bench.driven(X)
    bench.alive = False
    with pytest.raises(TeleopRefused, match='let go of it first'):
        bench.driven(X, 8)
    tick = bench.tick()
    assert tick.phase is Phase.STOPPED
    assert tick.commands['arm'][0] == 0.0
    bench.alive = True
    bench.tick(10)
    assert bench.driven(X).phase is Phase.TELEOP, 'who has let go may drive it on'
    bench.drive(None)
    assert bench.tick().phase is Phase.STOPPED, 'the policy may not, until it is released'


def test_after_an_emergency_stop_the_deadman_must_be_let_go_first():
    bench = Bench(delta_contract())
    bench.tick()
    bench.driven(X)
    bench.controller.set_estop(True)
    with pytest.raises(TeleopRefused, match='emergency stop is engaged'):
        bench.drive(X)
    assert bench.tick().phase is Phase.STOPPED
    bench.controller.set_estop(False)
    with pytest.raises(TeleopRefused, match='let go of it first'):
        bench.drive(X)
    assert bench.tick().commands['arm'][0] == 0.0
    bench.drive(None)
    bench.tick(3)
    assert bench.driven(X).phase is Phase.TELEOP


def test_what_another_one_has_let_go_of_is_not_let_go():
    bench = stopped_while_driven()
    for _ in range(20):
        bench.drive(None)  # of somebody else who publishes too
        with pytest.raises(TeleopRefused, match='let go of it first'):
            bench.drive(X)
        assert bench.tick().commands['arm'][0] == 0.0
    bench.drive(None)
    bench.tick(3)
    assert bench.driven(X).phase is Phase.TELEOP


def test_a_deactivation_is_not_letting_go():
    bench = stopped_while_driven()
    bench.controller.activate(bench.now, keep_breach=True)
    for _ in range(20):
        with pytest.raises(TeleopRefused, match='let go of it first'):
            bench.drive(X)
        assert bench.tick().commands['arm'][0] == 0.0


def test_what_is_held_when_a_controller_starts_must_be_let_go_first():
    bench = Bench(delta_contract())
    bench.controller.activate(bench.now, keep_breach=True)
    for _ in range(20):
        with pytest.raises(TeleopRefused, match='let go of it first'):
            bench.drive(X)
        bench.tick()
    bench.tick(10)
    assert bench.driven(X).phase is Phase.TELEOP, 'half a second of silence'


def test_after_an_emergency_stop_a_silence_is_letting_go_too():
    bench = stopped_while_driven(periods=10)
    assert bench.driven(X).phase is Phase.TELEOP


def test_a_command_that_is_late_after_an_emergency_stop_is_not_letting_go():
    bench = stopped_while_driven()
    for late in (1, 3, 8):  # periods without a command, as on a busy machine
        bench.tick(late)
        with pytest.raises(TeleopRefused, match='let go of it first'):
            bench.drive(X)


@pytest.mark.parametrize(
    ('change', 'check', 'words'),
    [
        ({'names': ('x', 'y', 'grip', 'z')}, 'names', "['x', 'y', 'grip', 'z']"),
        ({'action': np.zeros(3)}, 'shape', '[3], expected [4]'),
        ({'action': np.array([0, np.inf, 0, 0])}, 'finite', 'y is infinite'),
        ({'stamp': 99 * SECOND}, 'age', 'do both nodes use the same clock'),
        ({'stamp': 102 * SECOND}, 'age', 'do both nodes use the same clock'),
    ],
)
def test_a_command_is_refused_whole_and_says_which_check(change, check, words):
    bench = Bench(delta_contract())
    good = {'stamp': bench.now, 'names': bench.contract.action_names, 'action': np.zeros(4)}
    with pytest.raises(TeleopRefused) as caught:
        bench.controller.drive(TeleopCommand(**{**good, **change}), bench.now)
    assert caught.value.check == check
    assert words in str(caught.value)
    assert bench.tick().phase is Phase.WAITING


@pytest.mark.parametrize('jump', [-50 * SECOND, 100 * SECOND])
def test_after_a_jump_of_the_clock_the_person_must_let_go_and_nothing_jumps(jump):
    bench = Bench(absolute_contract())
    bench.tick()
    commands = [bench.driven([2.0, 0.0]).commands['arm'][0] for _ in range(5)]
    bench.joints = np.array([0.0, commands[-1]])
    wall = bench.now
    bench.now += jump
    for _ in range(12):
        bench.controller.measure('joints', bench.now, bench.joints + 1e-9 * len(commands))
        tick = bench.controller.tick(bench.now, wall)
        with pytest.raises(TeleopRefused, match='let go of it first'):
            bench.drive([2.0, 0.0])
        assert tick.phase is Phase.STOPPED
        commands += [tick.commands['arm'][0]] if 'arm' in tick.commands else []
        bench.now, wall = bench.now + bench.contract.period, wall + bench.contract.period
    assert np.abs(np.diff(np.diff(commands))).max() <= 0.03 + 1e-9, 'a ramp'
    bench.drive(None)
    bench.now += 3 * bench.contract.period
    bench.drive([commands[-1], 0.0])


def test_pressed_again_while_the_arm_still_ramps_after_a_jump_of_the_clock_it_goes_on_from_there():
    bench = Bench(absolute_contract())
    bench.tick()
    commands = [bench.driven([2.0, 0.0]).commands['arm'][0] for _ in range(5)]
    bench.joints = np.array([0.0, commands[-1] - 0.2])  # an arm that lags
    bench.now -= 50 * SECOND
    commands.append(bench.tick().commands['arm'][0])
    bench.drive(None)
    commands += [bench.tick().commands['arm'][0] for _ in range(2)]
    commands += [bench.driven([2.0, 0.0]).commands['arm'][0] for _ in range(3)]
    assert np.abs(np.diff(np.diff(commands))).max() <= 0.03 + 1e-9


def test_the_time_of_a_goal_is_the_policys():
    """It may run out while a person drives, who is not stopped by it; the policy is, afterwards."""
    bench = Bench(delta_contract())
    bench.controller = Controller(bench.contract, 1.0, safety=SafetySettings(goal_seconds=1.0))
    bench.controller.activate(bench.now)
    bench.tick()
    for number in range(30):
        bench.joints = np.full(2, 1e-6 * number)
        assert bench.driven(X).phase is Phase.TELEOP
    bench.drive(None)
    bench.joints = np.ones(2)
    assert bench.tick().phase is Phase.STOPPED
    assert bench.controller.breach.problem.name == 'goal'


def test_a_stop_in_a_gap_of_the_commands_asks_for_letting_go_as_well():
    """A network that fails for a moment silences the person and the states; the stick is held all the while."""
    bench = Bench(delta_contract())
    bench.tick()
    for number in range(5):
        bench.joints = np.full(2, 1e-6 * number)
        bench.driven(X)
    bench.alive = False
    bench.tick(6)
    assert bench.controller.breach.problem.name == 'stale'
    bench.alive = True
    with pytest.raises(TeleopRefused) as refused:
        bench.drive(X)
    assert refused.value.check == 'held'
    assert bench.tick().phase is Phase.STOPPED


def test_so_does_an_emergency_stop_of_one_period_between_two_commands():
    bench = Bench(delta_contract())
    bench.tick()
    bench.driven(X)
    bench.tick(2)
    bench.controller.set_estop(True)
    bench.tick()
    bench.controller.set_estop(False)
    with pytest.raises(TeleopRefused) as refused:
        bench.drive(X)
    assert refused.value.check == 'held'
    bench.tick(11)
    assert bench.driven(X).phase is Phase.TELEOP, 'a silence of half a second is letting go'


def stopped_by_frozen_states(contract):
    """The policy drove, and the states have not changed; nothing else is wrong."""
    bench = Bench(contract)
    bench.tick()
    rows = np.zeros((60, len(contract.dimensions)))
    rows[:, 0] = 0.02 if contract.action[0].kind == 'delta' else np.minimum(0.04 * np.arange(1, 61), 0.4)
    bench.accept(rows)
    for _ in range(60):
        bench.tick()
    bench.controller.set_estop(True)
    bench.tick(3)
    bench.controller.set_estop(False)
    bench.tick(12)
    assert 'the same numbers since before the stop' in bench.controller.release(bench.now)
    return bench


def test_a_person_may_back_off_with_displacements_where_states_have_not_changed():
    """An arm that was driven against something truly stands, and sensors without noise say nothing else."""
    bench = stopped_by_frozen_states(delta_contract())
    phases = [bench.driven(X).phase for _ in range(12)]
    assert phases == [Phase.TELEOP] * 12
    bench.joints = bench.joints + 1e-6
    bench.driven(X)
    bench.drive(None)
    bench.tick(12)
    assert bench.controller.release(bench.now) == ''


def test_but_blindly_no_longer_than_a_frozen_state_takes_to_be_found():
    bench = stopped_by_frozen_states(delta_contract())
    driven = 0
    for _ in range(200):
        with contextlib.suppress(TeleopRefused):
            bench.drive([0.02, 0.0, 0.0, NAN])
        driven += bench.tick().phase is Phase.TELEOP
    assert 10 <= driven <= 25, 'then it asks to let go'


def test_targets_of_a_person_start_nowhere_while_it_is_not_known_where_the_arm_is():
    bench = stopped_by_frozen_states(absolute_contract())
    assert bench.driven([NAN, NAN]).problems == ('frozen',)


def test_a_goal_whose_time_is_over_does_not_ask_a_person_who_drives_on_to_let_go():
    bench = Bench(delta_contract())
    bench.controller = Controller(bench.contract, 1.0, safety=SafetySettings(goal_seconds=0.5))
    bench.controller.activate(bench.now)
    for number in range(30):
        bench.joints = np.full(2, 1e-6 * number)
        bench.driven(X)
    bench.tick(4)
    assert bench.controller.breach.problem.name == 'goal'
    bench.tick(12)
    for number in range(20):
        bench.joints = np.full(2, -1e-6 * number)
        assert bench.driven(X).phase is Phase.TELEOP
        if number == 8:
            bench.tick(2)  # a gap of two commands


@pytest.mark.parametrize('standing', [False, True])
def test_a_driver_that_was_started_anew_while_the_controller_was_not_active_is_believed(standing):
    """Or while the clock stood still: no control period tells of the silence."""
    bench = stopped_by_frozen_states(delta_contract())
    wall = bench.now
    if not standing:
        bench.controller.stop(bench.now, 'deactivated')
    for seconds in (0.0, 3.0, 5.0, 5.01):
        bench.controller.measure('joints', bench.now, bench.joints, wall + round(seconds * SECOND))
    bench.now += 6 * SECOND
    if not standing:
        bench.controller.activate(bench.now, keep_breach=True)
    bench.tick(12)
    assert 'the same numbers' not in bench.controller.release(bench.now)
