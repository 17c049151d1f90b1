"""The server as a browser meets it, over a socket: addresses, requests, pictures, driving; with a robot of our own."""

import json
import struct
import time
import urllib.error
import urllib.request

import pytest
from support.page_robot import PageRobot

pytest.importorskip('uvicorn')
pytest.importorskip('starlette')

from support.bench import wait_for
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from mode_ros.errors import UserError
from mode_ros.page import serving as serving_module
from mode_ros.page.server import make_application
from mode_ros.page.serving import Address, Serving


@pytest.fixture
def robot():
    return PageRobot()


@pytest.fixture
def served(robot):
    serving = Serving(make_application(robot), Address('127.0.0.1', 0))
    yield serving.url
    serving.close()


def post(url, body=None, **headers):
    data = b'{}' if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method='POST'), timeout=10) as response:
        return json.load(response)


def status(url, method='GET'):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def socket(url, path, **options):
    return connect(url.replace('http', 'ws', 1).rstrip('/') + path, **options)


def test_the_page_and_what_it_needs_are_served(served):
    page = urllib.request.urlopen(served, timeout=10)
    assert 'STOP' in page.read().decode()
    assert "default-src 'self'" in page.headers['content-security-policy']
    for name in ('page.js', 'page.css', 'tiles.js', 'driving.js', 'line.js', 'icon.svg'):
        assert status(f'{served}static/{name}') == 200


@pytest.mark.parametrize(
    'path',
    ['static/../server.py', 'static/%2e%2e/server.py', 'static//etc/passwd', 'etc/passwd', 'call/recorder/__init__'],
)
def test_no_file_and_no_code_can_be_asked_for(served, path):
    assert status(served + path) in (404, 405)


def test_what_is_pressed_reaches_the_robot(served, robot):
    assert post(f'{served}stop')['done']
    assert post(f'{served}release') == {'done': False, 'words': 'estop: it is engaged'}
    assert post(f'{served}goal', {'goal': '  open   the drawer '})['words'] == 'The goal is "open the drawer".'
    assert post(f'{served}call/controller/pause')['done']
    assert post(f'{served}call/recorder/start')['done']
    assert robot.done == ['stop', 'release', 'open the drawer', 'controller pause', 'recorder start']


def test_stop_is_said_on_the_line_of_the_state_too_and_answered_there(served, robot):
    with socket(served, '/state') as line:
        assert json.loads(line.recv(10))['stopped'] == ''
        line.send('stop 7')
        wait_for(lambda: json.loads(line.recv(10))['stopped'] == '7', 'the answer')
        line.send('stopped 8')
        line.send('next')
    assert robot.done == ['stop']


def test_a_press_of_stop_is_one_on_whichever_way_and_however_often_it_comes(served, robot):
    with socket(served, '/state') as line:
        line.send('stop a 1')
        wait_for(lambda: json.loads(line.recv(10))['stopped'] == 'a 1', 'the answer')
        line.send('stop a 1')
    assert post(f'{served}stop', press='a 1')['done'], 'it was heard'
    robot.stopped = False  # somebody has released it
    words = 'That stop was heard, and has been released since: press again.'
    assert post(f'{served}stop', press='a 1') == {'done': False, 'words': words}
    assert robot.done == ['stop']
    for press in ('a 2', 'b 1', 'a', 'a b', '', 'a -1'):
        post(f'{served}stop', press=press)
    assert robot.done == ['stop'] * 7, 'another press, another page, and what does not say which it is'
    with socket(served, '/state') as line:  # a line that has come back
        line.send('stop a 1')
        wait_for(lambda: json.loads(line.recv(10))['stopped'] == 'a 1', 'the answer')
    assert robot.done == ['stop'] * 7, 'what is older than one that was heard is no new one'


def test_a_stop_that_could_not_be_said_is_tried_again(served, robot, monkeypatch):
    said = []

    def stop():
        said.append(1)
        if len(said) == 1:
            raise RuntimeError('the publisher is gone')

    monkeypatch.setattr(robot, 'stop', stop)
    with pytest.raises(urllib.error.HTTPError):
        post(f'{served}stop', press='a 1')
    assert post(f'{served}stop', press='a 1')['done']
    assert len(said) == 2


def test_scripts_are_asked_for_anew_since_those_of_two_versions_do_not_fit_together(served):
    with urllib.request.urlopen(f'{served}static/line.js') as answer:
        assert answer.headers['cache-control'] == 'no-cache'
        tag = answer.headers['etag']
    again = urllib.request.Request(f'{served}static/line.js', headers={'if-none-match': tag})
    with pytest.raises(urllib.error.HTTPError) as unchanged:
        urllib.request.urlopen(again)
    assert unchanged.value.code == 304


