"""recorder_node on real DDS: what it refuses, what it keeps, and how it ends."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import Bool, Float64, String
from std_srvs.srv import SetBool, Trigger
from support.bench import wait_for
from support.contracts import DELTA_TEXT, PATIENT_TEXT

from mode_ros.errors import UserError
from mode_ros.messages.images import encode_image
from mode_ros.messages.stamps import to_time
from mode_ros.messages.states import encode_joint_state
from mode_ros.nodes.qos import LATCHED
from mode_ros.nodes.recorder_node import RecorderNode
from mode_ros.recording.bag import Bag
from mode_ros.recording.episode import Episode
from mode_ros.recording.folder import RecordingFolder
from mode_ros.recording.writer import EpisodeWriter
from mode_ros.training.data.bags import open_bag


class Robot:
    """A camera and joints that publish at 20 Hz, and a caller of the recorder's services."""

    def __init__(self, bench, reliability=ReliabilityPolicy.RELIABLE):
        self.bench = bench
        self.alive = {'image', 'joints'}
        self.names, self.encoding, self.stamped = ['a', 'b'], 'rgb8', True
        self.sent = {'image': 0, 'joints': 0}
        self.times = []
        qos = QoSProfile(depth=20, reliability=reliability)
        image = encode_image(np.zeros((32, 32, 3), np.uint8), 0, 'static')
        self.publishers = {
            'image': bench.node.create_publisher(type(image), 'static/image', qos),
            'joints': bench.node.create_publisher(JointState, 'joint_states', qos),
        }
        self.timer = bench.node.create_timer(0.05, self.speak)

    def speak(self):
        stamp = self.bench.now() if self.stamped else 0
        if 'image' in self.alive:
            message = encode_image(np.zeros((32, 32, 3), np.uint8), stamp, 'static')
            message.encoding = self.encoding
            self.publishers['image'].publish(message)
            self.sent['image'] += 1
            self.times.append(time.monotonic())
        if 'joints' in self.alive:
            self.publishers['joints'].publish(encode_joint_state(self.names, np.zeros(2), np.zeros(2), stamp))
            self.sent['joints'] += 1

    def call(self, name, kind=Trigger, **fields):
        client = self.bench.node.create_client(kind, f'/recorder_node/{name}')
        assert client.wait_for_service(10.0)
        future = client.call_async(kind.Request(**fields))
        wait_for(future.done, f'an answer of {name}')
        return future.result()

    def start(self):
        """Starts as soon as the recorder has heard everything."""
        return wait_for(lambda: (answer := self.call('start')).success and answer, 'a recording')


@pytest.fixture
def robot(bench):
    return Robot(bench)


@pytest.fixture
def recorder(bench, robot, contract_file, tmp_path):
    return start(bench, contract_file, tmp_path)


def start(bench, contract_file, at, **parameters):
    values = {'contract': contract_file, 'folder': str(at), 'require_goal': False, 'min_free_megabytes': 0}
    return bench.start(RecorderNode, activate=False, **{**values, **parameters})


def read(bag):
    """Topic to the number of its messages, and the episode."""
    with AnyReader([bag]) as reader:
        counts = {}
        stamps = []
        for connection, stamp, _ in reader.messages():
            counts[connection.topic] = counts.get(connection.topic, 0) + 1
            stamps.append(stamp)
        assert stamps == sorted(stamps)
        return counts, Episode.from_custom_data(reader.readers[0].storage.metadata.custom, str(bag))


def status_of(array):
    (status,) = array.status
    return status.message, {item.key: item.value for item in status.values}


