"""The tab Episodes over a socket: what it tells, what it refuses, and that no path can be asked for."""

import json
import shutil
import signal
import sys
import urllib.error
import urllib.request

import pytest
from support.bench import wait_for
from support.page_robot import PageRobot

pytest.importorskip('uvicorn')
pytest.importorskip('starlette')

from websockets.sync.client import connect

from mode_ros.errors import UserError
from mode_ros.page.episode_job import EpisodeJob
from mode_ros.page.episodes_tab import EpisodeFolders, make_episodes_tab
from mode_ros.page.server import make_application
from mode_ros.page.serving import Address, Serving

REVISION = '0123456789abcdef'

# Stands for `python -m mode_ros`: the tab's own part is to ask it and to tell what it says.
STAND_IN = """
import json, os, signal, sys, time
from pathlib import Path
verb, root = sys.argv[1], Path(sys.argv[2])
with open(root.parent / 'asked.txt', 'a') as file:
    print(json.dumps(sys.argv[1:]), file=file)
say = (root / 'say').read_text() if (root / 'say').exists() else ''
if verb == 'episodes' and '--show' in sys.argv:
    paths = {'own': str(root / 'own.mp4'), 'other': str(root.parent / 'other.mp4'), 'text': str(root / 'say')}
    videos = {camera: {'path': path, 'start': 0.0, 'seconds': 1.0} for camera, path in paths.items()}
    print(json.dumps({'times': [0.0], 'videos': videos, 'pictures': {}}))
elif verb == 'episodes':
    print(json.dumps({'kind': 'data set', 'robot': None, 'episodes': [], 'edits': [], 'revision': '0' * 16}))
elif verb == 'doctor':
    print('Data set\\n1 thing to look at:\\n  idle: it stands')
    sys.exit(3)
elif say == 'refuse':
    print('mode_ros: The disk is full. Free some space.', file=sys.stderr)
    sys.exit(1)
elif say == 'die':
    os.kill(os.getpid(), signal.SIGKILL)
elif say == 'part':
    print('left out: episode_000001: empty', file=sys.stderr)
    sys.exit(3)
elif say == 'wait':
    print('convert:  10%|#', end='\\r', flush=True)
    print('convert:  40%|####', end='\\r', flush=True)
    time.sleep(60)
else:
    print('done as asked')
"""


@pytest.fixture
def work(tmp_path):
    (tmp_path / 'stand_in.py').write_text(STAND_IN)
    root = tmp_path / 'data' / 'drawers'
    (root / 'meta').mkdir(parents=True)
    (root / 'meta' / 'info.json').write_text('{}')
    (root / 'own.mp4').write_bytes(bytes(range(100)))
    (root.parent / 'other.mp4').write_bytes(b'secret')
    return tmp_path


@pytest.fixture
def url(work):
    run = (sys.executable, str(work / 'stand_in.py'))
    folders = EpisodeFolders([work / 'data'], work / 'data', work / 'job', contract='my_arm.yaml', run=run)
    serving = Serving(make_application(PageRobot(), [make_episodes_tab(folders)]), Address('127.0.0.1', 0))
    yield serving.url
    serving.close()


def get(url):
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), method='POST')
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def status(url, **headers):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


def told(url):
    with connect(url.replace('http', 'ws', 1) + 'episodes/state') as line:
        return json.loads(line.recv(60))


def key(url):
    (item,) = told(url)['items']
    return item['key']


def ended(url):
    def look():
        job = told(url)['job']
        return job if job and job['state'] not in ('running', 'stopping') else None

    return wait_for(look, 'the end of the job', 60)


def asked(work):
    return [json.loads(line) for line in (work / 'data' / 'asked.txt').read_text().splitlines()]


def test_what_there_is_is_told_without_its_place(url, work):
    (item,) = told(url)['items']

    assert (item['kind'], item['name']) == ('data set', 'data/drawers')
    assert set(item) == {'key', 'kind', 'name', 'version'}
    assert get(f'{url}episodes/of/{item["key"]}')['name'] == 'data/drawers'
    one = get(f'{url}episodes/of/{item["key"]}/3')
    assert set(one['videos']['own']) == {'start', 'seconds'}, 'no path leaves the server'
    assert ['episodes', str(work / 'data/drawers'), '--show', '3', '--json', '--contract', 'my_arm.yaml'] in asked(work)


def test_the_same_is_looked_for_once(url, work):
    here = f'{url}episodes/of/{key(url)}'
    for _ in range(3):
        get(here)
    assert len(asked(work)) == 1
    (work / 'data' / 'drawers' / 'meta' / 'edits.json').write_text('[]')
    get(here)
    assert len(asked(work)) == 2, 'and anew when it has changed'


def test_no_command_is_told_the_token(url, work, monkeypatch):
    monkeypatch.setenv('MODE_ROS_PAGE_TOKEN', 'secret')
    (work / 'stand_in.py').write_text(
        'import os; raise SystemExit("mode_ros: " + str(os.environ.get("MODE_ROS_PAGE_TOKEN")))'
    )
    assert get(f'{url}episodes/of/{key(url)}')['problem'] == 'None'


