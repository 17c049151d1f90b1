"""Ablations: every run once, resumed where it stopped, and a table that adds up."""

import json
import os
import shutil
import statistics

import pytest
import torch
import yaml
from support.training_sets import SMALL, TextNumbers, joints_set, train_settings

import mode_ros.evaluation.pooled as pooled
import mode_ros.training.ablation as ablation
import mode_ros.training.plan as plan
from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.paths import share_folder
from mode_ros.policy.config import PolicyConfig
from mode_ros.robots import load_named_contract
from mode_ros.settings import load_settings
from mode_ros.training.ablation import Grid, ablate, check_plans, measure_cost, plan_runs
from mode_ros.training.data.editing import edit
from mode_ros.training.data_mark import data_mark


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(plan, 'build_text_encoder', lambda config: TextNumbers())
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def grid(tmp_path):
    """write(**keys): a grid of two variants and two seeds on a small data set."""
    data = joints_set(tmp_path / 'data')
    values = {}
    for key, value in ({'data.path': str(data), 'data.validation_share': 0.4} | SMALL).items():
        section, name = key.split('.')
        values.setdefault(section, {})[name] = value
    (tmp_path / 'base.yaml').write_text(yaml.safe_dump(values))

    def write(**keys):
        content = {
            'base': str(tmp_path / 'base.yaml'),
            'changes': ['run.steps=2'],
            'variants': {'published': [], 'dense': ['policy.routing=dense']},
            'seeds': [0, 1],
        }
        path = tmp_path / 'grid.yaml'
        path.write_text(yaml.safe_dump(content | keys, sort_keys=False))
        return path

    return write


def test_two_variants_and_two_seeds_make_a_table_and_are_kept(grid, tmp_path, capfd):
    out = tmp_path / 'out'
    text, stopped = ablate(grid(), [], out, cpu=True)
    assert stopped == ''
    assert (out / 'ablation.md').read_text() == text
    numbers = json.loads((out / 'ablation.json').read_text())
    published, dense = numbers['variants']
    assert (published['variant'], dense['variant']) == ('published', 'dense')
    results = [json.loads((out / 'published' / f'seed_{seed}' / 'result.json').read_text()) for seed in (0, 1)]
    errors = [result['error'] for result in results]
    assert published['errors'] == {'0': errors[0], '1': errors[1]}
    assert errors[0] != errors[1]
    assert published['error_mean'] == pytest.approx(statistics.fmean(errors))
    assert published['error_std'] == pytest.approx(statistics.stdev(errors))
    assert published['active_parameters'] < published['total_parameters']
    assert dense['total_parameters'] == pytest.approx(published['total_parameters'], rel=0.02)
    assert published['flops'] < dense['flops']
    assert (published['sampler'], dense['sampler']) == ('fast', 'plain')
    assert all(row['latency_ms'] > 0 for row in numbers['variants'])
    assert f'| published | {statistics.fmean(errors):.4f} ± ' in text
    capfd.readouterr()

    # Again: nothing is trained, and the table is the same but for the time.
    written = {path: path.stat().st_mtime_ns for path in out.rglob('result.json')}
    ablate(grid(), [], out, cpu=True)
    assert '4 runs, 4 of them finished before' in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob('result.json')} == written
    # What a training may change when it goes on is no other run.
    ablate(grid(changes=['run.steps=2', 'run.log_every=7', 'run.keep=1']), [], out, cpu=True)
    assert '4 runs, 4 of them finished before' in capfd.readouterr().out
    # Other settings under the same name are refused, not mixed.
    with pytest.raises(UserError, match=r'other settings \(run.validation_samples\)'):
        ablate(grid(changes=['run.steps=2', 'run.validation_samples=3']), [], out, cpu=True)
    with pytest.raises(UserError, match=r'other settings \(run.steps\)'):
        ablate(grid(changes=['run.steps=3']), [], out, cpu=True)


def other_numbers(data):
    shutil.rmtree(data)
    joints_set(data, seed=1)


def a_goal(data):
    edit(data, relabel={2: 'push'})


def more(data):
    shutil.rmtree(data)
    joints_set(data, episodes=8)


