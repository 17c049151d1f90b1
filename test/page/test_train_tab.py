"""The addresses of the tab Train and evaluate, over a socket."""

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

pytest.importorskip('uvicorn')
pytest.importorskip('starlette')

from support.bench import wait_for
from support.page_robot import PageRobot
from support.train_page import make_work

from mode_ros.page import experts
from mode_ros.page.server import make_application
from mode_ros.page.serving import Address, Serving
from mode_ros.page.train_tab import make_train_tab
from mode_ros.paths import share_folder


class Loaded:
    def __init__(self):
        self.names = []

    async def __call__(self, folder, name):
        self.names.append((folder, name))
        return False, f'The policy is not made for tester: {name}'


@pytest.fixture
def loaded():
    return Loaded()


@pytest.fixture
def url(tmp_path, monkeypatch, loaded):
    places = make_work(tmp_path, monkeypatch)
    tab = make_train_tab(places, share_folder(), loaded)
    serving = Serving(make_application(PageRobot(), [tab]), Address('127.0.0.1', 0))
    yield f'{serving.url}train/'
    serving.close()


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as response:
        return response.status, response.read()


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), method='POST')
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def status(url, method='GET'):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


def everything(url):
    return json.loads(get(f'{url}all')[1])


def test_a_training_by_its_addresses(url):
    wrong = post(f'{url}check', {'preset': 'small', 'changes': {'data.path': 'drawers', 'run.steps': '0'}})
    assert list(wrong['problems']) == ['run.steps']
    refused = post(f'{url}start', {'preset': 'small', 'changes': {}})
    assert (refused['done'], list(refused['problems'])) == (False, ['data.path'])
    begun = post(f'{url}start', {'preset': 'small', 'changes': {'data.path': 'drawers'}, 'label': 'one'})
    assert begun['done'], begun
    name = begun['name']
    wait_for(lambda: everything(url)['runs'][0]['state'] == 'done', 'its end')
    assert json.loads(get(f'{url}runs/{name}')[1])['curves']['error'][-1] == [6, 1 / 6]
    assert name in everything(url)['policies']
    assert post(f'{url}runs/{name}/stop', {})['words'] == f'{name} does not run.'


def test_a_film_comes_in_the_piece_that_is_asked_for(url):
    begun = post(f'{url}evaluate', {'policy': 'metaworld_sawyer (comes along)', 'values': {'rollouts': '2'}})
    assert begun['done'], begun
    name = begun['name']
    wait_for(lambda: everything(url)['evaluations'][0]['state'] == 'done', 'its end')
    assert json.loads(get(f'{url}evaluations/{name}')[1])['films'] == ['reach_1']
    assert get(f'{url}films/{name}/reach_1', Range='bytes=5-7') == (206, bytes([5, 6, 7]))
    assert get(f'{url}posters/{name}/reach_1')[1].startswith(b'\xff\xd8')
    assert status(f'{url}films/{name}/results') == 404


@pytest.mark.parametrize(
    'path',
    ['runs/unknown', 'evaluations/unknown', 'films/unknown/a', 'films/..%2f/a', 'runs/..%2f..%2fdata', 'nothing'],
)
def test_nothing_else_can_be_looked_at(url, path):
    assert status(url + path) == 404


@pytest.mark.parametrize('path', ['runs/a/start', 'policies/a/stop', 'runs/a/__init__', 'films/a/stop'])
def test_nothing_else_can_be_done(url, path):
    assert status(url + path, 'POST') == 404


def test_a_look_does_nothing(url):
    for path in ('start', 'check', 'evaluate', 'load', 'experts', 'runs/a/stop'):
        assert status(url + path) in (404, 405)


def test_putting_a_policy_on_the_robot_is_answered_in_its_words(url, loaded):
    told = post(f'{url}load', {'policy': 'metaworld_sawyer (comes along)'})
    assert (told['done'], told['words']) == (
        False,
        'The policy is not made for tester: metaworld_sawyer (comes along)',
    )
    [(folder, _)] = loaded.names
    assert folder == share_folder() / 'config' / 'policies' / 'metaworld_sawyer'
    for policy in ('/etc', '../metaworld_sawyer', '', None, ['a']):
        assert post(f'{url}load', {'policy': policy})['words'] == 'That policy is not there any more.'
    assert len(loaded.names) == 1


def test_the_experts_are_looked_at_once(url, monkeypatch):
    asked = []

    async def inspect(checkpoint):
        asked.append(checkpoint)
        return {'sigmas': [0.1, 1.0], 'use': [[[1.0, 0.0]], [[0.5, 0.5]]], 'findings': []}

    monkeypatch.setattr(experts, '_inspect', inspect)
    for _ in range(2):
        found = post(f'{url}experts', {'policy': 'metaworld_sawyer (comes along)'})
        assert found['use'][1] == [[0.5, 0.5]]
    assert len(asked) == 1
    assert post(f'{url}experts', {'policy': '/etc'})['done'] is False


@pytest.mark.parametrize('body', [b'', b'[]', b'{', b'{"preset": ["a"]}', b'{"preset": "' + b'a' * 70_000 + b'"}'])
def test_a_body_that_is_none_is_answered_and_starts_nothing(url, body):
    for path in ('start', 'evaluate', 'load', 'check'):
        with urllib.request.urlopen(urllib.request.Request(url + path, body, method='POST'), timeout=60) as response:
            told = json.load(response)
        assert not told.get('done')
    assert everything(url)['runs'] == []
