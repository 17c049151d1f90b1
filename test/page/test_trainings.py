"""Trainings that the page starts: by names of what is there, one at a time, stopped, gone on with and found again."""

import json
import os

import pytest
import yaml
from support.bench import wait_for
from support.train_page import make_work

from mode_ros.forms import WHOLE
from mode_ros.page.evaluations import FILM, Evaluations
from mode_ros.page.trainings import Trainings
from mode_ros.paths import share_folder

CONFIG = share_folder() / 'config'
CHOSEN = {'data.path': 'drawers'}


@pytest.fixture
def places(tmp_path, monkeypatch):
    return make_work(tmp_path, monkeypatch)


def make_trainings(places):
    return Trainings(places, CONFIG / 'train', CONFIG / 'robots')


@pytest.fixture
def trainings(places):
    return make_trainings(places)


def state(trainings, name):
    return next(line for line in trainings.lines() if line['name'] == name)


def until(trainings, name, wanted):
    return wait_for(lambda: (found := state(trainings, name))['state'] == wanted and found, wanted)


def test_the_form_has_presets_and_what_lies_in_the_folders(trainings):
    form = trainings.form()
    assert form['presets']['small']['words'].startswith('A policy for a laptop')
    assert form['presets']['small']['values']['run.steps'] == '20000'
    assert 'claims' not in form['presets'], 'another kind of file'
    assert form['names']['data'] == {'drawers': 'drawers (12 episodes, 345 frames)'}
    assert 'metaworld_sawyer (comes along)' in form['names']['policies']
    assert 'metaworld_sawyer' in form['names']['robots']
    keys = {field['key'] for field in form['fields']}
    assert set(form['first']) <= keys
    assert 'data.mixture' not in keys


def test_what_is_chosen_becomes_the_commands_arguments(trainings, places):
    changes = {**CHOSEN, 'run.steps': '100', 'start.checkpoint': 'metaworld_sawyer (comes along)'}
    arguments, wrong = trainings.check('small', changes)
    assert wrong == {}
    assert arguments == [
        str(CONFIG / 'train' / 'small.yaml'),
        f'data.path={json.dumps(str(places.data / "drawers"))}',
        'run.steps=100',
        f'start.checkpoint={json.dumps(str(places.policies / "metaworld_sawyer"))}',
    ]


def test_what_a_training_file_says_of_the_disk_is_not_taken_unseen(trainings):
    arguments, wrong = trainings.check('pretrain', CHOSEN)
    assert wrong == {}
    assert 'data.mixture=' in arguments
    _, wrong = trainings.check('finetune', CHOSEN)
    assert list(wrong.values()) == ['freeze_routers keeps the routing of a checkpoint, and none is given']
    assert trainings.check('finetune', {**CHOSEN, 'start.checkpoint': 'metaworld_sawyer (comes along)'})[1] == {}


@pytest.mark.parametrize(
    ('preset', 'changes', 'key'),
    [
        ('small', {}, 'data.path'),
        ('small', {'data.path': ''}, 'data.path'),
        ('small', {'data.path': '../data/drawers'}, 'data.path'),
        ('small', {'data.path': '/etc'}, 'data.path'),
        ('small', {**CHOSEN, 'start.checkpoint': '/tmp/policy'}, 'start.checkpoint'),
        ('small', {**CHOSEN, 'data.contract': '../secrets'}, 'data.contract'),
        ('small', {**CHOSEN, 'data.cache': '/tmp'}, WHOLE),
        ('small', {**CHOSEN, 'policy.text_encoder.source': '/tmp'}, WHOLE),
        ('small', {**CHOSEN, '--output': '/tmp'}, WHOLE),
        ('small', {**CHOSEN, 'run.steps': '0'}, 'run.steps'),
        ('small', {**CHOSEN, 'run.steps': 7}, 'run.steps'),
        ('small', {**CHOSEN, 'run.steps': '1' * 301}, 'run.steps'),
        ('small', {**CHOSEN, 'data.shift': '&a [*a]'}, 'data.shift'),
        ('small', {**CHOSEN, 'data.shift': '{'}, WHOLE),
        ('../small', CHOSEN, WHOLE),
        (None, CHOSEN, WHOLE),
        ('small', None, WHOLE),
    ],
)
def test_what_cannot_be_is_said_beside_its_field_and_starts_nothing(trainings, places, preset, changes, key):
    name, wrong = trainings.start(preset, changes, '')
    assert name == ''
    assert list(wrong) == [key]
    assert not places.runs.exists()


def test_a_training_from_its_start_to_its_policy(trainings, places):
    name, wrong = trainings.start('small', CHOSEN, '  my   first ')
    assert wrong == {}
    done = until(trainings, name, 'done')
    assert (done['label'], done['preset'], done['step'], done['of'], done['can']) == ('my first', 'small', 6, 6, [])
    one = trainings.one(name)
    assert [task for task, _, _ in one['by_task']] == ['push <fast>', 'reach']
    assert one['curves']['denoising'][0] == (1, 1.0)
    assert one['policies'] == [name, f'{name}, best']
    assert trainings.resume(name) == (False, f'{name} has done all of its steps: begin a new training from its policy.')


