"""view_node among real messages: what RViz and rqt are shown."""

import json
import sys

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from support.bench import wait_for
from support.contracts import PATIENT_TEXT, parse_contract

from mode_ros.ahead.drawing import AHEAD, ALARM, HEAD, HEIGHT
from mode_ros.control.chunk import make_chunk
from mode_ros.control.request import ChunkRequest
from mode_ros.errors import UserError
from mode_ros.messages.chunks import encode_chunk, encode_request
from mode_ros.messages.states import encode_pose
from mode_ros.nodes.qos import LATCHED
from mode_ros.nodes.view_node import ViewNode

POSE = '    - {name: hand, topic: hand_pose, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 1.0}\n'
TEXT = PATIENT_TEXT.replace('action:\n', f'{POSE}action:\n')


@pytest.fixture
def contract_file(tmp_path):
    path = tmp_path / 'viewed.yaml'
    path.write_text(TEXT)
    return str(path)


def plan(bench, length=100, x=0.001):
    """A chunk that was asked for, from rest, and long enough for a slow machine."""
    contract = parse_contract(TEXT, 'c.yaml')
    now = bench.now()
    request = ChunkRequest(f'a-{now}', now, now, period=contract.period)
    bench.publish(encode_request(request, contract.action_names), 'chunk_request')
    actions = np.tile([x, 0.0, 0.0, 1.0], (length, 1))
    bench.publish(encode_chunk(make_chunk(contract, now, actions, request.identity)), 'action_chunk')


def has(picture, colour):
    return bool((np.abs(picture.astype(int) - colour).max(axis=2) < 40).any())


def until(bench, condition, what):
    def look():
        plan(bench)
        bench.observe()
        return condition()

    wait_for(look, what)


def test_the_image_shows_camera_goal_and_what_comes(bench, contract_file):
    bench.start(ViewNode, activate=False, contract=contract_file)
    seen = bench.listen(CompressedImage, 'view_node/image/compressed')

    def newest():
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(bytes(seen[-1].data), np.uint8), 1), cv2.COLOR_BGR2RGB)

    wait_for(lambda: seen, 'an image before anything is heard')
    quiet = newest()[:HEAD]
    bench.publish(String(data='open the drawer'), 'goal')
    until(bench, lambda: has(newest()[HEAD:, HEIGHT:], AHEAD), 'the plan')
    until(bench, lambda: abs(int(newest()[HEAD + 50, 50, 0]) - 128) < 9, "the camera's picture")
    assert (newest()[:40, :300] != quiet[:40, :300]).any(), 'the goal'
    told = {'stopped': True, 'latched': True, 'check': 'estop', 'reason': 'the emergency stop is engaged'}
    bench.publish(String(data=json.dumps(told)), 'safety_state', LATCHED)
    until(bench, lambda: has(newest()[:HEAD], ALARM), 'the stop')
    until(bench, lambda: not has(newest()[HEAD:, HEIGHT:], AHEAD), 'nothing planned any more')


def test_the_path_begins_at_the_measured_hand_and_goes_where_the_chunk_goes(bench, contract_file):
    markers = pytest.importorskip('visualization_msgs.msg')
    bench.start(ViewNode, activate=False, contract=contract_file)
    shown = bench.listen(markers.MarkerArray, 'view_node/path')
    wait_for(lambda: shown, 'markers')
    assert [marker.action for marker in shown[-1].markers] == [markers.Marker.DELETEALL], 'nothing is planned'
    values = [KeyValue(key='mode', value='realtime'), KeyValue(key='delay p50 (periods)', value='3')]
    status = DiagnosticStatus(name='/controller_node', message='executing', values=values)
    bench.publish(DiagnosticArray(status=[status]), '/diagnostics')

    def drawn():
        bench.publish(
            encode_pose(np.array([0.5, 0.1, 0.2]), np.array([0, 0, 0, 1.0]), bench.now(), 'base'), 'hand_pose'
        )
        return len(shown[-1].markers) == 3 and len(shown[-1].markers[0].points) > 50

    until(bench, drawn, 'the path')
    line, points, words = shown[-1].markers
    assert (line.type, points.type) == (markers.Marker.LINE_STRIP, markers.Marker.SPHERE_LIST)
    assert line.header.frame_id == 'base'
    assert (line.points[0].x, line.points[0].y, line.points[0].z) == (0.5, 0.1, 0.2)
    assert line.points[10].x == pytest.approx(0.51)
    assert len(line.colors) == len(line.points)
    assert 'realtime | delay 3 of' in words.text


def test_without_visualization_msgs_it_says_so_and_shows_the_image(bench, contract_file, monkeypatch):
    monkeypatch.delitem(sys.modules, 'mode_ros.messages.markers', raising=False)
    monkeypatch.setitem(sys.modules, 'visualization_msgs', None)
    monkeypatch.setitem(sys.modules, 'visualization_msgs.msg', None)
    node = bench.start(ViewNode, activate=False, contract=contract_file)
    assert node._path is None
    seen = bench.listen(Image, 'view_node/image')
    wait_for(lambda: seen, 'the image')


def test_what_is_no_chunk_no_image_and_no_state_is_survived(bench, contract_file):
    bench.start(ViewNode, activate=False, contract=contract_file)
    seen = bench.listen(Image, 'view_node/image')
    wait_for(lambda: seen, 'the image')
    bench.publish(Image(height=9, width=9, encoding='nonsense'), 'static/image')
    bench.publish(String(data='{no json'), 'safety_state', LATCHED)
    contract = parse_contract(TEXT, 'c.yaml')
    chunk = make_chunk(contract, bench.now(), np.full((3, 4), np.nan), 'a-1')
    bench.publish(encode_chunk(chunk), 'action_chunk')
    bad = encode_chunk(chunk)
    bad.header.frame_id = 'reserved=x'
    bench.publish(bad, 'chunk_request')
    count = len(seen)
    wait_for(lambda: len(seen) > count + 2, 'images all the same')


def test_a_camera_that_is_not_there_is_refused(bench, contract_file):
    with pytest.raises(UserError, match=r"no camera 'wrist'.*\['static'\]"):
        bench.start(ViewNode, activate=False, contract=contract_file, camera='wrist')