def test_a_video_is_served_in_parts(url):
    request = urllib.request.Request(f'{url}episodes/of/{key(url)}/0/video/own', headers={'range': 'bytes=10-19'})
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.status == 206
        assert response.headers['content-range'] == 'bytes 10-19/100'
        assert response.headers['content-type'] == 'video/mp4'
        assert response.read() == bytes(range(10, 20))


@pytest.mark.parametrize('camera', ['other', 'text', 'missing', '..', '%2e%2e%2fother'])
def test_only_videos_of_the_data_set_are_served(url, work, camera):
    (work / 'data' / 'drawers' / 'say').write_text('')
    assert status(f'{url}episodes/of/{key(url)}/0/video/{camera}') == 404


@pytest.mark.parametrize('name', ['0' * 12, '..', '%2e%2e', '%2fetc', 'drawers'])
def test_nothing_but_what_was_told_can_be_asked_for(url, work, name):
    here = f'{url}episodes/of/{name}'
    if status(here) != 404:
        assert get(here) == {'problem': 'It is not there any more: it was moved, renamed or removed.'}
    if name == '0' * 12:
        for what in ('edit', 'convert', 'replay'):
            assert not post(f'{url}episodes/of/{name}/{what}', {'revision': REVISION, 'do': 'undo'})['done']
    assert not (work / 'data' / 'asked.txt').exists()


def test_an_edit_is_run_and_told(url, work):
    answer = post(f'{url}episodes/of/{key(url)}/edit', {'do': 'drop', 'episodes': [3, 4], 'revision': REVISION})

    assert answer['done']
    job = ended(url)
    assert job['command'] == f'mode_ros edit {work}/data/drawers --revision {REVISION} --drop 3-4'
    assert (job['state'], job['words'], job['who']) == ('done', 'done as asked', 'a page at 127.0.0.1')
    assert asked(work)[-1] == ['edit', str(work / 'data/drawers'), '--revision', REVISION, '--drop', '3-4']


@pytest.mark.parametrize(
    ('say', 'state', 'words'),
    [
        ('refuse', 'failed', 'The disk is full. Free some space.'),
        ('die', 'failed', 'It was killed (signal 9). '),
        ('part', 'left out', 'left out: episode_000001: empty'),
    ],
)
def test_how_it_went_wrong_is_told_in_the_words_of_the_command(url, work, say, state, words):
    (work / 'data' / 'drawers' / 'say').write_text(say)
    post(f'{url}episodes/of/{key(url)}/edit', {'do': 'undo', 'revision': REVISION})

    job = ended(url)

    assert (job['state'], job['words']) == (state, words)


def test_one_job_at_a_time_and_progress_and_cancel(url, work):
    (work / 'data' / 'drawers' / 'say').write_text('wait')
    here = f'{url}episodes/of/{key(url)}/edit'
    post(here, {'do': 'undo', 'revision': REVISION})
    wait_for(lambda: told(url)['job']['percent'] == 40, 'the progress', 60)
    refused = post(here, {'do': 'undo', 'revision': REVISION})
    assert not refused['done']
    assert 'still runs, asked for by a page at 127.0.0.1: wait for it, or cancel it.' in refused['words']

    assert post(f'{url}episodes/cancel', {})['done']

    assert ended(url)['state'] == 'stopped'
    assert post(f'{url}episodes/cancel', {}) == {'done': False, 'words': 'Nothing runs.'}


def test_a_job_of_a_page_that_has_gone_is_found_by_the_next(work):
    (work / 'data' / 'drawers' / 'say').write_text('wait')
    run = (sys.executable, str(work / 'stand_in.py'))
    EpisodeJob(work / 'job', run).start(['edit', str(work / 'data' / 'drawers')], 'ann', {})
    again = EpisodeJob(work / 'job', run)
    try:
        wait_for(lambda: again.told()['percent'] == 40, 'the progress', 60)
        assert again.told()['who'] == 'ann'
        with pytest.raises(UserError, match='still runs, asked for by ann'):
            again.start(['edit', 'x'], 'bob', {})
    finally:
        assert again.cancel()[0]
    wait_for(lambda: again.told()['state'] == 'stopped', 'the end', 60)


def test_the_doctor_and_what_cannot_be_looked_at(url, work):
    here = f'{url}episodes/of/{key(url)}'
    assert get(f'{here}/doctor') == {
        'suspicious': True,
        'lines': ['Data set', '1 thing to look at:', '  idle: it stands'],
    }
    (work / 'stand_in.py').write_text('import sys; sys.exit("mode_ros: It lacks a part.")')
    (work / 'data' / 'drawers' / 'meta' / 'info.json').write_text('{ }')
    assert get(f'{here}/0')['problem'] == 'It lacks a part.'
    (work / 'stand_in.py').write_text(f'import os; os.kill(os.getpid(), {int(signal.SIGKILL)})')
    assert get(f'{here}/1')['problem'] == 'The process that looks was killed (signal 9).'
    shutil.rmtree(work / 'data' / 'drawers')
    assert 'not there any more' in get(f'{here}/2')['problem']


def test_a_look_changes_nothing(url):
    here = f'{url}episodes/of/{key(url)}'
    for what in ('edit', 'convert', 'replay'):
        assert status(f'{here}/{what}') == 405
    assert status(f'{url}episodes/cancel') == 405
