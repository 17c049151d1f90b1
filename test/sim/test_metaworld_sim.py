import threading
import time

import numpy as np
import pytest

from mode_ros.errors import UserError
from mode_ros.sim import instructions
from mode_ros.sim.factory import list_tasks, make_simulator
from mode_ros.sim.metaworld_halfway import HALFWAY_TASKS

pytest.importorskip('metaworld')
pytestmark = pytest.mark.rendering

# Among them: a fixture that the benchmark moves last, free objects, goals shown by a ball only, one ball misplaced.
VARIED_TASKS = ('drawer-open', 'pick-place', 'reach', 'shelf-place', 'pick-out-of-hole', 'plate-slide-back-side')
PERIOD_STEPS = 4


@pytest.fixture(scope='module')
def simulator():
    with make_simulator('metaworld', 'reach') as simulator:
        yield simulator


def everything(simulator):
    """All that the physics and the pictures depend on, as bytes."""
    data = simulator._env.data
    images = [simulator.render(camera).tobytes() for camera in simulator.cameras]
    return [data.qpos.tobytes(), data.qvel.tobytes(), data.mocap_pos.tobytes(), *images]


def hold(simulator, action, periods):
    for _ in range(periods * PERIOD_STEPS):
        simulator.step(action)


def solve(simulator, seed):
    simulator.reset(seed)
    while not simulator.success() and simulator.steps < simulator.time_limit_steps:
        hold(simulator, simulator.expert_action(), 1)
    return simulator.success()


@pytest.mark.parametrize('task', VARIED_TASKS)
def test_reset_repeats_exactly_whatever_came_before(task):
    with make_simulator('metaworld', task) as simulator:
        simulator.reset(7)
        first = everything(simulator)
        hold(simulator, simulator.expert_action(), 10)
        after_ten = everything(simulator)
        assert after_ten != first
        simulator.reset(8)
        assert everything(simulator)[3:] != first[3:], 'another seed gives the same pictures'
        hold(simulator, [0.03, -0.02, 0.01, 1.0], 5)
        simulator.reset(7)
        assert everything(simulator) == first
        hold(simulator, simulator.expert_action(), 10)
        assert everything(simulator) == after_ten


@pytest.mark.slow
def test_all_tasks_repeat_and_vary():
    for task in list_tasks('metaworld'):
        with make_simulator('metaworld', task) as simulator:
            simulator.reset(3)
            first = everything(simulator)
            hold(simulator, [0.02, 0.02, -0.02, 1.0], 20)
            simulator.reset(4)
            assert everything(simulator)[3:] != first[3:], f'{task}: another seed gives the same pictures'
            simulator.reset(3)
            assert everything(simulator) == first, task


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('sign', [1, -1])
def test_displacement_moves_the_hand_that_way(simulator, axis, sign):
    simulator.reset(0)
    hold(simulator, [0, 0, 0, -1], 10)  # come to rest
    before = simulator.state().end_effector_position
    action = np.array([0, 0, 0, -1.0])
    action[axis] = sign * 0.02
    hold(simulator, action, 2)
    hold(simulator, [0, 0, 0, -1], 10)
    moved = simulator.state().end_effector_position - before
    assert moved[axis] * sign == pytest.approx(0.04, abs=0.006)
    assert np.abs(np.delete(moved, axis)).max() < 0.01


def test_control_period_scales_the_displacement():
    moved = []
    for period in (0.05, 0.1):
        with make_simulator('metaworld', 'reach', period) as simulator:
            before = simulator.state().end_effector_position
            assert simulator.steps_per_period == pytest.approx(period / 0.0125)
            np.testing.assert_allclose(simulator.action_limits, [period * 0.8] * 3 + [1.0])
            for _ in range(round(2 * simulator.steps_per_period)):
                simulator.step([0.03, 0, 0, -1])
            for _ in range(40):
                simulator.step([0, 0, 0, -1])
            moved.append(simulator.state().end_effector_position[0] - before[0])
    assert moved[0] == pytest.approx(moved[1], abs=0.005)


def test_too_large_actions_are_clipped(simulator):
    places = []
    for size in (0.04, 4.0):
        simulator.reset(0)
        hold(simulator, [size, 0, 0, -1], 3)
        places.append(simulator.state().end_effector_position)
    np.testing.assert_array_equal(*places)


def test_gripper_closes_and_opens(simulator):
    simulator.reset(0)
    opened = simulator.state().gripper_opening
    hold(simulator, [0, 0, 0, 1], 30)
    closed = simulator.state().gripper_opening
    hold(simulator, [0, 0, 0, -1], 30)
    assert closed < opened - 0.03
    assert simulator.state().gripper_opening == pytest.approx(opened, abs=0.005)


