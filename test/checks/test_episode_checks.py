"""Checks of whole episodes: motion, pairing, pictures, and what is known of them."""

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, AXES_TEXT, GRIPPER_TEXT, VECTOR_TEXT, absolute_contract, delta_contract

from mode_ros.checks.contract import contract_slips
from mode_ros.checks.episodes import copies, intervention_share, split_recordings, success_labels
from mode_ros.checks.lag import command_delay, correlations, out_of_step
from mode_ros.checks.motion import idle, jerks, lengths, moving_span, still_frames
from mode_ros.checks.pictures import RepeatCount, frozen
from mode_ros.control.contract import parse_contract
from mode_ros.robots import known_robots, load_named_contract


def said(findings):
    return [str(finding) for finding in findings]


def path(length=120, seed=0):
    generator = np.random.default_rng(seed)
    smooth = np.convolve(generator.normal(size=length + 20), np.ones(8) / 8, 'same')[10:-10]
    return np.stack([smooth, np.roll(smooth, 13)], axis=1)


def test_where_nothing_is_commanded_it_stands_still():
    targets = np.zeros((40, 2))
    targets[10:20, 0] = np.linspace(0, 1, 10)
    targets[20:, 0] = 1.0
    still = still_frames(targets, np.array([False, False]), [4e-3] * 2)
    assert np.flatnonzero(~still).tolist() == list(range(11, 20))
    assert moving_span(still, 2) == (9, 22)
    displacements = np.zeros((40, 2))
    displacements[5:9] = 0.01
    assert moving_span(still_frames(displacements, np.array([True, True]), [8e-5] * 2), 0) == (5, 9)
    assert moving_span(np.ones(7, bool), 3) == (0, 7)  # nothing moves: nothing is cut


def test_long_waits_are_named_with_the_longest():
    stills = [np.zeros(100, bool), np.r_[np.zeros(50, bool), np.ones(60, bool)]]
    (only,) = said(idle(stills, 10.0, [4, 9]))
    assert '29% of the frames' in only
    assert '9 (6.0 s)' in only
    assert idle([np.zeros(100, bool)], 10.0, [0]) == []


def test_odd_lengths():
    assert '7 (500)' in said(lengths([100, 110, 90, 500], [1, 2, 3, 7]))[0]
    assert '2 (10)' in said(lengths([100, 10, 90, 95], [1, 2, 3, 4]))[0]
    assert lengths([100, 150, 90, 60], [1, 2, 3, 4]) == []


def test_a_jump_is_named_with_its_episode_and_number():
    episodes = [path(seed=k) for k in range(6)]
    delta = np.array([False, False])
    assert jerks(episodes, delta, ['a', 'b'], list(range(6))) == []
    episodes[3][60:, 1] += 30.0
    (only,) = said(jerks(episodes, delta, ['a', 'b'], [10, 11, 12, 13, 14, 15]))
    assert 'b in 13' in only
    assert 'a in' not in only


@pytest.mark.parametrize('delay', [-8, -1, 0, 3, 12])
def test_the_delay_is_found(delay):
    commanded = [path(seed=k) for k in range(3)]
    measured = [np.roll(each, delay, axis=0) for each in commanded]
    found, alike = command_delay(correlations(commanded, measured, 20))
    assert found == delay
    assert alike > 0.8


def test_steady_motion_has_no_delay():
    # Commands of one speed, and a measurement that comes at another rate than the frames, so that it seems to jitter.
    steady = np.diff((np.arange(19) / 100 + 0.01).astype(np.float32), axis=0)[:, None]
    jittering = np.tile([0.008, 0.012], 9)[:, None]
    assert command_delay(correlations([steady], [jittering], 12)) is None


def test_commands_after_their_motion_are_named():
    contract = absolute_contract()  # 10 Hz, states b, a
    targets = [np.cumsum(path(seed=k), axis=0) * 0.1 for k in range(3)]

    def shown(delay):
        return [{'joints': np.roll(each, delay, axis=0)[:, ::-1][20:100]} for each in targets]

    cut = [each[20:100] for each in targets]
    assert out_of_step(contract, cut, shown(1), 'data') == []
    (only,) = said(out_of_step(contract, cut, shown(-10), 'data'))
    assert 'joints moves 1.00 s before arm is commanded' in only
    (late,) = said(out_of_step(contract, cut, shown(9), 'data'))
    assert 'joints follows arm by 0.90 s' in late
    still = [np.zeros((80, 2))] * 3
    assert out_of_step(contract, still, shown(-10), 'data') == []


def ramps(kind):
    """Targets [n, 2] and where the arm then is, by the same delay of a frame: motion that tells no delay of its own."""
    generator, episodes = np.random.default_rng(5), []
    for speed in (0.01, 0.025, 0.002, 0.04):
        along = np.arange(102) * speed
        if kind == 'encoder':
            along = np.floor(along / 0.004) * 0.004  # steps that come back every few frames
        elif kind == 'cycle':
            along = np.sin(np.arange(102) * 2 * np.pi / 15)
        both = np.stack([along, -0.5 * along], axis=1)
        noise = generator.normal(0, 5e-4, (2, 102, 2)) * (kind == 'noise')
        episodes.append(((both + noise[0])[1:101], {'joints': (both + noise[1])[:100, ::-1].astype(np.float32)}))
    targets, states = zip(*episodes, strict=True)
    return list(targets), list(states)


