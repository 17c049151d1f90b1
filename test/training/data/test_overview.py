"""What is listed of episodes before somebody drops or marks one, and a revision that knows when it is out of date."""

import base64
import json
import shutil
import weakref

import cv2
import numpy as np
import pytest
from support.data_sets import make_data_set

from mode_ros.cli.main import build_parser
from mode_ros.errors import UserError
from mode_ros.training.data.editing import edit, undo
from mode_ros.training.data.edits import revision
from mode_ros.training.data.one_episode import data_set_episode
from mode_ros.training.data.overview import data_set_overview

GOALS = ('push the block', 'open the drawer', 'turn the tap')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    return make_data_set(tmp_path_factory.mktemp('set'), GOALS, codec='h264')


@pytest.fixture
def data_set(made, tmp_path):
    return shutil.copytree(made, tmp_path / 'data')


def told(capsys, *words):
    arguments = build_parser().parse_args(['episodes', *map(str, words)])
    assert arguments.run(arguments) == 0
    return capsys.readouterr().out


def test_a_data_set_is_listed_in_the_numbers_of_edit(made, capsys):
    found = json.loads(told(capsys, made, '--json'))

    assert [each['goal'] for each in found['episodes']] == list(GOALS)
    assert [each['number'] for each in found['episodes']] == [0, 1, 2]
    assert found['robot'] == 'tester'
    assert found['cameras'] == ['static']
    lines = told(capsys, made).splitlines()
    assert lines[1].startswith('0  1.9')
    assert lines[2].endswith('open the drawer')


def test_marks_and_edits_are_told(data_set, capsys):
    edit(data_set, mark={1: False})
    edit(data_set, drop=[0])

    found = data_set_overview(data_set)

    assert [(each['success'], each['flags']) for each in found['episodes']] == [(False, ['failed']), (None, [])]
    assert found['edits'] == ['mark 1 as a failure', 'drop 0']
    assert 'edited: drop 0' in told(capsys, data_set)


def test_one_episode_has_its_numbers_and_where_its_video_is(made, capsys):
    found = json.loads(told(capsys, made, '--show', '1', '--json'))

    kinds = [(plot['kind'], plot['title'], plot['names']) for plot in found['plots']]
    assert kinds == [
        ('state', 'joints', ['a', 'b']),
        ('action', 'arm', ['x', 'y', 'z']),
        ('action', 'gripper', ['grip']),
    ]
    assert all(len(values) == len(found['times']) for plot in found['plots'] for values in plot['values'])
    assert found['plots'][1]['units'] == ['m', 'm', 'm']
    assert found['videos']['static']['path'].endswith('.mp4')
    assert found['videos']['static']['seconds'] == pytest.approx(found['seconds'])
    assert 'action arm x' in told(capsys, made, '--show', '1')


def test_who_drove_and_standing_still_are_spans(made, monkeypatch):
    from mode_ros.training.data import one_episode

    monkeypatch.setattr(one_episode, 'open_vectors', lambda root, contract: _driven(root, contract))
    found = data_set_episode(made, 0)

    assert found['driven'] == [[0.25, 0.5]]


def _driven(root, contract):
    from mode_ros.training.data.overview import open_vectors

    data = open_vectors(root, contract)
    data.driven[5:10] = True
    return data


def test_pictures_that_are_no_video_are_shown_as_a_few(tmp_path):
    data_set = make_data_set(tmp_path, GOALS[:1], codec='png')

    found = data_set_episode(data_set, 0)

    assert found['videos'] == {}
    assert len(found['pictures']['static']) == 8
    encoded = np.frombuffer(base64.b64decode(found['pictures']['static'][0]), np.uint8)
    assert cv2.imdecode(encoded, cv2.IMREAD_COLOR).shape == (32, 32, 3)


def test_pictures_that_are_not_shown_are_let_go_of(tmp_path, monkeypatch):
    from mode_ros.training.data import one_episode

    data_set, real, given, most = make_data_set(tmp_path, GOALS[:1], codec='png'), one_episode.pictures_of, [], []

    def pictures_of(*words):
        for image in real(*words):
            given.append(weakref.ref(image))
            most.append(sum(each() is not None for each in given))
            yield image

    monkeypatch.setattr(one_episode, 'pictures_of', pictures_of)
    assert len(data_set_episode(data_set, 0)['pictures']['static']) == 8
    assert len(most) == 39
    assert max(most) < 4


def test_recordings_are_listed_and_one_is_read_as_convert_would(made, capsys):
    bags = made.parent / 'bags'
    (bags / 'torn').mkdir()
    (bags / 'torn' / 'torn.mcap').write_bytes(b'\x89MCAP0\r\nnothing')
    try:
        found = json.loads(told(capsys, bags, '--json'))
        assert [each['goal'] for each in found['episodes'][:3]] == list(GOALS)
        assert found['episodes'][3]['problem']
        assert 'torn' in told(capsys, bags)
        one = json.loads(told(capsys, bags, '--show', '2', '--json'))
        assert len(one['pictures']['static']) == 8
        assert one['plots'][0]['names'] == ['a', 'b']
        broken = json.loads(told(capsys, bags, '--show', '3', '--contract', str(made / 'meta/contract.yaml'), '--json'))
        assert broken['left_out']
        assert broken['times'] == []
        with pytest.raises(UserError, match=r'--show 4: .* has the recordings 0 to 3'):
            told(capsys, bags, '--show', '4')
    finally:
        shutil.rmtree(bags / 'torn')


@pytest.mark.parametrize('number', [3, -1])
def test_an_episode_that_is_not_there_is_said(made, number):
    with pytest.raises(UserError, match=f'has no episode {number}; it has 0 to 2'):
        data_set_episode(made, number)


def test_an_edit_of_what_is_another_by_now_is_refused(data_set, capsys):
    seen = revision(data_set)
    edit(data_set, drop=[1], expected=seen)
    assert revision(data_set) != seen

    for again in (lambda: edit(data_set, drop=[1], expected=seen), lambda: undo(data_set, seen)):
        with pytest.raises(UserError, match='is not what it was when it was looked at'):
            again()
    assert len(data_set_overview(data_set)['episodes']) == 2

    undo(data_set, revision(data_set))
    assert revision(data_set) == seen, 'it is what it was'
    arguments = build_parser().parse_args(['edit', str(data_set), '--drop', '2', '--revision', seen])
    assert arguments.run(arguments) == 0
    assert f'{data_set}: 2 episodes' in capsys.readouterr().out
