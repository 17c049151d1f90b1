"""Which recorded command belongs to which observation."""

import numpy as np
import pytest
from support.contracts import absolute_contract, delta_contract

from mode_ros.training.data.commands import Command, CommandTrack, NoAction

MS = 1_000_000
PERIOD = 50  # ms, of the delta contract


def track(arm, grip=(0,)):
    """Commands at these times (ms); the k-th one of the arm displaces x by k + 1."""
    made = CommandTrack(delta_contract())
    for k, time in enumerate(arm):
        made.push('arm', Command(time * MS, np.array([k + 1.0, 0, 0])))
    for k, time in enumerate(grip):
        made.push('gripper', Command(time * MS, np.array([k / 10])))
    return made


def displacements(commands, count):
    return [commands.at(k * PERIOD * MS)[0] for k in range(count)]


def test_a_command_counts_for_the_period_in_which_it_comes():
    assert displacements(track([0, 60, 149, 150]), 4) == [1, 2, 3, 4]


def test_a_period_without_a_displacement_is_zero():
    assert displacements(track([10, 60, 210]), 6) == [1, 2, 0, 0, 3, 0]


def test_a_target_stays_until_the_next():
    commands = track([0, 50, 100, 150, 200], grip=[0, 120])
    assert [commands.at(k * PERIOD * MS)[3] for k in range(5)] == [0, 0, 0.1, 0.1, 0.1]


@pytest.mark.parametrize(
    'times',
    [
        [2, 48, 99, 152, 198],  # periods 0, 0, 1, 3, 3: late and early by 2 ms
        [1, 51, 99, 151, 201],  # periods 0, 1, 1, 3, 4
    ],
)
def test_jitter_over_the_edge_of_a_period_loses_and_doubles_nothing(times):
    assert displacements(track(times), 5) == [1, 2, 3, 4, 5]


def test_of_commands_that_come_faster_the_newest_counts():
    assert displacements(track(range(0, 200, 10)), 4) == [5, 10, 15, 20]


def test_before_the_first_command_of_any_group_there_is_no_action():
    commands = track([0, 50, 100], grip=[60])
    with pytest.raises(NoAction, match='gripper: before its first command') as caught:
        commands.at(0)
    assert not caught.value.fault
    assert commands.at(PERIOD * MS)[3] == 0


def test_a_command_that_cannot_be_used_is_a_fault_of_its_period_only():
    commands = track([0, 100])
    commands.push('arm', Command(60 * MS, None, 'a command of [nan]'))
    assert commands.at(0)[0] == 1
    with pytest.raises(NoAction, match=r'arm: a command of \[nan\]') as caught:
        commands.at(PERIOD * MS)
    assert caught.value.fault
    assert commands.at(2 * PERIOD * MS)[0] == 2


def test_forgetting_changes_no_later_action():
    times = [3, 47, 101, 149, 198, 255, 301]
    kept, pruned = track(times), track(times)
    for k in range(6):
        stamp = k * PERIOD * MS
        pruned.forget_before(stamp)
        assert (pruned.at(stamp) == kept.at(stamp)).all()


def test_all_groups_in_the_contracts_order():
    made = CommandTrack(absolute_contract())
    made.push('arm', Command(0, np.array([0.25, -0.5])))
    assert made.at(0).tolist() == [0.25, -0.5]