@pytest.mark.parametrize('change', [other_numbers, a_goal, more])
def test_a_finished_run_on_other_data_is_refused(grid, tmp_path, change, capfd):
    path, out, data = (
        grid(variants={'one': []}, seeds=[0], changes=['run.steps=1']),
        tmp_path / 'out',
        tmp_path / 'data',
    )
    ablate(path, [], out, cpu=True)
    shutil.copytree(data, tmp_path / 'kept')
    change(data)
    with pytest.raises(UserError, match=r'one/seed_0 learnt from other data than are in \S+data now: take .* remove'):
        ablate(path, [], out, cpu=True)
    for each in tmp_path.glob('data*'):
        shutil.rmtree(each)
    capfd.readouterr()
    ablate(path, [], out, cpu=True)  # nothing can be learnt from others where there are none
    (tmp_path / 'kept').rename(data)
    ablate(path, [], out, cpu=True)
    assert capfd.readouterr().out.count('1 runs, 1 of them finished before') == 2
    # A result of before does not say, and counts as it did.
    result = out / 'one' / 'seed_0' / 'result.json'
    content = json.loads(result.read_text())
    del content['data']
    result.write_text(json.dumps(content))
    change(data)
    ablate(path, [], out, cpu=True)


def test_the_mark_of_data_is_of_what_is_learnt_and_not_of_where_it_lies(tmp_path):
    first, second = joints_set(tmp_path / 'a' / 'first'), joints_set(tmp_path / 'a' / 'second', seed=1)

    def mark(*lines, **changes):
        file = tmp_path / f'{abs(hash(lines))}.yaml'
        file.write_text('datasets:\n' + ''.join(f'  - {{{line}}}\n' for line in lines))
        return data_mark(train_settings('', **{'data.mixture': str(file), **changes}))

    alone = data_mark(train_settings(first))
    assert mark('path: a/first') == alone
    both = mark('path: a/first, weight: 2', 'path: a/second')
    assert (
        both
        == mark('path: a/second', 'path: a/first, weight: 2')
        == mark('path: a/second, weight: 0.5', 'path: a/first')
    )
    assert mark('path: a/first', 'path: a/second, weight: 2') != both != alone
    first.rename(tmp_path / 'moved')
    assert data_mark(train_settings(tmp_path / 'moved')) == alone
    assert data_mark(train_settings(tmp_path / 'moved', **{'run.seed': 5, 'data.cache': 'x'})) == alone
    assert (
        data_mark(train_settings(tmp_path / 'moved', **{'policy.chunk_length': 13, 'data.path': str(second)})) != alone
    )
    assert data_mark(train_settings(first)) is None, 'it is not there any more'
    assert mark('path: a/first') is None
    first.mkdir()
    assert data_mark(train_settings(first)) is None, 'an empty folder'
    assert data_mark(train_settings('', **{'data.mixture': str(tmp_path / 'no_mixture.yaml')})) is None


def test_scores_of_the_policies_stand_in_the_table(grid, tmp_path):
    out, asked = tmp_path / 'out', []

    def closed_loop(policies):
        asked.append(policies)
        common = {'suite': 'toys', 'rollouts': 40}
        return {
            'published': common | {'rate': 0.5, 'low': 0.35, 'high': 0.65, 'rates': [0.25, 0.75], 'difference': None},
            'dense': common
            | {
                'rate': 0.25,
                'low': 0.14,
                'high': 0.4,
                'rates': [0.0, 0.5],
                'difference': {'rate': -0.25, 'low': -0.4, 'high': 0.015, 'p': 0.03, 'p_corrected': 0.06},
            },
        }

    text, _ = ablate(grid(), [], out, cpu=True, closed_loop=closed_loop)

    wanted = {name: [out / name / f'seed_{seed}' / 'policy' for seed in (0, 1)] for name in ('published', 'dense')}
    assert asked == [wanted]
    assert all(path.is_dir() for paths in wanted.values() for path in paths), 'trained before they are scored'
    head, _, published, dense = text.splitlines()[:4]
    assert '| solved | 95 % interval | against published |' in head
    assert '| 50.0 % | 35.0 to 65.0 % |  |' in published
    assert '| 25.0 % | 14.0 to 40.0 % | -25.0 (-40.0 to +1.5, p 0.06) |' in dense
    assert head.count('|') == published.count('|') == dense.count('|')
    assert 'Solved: of 40 episodes of toys' in text
    assert 'what other seeds and other initial states would change; p is corrected for' in text
    numbers = json.loads((out / 'ablation.json').read_text())
    assert numbers['variants'][1]['closed_loop']['rates'] == [0.0, 0.5]
    # And without, the table is the old one.
    assert 'solved' not in ablate(grid(), [], out, cpu=True)[0]


def test_an_interrupted_run_goes_on_and_the_others_are_not_begun(grid, tmp_path, monkeypatch, capfd):
    from mode_ros.training.trainer import Trainer

    out, steps, whole = tmp_path / 'out', [], Trainer.train
    path = grid(variants={'one': []}, changes=['run.steps=4'])

    def interrupted(trainer, resume=False, stop_after=None):
        return whole(trainer, resume, stop_after=3)

    monkeypatch.setattr(Trainer, 'train', interrupted)
    text, stopped = ablate(path, [], out, cpu=True)
    assert text == ''
    assert 'Stopped after step 3 of 4' in stopped
    assert not (out / 'one' / 'seed_1').exists()

    def noted(trainer, resume=False, stop_after=None):
        found = whole(trainer, resume, stop_after)
        steps.append((resume, trainer.step))
        return found

    monkeypatch.setattr(Trainer, 'train', noted)
    assert ablate(path, [], out, cpu=True)[1] == ''
    assert steps == [(True, 4), (False, 4)]


