"""Rounds are commands: in their order, skipped where their result is there, and counted into a table."""

import json
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT
from support.training_sets import write_data_set

from mode_ros.attempts import improve as module
from mode_ros.attempts.account import Effort, difference, effort
from mode_ros.attempts.improve import Improvement, episodes_for, improve
from mode_ros.cli.main import build_parser
from mode_ros.errors import UserError
from mode_ros.record_sim import choice as choosing
from mode_ros.record_sim.choice import Choice


def data_set(root, drivers, success):
    """Episodes of joints, 10 frames a second; drivers: 'ppEE' by frame, per episode."""
    made = [
        {
            'state': np.zeros((len(who), 2)),
            'action': np.zeros((len(who), 2)),
            'task': 'reach',
            'intervention': [letter == 'E' for letter in who],
        }
        for who in drivers
    ]
    return write_data_set(root, made, ABSOLUTE_TEXT, fps=10, streams={'joints': 2}, success=success)


def results(solved):
    rate = sum(solved) / len(solved)
    episodes = [{'task': 'reach', 'seed': k, 'success': won} for k, won in enumerate(solved)]
    mean = {'rate': rate, 'low': rate / 2, 'high': (1 + rate) / 2}
    return {'format': 1, 'tasks': [{'task': 'reach'}], 'mean': mean, 'episodes': episodes}


class Verbs:
    """Leaves what each verb would leave, and remembers the command lines."""

    def __init__(self, fails_at=None):
        self.lines, self.checked, self.fails_at = [], [], fails_at

    def __call__(self, words):
        if len(self.lines) == self.fails_at and '--check' not in words:
            return 1
        self.lines.append(list(words))
        verb = words[0]
        if verb == 'record-sim':
            (Path(words[1]) / 'reach' / 'episode_000000').mkdir(parents=True, exist_ok=True)
        elif verb == 'convert':
            corrected = Path(words[-1]).parent.name.startswith('round')
            data_set(
                Path(words[-1]), ['p' * 60 + 'E' * 60, 'p' * 60] if corrected else ['E' * 60], [True] * (1 + corrected)
            )
        elif verb == 'train' and '--check' in words:
            self.lines.pop()
            self.checked.append(list(words))
        elif verb == 'train':
            (Path(words[words.index('--output') + 1]) / 'policy').mkdir(parents=True)
        else:
            out = Path(words[words.index('--output') + 1])
            out.mkdir(parents=True)
            (out / 'episodes.jsonl').touch()
            solved = {'round_0': 2, 'round_1': 9, 'round_2': 9}.get(out.parent.name, 4)
            (out / 'results.json').write_text(json.dumps(results([k < solved for k in range(10)])))
        return 0

    @property
    def verbs(self):
        return [words[0] for words in self.lines]


@pytest.fixture
def agreed(tmp_path, monkeypatch):
    policy = tmp_path / 'policy'
    policy.mkdir()
    (policy / 'training.yaml').write_text('data: {path: x}\n')
    (policy / 'contract.yaml').write_text(ABSOLUTE_TEXT)
    monkeypatch.setattr(module, 'digest', lambda _: 'abc')
    base = data_set(tmp_path / 'base', ['E' * 60] * 4, [True] * 4)
    return Improvement(str(policy), str(base), 'metaworld-demo', 5, 10, 100, ('optimizer.learning_rate=1e-4',))


@pytest.mark.parametrize('section', ['policy: {imagenet_weights: resnet18.pth}', 'start: {encoders: other/policy}'])
def test_a_policy_whose_image_encoders_came_from_elsewhere_goes_on(agreed, tmp_path, section):
    (Path(agreed.policy) / 'training.yaml').write_text(f'data: {{path: x}}\n{section}\n')
    improve(tmp_path / 'out', agreed, 1, False, 1, Verbs())


ROUND = ['record-sim', 'convert', 'train', 'evaluate']


