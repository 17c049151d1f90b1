"""A whole evaluation on a simulator whose outcomes are known: counting, going on, refusing, reporting."""

import errno
import json
from html.parser import HTMLParser
from types import SimpleNamespace

import av
import numpy as np
import pytest
from evaluation.stand_in import PointSimulator, Scripted

from mode_ros.control.execution import ExecutionSettings
from mode_ros.errors import UserError
from mode_ros.evaluation import evaluator
from mode_ros.evaluation import results as scores
from mode_ros.evaluation import run as runner
from mode_ros.evaluation.results import motion_line
from mode_ros.evaluation.run import evaluate
from mode_ros.evaluation.sensors import Faults
from mode_ros.evaluation.settings import make_settings
from mode_ros.evaluation.workers import pieces
from mode_ros.sim.instructions import held_out_instructions


class OneWay(Scripted):
    """Goes 10 cm forwards and upwards with each chunk, which solves the task of seed 0 and no other."""

    def __init__(self):
        super().__init__([[0.04, 0.0, 0.04, 1.0]] * 2 + [[0.02, 0.0, 0.02, 1.0]] + [[0.0, 0, 0, 1.0]] * 7)


@pytest.fixture
def go(point, checkpoint, tmp_path):
    """Evaluates with what is given; .policies are those that were loaded."""

    def evaluate_with(load=None, **given):
        def default(settings):
            go.policies.append(OneWay())
            return go.policies[-1]

        defaults = {
            'checkpoint': checkpoint,
            'output': tmp_path / 'out',
            'latency': 0.05,
            'videos': 0,
            'tasks': ('reach', 'push'),
            'rollouts': 4,
        }
        return evaluate(make_settings(**{**defaults, **given}), load or default)

    go = evaluate_with
    go.policies, go.output = [], tmp_path / 'out'
    return go


def lines(folder):
    return [json.loads(line) for line in (folder / 'episodes.jsonl').read_text().splitlines()]


def test_every_episode_is_counted_once_and_scored(go):
    results = go()

    assert [(task['task'], task['successes'], task['rollouts']) for task in results['tasks']] == [
        ('reach', 1, 4),
        ('push', 1, 4),
    ]
    found = lines(go.output)
    assert [(line['task'], line['seed']) for line in found] == [(t, s) for t in ('reach', 'push') for s in range(4)]
    assert [line['seed'] for line in found if line['success']] == [0, 0]
    assert (results['mean']['successes'], results['mean']['rate']) == (2, 0.25)
    assert results['mean']['low'] < 0.25 < results['mean']['high']
    # A period of waiting, eight steps of 1 cm in each direction, and three of 5 mm until less than 1 cm is left.
    assert results['mean']['seconds_to_success'] == pytest.approx(0.05 + 11 * 0.0125)
    assert json.loads((go.output / 'results.json').read_text()) == json.loads(json.dumps(results))
    assert PointSimulator.made == 2, 'one simulator per task'
    assert len(go.policies) == 1


def test_run_again_nothing_is_run_or_counted_twice(go):
    first = go()
    made = PointSimulator.made

    assert go() == first
    assert PointSimulator.made == made
    assert len(go.policies) == 1, 'not even loaded'
    assert len(lines(go.output)) == 8


def test_an_interrupted_one_goes_on_with_the_episode_that_was_cut_off(go):
    class Impatient(OneWay):
        def predict(self, *arguments, **more):
            if len(self.seen) == 20:
                raise KeyboardInterrupt
            return super().predict(*arguments, **more)

    with pytest.raises(KeyboardInterrupt):
        go(load=lambda settings: Impatient())
    finished = lines(go.output)
    assert 0 < len(finished) < 8
    path = go.output / 'episodes.jsonl'
    # Killed while a line was being written: the line is not whole.
    path.write_text(path.read_text() + json.dumps(finished[0])[:30])

    results = go()

    assert lines(go.output)[: len(finished)] == finished
    assert len(lines(go.output)) == 8
    fresh = go(output=go.output.parent / 'fresh')
    assert fresh['tasks'] == results['tasks']


def test_it_can_be_widened(go):
    go(rollouts=2)
    results = go(rollouts=4)
    assert len(lines(go.output)) == 8
    assert results['mean']['rollouts'] == 8
    assert go(rollouts=1, tasks=('push',))['mean']['rollouts'] == 1


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'steps': 4}, r'steps is 4 now and not given there'),
        ({'image_noise': 3.0}, r'image-noise is 3.0 now and 0.0 there'),
        ({'goals': 'held-out'}, r'goals is held-out now and trained there'),
        ({'latency': 0.1, 'number_format': 'int8'}, r'latency is 0.1 now and 0.05 there; number-format is int8 now'),
    ],
)
def test_other_settings_are_refused_by_name(go, given, words):
    go()
    with pytest.raises(UserError, match=words):
        go(**given)