def test_one_at_a_time_stopped_and_gone_on_with_also_by_the_next_page(trainings, places):
    name, _ = trainings.start('small', {**CHOSEN, 'run.seed': '7'}, '')
    wait_for(lambda: state(trainings, name)['step'] == 3, 'the third step')
    assert state(trainings, name)['can'] == ['stop']
    assert trainings.start('small', CHOSEN, '')[1] == {
        WHOLE: f'{name} is being trained: stop it first, or wait for its end.'
    }
    again = make_trainings(places)  # as after the page has come back
    assert state(again, name)['state'] == 'running'
    assert again.stop(name)[0]
    stopped = until(again, name, 'stopped')
    assert stopped['words'].startswith('Stopped after step 3 of 6')
    assert stopped['can'] == ['resume']
    assert f'{name}, step 3' in places.all_policies()
    assert again.resume(name) == (True, f'{name} goes on from step 00000003.')
    assert until(again, name, 'done')['step'] == 6


def test_why_one_failed_is_told_and_it_can_be_started_anew(trainings):
    name, _ = trainings.start('small', {**CHOSEN, 'run.seed': '13'}, '')
    failed = until(trainings, name, 'failed')
    assert failed['words'] == 'mode_ros: There is not enough memory for 13.'
    assert trainings.resume(name)[1].startswith(f'{name} never began')
    assert trainings.start('small', CHOSEN, '')[1] == {}


def test_trainings_of_a_terminal_are_shown_and_left_alone(trainings, places):
    (places.runs / 'mine').mkdir(parents=True)
    (places.runs / 'mine' / 'training.yaml').write_text('run: {steps: 50}\n')
    mine = state(trainings, 'mine')
    assert (mine['state'], mine['of'], mine['can']) == ('elsewhere', 50, [])


def test_a_look_parses_only_what_has_changed(trainings, places, monkeypatch):
    parsed, parse = [], yaml.safe_load
    monkeypatch.setattr(yaml, 'safe_load', lambda text: parsed.append(text) or parse(text))
    settings = places.runs / 'mine' / 'training.yaml'
    settings.parent.mkdir(parents=True)
    settings.write_text('run: {steps: 50}\n')
    for _ in range(3):
        assert state(trainings, 'mine')['of'] == 50
    assert len(parsed) == 1
    settings.write_text('run: {steps: 70}\n')
    os.utime(settings, ns=(1, 1))  # the file system may tell time coarsely
    assert state(trainings, 'mine')['of'] == 70
    settings.unlink()
    (settings.parent / 'log.jsonl').touch()
    assert state(trainings, 'mine')['of'] is None


@pytest.mark.parametrize('name', ['../drawers', '/etc', '.page', '', 'unknown'])
def test_names_of_what_is_not_there_do_nothing(trainings, places, name):
    evaluations = Evaluations(places)
    for of in (trainings, evaluations):
        assert of.one(name) is None
        assert of.stop(name)[0] is False
        assert of.resume(name)[0] is False
    assert evaluations.film(name, 'reach_1', FILM) is None


def test_an_evaluation_from_its_start_to_its_films(places):
    evaluations = Evaluations(places)
    assert list(evaluations.start('nobody', {})[1]) == ['policy']
    assert list(evaluations.start('metaworld_sawyer (comes along)', {'rollouts': 3})[1]) == [WHOLE]
    assert list(evaluations.start('metaworld_sawyer (comes along)', {'rollouts': '0'})[1]) == ['rollouts']
    name, wrong = evaluations.start('metaworld_sawyer (comes along)', {'seeds': '7'})
    assert wrong == {}
    wait_for(lambda: (places.evaluations / name / 'asked').exists(), 'its beginning')
    assert evaluations.start('metaworld_sawyer (comes along)', {})[1] == {
        WHOLE: f'{name} still runs: stop it first, or wait for its end.'
    }
    assert evaluations.stop(name)[0]
    wait_for(lambda: evaluations.one(name)['state'] == 'stopped', 'its end')
    assert evaluations.resume(name) == (True, f'{name} goes on.')
    wait_for(lambda: evaluations.one(name)['state'] == 'done', 'its end')
    one = evaluations.one(name)
    assert (one['policy'], one['suite']) == ('metaworld_sawyer (comes along)', 'metaworld-demo')
    assert [row['task'] for row in one['rows']] == ['reach', 'all']
    assert one['films'] == ['reach_1']
    assert evaluations.film(name, 'reach_1', FILM).name == 'reach_1.mp4'
    assert evaluations.film(name, '../../data', FILM) is None