@pytest.mark.parametrize('path', ['release', 'goal', 'goals', 'call/controller/start', 'call/simulator/reset'])
def test_what_moves_the_robot_is_not_done_where_it_comes_late(served, robot, path):
    body = {'goal': 'open it', 'goals': ['open it']}
    with socket(served, '/state') as line:
        clock = json.loads(line.recv(10))['clock']
    late = ((clock - 60, 'It came 6'), (clock + 60, 'The clocks'), ('inf', 'The clocks'))
    for pressed, words in (*late, ('now', 'It does not say when'), ('nan', 'It does not say when')):
        answer = post(f'{served}{path}', body, pressed=str(pressed))
        assert (answer['done'], answer['late']) == (False, True)
        assert answer['words'].startswith(words)
    assert robot.done == []
    with socket(served, '/state') as line:
        clock = json.loads(line.recv(10))['clock']
    post(f'{served}{path}', body, pressed=str(clock))
    assert len(robot.done) == 1
    assert post(f'{served}stop', pressed=str(clock - 60))['done'], 'a late stop is better than none'


@pytest.mark.parametrize(
    'body', [{'goal': ' '}, {'goal': 7}, {'goal': 'a' * 301}, {}, [], b'{', b'[' * 4000, b'{"goal": "' + b'a' * 9000]
)
def test_a_goal_that_is_none_is_refused_in_words(served, robot, body):
    answer = post(f'{served}goal', body)

    assert not answer['done']
    assert 'goal' in answer['words']
    assert robot.done == []


def test_goals_one_after_the_other(served, robot):
    assert post(f'{served}goals', {'goals': ['open  it', 'close it']})['words'] == '2 goals, one after the other.'
    assert post(f'{served}call/goals/next')['done']
    assert robot.done == [['open it', 'close it'], 'goals next']


@pytest.mark.parametrize('body', [{}, {'goals': []}, {'goals': 'a; b'}, {'goals': ['a', '']}, {'goals': ['a', 7]}, []])
def test_goals_that_are_none_are_refused_whole(served, robot, body):
    assert not post(f'{served}goals', body)['done']
    assert robot.done == []


@pytest.mark.parametrize(
    'path', ['call/controller/release', 'call/controller/destroy_node', 'call/policy/start', 'stop/now']
)
def test_only_what_is_listed_can_be_called(served, robot, path):
    assert status(served + path, 'POST') == 404
    assert robot.done == []


def test_a_look_does_nothing(served, robot):
    for path in ('stop', 'release', 'goal', 'call/controller/start'):
        assert status(served + path) == 405
    assert robot.done == []


def test_the_state_is_told_when_it_changes(served, robot):
    with socket(served, '/state') as line:
        assert json.loads(line.recv(10))['goal'] == 'open the drawer'
        robot.safety = {'stopped': True, 'latched': True, 'check': 'estop', 'reason': 'it is engaged'}
        wait_for(lambda: json.loads(line.recv(10))['safety'] is not None, 'the new state')


def test_a_viewer_gets_the_newest_picture_and_none_in_between(served, robot):
    camera = robot.cameras['static']
    with socket(served, '/cameras/static') as line:
        for level in range(20):
            camera.push(bytes([level]), level)
        line.send('next')
        first = line.recv(10)
        for level in range(20, 40):
            camera.push(bytes([level]), level)
        line.send('next')
        second = line.recv(10)
        line.send('next')
        with pytest.raises(TimeoutError):
            line.recv(0.5)  # nothing new
    assert [round(1e9 * struct.unpack_from('<d', picture)[0]) for picture in (first, second)] == [19, 39]
    assert first[8:10] == b'\xff\xd8'


def test_a_viewer_who_asks_early_gets_the_next_picture_when_it_comes(served, robot):
    camera = robot.cameras['static']
    with socket(served, '/cameras/static') as line:
        line.send('next')
        wait_for(lambda: camera._waiting, 'the question')
        camera.push(b'\x01', 1)
        assert line.recv(10)[8:10] == b'\xff\xd8'
        line.send('next')
        wait_for(lambda: camera._waiting, 'the question')
    wait_for(lambda: not camera._waiting, 'that nothing is kept for who has gone')


def test_a_picture_that_cannot_be_shown_costs_only_itself(served, robot):
    camera = robot.cameras['static']
    camera.push(b'broken', 1)
    with socket(served, '/cameras/static') as line:
        line.send('next')
        wait_for(lambda: camera.problem == 'its image cannot be converted', 'the reason')
        camera.push(b'\x07', 2)
        assert line.recv(10)[8:10] == b'\xff\xd8'
    assert camera.problem == ''


def test_another_camera_is_none(served):
    with pytest.raises((ConnectionClosed, InvalidStatus)), socket(served, '/cameras/joints') as line:
        line.recv(10)


def test_what_is_held_reaches_the_robot_and_a_cut_line_is_told(served, robot):
    with socket(served, '/drive') as line:
        robot.refusal = 'ann drives'
        line.send(json.dumps({'sent': 1.0, 'keys': ['w']}))
        wait_for(lambda: json.loads(line.recv(10)).get('refused') == 'ann drives', 'the refusal')
        line.socket.close()  # as a cable that is drawn, not a goodbye
    wait_for(lambda: robot.held[-1] == 'leave', 'the end of the connection')
    assert robot.held[0] == 'come'
    assert robot.held[1].keys == {'w'}