def test_state_is_a_copy_with_the_documented_shape(simulator):
    simulator.reset(0)
    state = simulator.state()
    kept = state.end_effector_position.copy()
    hold(simulator, [0, 0, 0.04, -1], 5)
    np.testing.assert_array_equal(state.end_effector_position, kept)
    assert len(state.joint_names) == len(set(state.joint_names)) == 9
    assert state.joint_positions.shape == state.joint_velocities.shape == (9,)
    assert np.linalg.norm(state.end_effector_orientation) == pytest.approx(1.0)
    assert simulator.state().end_effector_position[2] > kept[2]


@pytest.mark.parametrize(('width', 'height'), [(128, 128), (84, 84), (200, 100), (640, 480)])
def test_images_have_the_size_asked_for(simulator, width, height):
    for camera in simulator.cameras:
        image = simulator.render(camera, width, height)
        assert image.shape == (height, width, 3)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert image.std() > 10


def test_static_view_is_upright_and_not_mirrored(simulator):
    """The table (brown) is below the wall; a hand that rises goes up, and one that moves ahead goes right."""
    simulator.reset(0)
    image = simulator.render('static').astype(int)
    brown = (image[..., 0] - image[..., 2]) > 25
    assert brown[96:].mean() > 3 * brown[:32].mean()

    def hand_place(action):
        simulator.reset(0)
        hold(simulator, action, 5)
        after = simulator.render('static').astype(int)
        fingers = (after[..., 2] - after[..., 0] > 80) & (after[..., 1] - after[..., 0] > 80)  # the left is cyan
        assert fingers.any()
        rows, columns = np.nonzero(fingers)
        return rows.mean(), columns.mean()

    assert hand_place([0, 0, 0.03, -1])[0] < hand_place([0, 0, 0, -1])[0] - 5
    # Seen from the front right, away from the robot (+y) is to the right: in a mirrored picture it would be left.
    assert hand_place([0, 0.03, 0, -1])[1] > hand_place([0, -0.03, 0, -1])[1] + 5


def test_cameras_differ_and_the_wrist_travels(simulator):
    simulator.reset(0)
    static, wrist = (simulator.render(camera).astype(int) for camera in simulator.cameras)
    assert np.abs(static - wrist).mean() > 20
    hold(simulator, [0.04, 0, 0, -1], 4)
    background = np.s_[:24, 90:]  # wall and floor, where the arm never is
    assert np.abs(simulator.render('static').astype(int)[background] - static[background]).mean() < 2
    assert np.abs(simulator.render('wrist').astype(int) - wrist).mean() > 2


def test_what_is_out_of_view_is_not_missed(simulator):
    simulator.reset(0)
    quick = [simulator.render(camera) for camera in simulator.cameras]
    renderer = simulator._renderer
    assert renderer._out_of_view(simulator._env.model.camera('gripperPOV').id, 1.0).sum() > 10
    renderer._out_of_view = lambda *_: np.zeros(simulator._env.model.ngeom, dtype=bool)
    try:
        whole = [simulator.render(camera) for camera in simulator.cameras]
    finally:
        del renderer._out_of_view
    np.testing.assert_array_equal(quick, whole)


@pytest.mark.parametrize('task', ['reach', 'drawer-open', 'button-press', 'pick-place', 'bin-picking', 'door-open'])
def test_expert_solves_through_the_contracts_action(task):
    with make_simulator('metaworld', task) as simulator:
        assert [solve(simulator, seed) for seed in range(100, 103)] == [True] * 3


@pytest.mark.slow
def test_experts_solve_all_tasks():
    """98 % of 2000 episodes succeeded when this was measured, the worst task 85 %."""
    rates = {}
    for task in list_tasks('metaworld'):
        with make_simulator('metaworld', task) as simulator:
            rates[task] = np.mean([solve(simulator, seed) for seed in range(5)])
    assert np.mean(list(rates.values())) > 0.95
    assert min(rates.values()) >= 0.4, rates


def test_doing_nothing_does_not_succeed(simulator):
    simulator.reset(0)
    hold(simulator, [0, 0, 0, -1], 20)
    assert not simulator.success()


def test_success_is_latched_until_reset():
    with make_simulator('metaworld', 'reach') as simulator:
        assert solve(simulator, 0)
        hold(simulator, [0, 0, 0.04, -1], 20)  # away from the goal again
        assert not simulator._succeeds_now()
        assert simulator.success()
        simulator.reset(1)
        assert not simulator.success()


def test_time_limit_does_not_stop_the_simulation(simulator):
    simulator.reset(0)
    for _ in range(simulator.time_limit_steps + 20):
        simulator.step([0, 0, 0, -1])
    before = simulator.state().end_effector_position
    hold(simulator, [0, 0, 0.03, -1], 3)
    assert simulator.state().end_effector_position[2] > before[2] + 0.02
    assert simulator.steps == simulator.time_limit_steps + 32


