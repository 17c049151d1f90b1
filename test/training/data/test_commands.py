"""Which recorded command belongs to which observation."""

import numpy as np
import pytest
from support.bags import START, Item, delta, demonstration, twist, without, write_bag
from support.contracts import DELTA_TEXT, absolute_contract, delta_contract
from support.parity import converted

from mode_ros.control.contract import parse_contract
from mode_ros.control.controller import Controller
from mode_ros.control.setpoints import Setpoint
from mode_ros.control.takeover import TeleopCommand
from mode_ros.messages.commands import encode_commands
from mode_ros.messages.setpoints import decode_action
from mode_ros.training.data import commands as commands_module
from mode_ros.training.data import resample
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


def test_of_commands_that_come_faster_each_counts_as_long_as_it_was_in_force():
    # Five a period: of 1 to 5 the mean, and so on.
    assert displacements(track(range(0, 200, 10)), 4) == pytest.approx([3, 8, 13, 18])


def test_nothing_of_a_motion_that_ends_within_a_period_is_lost():
    made = track([])
    for k in range(40):
        made.push('arm', Command((k * 10 + 3) * MS, np.array([1.0 if 10 <= k < 14 else 0.0, 0, 0])))
    assert displacements(made, 8) == pytest.approx([0, 0, 4 / 5, 0, 0, 0, 0, 0])


def test_the_last_of_many_commands_ends_after_a_period():
    made = track(range(0, 110, 10))
    assert displacements(made, 5)[2:] == pytest.approx([11, 0, 0]), 'the last one, at 100 ms'
    shifted = track(range(5, 115, 10))
    labels = displacements(shifted, 5)
    assert labels[2:] == pytest.approx([0.1 * 10 + 0.9 * 11, 0.1 * 11, 0])


def test_one_of_many_that_cannot_be_used_is_a_fault_as_long_as_it_was_in_force():
    made = track([0, 20, 40, 80, 100, 120, 140, 160, 180])
    made.push('arm', Command(95 * MS, None, 'a command of [nan]'))
    assert made.at(0)[0] == pytest.approx((20 * 1 + 20 * 2 + 10 * 3) / 50)
    with pytest.raises(NoAction, match=r'arm: a command of \[nan\]') as caught:
        made.at(PERIOD * MS)
    assert caught.value.fault
    assert made.at(2 * PERIOD * MS)[0] == pytest.approx((20 * 5 + 20 * 6 + 10 * 7) / 50)


def commanded(times, values, start, stop):
    """The sum of displacements that were in force from start to stop, each until the next one. Times in ms."""
    ends = np.append(times[1:], times[-1] + PERIOD)
    return sum(
        value * max(0.0, min(end, stop) - max(time, start)) / PERIOD
        for time, end, value in zip(times, ends, values, strict=True)
    )


@pytest.mark.parametrize('faster', [1.4, 1.7, 1.9, 2.0, 2.1, 3.0, 5.0, 10.0])
def test_what_many_commands_come_to_does_not_depend_on_their_rate_or_jitter(faster):
    generator = np.random.default_rng(0)
    spacing = PERIOD / faster
    times = np.round(
        np.arange(7.0, 3000.0, spacing) + generator.uniform(-0.2, 0.2, int(np.ceil(2993 / spacing))) * spacing
    )
    values = np.sin(times / 130) + (generator.random(len(times)) < 0.3)
    made = track([])
    for time, value in zip(times, values, strict=True):
        made.push('arm', Command(int(time) * MS, np.array([value, 0, 0])))
    labels = displacements(made, 59)
    for k in range(4, 59):  # told by the first few which kind of sender it is
        assert labels[k] == pytest.approx(commanded(times, values, k * PERIOD, (k + 1) * PERIOD)), k


def one_a_period(times, count):
    """The rule for a sender at the rate: the second of two in a period may count for the next; numbers from 1."""
    labels, carried = [], None
    for k in range(count):
        own = [number for number, time in enumerate(times) if k * PERIOD <= time < (k + 1) * PERIOD]
        own, carried = ([] if carried is None else [carried]) + own, None
        if len(own) > 1 and times[own[-1]] >= (k + 0.5) * PERIOD and times[own[-1]] - times[own[-2]] > PERIOD / 2:
            carried = own.pop()
        labels.append(own[-1] + 1 if own else 0)
    return labels


@pytest.mark.parametrize('seed', range(20))
def test_a_quarter_of_a_period_of_jitter_makes_no_sender_faster_than_it_is(seed):
    generator = np.random.default_rng(seed)
    offset = generator.uniform(PERIOD / 4, PERIOD)
    times = [int(offset + k * PERIOD + generator.uniform(-0.25, 0.25) * PERIOD) for k in range(200)]
    lost = generator.random(200) < 0.05
    times = [time for time, gone in zip(times, lost, strict=True) if not gone]
    assert displacements(track(times), 200) == one_a_period(times, 200), 'bit by bit'


@pytest.mark.parametrize('held_up', [2, 3, 5, 8, 12])
@pytest.mark.parametrize('between', [0.1, 1.0])  # ms
def test_messages_that_a_stall_delivers_at_once_make_no_sender_faster_than_it_is(held_up, between):
    times = [10 + PERIOD * k for k in range(40)]
    last = 15 + held_up - 1
    times[15 : last + 1] = [times[last] + between * k for k in range(held_up)]
    made = track([])
    for k, time in enumerate(times):
        made.push('arm', Command(int(time * MS), np.array([k + 1.0, 0, 0])))
    assert displacements(made, 40) == one_a_period(times, 40), 'bit by bit'


