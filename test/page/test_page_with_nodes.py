"""The page on a simulated robot with real nodes, in a real browser: every button, two viewers, a killed page."""

import time

import pytest
from support.bench import wait_for
from support.browser import errors, find, open_browser, text
from support.page_nodes import CONTRACT, Listener, Page, await_page, hold, let_go, press, tell

pytest.importorskip('metaworld')
pytestmark = [pytest.mark.browser, pytest.mark.rendering]


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture(scope='module')
def robot(tmp_path_factory):
    """The simulated robot, its controller and a recorder."""
    from mode_ros.bringup.nodes import NodeSpec, recording_nodes
    from mode_ros.bringup.processes import Processes
    from mode_ros.paths import share_folder

    folder = tmp_path_factory.mktemp('robot')
    specs = recording_nodes(CONTRACT, str(folder / 'recordings'), 'metaworld', 'drawer-open', teleop=False)
    # A busy machine may keep what is held waiting until the controller rightly takes it for late: 1.5 periods of the
    # robot's clock, which therefore runs at a quarter of the speed.
    slow = {'sim_node': {'real_time_factor': 0.25}}
    specs = [NodeSpec(spec.executable, dict(spec.parameters) | slow.get(spec.executable, {})) for spec in specs]
    with Processes(specs, share_folder() / 'config' / 'nodes.yaml', folder / 'logs'):
        listener = Listener()
        yield listener
        listener.close()


@pytest.fixture
def page():
    made = Page()
    yield made
    made.close()


@pytest.fixture
def browser(page):
    made = open_browser()
    made.get(page.url)
    yield made
    made.quit()


def test_every_button_on_a_robot(browser, robot):
    wait_for(lambda: 'running' in text(browser, 'nodes') or 'slower' in text(browser, 'nodes'), 'the simulator', 60.0)
    wait_for(lambda: all(figure.get_attribute('data-pictures') for figure in tiles(browser)), 'pictures')
    for node in ('controller_node', 'recorder_node'):
        wait_for(lambda node=node: f'{node} has not been heard' not in text(browser, 'nodes'), node, 60.0)
    tell(browser, robot, 'push the drawer')
    press(browser, '[data-call="controller/pause"]', 'pause')
    wait_for(lambda: 'holding' in text(browser, 'state'), 'holding')
    press(browser, '[data-call="controller/start"]', 'start')
    press(browser, '[data-call="controller/reset"]', 'reset')
    press(browser, '#new-scene', 'reset with seed')
    find(browser, '#stop').click()
    wait_for(lambda: 'STOPPED' in text(browser, 'state'), 'the stop')
    assert 'This page has said stop' in text(browser, 'reason')
    press(browser, '#release', 'release')
    wait_for(lambda: 'STOPPED' not in text(browser, 'state'), 'the release')
    find(browser, '#tab-drive').click()
    press(browser, '[data-call="recorder/stop"]', 'Nothing is being recorded')
    await_recorder(browser)
    press(browser, '[data-call="recorder/start"]', 'Recording episode_000000')
    press(browser, '[data-call="recorder/failure"]', 'marked as a failure')
    press(browser, '[data-call="recorder/success"]', 'marked as a success')
    press(browser, '[data-call="recorder/stop"]', 'episode_000000: ')
    await_recorder(browser)
    press(browser, '[data-call="recorder/start"]', 'Recording episode_000001')
    press(browser, '[data-call="recorder/discard"]', 'discarded')
    assert errors(browser) == []


def await_recorder(browser):
    """Until it can start an episode: on a busy machine a stream may have been late a moment ago."""
    wait_for(lambda: text(browser, 'recording') == '✓ ready', 'the recorder')


def tiles(browser):
    found = browser.find_elements('css selector', 'figure')
    return found if len(found) == 2 else [found[0]] * 2 if found else [find(browser, 'body')]


def test_a_second_viewer_sees_the_same_and_is_told_who_drives(browser, page, robot):
    other = open_browser()
    try:
        other.get(page.url)
        for one in (browser, other):
            one.execute_script('document.getElementById("tab-drive").click()')
        hold(browser, 'w')
        await_page(browser, robot.moves, 'motion')
        hold(other, 's')
        await_page(other, lambda: 'a page at 127.0.0.1 drives' in text(other, 'driving'), 'who drives')
        await_page(other, lambda: text(other, 'driving').startswith('✗ Not driving'), 'the refusal')
        await_page(browser, robot.moves, 'that the first one goes on driving')
        assert min(twist.twist.linear.x for twist in robot.twists[-40:]) > -0.01, 'and never as the second wants'
        let_go(other)
        let_go(browser)
        wait_for(lambda: not robot.moves(), 'a stop')
    finally:
        other.quit()


def test_a_page_that_is_killed_while_somebody_drives_stops_the_robot(browser, page, robot):
    """The dead-man: nothing of the page is left to say anything."""
    find(browser, '#tab-drive').click()
    before = len(robot.commands)  # of the pages of other tests
    hold(browser, 'w')
    # The controller may have found this page before the listener has: what it then does could not be judged.
    await_page(browser, lambda: robot.moves() and any(command.points for command in robot.commands[before:]), 'motion')
    page.kill()
    wait_for(lambda: not robot.moves(), 'a stop')
    time.sleep(0.3)
    assert not robot.moves(), 'and it stays'
    # On a busy machine the page itself may just have let go, since the browser was late: then it counts from there.
    last = max(stamp(command) for command in robot.commands if command.points)
    # Full speed is commanded in no period that begins later than one and a half periods after what was heard last.
    full = max(abs(twist.twist.linear.x) for twist in robot.twists)
    late = [stamp(twist) - last for twist in robot.twists if abs(twist.twist.linear.x) > 0.99 * full]
    assert max(late) <= 1.5 * 50_000_000 + 50_000_000