def test_first_image_shows_the_scene_of_its_own_seed():
    """The benchmark leaves a moved drawer where it was until the first step."""
    with make_simulator('metaworld', 'drawer-open') as simulator:
        places = set()
        for seed in range(3):
            simulator.reset(seed)
            place = simulator._env.data.body('drawer').xpos[0]
            assert place == simulator._env.model.body('drawer').pos[0]
            places.add(place)
        assert len(places) == 3


def test_simulator_keeps_other_threads_alive(simulator):
    """Physics and rendering release the interpreter: a thread that wants to run every 5 ms gets to."""
    delays, rendering = [], []
    done = threading.Event()

    def tick():
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.005)
            now = time.perf_counter()
            delays.append(now - last - 0.005)
            last = now

    simulator.render()
    thread = threading.Thread(target=tick)
    thread.start()
    try:
        for _ in range(20):
            hold(simulator, [0, 0, 0, -1], 1)
            begin = time.perf_counter()
            simulator.render('static', 640, 480)
            rendering.append(time.perf_counter() - begin)
    finally:
        done.set()
        thread.join()
    assert np.median(delays) < np.median(rendering) / 2


def test_other_threads_are_refused(simulator):
    errors = []

    def use():
        try:
            simulator.step([0, 0, 0, 0])
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_task_names():
    assert len(list_tasks('metaworld')) == 50 + len(HALFWAY_TASKS)
    with make_simulator('metaworld', 'door-open-v3') as simulator:
        assert simulator.task == 'door-open'
        assert simulator.instruction == 'open the door'
    with pytest.raises(UserError, match=r"'drawer-opn'.*drawer-open"):
        make_simulator('metaworld', 'drawer-opn')


@pytest.mark.parametrize(
    ('action', 'why'),
    [([0, 0, 0], 'x, y, z, gripper'), ([0] * 7, 'x, y, z, gripper'), ([0, 0, np.nan, 0], 'finite')],
)
def test_wrong_actions_are_refused(simulator, action, why):
    with pytest.raises(UserError, match=why):
        simulator.step(action)


def test_wrong_views_and_seeds_are_refused(simulator):
    with pytest.raises(UserError, match=r"'top'.*static and wrist"):
        simulator.render('top')
    with pytest.raises(UserError, match='0x128'):
        simulator.render('static', 0, 128)
    with pytest.raises(UserError, match='-1'):
        simulator.reset(-1)
    with pytest.raises(UserError, match='control period'):
        make_simulator('metaworld', 'reach', 0.0)


def test_every_task_has_its_sentences():
    assert set(list_tasks('metaworld')) - set(HALFWAY_TASKS) == set(instructions._instructions())


@pytest.mark.parametrize('fixture', ['drawer', 'faucet', 'window'])
def test_halfway_the_scene_does_not_tell_what_is_meant(fixture):
    first = {}
    for task in (f'{fixture}-open-halfway', f'{fixture}-close-halfway'):
        with make_simulator('metaworld', task) as simulator:
            assert simulator.task == task
            for seed in (1, 3, 4):  # a ball at one goal, none, at the other
                simulator.reset(seed)
                assert everything(simulator) == first.setdefault(seed, everything(simulator))
                hold(simulator, [0, 0, 0, -1], 3)
                assert not simulator.success(), 'done before anything is done'
                assert solve(simulator, seed)
    assert first[3] != first[4], 'every seed gives the same scene'


def test_the_scene_is_what_the_benchmark_observes():
    with make_simulator('metaworld', 'pick-place') as simulator:
        simulator.reset(5)
        named = dict(zip(simulator.scene_names, simulator.scene(), strict=True))
        puck, goal = simulator._env.data.body('obj').xpos, simulator._env._target_pos
        assert [named[f'object_1_{axis}'] for axis in 'xyz'] == pytest.approx(puck, abs=1e-9)
        assert [named[f'goal_{axis}'] for axis in 'xyz'] == pytest.approx(goal)
        assert not any(value for name, value in named.items() if name.startswith('object_2')), 'there is one object'
        before = simulator.scene()
        while not simulator.success():
            hold(simulator, simulator.expert_action(), 1)
            puck = simulator._env.data.body('obj').xpos
            assert simulator.scene()[:3] == pytest.approx(puck, abs=1e-9), 'now, not a step ago'
        moved = simulator.scene() - before
        assert np.linalg.norm(moved[:3]) > 0.05, 'the puck was carried'
        assert not moved[-3:].any(), 'and the goal stayed'
        simulator.reset(6)
        assert (simulator.scene()[-3:] != before[-3:]).any()
        simulator.reset(5)
        assert simulator.scene().tolist() == before.tolist()