def test_two_rounds_with_their_control(agreed, tmp_path):
    verbs, out = Verbs(), tmp_path / 'out'

    text = improve(out, agreed, 2, True, 1, verbs)

    assert verbs.verbs == ['evaluate', *ROUND * 4]
    record, convert, train, evaluate = (next(words for words in verbs.lines[1:] if words[0] == verb) for verb in ROUND)
    assert record[record.index('--policy') + 1] == agreed.policy
    assert convert[1:] == ['--keep-failures', str(out / 'round_1/attempts/reach'), str(out / 'round_1/data')]
    assert 'data.keep_failures=true' in train
    assert f'start.checkpoint={agreed.policy}' in train
    assert 'start.statistics=checkpoint' in train
    assert 'optimizer.learning_rate=1e-4' in train
    assert evaluate[1] == str(out / 'round_1/run/policy')
    assert evaluate[evaluate.index('--rollouts') + 1] == '10'
    trainings = [words for words in verbs.lines if words[0] == 'train']
    assert [('data.keep_failures=true' in words) for words in trainings] == [True, False, True, False]
    assert f'start.checkpoint={out / "round_1/run/policy"}' in trainings[2]
    assert f'start.checkpoint={out / "control_1/run/policy"}' in trainings[3], 'the control goes on from its own'
    seeds = [words[words.index('--seed') + 1] for words in verbs.lines if words[0] == 'record-sim']
    assert seeds == ['100000', '200000', '110000', '210000'], 'no scene twice'
    mixed = yaml.safe_load((out / 'round_2/mixture.yaml').read_text())['datasets']
    assert [item['weight'] for item in mixed] == [0.5, 0.25, 0.25]
    assert text == (out / 'improve.md').read_text()
    assert '| round 2 | 0.2 | 1, 1, 0 | 90.0 %' in text, 'minutes of both rounds, attempts of this one'
    assert '| demonstrations 1 | 0.1 |  | 40.0 %' in text
    assert 'only' not in text.partition('Round 1')[2]
    assert 'Round 1 against demonstrations: +50.0' in text
    assert 'more than other initial states may change' in text


def test_tasks_without_an_expert_are_neither_recorded_nor_scored_and_that_is_said(
    agreed, tmp_path, monkeypatch, capsys
):
    from dataclasses import replace

    some = {'libero_goal/push': 'no skill'}
    choice = Choice('libero', ('libero_goal/put', 'libero_goal/open'), some)
    monkeypatch.setattr(module, 'choose_tasks', lambda names: choice)
    verbs, out = Verbs(), tmp_path / 'out'

    def first(words):
        said.append(capsys.readouterr().err)
        return verbs(words)

    said = []
    text = improve(out, replace(agreed, tasks='libero-goal'), 1, True, 1, first)

    assert said[0].startswith('1 of 3 tasks is left out, without a scripted expert: libero_goal/push (no skill)\n')
    assert '\n1 of 3 tasks is left out, without a scripted expert: libero_goal/push (no skill).\n' in text
    assert text == (out / 'improve.md').read_text()
    asked = [words[words.index('--tasks') + 1] for words in verbs.lines if words[0] in ('evaluate', 'record-sim')]
    assert asked == ['libero_goal/put,libero_goal/open'] * 5
    assert all(words[words.index('--suite') + 1] == 'libero-goal' for words in verbs.lines if words[0] == 'evaluate')


def test_the_exit_status_tells_that_tasks_were_left_out(agreed, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'improve', lambda *_: '')
    words = ['improve', str(tmp_path / 'out'), '--policy', agreed.policy, '--data', agreed.data]
    arguments = build_parser().parse_args(words)
    assert arguments.run(arguments) == 0
    monkeypatch.setattr(choosing, 'missing_expert', lambda _, task: 'no skill' if task == 'reach' else '')
    assert arguments.run(arguments) == 3


