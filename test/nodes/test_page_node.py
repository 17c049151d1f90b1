"""page_node: what is pressed becomes the documented topics and services, what nodes say becomes what is shown."""

import asyncio
import json
import time

import pytest
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger
from support.bench import wait_for
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.estop import ASK_SECONDS
from mode_ros.messages.teleop import decode_teleop
from mode_ros.nodes import page_calls, page_node
from mode_ros.nodes.controller_node import ControllerNode
from mode_ros.nodes.estop_readers import TELLS_WHEN_SENT
from mode_ros.nodes.goals_node import GoalsNode
from mode_ros.nodes.page_node import PageNode
from mode_ros.nodes.qos import LATCHED
from mode_ros.page.driving import Held


class Quiet(PageNode):
    """Without its web server."""

    def __init__(self, **options):
        super().__init__(serve=False, **options)


@pytest.fixture
def page(bench, contract_file):
    return bench.start(Quiet, activate=False, contract=contract_file)


def held(*keys):
    return Held(time.monotonic(), frozenset(keys), False, None, ())


def test_stop_and_release(bench, page, contract_file):
    bench.start(ControllerNode, contract=contract_file)
    bench.node.create_timer(0.02, bench.joints)
    wait_for(lambda: page.state()['nodes']['controller']['level'] != 'missing', 'the controller')
    page.stop()
    wait_for(lambda: (page.state()['safety'] or {}).get('check') == 'estop', 'the stop')
    wait_for(lambda: page.state()['estop'] == {'own': True, 'others': False}, 'its own word')
    assert asyncio.run(page.release()) == (True, 'release')
    wait_for(lambda: not page.state()['safety']['latched'], 'the release')
    json.dumps(page.state(), allow_nan=False)


def releasing(bench, answers):
    """A controller's release that gives these answers, and then the last one for ever; the list of those given."""
    given = []

    def release(_, response):
        response.message = answers[min(len(given), len(answers) - 1)]
        response.success = not response.message
        given.append(response.message)
        return response

    bench.node.create_service(Trigger, 'controller_node/release', release)
    return given


def test_a_release_that_comes_too_early_is_asked_for_again(bench, page):
    given = releasing(bench, ['estop: it is engaged', 'the robot is still coming to rest', ''])
    wait_for(lambda: page._calls.ready('controller', 'release'), 'the service')
    page.stop()
    assert asyncio.run(page.release())[0]
    assert len(given) == 3


def test_a_release_that_is_refused_for_long_is_told(bench, page):
    given = releasing(bench, ['the states are silent'])
    wait_for(lambda: page._calls.ready('controller', 'release'), 'the service')
    assert asyncio.run(page.release()) == (False, 'the states are silent')
    assert len(given) > 2


def test_a_release_is_asked_for_by_the_clock_of_the_robot_which_may_be_slow(bench, page, monkeypatch):
    monkeypatch.setattr(page_node, 'RELEASE_SECONDS', 0.15)
    given = releasing(bench, ['the robot is still coming to rest'] * 5 + [''])
    wait_for(lambda: page._calls.ready('controller', 'release'), 'the service')
    monkeypatch.setattr(page, '_now', lambda: 10_000_000 * len(given))
    assert asyncio.run(page.release())[0]
    assert len(given) == 6


def test_a_clock_that_stands_still_does_not_keep_a_release_for_ever(bench, page, monkeypatch):
    monkeypatch.setattr(page_node, 'RELEASE_LONGEST', 0.3)
    given = releasing(bench, ['the states are silent'])
    wait_for(lambda: page._calls.ready('controller', 'release'), 'the service')
    monkeypatch.setattr(page, '_now', lambda: 7)
    assert asyncio.run(page.release()) == (False, 'the states are silent')
    assert len(given) > 1


def test_who_works_before_it_answers_is_waited_for_and_who_does_not_is_not(page, monkeypatch):
    """As a recorder that writes what is still queued, and then says how much was lost."""
    from mode_ros.nodes.recorder_node import FINISH_SECONDS

    waited = {}

    async def ask(client, request, node, word, seconds):
        waited[node] = seconds
        return Trigger.Response(success=True, message=word)

    monkeypatch.setattr(page_calls, 'ask', ask)
    for what, word in (('controller', 'pause'), ('recorder', 'stop'), ('simulator', 'reset')):
        assert asyncio.run(page.call(what, word)) == (True, word)
    assert waited['recorder_node'] > FINISH_SECONDS
    assert waited['sim_node'] > 10 * waited['controller_node'] > 0