def test_an_episode_holds_the_streams_the_commands_and_its_story(bench, robot, recorder, tmp_path):
    heard = bench.listen(DiagnosticArray, '/recorder_node/status')
    bench.goal('open the drawer')
    bench.publish(Bool(data=False), 'intervention', LATCHED)
    wait_for(lambda: recorder._latched_goal() and recorder._by_name['intervention'].heard.last, 'what is latched')
    assert robot.start().message == 'Recording episode_000000, goal "open the drawer".'
    before = dict(robot.sent)

    def shown():
        found = [status for status in map(status_of, heard) if float(status[1].get('seconds') or 0) > 1.0]
        return [status for status in found if float(status[1]['MB']) > 0.0]

    wait_for(shown, 'a status of it')
    (since, before_then), *_, (until, by_then) = list(recorder._by_name['static/image']._history)
    rate = (by_then - before_then) / (until - since)
    assert rate * (until - since) == pytest.approx(sum(since < each <= until for each in robot.times), abs=3)
    assert robot.call('success', SetBool, data=True).message == 'episode_000000 is marked as a success.'
    sent = {name: count - before[name] for name, count in robot.sent.items()}
    answer = robot.call('stop')
    assert answer.success
    assert 'nothing lost' in answer.message
    counts, episode = read(tmp_path / 'episode_000000')
    assert counts['/static/image'] == pytest.approx(sent['image'], abs=3)
    assert counts['/joint_states'] == pytest.approx(sent['joints'], abs=3)
    assert counts['/goal'] == 1, 'given before the start, and through two readers'
    assert counts['/intervention'] == 1
    assert (episode.goal, episode.success, episode.drops, episode.recovered) == ('open the drawer', True, {}, '')
    assert episode.contract('bag') == bench.contract
    message, values = shown()[0]
    assert message == 'recording'
    assert f'{rate:.1f}' in [each['rate /static/image (Hz)'] for _, each in shown()]
    assert values['dropped'] == '0'
    assert values['episode'] == 'episode_000000'


def test_of_goals_that_are_told_while_it_records_the_first_is_the_episodes(bench, robot, recorder, tmp_path):
    assert robot.start().message == 'Recording episode_000000, without a goal.'
    for goal in (' ', 'open the drawer', 'close the drawer'):
        bench.goal(goal)
        topic = recorder._by_name['goal']
        wait_for(lambda said=goal, topic=topic: topic.said and said.encode() in topic.said, f'the goal {goal!r}')
    assert robot.call('stop').success
    counts, episode = read(tmp_path / 'episode_000000')
    assert (episode.goal, counts['/goal']) == ('open the drawer', 3)


def test_the_goal_of_an_episode_is_not_the_next_ones(bench, robot, recorder, tmp_path):
    robot.start()
    bench.goal('open the drawer')
    wait_for(lambda: recorder._goal, 'the goal')
    robot.call('stop')
    bench.goal('close the drawer')
    wait_for(lambda: recorder._latched_goal() == 'close the drawer', 'the next goal')
    assert robot.start().message == 'Recording episode_000001, goal "close the drawer".'
    robot.call('stop')
    episodes = [read(tmp_path / f'episode_00000{number}')[1] for number in (0, 1)]
    assert [episode.goal for episode in episodes] == ['open the drawer', 'close the drawer']


def test_it_names_every_dead_stream(bench, robot, contract_file, tmp_path):
    robot.alive = set()
    robot.timer.cancel()
    bench.node.destroy_publisher(robot.publishers['image'])
    # Of another process, as it were: one process cannot give a topic two types.
    context = rclpy.Context()
    context.init()
    other = rclpy.create_node('other', context=context)
    other.create_publisher(CompressedImage, 'static/image', 5)
    start(bench, contract_file, tmp_path, require_goal=True)
    answers = []

    def told():
        answers.append(robot.call('start'))
        return 'static: /static/image carries' in answers[-1].message

    wait_for(told, 'the recorder to have heard of the other publisher')
    answer = answers[-1]
    other.destroy_node()
    context.try_shutdown()
    assert not answer.success
    assert 'static: /static/image carries sensor_msgs/msg/CompressedImage, the contract says' in answer.message
    assert 'joints: no message yet on /joint_states' in answer.message
    assert 'no goal: publish one on /goal' in answer.message
    assert not list(tmp_path.glob('*episode*'))