def test_the_training_is_checked_before_the_first_step(agreed, tmp_path):
    def refuses(words):
        assert words[0] == 'train'
        assert words[-1] == '--check'
        (item,) = yaml.safe_load(Path(words[3].partition('=')[2]).read_text())['datasets']
        assert item['path'] == agreed.data
        return 1

    out = tmp_path / 'out'
    with pytest.raises(UserError, match='`mode_ros train` ended with exit status 1'):
        improve(out, agreed, 1, False, 1, refuses)
    improve(out, agreed, 1, False, 1, verbs := Verbs())
    assert len(verbs.checked) == 1
    assert f'start.checkpoint={agreed.policy}' in verbs.checked[0]
    assert 'optimizer.learning_rate=1e-4' in verbs.checked[0]
    improve(out, agreed, 2, False, 1, verbs := Verbs())
    assert not verbs.checked, 'once is enough'


def test_the_control_has_as_many_minutes(agreed, tmp_path):
    verbs = Verbs()
    improve(tmp_path / 'out', agreed, 1, True, 1, verbs)
    (control,) = [words for words in verbs.lines if words[0] == 'record-sim' and '--policy' not in words]
    # 6 s of corrections, demonstrations of 6 s, one task.
    assert control[control.index('--episodes') + 1] == '1'
    assert control[control.index('--robot') + 1] == f'{agreed.policy}/contract.yaml', 'what the policy sees'


def test_demonstrations_that_take_as_long_as_the_corrections():
    shown = Effort(minutes=4.0, in_all=4.0, episodes=8, alone=0, helped=8, failed=0)
    assert episodes_for(5.0, shown, 1) == 10
    assert episodes_for(5.1, shown, 1) == 11, 'rounded up'
    assert episodes_for(5.0, shown, 10) == 1
    assert episodes_for(6.0, shown, 10) == 2
    assert episodes_for(0.0, shown, 10) == 1
    untold = Effort(minutes=0.0, in_all=4.0, episodes=8, alone=8, helped=0, failed=0)
    assert episodes_for(5.0, untold, 1) == 10, 'nobody is said to have driven: all of it was shown'
    assert episodes_for(5.0, Effort(0, 0, 0, 0, 0, 0), 1) == 1


def test_a_task_whose_expert_often_fails_does_not_end_the_rounds(agreed, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'episodes_for', lambda *_: 3)
    verbs, out = Verbs(), tmp_path / 'out'

    def gives_up(words):
        status = verbs(words)
        if words[0] == 'record-sim' and '--policy' not in words:
            (Path(words[1]) / 'bin').mkdir()  # not one that succeeded
            return 3
        return status

    text = improve(out, agreed, 1, True, 1, gives_up)

    converted = next(words for words in verbs.lines if words[0] == 'convert' and '--keep-failures' not in words)
    assert [Path(word).name for word in converted[1:]] == ['reach', 'data'], 'an empty folder is no recording'
    assert '\nDemonstrations 1: of 3 per task there are only bin 0, reach 1.\n' in text


def test_the_table_is_there_after_each_round(agreed, tmp_path):
    with pytest.raises(UserError):
        improve(tmp_path / 'out', agreed, 2, False, 1, Verbs(fails_at=6))
    text = (tmp_path / 'out' / 'improve.md').read_text()
    assert '| round 1 |' in text
    assert '| round 2 |' not in text


@pytest.mark.parametrize('at', range(0, 9, 2))
def test_typed_again_it_goes_on(agreed, tmp_path, at):
    out = tmp_path / 'out'
    with pytest.raises(UserError, match='exit status 1'):
        improve(out, agreed, 2, False, 1, verbs := Verbs(fails_at=at))
    assert len(verbs.lines) == at

    again = Verbs()
    improve(out, agreed, 2, False, 1, again)

    # Until its bags are converted, record-sim is asked again: it knows itself what is there.
    asked_again = again.verbs[0] == 'record-sim' and verbs.verbs[-1:] == ['record-sim']
    assert (verbs.verbs[:-1] if asked_again else verbs.verbs) + again.verbs == ['evaluate', *ROUND * 2]
    none = Verbs()
    improve(out, agreed, 2, False, 1, none)
    assert not none.lines


