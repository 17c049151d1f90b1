"""What the page makes of what nodes say: stops, statuses, outcomes, goals, keys."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.contracts import DELTA_TEXT

import mode_ros
from mode_ros.control.contract import parse_contract
from mode_ros.control.teleop_mapping import load_mapping
from mode_ros.page.goals import GOALS, MAX_LENGTH, UsedGoals, check_goal, offered, training_goals
from mode_ros.page.stop import EstopWords
from mode_ros.page.told import Outcomes, Told, describe_keys, read_object
from mode_ros.paths import share_folder


def test_the_page_lifts_its_own_stop():
    words = EstopWords()
    assert not words.may_lift()
    words.said(True)
    for live in (False, True):
        words.heard(True, live)
    assert words.may_lift()
    words.said(False)
    assert not words.may_lift()


@pytest.mark.parametrize('live', [False, True])
@pytest.mark.parametrize('heard', [[True, True], [True, False, True], [False, True, True]])
def test_it_never_lifts_somebody_elses(heard, live):
    words = EstopWords()
    words.said(True)
    for word in heard:
        words.heard(word, live)
    assert words.others
    assert not words.may_lift()
    words.heard(False, live)
    assert words.may_lift()


def test_one_of_several_others_who_takes_a_stop_back_does_not_speak_for_all():
    words, second = EstopWords(), 1_000_000_000
    words.heard(True, live=True)
    words.heard(False, live=True, alone=False)
    assert words.others
    assert words.step(second), 'all are asked'
    words.heard(True, live=False, alone=False)
    for tenth in range(1, 40):
        words.step(second + tenth * second // 10)
    assert words.others

    words.heard(False, live=True, alone=True)
    assert not words.others


@pytest.mark.parametrize('own', [None, True, False])
def test_its_own_words_among_the_answers_are_nobody_elses(own):
    words, second = EstopWords(), 1_000_000_000
    for said in () if own is None else (True, own):
        words.said(said)
        for live in (False, True):
            words.heard(said, live)
    words.heard(True, live=True, alone=False)
    words.heard(False, live=True, alone=False)
    assert words.step(second)
    if own is not None:
        words.heard(own, live=False, alone=False)
    for tenth in range(1, 40):
        words.step(second + tenth * second // 10)
    assert not words.others
    assert words.own is bool(own)


def test_its_own_release_that_comes_back_lifts_no_other_stop():
    words = EstopWords()
    words.said(True)
    words.said(False)
    words.heard(True, live=True)
    words.heard(True, live=True)
    words.heard(False, live=True)
    assert words.others


def test_another_stop_alone_is_not_the_pages():
    words = EstopWords()
    words.heard(True, live=False)
    assert words.others
    assert not words.own


def status(name, level, message, **values):
    items = [SimpleNamespace(key=key, value=value) for key, value in values.items()]
    return SimpleNamespace(name=name, level=level, message=message, values=items)


def test_nodes_are_told_in_their_own_words_and_silence_is_seen():
    told = Told({'controller': 'controller_node', 'policy': 'policy_node'})
    said = status('/controller_node', b'\x01', 'holding: joints: no message yet', mode='realtime')
    told.hear(SimpleNamespace(status=[said, status('/other', b'\x00', 'x')]), 10.0, '/')

    now = told.now(11.0)
    assert now['controller']['level'] == 'warning'
    assert now['controller']['words'] == 'holding: joints: no message yet'
    assert now['controller']['values'] == {'mode': 'realtime'}
    assert now['policy']['level'] == 'missing'
    later = told.now(15.0)['controller']
    assert later['level'] == 'silent'
    assert later['words'] == 'controller_node has been silent for 5 s; it said last: holding: joints: no message yet'
    assert later['values'] == {}, 'old figures are not shown as new ones'


def test_another_robots_nodes_are_not_this_ones():
    told = Told({'controller': 'controller_node'})
    told.hear(SimpleNamespace(status=[status('/right/controller_node', b'\x00', 'running')]), 1.0, '/left')
    assert told.now(1.0)['controller']['level'] == 'missing'
    told.hear(SimpleNamespace(status=[status('/left/controller_node', b'\x00', 'running')]), 1.0, '/left')
    assert told.now(1.0)['controller']['level'] == 'ok'


def test_successes_of_the_last_episodes():
    outcomes = Outcomes(kept=3)
    assert outcomes.told() == {'now': None, 'before': []}
    for word in (False, True, False, False, True):
        outcomes.hear(word)
    assert outcomes.told() == {'now': True, 'before': [True, False]}
    outcomes.hear(False)
    assert outcomes.told() == {'now': False, 'before': [False, True]}


@pytest.mark.parametrize('text', ['', '{', '[1]', '"stopped"', '[' * 9000, '{"age": NaN}', '{"age": -Infinity}'])
def test_a_state_that_is_none_is_none(text):
    assert read_object(text) is None


def test_sentences_of_the_training_come_after_those_used(tmp_path):
    (tmp_path / GOALS).write_text(json.dumps(['open the drawer', 'close it']))
    used = UsedGoals()
    for goal in ('lift it', 'close it', ' ', 'lift it'):
        used.hear(goal)

    assert offered(training_goals(str(tmp_path)), used.list()) == ['lift it', 'close it', 'open the drawer']


@pytest.mark.parametrize('text', [None, '', '{', '{}', '"a"', '[1, 2]'])
def test_a_checkpoint_without_sentences_offers_none(tmp_path, text):
    if text is not None:
        (tmp_path / GOALS).write_text(text)
    assert training_goals(str(tmp_path)) == ()
    assert training_goals('') == ()


def test_the_name_of_the_file_is_the_checkpoints():
    text = (Path(mode_ros.__file__).parent / 'policy' / 'checkpoint_info.py').read_text()

    assert f'GOALS = {GOALS!r}\n' in text


@pytest.mark.parametrize('text', ['', ' \n ', None, 3, 'a' * (MAX_LENGTH + 1), 'a\x00b', ['a']])
def test_what_is_no_goal_is_said(text):
    goal, problem = check_goal(text)
    assert goal == ''
    assert problem.endswith(('.', '".'))


def test_buttons_are_those_of_the_robot():
    mapping = load_mapping(share_folder() / 'config' / 'teleop' / 'keyboard_twist.yaml')
    keys = describe_keys(mapping, parse_contract(DELTA_TEXT, 'tester'))

    assert [f'{key["label"]} {key["sign"]}' for key in keys if key['kind'] == 'motion'] == [
        'x +', 'x −', 'y +', 'y −', 'z +', 'z −'
    ]  # fmt: skip
    assert [key['label'] for key in keys if key['kind'] == 'gripper'] == ['gripper']
    assert [key['key'] for key in keys if key['kind'] == 'tap'] == ['-', '+']