def test_who_says_stop_again_is_not_released_by_what_was_asked_before(bench, page):
    given = releasing(bench, ['the robot is still coming to rest', ''])
    wait_for(lambda: page._calls.ready('controller', 'release'), 'the service')

    async def stop_at_once():
        releasing_now = asyncio.ensure_future(page.release())
        while not given:
            await asyncio.sleep(0.001)
        page.stop()
        return await releasing_now

    assert asyncio.run(stop_at_once()) == (False, 'the robot is still coming to rest')
    assert len(given) == 1


def test_who_says_stop_while_it_waits_to_ask_again_is_not_asked_about(page, monkeypatch):
    asked = []

    async def refused(node, word):
        asked.append((node, word))
        asyncio.get_running_loop().call_soon(page.stop)  # in the wait that follows
        return False, 'the robot is still coming to rest'

    monkeypatch.setattr(page, 'call', refused)
    assert asyncio.run(page.release()) == (False, 'the robot is still coming to rest')
    assert asked == [('controller', 'release')]


def test_who_says_stop_before_it_is_asked_at_all_stays_stopped(page, monkeypatch):
    asked = []
    monkeypatch.setattr(page, 'call', lambda *words: asked.append(words))
    page.stop()

    async def stop_at_once():
        releasing_now = asyncio.ensure_future(page.release())
        await asyncio.sleep(0)  # it has lifted the stop and waits until that is heard
        page.stop()
        return await releasing_now

    assert asyncio.run(stop_at_once()) == (False, 'Stop was said again.')
    assert not asked


@pytest.mark.parametrize('before', [True, False])
def test_somebody_elses_stop_is_not_lifted(bench, contract_file, before):
    """Nor one that was said before the page was there."""
    bench.start(ControllerNode, contract=contract_file)
    bench.node.create_timer(0.02, bench.joints)
    if before:
        bench.publish(Bool(data=True), 'estop', LATCHED)
    page = bench.start(Quiet, activate=False, contract=contract_file)
    words = bench.listen(Bool, 'estop')
    page.stop()
    if not before:
        bench.publish(Bool(data=True), 'estop', LATCHED)
    wait_for(lambda: page.state()['estop']['others'], 'the other stop')
    done, told = asyncio.run(page.release())

    assert not done
    assert 'emergency stop' in told
    assert all(word.data for word in words), 'nobody has said that it is lifted'


def test_who_takes_a_stop_back_does_not_speak_for_somebody_else(bench, page):
    first, second = (bench.node.create_publisher(Bool, 'estop', LATCHED) for _ in range(2))
    first.publish(Bool(data=True))
    second.publish(Bool(data=True))
    wait_for(lambda: page.state()['estop']['others'], 'the other stops')
    page.stop()
    wait_for(lambda: page.state()['estop']['own'], 'its own stop')
    second.publish(Bool(data=False))
    time.sleep(2.5 * ASK_SECONDS)
    assert page.state()['estop'] == {'own': True, 'others': True}

    first.publish(Bool(data=False))
    wait_for(lambda: page.state()['estop'] == {'own': True, 'others': False}, 'the others to have taken theirs back')


@pytest.fixture
def button(bench, page):
    """An emergency stop that publishes best effort, when it is pressed or let go alone; the page hears it already."""
    button = bench.node.create_publisher(Bool, 'estop', qos_profile_sensor_data)

    def press(stop):
        def say():
            button.publish(Bool(data=stop))
            time.sleep(0.02)
            return page.state()['estop']['others'] is stop

        wait_for(say, f'that {stop} is heard')

    press(True)
    press(False)
    return press


@pytest.mark.skipif(not TELLS_WHEN_SENT, reason="Humble's rclpy does not tell when a word was sent")
def test_its_own_word_is_its_own_beside_somebody_who_publishes_best_effort(bench, page, button):
    """The reader for those hears the page, too."""
    given = releasing(bench, [''])
    wait_for(lambda: page._calls.ready('controller', 'release'), 'the service')
    words = bench.listen(Bool, 'estop', LATCHED)
    for _ in range(3):
        page.stop()
        wait_for(lambda: words and words[-1].data, 'its stop')
        time.sleep(0.3)  # both readers have brought it
        assert page.state()['estop'] == {'own': True, 'others': False}
        assert asyncio.run(page.release())[0]
        wait_for(lambda: not words[-1].data, 'its release')
    assert len(given) == 3