def test_a_training_that_was_killed_goes_on_or_begins_anew(agreed, tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(UserError):
        improve(out, agreed, 1, False, 1, Verbs(fails_at=3))
    run = out / 'round_1' / 'run'
    run.mkdir()
    with pytest.raises(UserError):
        improve(out, agreed, 1, False, 1, Verbs(fails_at=0))
    assert not run.exists()
    (run / 'checkpoints' / 'step_00000010').mkdir(parents=True)
    improve(out, agreed, 1, False, 1, verbs := Verbs())
    assert verbs.lines[0][-1] == '--resume'


def test_what_does_not_fit_is_refused_before_the_first_step(agreed, tmp_path):
    from dataclasses import replace

    out = tmp_path / 'out'
    for changes, message in (
        ({'attempts': 0}, '--attempts 0'),
        ({'share': 1.0}, '--share 1'),
        ({'tasks': 'metaworld-dem'}, "no task.*'metaworld-dem'"),
        ({'policy': str(tmp_path)}, 'no training.yaml'),
        ({'data': str(tmp_path / 'nothing')}, 'nothing'),
        ({'latency': -1.0}, '--latency -1'),
        ({'changes': ('data.intervention_wait=2',)}, 'intervention_wait'),
        ({'changes': ('optimizer.learning_rate',)}, 'changes no setting'),
        ({'changes': ('start.checkpoint=mine',)}, 'decide start.checkpoint themselves: leave it out'),
        ({'changes': ('run.steps=5',)}, 'give --steps'),
        ({'tasks': 'reach,metaworld-10'}, 'cannot be scored together'),
        ({'tasks': 'libero-spatial/0'}, 'cannot be scored together'),
    ):
        with pytest.raises(UserError, match=message):
            improve(out, replace(agreed, **changes), 1, False, 1, Verbs(fails_at=0))
    with pytest.raises(UserError, match='--jobs 0'):
        improve(out, agreed, 1, False, 0, Verbs(fails_at=0))
    assert not out.exists()
    improve(out, agreed, 1, False, 1, Verbs())
    with pytest.raises(UserError, match=r'steps is 7 now and 100 there'):
        improve(out, replace(agreed, steps=7), 1, False, 1, Verbs())
    with pytest.raises(UserError, match='not empty'):
        improve(tmp_path / 'base', agreed, 1, False, 1, Verbs())


def test_data_of_another_robot_or_without_who_drove_are_refused_before_the_first_step(agreed, tmp_path):
    from dataclasses import replace

    out = tmp_path / 'out'
    other = data_set(tmp_path / 'other', ['E' * 60], [True])
    (other / 'meta' / 'contract.yaml').write_text(DELTA_TEXT)
    with pytest.raises(UserError, match='robots that differ'):
        improve(out, replace(agreed, data=str(other)), 1, False, 1, Verbs(fails_at=0))
    mute = {'state': np.zeros((60, 2)), 'action': np.zeros((60, 2)), 'task': 'reach'}
    write_data_set(tmp_path / 'mute', [mute], ABSOLUTE_TEXT, fps=10, streams={'joints': 2}, success=[True])
    silent = replace(agreed, data=str(tmp_path / 'mute'))
    with pytest.raises(UserError, match='does not tell who drove'):
        improve(out, silent, 1, True, 1, Verbs(fails_at=0))
    assert not out.exists()
    improve(out, silent, 1, False, 1, verbs := Verbs())
    assert verbs.verbs == ['evaluate', *ROUND], 'only a control needs to know'


def test_rounds_that_were_refused_before_an_episode_may_be_told_otherwise(agreed, tmp_path):
    from dataclasses import replace

    out = tmp_path / 'out'
    with pytest.raises(UserError, match='exit status 1'):
        improve(out, replace(agreed, tasks='metaworld-10'), 1, False, 1, Verbs(fails_at=0))
    improve(out, agreed, 1, False, 1, Verbs(fails_at=9))
    assert json.loads((out / 'improve.json').read_text())['tasks'] == 'metaworld-demo'


def test_minutes_are_those_that_a_person_drove(tmp_path):
    found = effort(data_set(tmp_path / 'data', ['ppppEE', 'pppp', 'EEEE', 'pppp'], [True, True, None, False]))
    assert found.minutes == pytest.approx(6 / 10 / 60)
    assert found.in_all == pytest.approx(18 / 10 / 60)
    assert (found.episodes, found.alone, found.helped, found.failed) == (4, 1, 2, 1)


def test_only_pairs_are_compared():
    apart, (low, high) = difference(results([False] * 10), results([True] * 10))
    assert apart == 1.0
    assert 0 < low < high
    with pytest.raises(UserError, match='no pairs'):
        difference(results([True]), results([True, False]))


def test_the_command_hands_on_what_it_is_told(agreed, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, 'improve', lambda *given: seen.append(given) or '')
    words = ['improve', str(tmp_path / 'out'), '--policy', agreed.policy, '--data', agreed.data, '--control']
    words += ['--set', 'optimizer.learning_rate=1e-4', 'data.intervention_weight=2', '--rounds', '2']
    arguments = build_parser().parse_args(words)
    assert arguments.run(arguments) == 0
    ((out, found, rounds, control, jobs),) = seen
    assert (out, rounds, control, jobs) == (tmp_path / 'out', 2, True, 1)
    assert found.changes == ('optimizer.learning_rate=1e-4', 'data.intervention_weight=2')


VERB = """#!{python}
import os, signal, sys, time
def end(*_):
    time.sleep(1)  # longer than subprocess.run waits before it kills
    open({saved!r}, 'w').close()
    sys.exit(130)
signal.signal(signal.SIGTERM, end)
open({ready!r}, 'w').close()
time.sleep(100)
"""


def test_what_a_verb_saves_on_ctrl_c_is_waited_for(tmp_path, monkeypatch):
    verb, ready, saved = tmp_path / 'verb', tmp_path / 'ready', tmp_path / 'saved'
    verb.write_text(VERB.format(python=sys.executable, ready=str(ready), saved=str(saved)))
    verb.chmod(0o755)
    monkeypatch.setattr(module.sys, 'executable', str(verb))

    def ctrl_c():
        while not ready.exists():
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=ctrl_c, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        module.run_verb(['train'])
    assert saved.exists()


def test_names_of_tasks_may_have_spaces_and_come_twice(agreed, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, 'improve', lambda *given: seen.append(given) or '')
    words = ['improve', str(tmp_path / 'out'), '--policy', agreed.policy, '--data', agreed.data]
    arguments = build_parser().parse_args([*words, '--tasks', 'reach, push,reach'])
    arguments.run(arguments)
    assert seen[0][1].tasks == 'reach,push'


def test_a_verb_that_was_killed_is_said_to_be(agreed, tmp_path):
    with pytest.raises(UserError, match=r'`mode_ros evaluate` was killed \(signal 9\).*type the same command again'):
        improve(tmp_path / 'out', agreed, 1, False, 1, lambda words: -9 if words[0] == 'evaluate' else 0)


def test_two_at_once_are_refused(agreed, tmp_path):
    out = tmp_path / 'out'

    verbs = Verbs()

    def typed_again(words):
        with pytest.raises(UserError, match='Another `mode_ros improve` is running'):
            improve(out, agreed, 1, False, 1, Verbs(fails_at=0))
        return verbs(words)

    improve(out, agreed, 1, False, 1, typed_again)