@pytest.mark.parametrize('kind', ['exact', 'encoder', 'noise', 'cycle'])
def test_motion_that_says_nothing_of_its_delay_is_not_complained_of(kind):
    assert out_of_step(absolute_contract(), *ramps(kind), 'data') == []


def test_a_camera_that_hangs_while_the_robot_moves():
    def watched(images, moving=True):
        count = RepeatCount()
        count.begin()
        for image in images:
            count.add(image, moving)
        return [('static', count)]

    pictures = [np.full((16, 16, 3), k, np.uint8) for k in range(30)]
    assert frozen(watched(pictures), 10.0, 'data') == []
    hanging = pictures[:10] + [pictures[9]] * 20
    (only,) = said(frozen(watched(hanging), 10.0, 'data'))
    assert '69% of the pictures of static repeat' in only
    assert '2.0 s at the longest' in only
    assert frozen(watched(hanging, moving=False), 10.0, 'data') == []


def test_what_is_known_of_episodes():
    assert '1 episodes are marked as failures: 4' in said(success_labels([True, False], [3, 4]))[0]
    assert '1 of 2 episodes are marked neither' in said(success_labels([True, None], [3, 4]))[0]
    assert success_labels([None, None], [3, 4]) == []
    assert '4 (30%)' in said(intervention_share([1.0, 0.3], [3, 4]))[0]
    assert intervention_share([1.0, 0.0], [3, 4]) == []
    assert 'split' in said(split_recordings(['a', 'a', 'b'], [True, False, False]))[0]
    assert split_recordings(['a', 'a', 'b'], [True, True, False]) == []
    assert '7 is 5' in said(copies(['x', 'y', 'x'], [5, 6, 7]))[0]


def test_slips_in_a_contract():
    assert contract_slips(delta_contract()) == []
    degrees = ABSOLUTE_TEXT.replace('lower: -2.0, upper: 2.0}', 'lower: -180, upper: 180}')
    lines = said(contract_slips(parse_contract(degrees.replace('max_age: 0.2', 'max_age: 0.11'), 'x')))
    assert any('b may go to 180 rad: are these degrees' in line for line in lines)
    assert any('b of arm has no max_step' in line for line in lines)
    assert any('joints counts as dead after 0.11 s, 1.1 control periods' in line for line in lines)


@pytest.mark.parametrize('robot', known_robots())
def test_no_contract_that_ships_has_a_slip(robot):
    """Not for a gripper without max_step, nor for a hand whose speed is limited."""
    assert contract_slips(load_named_contract(robot)[0]) == []


LEAP = 'the target of a person who drives is sent whole at once, however far it lies within the bounds'


def test_an_arm_whose_targets_may_leap_is_named_with_the_way_out():
    (only,) = said(contract_slips(absolute_contract()))
    assert f'b of arm has no max_step: {LEAP}' in only
    assert only.endswith("the policy's as far as max_tracking_error. Give max_step, the largest change in one control"
                         ' period.')  # fmt: skip
    free = ABSOLUTE_TEXT.replace(', max_step: 0.1, max_step_change: 0.03', '').replace('    feedback: joints\n', '')
    (only,) = said(contract_slips(parse_contract(free, 'x')))
    assert f'a, b of arm have no max_step: {LEAP}' in only
    assert only.endswith("and so is the policy's. Give max_step, the largest change in one control period, and "
                         'feedback for it.')  # fmt: skip


@pytest.mark.parametrize('text', [VECTOR_TEXT, AXES_TEXT])
def test_a_hand_is_limited_by_its_speeds(text):
    assert contract_slips(parse_contract(text, 'x')) == []
    (only,) = said(contract_slips(parse_contract(text.replace(', max_rotation_speed: 1.0', ''), 'x')))
    assert 'x, y, z' not in only
    assert '_x, ' in only
    assert only.endswith('Give output.max_speed and output.max_rotation_speed.')
    (only,) = said(contract_slips(parse_contract(text.replace(' max_speed: 0.2,', ''), 'x')))
    assert 'x, y, z of arm have no max_step' in only


def test_a_gripper_may_shut_at_once_but_not_the_arm_that_is_commanded_with_it():
    assert contract_slips(parse_contract(GRIPPER_TEXT, 'x')) == []
    both = ABSOLUTE_TEXT.replace('name: arm', 'name: arm_and_gripper').replace('name: b,', 'name: finger,')
    joined = both.replace('names: [b, a]', 'names: [finger, a, c]').replace(
        '    output:', '      - {name: c, unit: rad, lower: -2.0, upper: 2.0}\n    output:'
    )
    (only,) = said(contract_slips(parse_contract(joined, 'x')))
    assert only.startswith('contract: c of arm_and_gripper has no max_step')