def test_variants_may_differ_in_precision(grid, tmp_path):
    path = grid(variants={'full': [], 'half': ['run.precision=bfloat16']}, seeds=[0], changes=['run.steps=1'])
    text, _ = ablate(path, [], tmp_path / 'out', cpu=True)
    assert '| half |' in text
    assert '±' not in text.split('\n\n')[0]  # one seed has no spread


def test_a_variant_that_begins_from_anothers_policy_waits_for_it(grid, tmp_path):
    out = tmp_path / 'out'
    begun = f'start.checkpoint={out}/first/seed_0/policy'
    path = grid(variants={'first': [], 'second': [begun]}, seeds=[0], changes=['run.steps=1'])
    text, _ = ablate(path, [], out, cpu=True)
    assert '| second |' in text
    with pytest.raises(UserError, match=r'variant second begins from a policy that another.*--jobs 1'):
        check_plans(plan_runs(load_settings(path, Grid, 'The grid'), [], out), jobs=2)
    with pytest.raises(UserError, match='variant third: There is no checkpoint folder'):
        ablate(grid(variants={'third': ['start.checkpoint=gone']}, seeds=[0]), [], tmp_path / 'other', cpu=True)


@pytest.mark.parametrize(
    ('keys', 'words'),
    [
        ({'variants': {}}, 'variants'),
        ({'variants': {'a/b': []}}, 'variants'),
        ({'seeds': []}, 'seeds'),
        ({'variants': {'wide': ['policy.embed_dim=33']}}, 'variant wide: .*33 cannot be divided'),
        ({'variants': {'typo': ['policy.rooting=dense']}}, 'variant typo: .*policy.rooting'),
        ({'changes': ['data.validation_share=0']}, 'holds out no episode'),
        ({'base': 'smal'}, "no training file 'smal'"),
        ({'jobs': 3}, 'jobs: unknown key'),
        (
            {'variants': {'one': [], 'none': ['start.checkpoint=nowhere']}},
            'variant none: There is no checkpoint folder',
        ),
        ({'changes': ['run.seed=3']}, r'run\.seed=3 cannot be used: the grid has the seeds'),
        ({'variants': {'one': ['run.seed=3']}}, r'run\.seed=3 cannot be used: the grid has the seeds'),
    ],
)
def test_a_grid_that_does_not_fit_is_refused_before_anything_is_trained(grid, tmp_path, keys, words):
    with pytest.raises(UserError, match=words):
        ablate(grid(**keys), [], tmp_path / 'out', cpu=True)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('name', 'routings'),
    [
        ('ablation', {'noise', 'token', 'noise_and_token', 'expert_choice', 'dense'}),
        ('claims', {'noise', 'token', 'observation', 'expert_choice', 'dense'}),
        ('claims_cameras', {'noise', 'token', 'dense'}),
        ('claims_small_initialisation', {'noise', 'token', 'dense'}),
        ('claims_training', {'noise'}),
        ('force', {'noise'}),
        ('force_hidden', {'noise'}),
        ('recipe', {'noise'}),
    ],
)
def test_the_grids_that_come_with_mode_ros_fit(tmp_path, name, routings):
    path = share_folder() / 'config' / 'train' / f'{name}.yaml'
    grid = load_settings(path, Grid, 'The grid')
    runs = plan_runs(grid, ['data.path=somewhere'], tmp_path)
    assert len(runs) == len(grid.variants) * len(grid.seeds)
    assert {run.settings.policy.routing for run in runs} == routings
    assert not next(iter(grid.variants.values())), 'what the others differ from'


@pytest.mark.parametrize('name', ['force', 'force_hidden'])
def test_the_grids_of_forces_differ_in_what_is_felt(tmp_path, name):
    runs = plan_runs(
        load_settings(share_folder() / 'config' / 'train' / f'{name}.yaml', Grid, 'The grid'), [], tmp_path
    )
    known = {state.name for state in load_named_contract('metaworld_sawyer_state_force')[0].observation.states}
    (seen,), (felt,) = (
        {run.settings.policy.states for run in runs if (run.variant == 'felt') == is_felt} for is_felt in (False, True)
    )
    assert felt == (*seen, 'wrench', 'grip')
    assert set(felt) < known, 'of the scene only one'