def test_silence_zero_stamps_and_messages_that_nobody_could_use_are_refused(bench, robot, recorder):
    robot.start()
    robot.call('discard')
    robot.alive = {'joints'}

    def refused(*words):
        """The recorder has heard what is wrong by now; meanwhile it may not start."""
        answer = robot.call('start')
        assert not answer.success
        return all(each in answer.message for each in words) and answer.message

    time.sleep(bench.contract.camera('static').max_age + 0.2)
    # One that lives is not named, but while a busy machine keeps it back, too.
    wait_for(lambda: (told := refused('Not started: static: last message ')) and 'joints:' not in told, 'the silence')
    robot.alive, robot.stamped = {'joints'}, False
    wait_for(lambda: refused('the stamps on /joint_states are zero'), 'the zero stamps')
    robot.names, robot.encoding = ['a', 'c'], '32FC1'
    robot.alive, robot.stamped = {'image', 'joints'}, True
    missing, depth = "joints: the joints ['b'] are missing", "static: the encoding '32FC1' is depth, not colours"
    wait_for(lambda: refused(missing, depth), 'both faults')


def test_nothing_can_be_stopped_discarded_or_marked_before_a_start(robot, recorder):
    for name, kind in (('stop', Trigger), ('discard', Trigger), ('success', SetBool)):
        answer = robot.call(name, kind)
        assert (answer.success, answer.message) == (False, 'Nothing is being recorded; call ~/start first.')
    robot.start()
    assert 'is being recorded already' in robot.call('start').message


def test_a_discarded_episode_is_gone(robot, recorder, tmp_path):
    robot.start()
    assert robot.call('discard').message == 'episode_000000 is discarded.'
    assert not list(tmp_path.glob('*episode*'))