def test_a_best_effort_stop_is_not_the_pages_own(page, button):
    page.stop()
    time.sleep(0.3)
    button(True)
    assert page.state()['estop']['own']
    assert not page._estop_words.may_lift()
    button(False)
    assert page._estop_words.may_lift()


def test_a_node_that_is_not_there_is_named(bench, page):
    done, words = asyncio.run(page.call('recorder', 'start'))

    assert not done
    assert words == 'recorder_node is not running: nobody offers its service start.'


def test_a_service_that_fails_says_so_in_its_own_words(bench, page):
    def refuse(request, response):
        response.success, response.message = False, 'Not started: wrist: nobody publishes.'
        return response

    bench.node.create_service(Trigger, 'recorder_node/start', refuse)
    wait_for(lambda: page._calls.ready('recorder', 'start'), 'the service')

    assert asyncio.run(page.call('recorder', 'start')) == (False, 'Not started: wrist: nobody publishes.')


def test_a_goal_is_latched_and_remembered(bench, page):
    page.say_goal('open the drawer')
    heard = bench.listen(String, 'goal', LATCHED)
    wait_for(lambda: heard, 'the goal, by one who comes later')
    wait_for(lambda: page.state()['goals'] == ['open the drawer'], 'its own goal')
    bench.goal('close it')
    wait_for(lambda: page.state()['goal'] == 'close it', "somebody else's goal")
    assert page.state()['goals'] == ['close it', 'open the drawer']


def test_a_queue_of_goals_is_filled_and_shown(bench, page, contract_file):
    assert page.state()['queue'] is None
    bench.start(GoalsNode, activate=False, contract=contract_file)
    wait_for(lambda: page.state()['queue'] == {}, 'the queue')
    wait_for(lambda: page._goal_queue.get_subscription_count(), 'its ear')
    page.say_goals(['open it', 'close it'])
    wait_for(lambda: (page.state()['queue'] or {}).get('of') == 2, 'the goals')
    assert asyncio.run(page.call('goals', 'next')) == (True, 'next')
    wait_for(lambda: page.state()['queue']['goal'] == 'close it', 'the second')


def test_pictures_are_those_of_the_camera(bench, page):
    bench.image(value=200)
    wait_for(lambda: page.cameras['static'].number, 'a picture')
    picture = page.cameras['static'].newest()
    assert picture.kind == 'image/jpeg'
    assert page.age(picture.stamp) < 20.0
    broken = Image(encoding='32FC1', width=32, height=32, step=128, data=bytes(4096))
    bench.publish(broken, 'static/image')
    wait_for(lambda: page.cameras['static'].number > 1, 'the next one')
    assert page.cameras['static'].newest() is None
    assert '32FC1' in page.state()['cameras']['static']['problem']


def test_what_is_held_drives_and_silence_ends_it(bench, page):
    commands = bench.listen(JointTrajectory, 'teleop_command')
    page.come('a', 'ann')
    assert page.drive('a', held()) == ''
    assert page.drive('a', held('w')) == ''
    last = bench.now()
    wait_for(lambda: commands and decode_teleop(commands[-1]).action is None, 'the end')
    moving = [decode_teleop(message) for message in commands if message.points]
    assert all(command.stamp <= last for command in moving), 'stamped when it was heard'
    assert all(command.action[0] > 0 for command in moving)


def test_who_drives_otherwise_is_told(bench, page):
    bench.node.create_publisher(JointTrajectory, 'teleop_command', 1)
    bench.publish(Bool(data=True), 'intervention', LATCHED)
    wait_for(lambda: page.state()['intervention'], 'the intervention')
    page.come('a', 'ann')
    page.drive('a', held())

    wait_for(lambda: page.drive('a', held('w')) == 'somebody else drives: bench', 'the name')


def test_who_was_late_goes_on_while_its_own_intervention_lasts_and_nobody_else_begins(bench, page):
    """The browser was late for a moment, and let go for; the controller has not said yet that this is over."""
    for session, name in (('a', 'ann'), ('b', 'bob')):
        page.come(session, name)
        page.drive(session, held())
    assert page.drive('a', held('w')) == ''
    bench.publish(Bool(data=True), 'intervention', LATCHED)
    wait_for(lambda: page.state()['intervention'], 'the intervention')
    wait_for(lambda: not page.state()['drive']['driver'], 'that nobody drives')

    assert page.drive('b', held('s')) == 'somebody else drives: ann'
    assert page.drive('a', held('w')) == ''