@pytest.mark.parametrize('phase', [3, 30, 45])
def test_a_bag_sent_at_the_rate_is_no_share_of_it_where_the_contract_has_a_control_rate(phase):
    contract = parse_contract(DELTA_TEXT.replace('rate: 20.0', 'rate: 20.0\ncontrol_rate: 100.0'), 'fast.yaml')
    made = CommandTrack(contract)
    made.push('gripper', Command(0, np.zeros(1)))
    for k in range(8):
        made.push('arm', Command((phase + k * PERIOD) * MS, np.array([k + 1.0, 0, 0])))
    assert displacements(made, 8) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_pauses_make_no_sender_slower_than_it_is():
    times = [*range(0, 500, 10), *range(2000, 2030, 10), *range(4010, 4030, 10)]
    labels = displacements(track(times), 90)
    assert labels[40] == pytest.approx((10 * 51 + 10 * 52 + 30 * 53) / 50)
    assert labels[80] == pytest.approx((10 * 54 + 30 * 55) / 50)


def test_a_sender_is_told_anew_after_a_jump_of_the_clock():
    made = track(range(0, 200, 10))
    displacements(made, 4)
    made.clear()
    made.push('arm', Command(1049 * MS, np.array([3.0, 0, 0])))
    made.push('gripper', Command(1000 * MS, np.array([0.0])))
    assert made.at(1000 * MS)[0] == 3


@pytest.mark.parametrize('phase', [0, 3])
def test_with_a_control_rate_a_label_is_the_sum_of_what_the_controller_sent(phase):
    """phase: milliseconds by which the observations come before the commands."""
    contract = parse_contract(DELTA_TEXT.replace('rate: 20.0', 'rate: 20.0\ncontrol_rate: 100.0'), 'fast.yaml')
    controller, made = Controller(contract, 1.0), CommandTrack(contract)
    arm, _ = contract.action
    generator = np.random.default_rng(1)
    start, step, sent = 10_000 * MS, round(contract.command_seconds * 1e9), []
    controller.activate(start)
    for number in range(100):
        now = start + number * step
        controller.measure('joints', now, np.zeros(2))
        if number % 3 == 0:  # the person's own rate is none of this
            wish = np.array([*generator.uniform(-0.03, 0.03, 3), 0.0])
            controller.drive(TeleopCommand(now, contract.action_names, wish), now)
        tick = controller.tick(now)
        sent.append(tick.commands['arm'])
        for _, (group,), message in encode_commands(tick.commands, contract, contract.command_seconds, now):
            made.push(group.name, Command(now, decode_action(message, group, contract.period_seconds)))
    sent = np.array(sent)
    assert np.abs(np.diff(sent[:, 0])).max() > 1e-3, 'it moves'
    at_rest, share = 0.0, phase / 10
    for k in range(19):
        inside = sent[5 * k : 5 * k + 5]
        before = sent[5 * k - 1] if k else at_rest
        # What was sent last goes on for as long as the observation comes before the next one.
        expected = inside[:4].sum(axis=0) + (1 - share) * inside[4] + share * before
        label = made.at(start + 5 * k * step - phase * MS)
        assert label[contract.group_slices[arm.name]] == pytest.approx(expected, abs=1e-12)


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


@pytest.mark.parametrize('times', [[3, 47, 101, 149, 198, 255, 301], [*range(3, 150, 9), *range(150, 350, 46)]])
def test_forgetting_changes_no_later_action(times):
    kept, pruned = track(times), track(times)
    for k in range(6):
        stamp = k * PERIOD * MS
        pruned.forget_before(stamp)
        assert (pruned.at(stamp) == kept.at(stamp)).all()


def test_commands_of_periods_without_an_action_do_not_pile_up(tmp_path, monkeypatch):
    kept, looked_at, often = [], [], commands_module.come_often

    class Watched(CommandTrack):
        def at(self, *args):
            kept.append(sum(map(len, self._commands.values())))
            return super().at(*args)

    def come_often(times, *args):
        looked_at.append(len(times))
        return often(times, *args)

    monkeypatch.setattr(resample, 'CommandTrack', Watched)
    monkeypatch.setattr(commands_module, 'come_often', come_often)
    items = without(without(demonstration(4.0), '/gripper/command', 0, 3.8), '/arm/twist')
    items += [Item('/arm/twist', twist(time, [0, 0, 0]), time) for time in range(START, START + 4000 * MS, 10 * MS)]
    frames, spans = converted(write_bag(tmp_path / 'bag', sorted(items, key=lambda item: item.received)), delta())
    assert len(frames) < 5
    assert 'gripper: before its first command' in spans[0].reason
    assert max(kept) < 150, 'of 400'
    assert max(looked_at) <= commands_module.KEPT


def test_a_trajectory_sets_out_from_where_those_had_come_that_no_action_was_asked_of():
    def made():
        track = CommandTrack(absolute_contract())
        for k in range(30):  # each is replaced long before its first point
            course = Setpoint(np.array([1000 * MS]), np.array([[1.0, 0.1 * k]]))
            track.push('arm', Command((100 * k + 5) * MS, course))
        track.at(0, {'arm': np.zeros(2)})
        return track

    kept, pruned = made(), made()
    pruned.forget_before(2800 * MS)
    assert pruned.at(2800 * MS).tolist() == kept.at(2800 * MS).tolist()


def test_all_groups_in_the_contracts_order():
    made = CommandTrack(absolute_contract())
    made.push('arm', Command(0, np.array([0.25, -0.5])))
    assert made.at(0).tolist() == [0.25, -0.5]
