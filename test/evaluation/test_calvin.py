"""Five in a row, on an environment that only counts: what is asked for, what is judged, when a chain ends."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from evaluation.stand_in import Scripted

from mode_ros.control.contract import load_contract
from mode_ros.errors import UserError
from mode_ros.evaluation import calvin_package, evaluator
from mode_ros.evaluation.calvin import TASK_STEPS, CalvinSimulator, run_chain
from mode_ros.evaluation.calvin_package import Chain
from mode_ros.evaluation.evaluator import make_episode
from mode_ros.evaluation.results import summarise, table
from mode_ros.evaluation.rollout import run_episode
from mode_ros.evaluation.run import evaluate
from mode_ros.evaluation.settings import make_settings
from mode_ros.pairing import make_untrained
from mode_ros.simulated import check_fits
from mode_ros.training.data import calvin as recorded
from mode_ros.training.data.foreign import quaternion_from_euler

CONTRACT_FILE = Path(recorded.__file__).with_name('calvin_panda.yaml')
CONTRACT = load_contract(CONTRACT_FILE)
ANGLES = np.array([0.3, -0.2, 1.1])


class Camera:
    """Its pictures are those that the benchmark makes, the colours being the first three of four."""

    def __init__(self, name, side):
        self.name, self.side, self.rendered = name, side, 0

    def render(self):
        self.rendered += 1
        picture = np.zeros((self.side, self.side, 4), np.uint8)
        picture[:] = [200, self.rendered, 50, 255]
        picture[self.side // 2 :, :, 0] = 0
        return picture[:, :, :3], np.zeros((self.side, self.side))


class Environment:
    """The hand moves by the sum of actions along x; a task of `far` counts it from where the task began.

    As in the real one, a reset keeps something of what was before, loading draws at random, every step renders the
    cameras that it has, and closing twice fails.
    """

    def __init__(self):
        self.actions, self.resets = [], []
        self.x, self.kept = 0.0, 0.0
        self.static, self.gripper = Camera('static', 200), Camera('gripper', 84)
        self.cameras = [self.static, self.gripper]
        self.closed = False
        self.scene, self.cid = SimpleNamespace(np_random=None), 3

    def reset(self, robot_obs, scene_obs):
        self.resets.append((robot_obs, scene_obs))
        self.x = float(robot_obs[0]) + self.kept
        return self._observe()

    def step(self, action):
        self.actions.append(np.array(action))
        self.x += 0.02 * action[0]
        self.kept = 0.001
        return self._observe(), 0, False, self.get_info()

    def get_info(self):
        return {'x': self.x}

    def close(self):
        if self.cid >= 0:
            assert not self.closed, 'not connected'
            self.closed = True

    def load(self):
        self.kept = 1e-9 * self.scene.np_random.uniform()

    def _observe(self):
        robot = np.concatenate([[self.x, 0.1, 0.2], ANGLES, [0.08], np.arange(7) / 10, [1.0]])
        pictures = {f'rgb_{camera.name}': camera.render()[0] for camera in self.cameras}
        return {'robot_obs': robot, 'rgb_obs': pictures}


class Oracle:
    """A task's name says how far the hand must go from where the task began, in cm."""

    def get_task_info_for_set(self, start, now, tasks):
        return {task for task in tasks if now['x'] - start['x'] >= float(task) / 100 - 1e-9}


def chain(*tasks, x=0.5):
    return Chain({'robot_obs': np.array([x]), 'scene_obs': np.zeros(2)}, tasks)


def simulator(*chains):
    sentences = {task: f'go {task} cm' for one in chains for task in one.tasks}
    return CalvinSimulator(Environment(), Oracle(), chains, sentences, CONTRACT.period_seconds)


def forward(steps=10):
    return Scripted([[0.02, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]] * steps)


def runner(one, policy):
    return lambda goal: run_episode(one, CONTRACT, policy, goal, 1, torch.Generator().manual_seed(0))


def test_the_contract_of_calvin_data_fits():
    check_fits(CONTRACT, 'it', simulator(chain('4')))


def test_a_chain_goes_on_where_the_task_before_has_left_the_scene():
    one = simulator(chain('9'), chain('4', '4', '4', '4', '4'))
    policy = forward()

    goal, outcomes = run_chain(one, 1, runner(one, policy))

    assert [outcome.success for outcome in outcomes] == [True] * 5
    assert [text for _, _, text in policy.seen] == ['go 4 cm'] * 5
    assert goal == 'go 4 cm; then go 4 cm; then go 4 cm; then go 4 cm; then go 4 cm'
    environment = one._environment
    assert len(environment.resets) == 2, 'at construction and for the chain, not between its tasks'
    assert environment.x == pytest.approx(0.5 + 5 * 0.04)
    # Each task: a period of waiting, then 2 cm a step.
    assert [outcome.periods for outcome in outcomes] == [3] * 5
    episode = make_episode('calvin', 1, goal, outcomes, of=5)
    assert (episode.solved, episode.success, episode.periods) == (5, True, 15)