def test_cost_is_timed_by_the_clock_without_warm_up():
    durations = [9.0] * 3 + [0.4, 0.6] * 10  # of which the first three would shift the median
    ticks = iter([time for chunk, lasting in enumerate(durations) for time in (20 * chunk, 20 * chunk + lasting)])
    config = PolicyConfig.small(2, cameras=(), state=('pose',), state_dim=2)
    config = config.model_copy(update={'denoiser': config.denoiser.model_copy(update={'embed_dim': 32, 'layers': 2})})
    cost = measure_cost(config, lambda: next(ticks))
    assert cost.latency_ms == pytest.approx(500)
    # Of k = 2 experts (12·D² numbers each), attention (4·D²) and 10 steps: two operations per number, action token
    # and step, and little beside.
    products = 2 * (2 * 12 + 4) * 32**2 * 2
    assert 10 * 10 * products < cost.flops < 2 * 10 * 10 * products


def test_runs_in_processes_of_their_own(grid, tmp_path, monkeypatch):
    """What is started is replaced: a process that leaves what a training leaves, or fails."""
    out, commands = tmp_path / 'out', []

    class Process:
        def __init__(self, command, stdout, **options):
            commands.append((command, options['env']['OMP_NUM_THREADS'], options['env'].get('MODE_ROS_STARTED_BY')))
            folder = ablation.Path(command[command.index('--output') + 1])
            self.status = 1 if 'policy.routing=dense' in command else 0
            stdout.write(b'mode_ros: it is full\n')
            (folder / 'policy').mkdir(parents=True)
            (folder / 'log.jsonl').write_text('{"step": 1, "kind": "validation", "error": 0.25}\n')

        def wait(self):
            return self.status

        def terminate(self):
            pass

    monkeypatch.setattr(ablation.subprocess, 'Popen', Process)
    with pytest.raises(UserError, match=r'failed \(mode_ros: it is full\): see .*seed_\d.log'):
        ablate(grid(), ['run.log_every=7'], out, jobs=2, cpu=True)
    assert json.loads((out / 'published' / 'seed_0' / 'result.json').read_text())['error'] == 0.25
    # Two threads start them: either may be first.
    command, threads, ends_with = next(each for each in commands if str(out / 'published' / 'seed_0') in each[0])
    assert threads == '1'
    assert ends_with == str(os.getpid()), 'a killed ablate leaves no training behind'
    assert command[1:5] == ['-m', 'mode_ros', 'train', str(tmp_path / 'base.yaml')]
    assert {'run.steps=2', 'run.log_every=7', 'run.seed=0', '--device'} <= set(command)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ([], 'The grid'),
        (['--evaluate', 'metaworld-dem'], 'nearest are metaworld-demo'),
        (['--evaluate', 'metaworld-demo', '--rollouts', '0'], 'rollouts'),
        (['--rollouts', '5'], 'name a suite with --evaluate'),
        (['--latency', '0.1'], 'name a suite with --evaluate'),
        (['--tasks', 'reach'], 'name a suite with --evaluate'),
        (['--evaluate', 'metaworld-demo', '--tasks', 'reech'], "'reech'; the nearest are reach"),
        (['--jobs', '0'], '--jobs 0'),
    ],
)
def test_the_verb_says_what_is_wrong(tmp_path, capfd, options, words):
    with pytest.raises(SystemExit) as ended:
        main(['ablate', str(tmp_path / 'nothing.yaml'), '--output', str(tmp_path / 'out'), *options])
    assert ended.value.code == 1
    assert words in capfd.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_the_verb_hands_the_evaluation_on(tmp_path, monkeypatch, capfd):
    seen = {}

    def ablate_only(grid, changes, out, jobs, cpu, closed_loop):
        seen['scores'] = closed_loop({'one': [tmp_path / 'seed_0' / 'policy']})
        return 'the table', ''

    def evaluate_groups(groups, options):
        return groups, options

    monkeypatch.setattr(ablation, 'ablate', ablate_only)
    monkeypatch.setattr(pooled, 'evaluate_groups', evaluate_groups)
    with pytest.raises(SystemExit) as ended:
        main(
            ['ablate', 'grid.yaml', '--output', 'out', '--jobs', '2']
            + ['--evaluate', 'metaworld-demo', '--rollouts', '3', '--latency', '0.1', '--tasks', 'reach,door-open']
        )
    assert ended.value.code == 0
    groups, options = seen['scores']
    assert groups == {'one': [tmp_path / 'seed_0' / 'policy']}
    wanted = {'suite': 'metaworld-demo', 'rollouts': 3, 'latency': 0.1, 'jobs': 2, 'videos': 0, 'device': 'auto'}
    assert options == {**wanted, 'tasks': ('reach', 'door-open')}
    assert 'the table' in capfd.readouterr().out