def test_who_drives_is_told_the_clock_again_and_again(served):
    with socket(served, '/drive') as line:
        clocks = [json.loads(line.recv(10))['clock'] for _ in range(3)]
    assert clocks == sorted(set(clocks))
    assert clocks[-1] <= time.monotonic()


@pytest.mark.parametrize(
    ('text', 'code'),
    [(text, 1008) for text in ('{', '[]', '{"sent": "now"}', '{"sent": 1, "keys": [{}]}', '[' * 4000, b'{"sent": 1}')]
    + [('{"sent": 1%s}' % ('0' * 400), 1008), ('x' * 5000, 1009)],
)
def test_a_driver_that_is_no_page_is_cut_off(served, robot, text, code):
    with socket(served, '/drive') as line:
        line.send(text)
        with pytest.raises(ConnectionClosed) as end:
            list(line)
    assert end.value.rcvd.code == code
    wait_for(lambda: robot.held == ['come', 'leave'], 'the end')


def test_another_page_cannot_listen(served):
    with pytest.raises(InvalidStatus), socket(served, '/state', origin='http://evil.com'):
        pass


def test_on_another_address_a_token_is_asked_for():
    robot = PageRobot()
    serving = Serving(make_application(robot), Address('0.0.0.0', 0))
    try:
        token = serving.url.partition('token=')[2]
        assert len(token) >= 32
        port = serving.url.partition('?')[0].rstrip('/').rpartition(':')[2]
        there = f'http://127.0.0.1:{port}/'
        assert status(f'{there}about') == 401
        with pytest.raises(urllib.error.HTTPError):
            post(f'{there}stop')
        opened = urllib.request.urlopen(f'{there}?token={token}', timeout=10)
        cookie = opened.headers['set-cookie'].partition(';')[0]
        request = urllib.request.Request(f'{there}about', headers={'cookie': cookie})
        assert json.load(urllib.request.urlopen(request, timeout=10))['robot'] == 'tester'
        assert robot.done == []
    finally:
        serving.close()


def test_any_address_of_the_machine_itself_is_one():
    serving = Serving(make_application(PageRobot()), Address('127.0.0.2', 0))
    try:
        assert status(f'{serving.url}about') == 200
    finally:
        serving.close()


def test_an_address_that_cannot_be_had_is_said(served, robot):
    port = int(served.rstrip('/').rpartition(':')[2])
    with pytest.raises(UserError, match=f'127.0.0.1:{port}: Address already in use. Give another port'):
        Serving(make_application(robot), Address('127.0.0.1', port))
    with pytest.raises(UserError, match='TLS needs both'):
        Serving(make_application(robot), Address('127.0.0.1', 0, certificate='a.pem'))
    with pytest.raises(UserError, match=r"The certificate 'a.pem' does not exist"):
        Serving(make_application(robot), Address('127.0.0.1', 0, certificate='a.pem', key='b.pem'))


def test_a_certificate_that_is_none_is_refused_before_anything_is_said_to_be_served(tmp_path):
    for name in ('a.pem', 'b.pem'):
        (tmp_path / name).write_text('not a certificate')
    address = Address('127.0.0.1', 0, certificate=str(tmp_path / 'a.pem'), key=str(tmp_path / 'b.pem'))
    with pytest.raises(UserError, match=r"The certificate '.*a.pem' and the key '.*b.pem' cannot be used"):
        Serving(make_application(PageRobot()), address)


def test_a_server_that_does_not_start_is_said(monkeypatch):
    monkeypatch.setattr(serving_module.uvicorn.Server, 'run', lambda self, sockets: None)
    with pytest.raises(UserError, match='did not start'):
        Serving(make_application(PageRobot()), Address('127.0.0.1', 0))


def test_any_token_is_part_of_the_address_as_it_is():
    token = 'a+b&c d/é?'
    serving = Serving(make_application(PageRobot()), Address('0.0.0.0', 0, token))
    try:
        address, _, query = serving.url.partition('/?')
        there = f'http://127.0.0.1:{address.rpartition(":")[2]}/?{query}'
        assert 'set-cookie' in urllib.request.urlopen(there, timeout=10).headers
    finally:
        serving.close()


def test_a_server_that_starts_anew_is_seen_to_be_another(served, robot):
    again = Serving(make_application(robot), Address('127.0.0.1', 0))
    try:
        starts = []
        for url in (served, again.url):
            with socket(url, '/state') as line:
                starts.append(json.loads(line.recv(10))['start'])
            about = json.load(urllib.request.urlopen(f'{url}about', timeout=10))
            assert about['start'] == starts[-1]
        assert starts[0] != starts[1]
    finally:
        again.close()