def test_another_checkpoint_is_refused_and_a_copy_is_not(go, checkpoint, tmp_path):
    import shutil

    go()
    shutil.copytree(checkpoint, tmp_path / 'copy')
    assert go(checkpoint=tmp_path / 'copy')['mean']['rollouts'] == 8
    statistics = tmp_path / 'copy' / 'statistics.json'
    statistics.write_text(statistics.read_text() + ' ')
    with pytest.raises(UserError, match=r'the checkpoint is .*copy now and another one there'):
        go(checkpoint=tmp_path / 'copy')


def test_an_episode_gets_what_was_asked_for(go, monkeypatch):
    seen = []
    real = evaluator.run_episode

    def run_episode(*given):
        seen.append(given)
        return real(*given)

    monkeypatch.setattr(evaluator, 'run_episode', run_episode)
    more = {'image_noise': 2.0, 'state_noise': 0.1, 'drop_frames': 0.25}
    how = {'latency': None, 'delay': '2-6', 'execution': 'receding', 'actions': 3, 'goals': 'held-out'}
    results = go(tasks=('reach',), rollouts=1, **how, **more)

    (given,) = seen
    _, _, _, goal, latency, _, faults, _, _, execution, longest = given
    assert goal in held_out_instructions('reach')
    assert (latency, longest) == (2, 6)
    assert faults == Faults(2.0, 0.1, 0.25)
    assert execution == ExecutionSettings('receding', 3)
    assert results['latency_periods'] == 2


def test_held_is_a_share_of_the_periods_from_the_first_chunk_on(go):
    results = go(tasks=('reach',), seeds=(1,), rollouts=None, latency=0.5)
    (line,) = lines(go.output)
    assert line['periods'] - line['acting'] == 10, 'ten periods went before there was a chunk'
    assert results['mean']['share_held'] == line['held'] / line['acting']


def test_a_full_disk_is_one_sentence(go, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(evaluator, 'save_commands', full)
    with pytest.raises(UserError, match='The disk is full'):
        go()


def test_another_version_than_the_first_episodes_had_is_told(go, monkeypatch, capsys):
    first = go(rollouts=1)['versions']
    monkeypatch.setattr(scores, 'versions', lambda: {**first, 'torch': '99.0'})
    go(rollouts=1)
    assert 'other versions' not in capsys.readouterr().err, 'nothing was run'
    results = go(rollouts=2)
    assert 'with other versions (torch ' in capsys.readouterr().err
    assert results['versions'] == first
    assert results['versions_later'] == [{**first, 'torch': '99.0'}]


def test_a_line_that_is_no_episode_is_named(go):
    go()
    path = go.output / 'episodes.jsonl'
    path.write_text('{"task": 1}\n' + path.read_text())
    with pytest.raises(UserError, match='line 1 is not an episode'):
        go()


def test_a_measured_latency_is_kept(go, monkeypatch, capsys):
    taken = iter([[0.12] * 8 + [0.9], [5.0] * 9])
    monkeypatch.setattr(runner, 'inference_seconds', lambda policy: next(taken))

    results = go(latency=None, rollouts=1)

    assert (results['latency_seconds'], results['latency_periods']) == (0.12, 3)
    told = capsys.readouterr().err
    assert 'A chunk takes 120 ms' in told
    assert 'from 120 to 900 ms: this machine is busy' in told
    assert go(latency=None, rollouts=2)['latency_periods'] == 3
    assert next(taken) == [5.0] * 9, 'measured once'


def test_the_same_seeds_give_the_same_commands_in_any_order(go, tmp_path):
    class Noisy(Scripted):
        def predict(self, images, state, goal, generator, should_stop=None, on_stage=None, plan=None):
            import torch

            return (0.01 * torch.randn(10, 4, generator=generator)).numpy()

    def commands(folder, seeds):
        go(load=lambda settings: Noisy(), output=tmp_path / folder, seeds=seeds, rollouts=None, image_noise=1.0)
        return {path.name: np.load(path)['commands'] for path in (tmp_path / folder / 'failures').iterdir()}

    one, two = commands('a', (0, 1, 2)), commands('b', (2, 0))
    assert len(two) == 4
    assert all(np.array_equal(one[name], two[name]) for name in two)
    assert not np.array_equal(one['reach-000.npz'], one['reach-001.npz'])
    assert not np.array_equal(one['reach-000.npz'], one['push-000.npz'])


def test_seeds_of_demonstrations_are_pointed_out(go, capsys):
    go(seeds=(1003,), rollouts=None)
    assert 'seeds from 1000 on' in capsys.readouterr().err


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.sources = [], '', []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ('src', 'href')]

    def handle_data(self, data):
        self.text += data


