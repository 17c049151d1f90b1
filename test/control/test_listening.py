"""A controller that has just begun: how long it listens, and that it is silent meanwhile."""

import numpy as np
import pytest
from support.contracts import absolute_contract, delta_contract

from mode_ros.control.controller import Controller
from mode_ros.control.listening import Listening
from mode_ros.control.takeover import TeleopCommand
from mode_ros.control.tick import Phase

MS = 1_000_000
START = 100_000 * MS


def looks(listening, times, seen=None):
    """The first of the times (ms) at which it was over, None where it never was."""
    for time in times:
        listening.look(START + time * MS, seen(time) if seen else 'nobody')
        if listening.over:
            return time
    return None


def listening(seconds=3.0):
    return Listening(START, seconds)


def test_it_lasts_as_long_as_it_is_told_where_nobody_comes():
    assert looks(listening(), range(0, 9000, 100)) == 3000


@pytest.mark.parametrize(('found', 'over'), [(700, 3000), (2500, 3500), (2950, 4000)])
def test_for_a_second_nobody_new_must_have_been_found(found, over):
    assert looks(listening(), range(0, 9000, 100), lambda time: time >= found) == over


def test_a_process_that_was_kept_from_looking_looks_for_longer():
    assert looks(listening(), [*range(0, 2000, 100), 2700, *range(2800, 9000, 100)]) == 3700


def test_it_ends_where_nodes_come_and_go_all_the_time():
    assert looks(listening(), range(0, 19000, 100), lambda time: time // 300) == 8000


def test_a_short_one_needs_no_longer_quiet():
    assert looks(listening(0.5), range(0, 9000, 100)) == 500


def test_zero_seconds_are_none():
    assert listening(0.0).over


class Beginner:
    """A controller that listens, beside a robot that reports."""

    def __init__(self, contract):
        self.contract = contract
        self.controller = Controller(contract, 10.0)
        self.controller.permission.set_listening('listening')
        self.now = START
        self.controller.activate(self.now, self.now)

    def tick(self, periods=1):
        ticks = []
        for number in range(periods):
            self.controller.measure('joints', self.now, np.full(2, 1e-9 * (number % 3)))
            ticks.append(self.controller.tick(self.now, self.now))
            self.now += self.contract.period
        return ticks

    @property
    def check(self):
        return self.controller.breach.problem.name if self.controller.breach else ''


@pytest.mark.parametrize('contract', [absolute_contract(), delta_contract()], ids=['targets', 'displacements'])
def test_it_sends_nothing_before_it_has_listened(contract):
    robot = Beginner(contract)
    ticks = robot.tick(10)
    assert all(tick.commands == tick.velocities == {} for tick in ticks), 'zero twists and holds neither'
    assert {(tick.phase, tick.reason, tick.request) for tick in ticks} == {(Phase.HOLDING, 'listening', None)}
    assert robot.controller.stop(robot.now, 'over').commands == {}, 'nor when it ends before it has begun'
    assert robot.controller.release(robot.now, robot.now) == 'listening'
    robot.controller.permission.set_listening('')
    (tick,) = robot.tick()
    assert tick.phase is Phase.WAITING
    assert 'arm' in tick.commands


@pytest.mark.parametrize('contract', [absolute_contract(), delta_contract()], ids=['targets', 'displacements'])
def test_one_that_finds_another_refuses_to_begin_until_somebody_says_go(contract):
    robot = Beginner(contract)
    robot.tick(3)
    robot.controller.permission.set_crowd('', 'two command it')
    assert robot.tick()[0].commands == {}
    assert robot.check == 'other publisher'
    robot.controller.permission.set_listening('')
    assert all(tick.commands == {} for tick in robot.tick(20)), 'silent for as long as the other is there'
    assert robot.controller.release(robot.now, robot.now) == 'two command it'
    robot.controller.permission.set_crowd('')
    (tick,) = robot.tick()
    assert (tick.phase, tick.reason, tick.commands) == (Phase.STOPPED, 'two command it', {})
    assert robot.controller.release(robot.now, robot.now) == ''
    assert 'arm' in robot.tick()[0].commands


def test_two_states_hold_a_beginner_and_pass_by_themselves():
    robot = Beginner(delta_contract())
    robot.controller.permission.set_crowd('2 publishers of states')
    robot.tick(3)
    robot.controller.permission.set_listening('')
    assert robot.tick()[0].phase is Phase.HOLDING
    robot.controller.permission.set_crowd('')
    assert robot.tick()[0].phase is Phase.WAITING
    assert robot.check == ''


def test_nobody_drives_it_while_it_listens():
    robot = Beginner(delta_contract())
    names = robot.contract.action_names
    for _ in range(5):
        robot.controller.drive(TeleopCommand(robot.now, names, np.array([0.01, 0.0, 0.0, np.nan])), robot.now)
        assert robot.tick()[0].commands == {}
    robot.controller.permission.set_listening('')
    robot.controller.drive(TeleopCommand(robot.now, names, np.array([0.01, 0.0, 0.0, np.nan])), robot.now)
    assert robot.tick()[0].commands['arm'][0] > 0


def test_one_that_stands_and_has_spoken_goes_on_when_the_other_has_gone():
    robot = Beginner(delta_contract())
    robot.controller.permission.set_listening('')
    robot.tick(3)
    robot.controller.permission.set_crowd('', 'two command it')
    (tick,) = robot.tick()
    assert (tick.phase, robot.check) == (Phase.HOLDING, '')
    assert tick.commands['arm'].tolist() == [0.0, 0.0, 0.0]
    robot.controller.permission.set_crowd('')
    assert robot.tick()[0].phase is Phase.WAITING