@pytest.mark.parametrize('reliability', [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_it_listens_as_reliably_as_the_publishers_speak(bench, contract_file, tmp_path, reliability):
    robot = Robot(bench, reliability)
    start(bench, contract_file, tmp_path)

    def chosen():
        infos = bench.node.get_subscriptions_info_by_topic('/static/image')
        return infos and all(info.qos_profile.reliability == reliability for info in infos)

    wait_for(chosen, f'a {reliability.name} subscription')
    robot.start()
    assert robot.call('stop').success


def test_losses_are_counted_shown_and_stored(bench, robot, contract_file, tmp_path):
    class Choosy(EpisodeWriter):
        def put(self, topic, time_ns, data):
            if topic == '/joint_states':
                self.refused[topic] += 1
                return False
            return super().put(topic, time_ns, data)

    node = RecorderNode
    original, node.__init__.__defaults__ = node.__init__.__defaults__, (Choosy,)
    try:
        recorder = start(bench, contract_file, tmp_path)
    finally:
        node.__init__.__defaults__ = original
    heard = bench.listen(DiagnosticArray, '/recorder_node/status')
    robot.start()
    message = wait_for(
        lambda: next((m for m, _ in map(status_of, heard) if m.startswith('recording; ') and 'dropped' in m), None),
        'a warning',
    )
    assert 'messages dropped' in message
    wait_for(lambda: recorder._writer.refused['/joint_states'] >= 5, 'five of them')
    answer = robot.call('stop').message
    assert 'LOST ' in answer
    assert 'of /joint_states' in answer
    _, episode = read(tmp_path / 'episode_000000')
    assert episode.drops['/joint_states'] >= 5
    assert '/static/image' not in episode.drops


def test_a_gap_in_the_publishers_numbers_is_a_loss(bench, robot, recorder):
    topic = next(topic for topic in recorder._topics if topic.spec.name == 'joint_states')
    wait_for(lambda: topic.heard.last, 'joints')
    robot.alive = set()
    received = 0
    while received != topic._received:  # what is still on its way
        received = topic._received
        time.sleep(0.3)
    topic.begin()
    number = topic._last_number
    topic._count_gap(number + 1)
    assert topic.lost == 0
    topic._count_gap(number + 5)
    assert topic.lost == 3
    topic._count_gap(1)
    assert topic.lost == 3, 'a publisher that starts anew has lost nothing'


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'contract': 'metaworld_sawyr'}, "did you mean 'metaworld_sawyer'"),
        ({'folder': '/dev/null/x'}, '/dev/null/x cannot hold recordings'),
        ({'queue_megabytes': 0}, "'queue_megabytes' of recorder_node is 0; it goes from 1"),
        ({'foldr': 'x'}, "no parameter 'foldr'; did you mean 'folder'"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(bench, contract_file, tmp_path, parameters, words):
    with pytest.raises(UserError) as caught:
        start(bench, contract_file, tmp_path, **parameters)
    assert words in str(caught.value)


def test_what_a_killed_recorder_left_is_recovered_at_the_start(bench, contract_file, tmp_path, capfd):
    folder = RecordingFolder(tmp_path)
    partial = folder.new_episode()
    bag = Bag(partial.bag)
    bag.add('/goal', 'std_msgs/msg/String', latched=True)
    bag.write('/goal', 1, serialize_message(String(data='x')))
    bag.flush()
    partial.describe(Episode(DELTA_TEXT))
    bag.abort()
    folder.close()
    start(bench, contract_file, tmp_path)
    assert 'episode_000000 was not closed; recovered 1 messages' in capfd.readouterr().err
    assert read(tmp_path / 'episode_000000')[0] == {'/goal': 1}


def test_ctrl_c_finishes_the_episode_within_three_seconds(bench, robot, contract_file, tmp_path):
    settings = ('contract', contract_file), ('folder', str(tmp_path)), ('require_goal', 'false')
    arguments = [part for name, value in settings for part in ('-p', f'{name}:={value}')]
    process = subprocess.Popen(
        [sys.executable, '-m', 'mode_ros.nodes.recorder_node', '--ros-args', *arguments],
        env=os.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        robot.start()
        sent = robot.sent['image']
        wait_for(lambda: robot.sent['image'] >= sent + 20, 'twenty images')
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=20.0)
    finally:
        process.kill()
    assert process.returncode == 0
    assert 'Traceback' not in log
    counts, _ = read(tmp_path / 'episode_000000')
    assert counts['/static/image'] >= 15


def test_another_drivers_joints_on_the_same_topic_keep_nothing_from_being_recorded(bench, robot, recorder):
    other = bench.node.create_publisher(JointState, 'joint_states', 20)
    bench.node.create_timer(
        0.01, lambda: other.publish(encode_joint_state(['finger'], np.zeros(1), np.zeros(1), bench.now()))
    )
    wait_for(lambda: ('finger',) in recorder._by_name['joint_states'].heard._by_names, 'the other driver')
    robot.start()
    topic = next(topic for topic in recorder._topics if topic.spec.name == 'joint_states')
    for _ in range(20):
        time.sleep(0.02)
        assert recorder._problems() == []
    assert topic.heard.last is not None
    robot.alive = {'image'}
    wait_for(lambda: any('joints: last message' in problem for problem in recorder._problems()), 'the silence')


def test_a_second_publisher_is_noted_at_the_start_and_counted_in_the_bag(bench, robot, recorder, tmp_path):
    bench.node.create_publisher(JointState, 'joint_states', 20)
    bench.node.create_publisher(TwistStamped, 'arm/twist', 1)
    bench.node.create_publisher(TwistStamped, 'arm/twist', 1)
    counted = [recorder._by_name[name].publishers for name in ('joint_states', 'arm/twist')]
    wait_for(lambda: [len(each()) for each in counted] == [2, 2], 'both')
    message = robot.start().message
    assert 'Note: sources: joints: 2 publishers were recorded on /joint_states, expected 1' in message
    assert 'Note: sources: arm: 2 publishers were recorded on /arm/twist, expected 1' in message
    sent = robot.sent['image']
    wait_for(lambda: robot.sent['image'] > sent + 2, 'content')
    robot.call('stop')
    with open_bag(tmp_path / 'episode_000000') as bag:
        topics = ('/joint_states', '/arm/twist', '/static/image', '/gripper/command')
        assert [bag.publishers(topic) for topic in topics] == [2, 2, 1, 1]


def test_the_robots_description_is_kept_where_somebody_tells_it(bench, robot, recorder, tmp_path):
    def episode():
        robot.start()
        sent = robot.sent['image']
        bench.publish(String(data='<robot name="x"/>'), 'robot_description', LATCHED)
        wait_for(lambda: recorder._by_name['robot_description'].heard.last, 'the description')
        wait_for(lambda: robot.sent['image'] > sent + 2, 'content')
        assert 'nothing lost' in robot.call('stop').message

    episode()
    episode()
    assert '/robot_description' not in read(tmp_path / 'episode_000000')[0], 'it began without'
    assert read(tmp_path / 'episode_000001')[0]['/robot_description'] >= 1


def test_bytes_that_are_no_message_are_named_and_end_nothing(bench, robot, recorder):
    robot.start()
    robot.call('discard')
    robot.alive = {'image'}
    time.sleep(1.2)  # the last good message is no longer of now
    whole = serialize_message(encode_joint_state(['a', 'b'], np.zeros(2), np.zeros(2), bench.now()))
    topic = next(topic for topic in recorder._topics if topic.spec.name == 'joint_states')
    for data in (b'', b'\x00\x01\x00\x00', whole[:20], b'\xff' * 200, whole[:-9]):
        topic._on_unnumbered(data)
        answer = robot.call('start')
        assert not answer.success
        assert 'joints' in answer.message
    goal = recorder._by_name['goal']
    goal._on_unnumbered(b'\x00\x01\x00\x00\xff\xff\xff\x7f')
    assert recorder._latched_goal() == ''
    robot.alive = {'image', 'joints'}
    robot.start()


def test_a_latched_success_of_the_episode_before_does_not_mark_the_next(bench, robot, recorder, tmp_path):
    success = recorder._by_name['success']
    bench.publish(Bool(data=True), 'success', LATCHED)
    wait_for(lambda: success.said, 'the word')
    robot.start()
    time.sleep(0.3)
    robot.call('stop')
    assert read(tmp_path / 'episode_000000')[1].success is None
    robot.start()
    bench.publish(Bool(data=False), 'success', LATCHED)
    wait_for(lambda: success.said, 'the word about this one')
    robot.call('stop')
    assert read(tmp_path / 'episode_000001')[1].success is False


def test_stamps_that_are_ahead_are_said_when_it_starts(bench, robot, recorder):
    now = bench.now
    image = encode_image(np.zeros((32, 32, 3), np.uint8), 0, 'static')

    def speak():
        image.header.stamp = to_time(now() + 150_000_000)
        robot.publishers['image'].publish(image)

    robot.alive = {'joints'}
    bench.node.create_timer(0.05, speak)
    heard = recorder._by_name['static/image'].heard
    wait_for(lambda: len(heard._offsets) == heard._offsets.maxlen and heard.offset < -0.11, 'stamps that are ahead')
    message = robot.start().message
    assert 'the stamps of static are 0.1' in message
    assert 'ahead of when its messages came' in message


def test_numbers_without_stamps_are_alive_while_they_come(bench, robot, tmp_path):
    path = tmp_path / 'felt.yaml'
    path.write_text(
        PATIENT_TEXT.replace(
            'action:\n',
            '    - {name: load, topic: load, type: number, names: [kg], unit: kg, stamps: reception, max_age: 1.0}\n'
            'action:\n',
        )
    )
    recorder = start(bench, str(path), tmp_path / 'recordings')
    wait_for(lambda: any('load: nobody publishes' in problem for problem in recorder._problems()), 'the missing sensor')
    sensor = bench.node.create_publisher(Float64, 'load', 10)
    timer = bench.node.create_timer(0.05, lambda: sensor.publish(Float64(data=4e9)))
    heard = bench.listen(Float64, 'load')
    assert 'Note' not in robot.start().message
    heard.clear()
    wait_for(lambda: len(heard) > 3, 'numbers while it records')
    robot.call('stop')
    assert read(tmp_path / 'recordings' / 'episode_000000')[0]['/load'] > 0
    timer.cancel()
    wait_for(lambda: any('load: last message' in problem for problem in recorder._problems()), 'the silence')
    assert 'load: last message' in robot.call('start').message