def test_failures_are_filmed_and_shown(go):
    results = go(videos=1)

    failures = {(e['task'], e['seed']) for e in results['episodes'] if not e['success']}
    first = {task: min(seed for name, seed in failures if name == task) for task, _ in failures}
    films = sorted((go.output / 'videos').glob('*.mp4'))
    assert [film.name for film in films] == sorted(f'{task}-{seed:03d}.mp4' for task, seed in first.items())
    with av.open(str(films[0])) as film:
        assert float(film.streams.video[0].average_rate) == 10.0
        frames = [frame.to_ndarray(format='rgb24') for frame in film.decode(video=0)]
    assert frames[0].shape == (440, 768, 3)
    assert len(frames) == 125 // 2 + 1 + 1
    levels = [frame[200, 200, 0] for frame in frames]
    assert levels[-1] == pytest.approx(125, abs=6), 'the picture of the last step'
    page = Page((go.output / 'report.html').read_text())
    assert page.tags.count('table') == 2
    assert page.tags.count('img') == len(first)
    assert 'mean over tasks' in page.text
    assert 'push it' in page.text
    assert all(source.startswith(('data:image/jpeg;base64,', 'videos/')) for source in page.sources)
    assert 'script' not in page.tags
    before = [film.stat().st_mtime_ns for film in films]
    go(videos=1)
    assert [film.stat().st_mtime_ns for film in films] == before
    assert len(list((go.output / 'videos').glob('*.mp4'))) == len(films)
    go(videos=2)
    assert len(list((go.output / 'videos').glob('*.mp4'))) > len(films)


def test_a_replay_that_ends_elsewhere_is_not_shown(go, capsys):
    go()
    for path in (go.output / 'failures').iterdir():
        found = dict(np.load(path))
        np.savez(path, commands=found['commands'], end=found['end'] + 0.02)
    go(videos=1)
    assert not list(go.output.rglob('*.mp4'))
    assert 'is not filmed: played again on this machine, it ends 3.5 cm' in capsys.readouterr().err


def test_a_contract_of_another_robot_is_refused(go, monkeypatch):
    monkeypatch.setattr(PointSimulator, 'action_names', ('x', 'y', 'z', 'rotation_x', 'gripper'))
    with pytest.raises(UserError, match=r"does not fit the simulated point of a test: it commands .'x', 'y'"):
        go()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'cameras': ('static',)}, "has the camera 'wrist', the simulator"),
        ({'step_seconds': 0.03}, 'not a whole number of steps of 0.03 s'),
    ],
)
def test_what_does_not_fit_is_named(go, monkeypatch, change, words):
    for name, value in change.items():
        monkeypatch.setattr(PointSimulator, name, value)
    with pytest.raises(UserError, match=words):
        go()


def test_a_joint_that_is_not_there_is_named(go, monkeypatch):
    real = PointSimulator.state

    def other(self):
        state = real(self)
        return SimpleNamespace(**{**vars(state), 'joint_names': ('a', *state.joint_names[1:])})

    monkeypatch.setattr(PointSimulator, 'state', other)
    with pytest.raises(UserError, match=r"has the joint 'right_j0' in the state 'joints', the simulator \['a'"):
        go()


def test_work_is_shared_out_by_task():
    episodes = [(task, seed) for task in 'ab' for seed in range(5)]
    for jobs in (2, 3):
        shared = pieces(episodes, jobs)
        assert sorted(key for piece in shared for key in piece) == episodes
        assert all(len({task for task, _ in piece}) == 1 for piece in shared)
        assert len(shared) >= jobs
    assert pieces([], 2) == []
    assert pieces([(str(k), 0) for k in range(20)], 2) == [[(str(k), 0)] for k in range(20)]


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'delay': '4', 'latency': 0.1}, 'give one of them'),
        ({'delay': '6-2'}, 'ends before it begins'),
        ({'delay': 'two'}, 'delay'),
        ({'execution': 'chunky'}, 'execution'),
        ({'delay': '3', 'through_ros': True}, 'delay is for episodes in one process'),
    ],
)
def test_delays_and_modes_that_are_none_are_refused(tmp_path, values, words):
    with pytest.raises(UserError, match=words):
        make_settings(checkpoint=tmp_path, output=tmp_path, **values)


def test_delays_are_in_periods():
    def delays(text):
        return make_settings(checkpoint='c', output='o', delay=text).delays

    assert [delays(text) for text in ('0', '4', '2-6')] == [(1, 1), (4, 4), (2, 6)]


def test_two_at_once_in_one_folder_are_refused(go, monkeypatch):
    def again(settings):
        with pytest.raises(UserError, match='Another evaluation is running'):
            go()
        return OneWay()

    go(load=again)
    assert len(lines(go.output)) == 8


def test_what_nodes_do_not_tell_is_not_said(go):
    results = go()
    assert 'no seam in motion; jerk 0' not in motion_line(results)
    assert 'jerk' in motion_line(results)
    told = motion_line({**results, 'settings': {**results['settings'], 'through_ros': True}})
    assert told.endswith('0 chunks late. Through the nodes neither seams nor jerk are told.')