def test_a_chain_ends_with_its_first_failure():
    one = simulator(chain('4', '4', '99999', '4', '4'))

    goal, outcomes = run_chain(one, 0, runner(one, forward()))

    assert [outcome.success for outcome in outcomes] == [True, True, False]
    assert outcomes[-1].periods == TASK_STEPS
    assert goal.endswith('go 99999 cm')
    episode = make_episode('calvin', 0, goal, outcomes, of=5)
    assert (episode.solved, episode.success) == (2, False)


def test_what_was_done_before_a_task_began_does_not_solve_it():
    one = simulator(chain('30', '4'))
    one.reset(0)
    for _ in range(20):
        one.step([0.02, 0, 0, 0, 0, 0, 1.0])
    assert one.success()
    one.begin('4')
    assert not one.success()
    one.step([0.02, 0, 0, 0, 0, 0, 1.0])
    assert not one.success()
    one.step([0.02, 0, 0, 0, 0, 0, 1.0])
    assert one.success()


def test_actions_are_in_calvin_units_and_its_gripper_counts_the_other_way():
    one = simulator(chain('99'))
    one.step([0.01, 0.0, -0.02, 0.05, 0.0, -0.025, 0.0])
    one.step([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    one.step([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    one.step([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
    found = np.array(one._environment.actions)
    assert found[0] == pytest.approx([0.5, 0.0, -1.0, 1.0, 0.0, -0.5, 1.0])
    assert found[:, 6].tolist() == [1.0, -1.0, -1.0, 1.0]


def test_the_state_is_what_the_converter_makes_of_recorded_ones():
    state = simulator(chain('9')).state()
    assert state.joint_names[-1] == 'panda_gripper_width'
    assert state.joint_positions[:7] == pytest.approx(np.arange(7) / 10)
    assert state.joint_positions[7] == state.gripper_opening == 0.08
    assert state.end_effector_orientation == pytest.approx(quaternion_from_euler(ANGLES))


def test_a_picture_is_rendered_where_it_is_looked_at_and_not_in_every_step():
    one = simulator(chain('99'))
    environment = one._environment
    for _ in range(5):
        one.step(np.zeros(7))
    assert environment.static.rendered == environment.gripper.rendered == 0
    static, wrist = one.render('static', 200, 200), one.render('wrist', 84, 84)
    assert (static.shape, wrist.shape, static.dtype) == ((200, 200, 3), (84, 84, 3), np.uint8)
    assert static.flags['C_CONTIGUOUS']
    assert static[0, 0].tolist() == [200, 1, 50]
    assert static[-1, 0].tolist() == [0, 1, 50]
    assert one.render('static', 100, 50).shape == (50, 100, 3)
    assert (environment.static.rendered, environment.gripper.rendered) == (2, 1)


def test_an_episode_does_not_depend_on_the_one_before():
    one = simulator(chain('9'), chain('9', x=0.7))
    first = one.state().end_effector_position
    one.step(np.zeros(7))
    one.reset(1)
    one.step(np.zeros(7))
    one.reset(0)
    assert one.state().end_effector_position.tolist() == first.tolist()


def test_it_may_be_closed_twice_and_its_environment_once_more():
    one = simulator(chain('9'))
    one.close()
    one.close()
    one._environment.close()  # as when it is deleted
    assert one._environment.closed


def test_scores_count_in_a_row():
    episodes = [make_episode('calvin', k, 'go', [], of=5) for k in range(4)]
    episodes = [
        type(e)(**{**vars(e), 'solved': solved, 'success': solved == 5})
        for e, solved in zip(episodes, (0, 2, 5, 3), strict=True)
    ]
    results = summarise('calvin', {'checkpoint': {}, 'settings': {}}, episodes)
    assert [row['successes'] for row in results['tasks']] == [3, 3, 2, 1, 1]
    assert results['average_length']['tasks'] == 2.5
    assert results['average_length']['low'] < 2.5 < results['average_length']['high']
    assert '5 in a row' in table(results)
    assert 'average length' in table(results)


@pytest.fixture
def calvin_checkpoint(tmp_path):
    make_untrained(CONTRACT, CONTRACT_FILE.read_text(), seed=0).save(tmp_path / 'checkpoint')
    return tmp_path / 'checkpoint'


def test_an_evaluation_on_calvin(calvin_checkpoint, tmp_path, monkeypatch):
    one = simulator(chain('4', '4', '4', '4', '4'), chain('4', '99999', '4', '4', '4'))
    monkeypatch.setattr('mode_ros.evaluation.run.check_available', lambda data: data)
    monkeypatch.setattr(evaluator.CalvinSimulator, 'load', lambda data, period: one)
    settings = make_settings(
        checkpoint=calvin_checkpoint, output=tmp_path / 'out', suite='calvin', rollouts=2, latency=0.01
    )

    results = evaluate(settings, lambda settings: forward())

    assert [row['successes'] for row in results['tasks']] == [2, 1, 1, 1, 1]
    assert results['average_length']['tasks'] == 3.0
    assert one._environment.closed
    assert '3.00 tasks in a row' in (tmp_path / 'out' / 'report.html').read_text()


def test_without_calvin_it_is_said_what_to_install(calvin_checkpoint, tmp_path, monkeypatch):
    settings = make_settings(checkpoint=calvin_checkpoint, output=tmp_path / 'out', suite='calvin')
    with pytest.raises(UserError, match=r'calvin_env is missing; clone https://github.com/mees/calvin'):
        evaluate(settings)
    monkeypatch.setattr(calvin_package, 'PACKAGES', ())
    with pytest.raises(UserError, match='--calvin-data is not given'):
        evaluate(settings)
    with pytest.raises(UserError, match='has no validation'):
        evaluate(settings.model_copy(update={'calvin_data': tmp_path}))
    assert not (tmp_path / 'out').exists()
    with pytest.raises(UserError, match='has no validation'):
        CalvinSimulator.load(tmp_path, 1 / 30)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The benchmark's packages as far as they are asked, and a data set's folder; what get_env was given."""
    given = {'made': []}

    def get_env(scene, obs_space, show_gui):
        given.update(scene=scene, obs_space=obs_space, show_gui=show_gui)
        given['made'].append('environment')
        return given.get('environment') or sys.exit()

    def module(name, **values):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**values, __spec__=None))

    def find_spec(name):
        if name in sys.modules:
            raise ValueError(f'{name}.__spec__ is None')  # as for a module that no file made

    def get_sequences(count):
        assert 'environment' not in given['made'], 'a renderer is not to be forked'
        pool = sys.modules['calvin_agent.evaluation.multistep_sequences'].ProcessPoolExecutor
        given['context'] = pool.keywords['mp_context'].get_start_method()
        return [('hello world', ('9',))]

    def states(condition):
        import pyhash

        return np.array([pyhash.fnv1_32()(condition)]), np.zeros(2)

    (tmp_path / 'validation' / '.hydra').mkdir(parents=True)
    (tmp_path / 'validation' / '.hydra' / 'merged_config.yaml').touch()
    monkeypatch.setattr(calvin_package, 'PACKAGES', ())
    monkeypatch.delitem(sys.modules, 'pyhash', raising=False)
    monkeypatch.setattr(calvin_package.importlib.util, 'find_spec', find_spec)
    module('hydra', utils=SimpleNamespace(instantiate=lambda judged: Oracle()))
    module('omegaconf', OmegaConf=SimpleNamespace(load=lambda path: {'9': ['go 9 cm', 'go'], 'path': [path]}))
    for name in ('calvin_agent.evaluation', 'calvin_env', 'calvin_env.envs'):
        module(name)
    module('calvin_agent', __file__=str(tmp_path / 'calvin_agent' / '__init__.py'))
    module('calvin_agent.evaluation.multistep_sequences', get_sequences=get_sequences, ProcessPoolExecutor=None)
    module('calvin_agent.evaluation.utils', get_env_state_for_initial_condition=states)
    module('calvin_env.envs.play_table_env', get_env=get_env)
    yield given
    sys.modules.pop('pyhash', None)


def test_it_is_loaded_without_its_tactile_sensors_and_with_a_hash_in_place_of_pyhash(installed, tmp_path):
    installed['environment'] = Environment()
    one = CalvinSimulator.load(tmp_path, 1 / 30)
    assert installed['scene'] == tmp_path / 'validation'
    assert installed['obs_space'] == {'rgb_obs': ['rgb_static', 'rgb_gripper'], 'depth_obs': []}
    assert installed['show_gui'] is False
    assert installed['context'] == 'fork'
    assert (one.chain, one.instruction) == (('9',), 'go 9 cm')
    # What pyhash 0.9.3 gives; the places of the blocks follow from it.
    assert one._chain.initial['robot_obs'].tolist() == [3799943344]
    installed['made'].clear()
    assert CalvinSimulator.load(tmp_path, 1 / 30).chain == ('9',), 'a second one in the same process'


def test_where_nothing_can_be_rendered_it_is_said(installed, tmp_path):
    with pytest.raises(UserError, match='use_egl: false'):
        CalvinSimulator.load(tmp_path, 1 / 30)


def test_a_chain_that_is_not_there_is_refused():
    with pytest.raises(UserError, match='CALVIN has 1 chains'):
        simulator(chain('4')).reset(1)
