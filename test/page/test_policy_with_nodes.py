"""A policy's way over the page, with real nodes, trainings and evaluations: replay, train, stop, go on, look, put it on
the robot, evaluate with films; then what goes wrong: a sentence that means no other, a full disk, dead nodes.
"""

import os
import re
import signal
from functools import partial

import numpy as np
import pytest
from support.browser import errors, find, open_browser, text
from support.browser import until as patiently
from support.page_nodes import CONTRACT, Listener, Page
from support.training_sets import write_data_set

pytest.importorskip('metaworld')
pytestmark = [pytest.mark.browser, pytest.mark.rendering, pytest.mark.slow]

# A command is a process of its own beside a simulator, and the machine may be busy.
SECONDS = 240.0
# So small that steps take milliseconds; what it learns does not matter here.
TINY = {
    'policy.embed_dim': '32',
    'policy.layers': '1',
    'policy.heads': '2',
    'policy.experts': '2',
    'policy.image_encoder.width': '0.25',
    'run.log_every': '1',
    'run.batch_size': '2',
}
STEPS = 400
# More room than any disk has left, in MB: to the recorder its disk is full.
NO_DISK = 10**9


until = partial(patiently, timeout=SECONDS)


def make_data(folder):
    """Two episodes in which the hand goes to and fro."""
    from mode_ros.robots import load_named_contract

    generator = np.random.default_rng(0)
    length = 24
    episodes = []
    for task in ('close the drawer', 'open the drawer'):
        state = np.concatenate([generator.normal(0, 0.1, (length, 10)), np.ones((length, 4)), np.zeros((length, 2))], 1)
        action = np.zeros((length, 4))
        action[:, 0] = 0.02 * np.sign(np.sin(np.arange(length)))
        images = {name: generator.integers(0, 255, (length, 128, 128, 3), np.uint8) for name in ('static', 'wrist')}
        episodes.append({'state': state, 'action': action, 'task': task, 'images': images})
    streams = {'joints': 7, 'end_effector': 7, 'fingers': 2}
    write_data_set(folder, episodes, load_named_contract(CONTRACT)[1], streams=streams)


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp('work')
    make_data(folder / 'data' / 'drawers')
    return folder


@pytest.fixture(scope='module')
def untrained(tmp_path_factory):
    from mode_ros.pairing import make_untrained
    from mode_ros.robots import load_named_contract

    folder = tmp_path_factory.mktemp('policy') / 'untrained'
    contract, contract_text = load_named_contract(CONTRACT)
    make_untrained(contract, contract_text, seed=0).save(folder)
    return folder


@pytest.fixture(scope='module')
def nodes(tmp_path_factory, untrained):
    """Simulator, policy, controller and a recorder that takes its disk for full."""
    from mode_ros.bringup.nodes import NodeSpec, simulation_nodes
    from mode_ros.bringup.processes import Processes
    from mode_ros.paths import share_folder

    folder = tmp_path_factory.mktemp('robot')
    specs = simulation_nodes(CONTRACT, str(untrained), simulator='metaworld', task='drawer-open', runtime='torch')
    recording = {'folder': str(folder / 'recordings'), 'use_sim_time': True, 'min_free_megabytes': NO_DISK}
    specs.append(NodeSpec('recorder_node', {'contract': CONTRACT, **recording}))
    with Processes(specs, share_folder() / 'config' / 'nodes.yaml', folder / 'logs') as processes:
        yield processes


@pytest.fixture(scope='module')
def robot(nodes):
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope='module')
def browser(nodes, work):
    page, made = Page('--work', str(work)), open_browser()
    made.get(page.url)
    until(lambda: 'executing' in text(made, 'state'), 'the robot that runs')
    yield made
    made.quit()
    page.close()


@pytest.fixture(autouse=True)
def no_errors(browser):
    yield
    assert errors(browser) == []


def tab(browser, name):
    browser.execute_script(f'document.getElementById("tab-{name}").click()')


def press(browser, selector, words=''):
    until(lambda: find(browser, selector).is_enabled(), selector)
    browser.execute_script('arguments[0].scrollIntoView({block: "center"})', find(browser, selector))
    find(browser, selector).click()
    if words:
        until(lambda: words in text(browser, 'answer'), f'{words!r} after {selector}')


def put(browser, key, value):
    browser.execute_script(
        'const field = document.querySelector(`[data-key="${arguments[0]}"] :is(input, select)`);'
        'field.value = arguments[1]; field.dispatchEvent(new Event("change"))',
        key,
        value,
    )


def choose(browser, identity, words):
    from selenium.webdriver.support.ui import Select

    until(lambda: words in text(browser, identity), words)
    select = Select(find(browser, f'#{identity}'))
    select.select_by_visible_text(next(each.text for each in select.options if words in each.text))


def goal(browser, words):
    tab(browser, 'run')
    field = find(browser, '#goal')
    field.clear()
    field.send_keys(f'{words}\n')
    try:
        until(lambda: text(browser, 'goal-now') == words, f'the goal {words!r}')
    except AssertionError as error:
        raise AssertionError(
            f'{error}; the page shows {text(browser, "goal-now")!r}, its answer is {text(browser, "answer")!r}'
        ) from None


def test_an_episode_is_replayed_on_the_simulated_robot(browser, robot):
    press(browser, '[data-call="controller/pause"]', 'pause')
    tab(browser, 'episodes')
    choose(browser, 'ep-item', 'data set')
    until(lambda: browser.find_elements('css selector', '.plot'), 'the first episode')
    press(browser, '#ep-list tr[data-number="1"] button')
    until(lambda: text(browser, 'ep-title') == 'Episode 1: open the drawer', 'the title')
    robot.twists.clear()
    press(browser, '#ep-replay')
    until(lambda: ' replay ' in text(browser, 'ep-job-command'), 'the command')
    until(lambda: text(browser, 'ep-job-state')[0] in '✓✗', 'its end')
    assert text(browser, 'ep-job-state').startswith('✓ Done'), text(browser, 'ep-job-words')
    moved = [twist.twist.linear.x for twist in robot.twists]
    assert min(moved) < -0.1 < 0.1 < max(moved), 'to and fro, as it was commanded'


def test_train_stop_go_on_look_and_put_it_on_the_robot(browser, robot):
    tab(browser, 'train')
    until(lambda: browser.find_elements('css selector', '[data-key="data.path"] option[value="drawers"]'), 'the form')
    for key, value in {**TINY, 'data.path': 'drawers', 'run.steps': str(STEPS)}.items():
        put(browser, key, value)
    find(browser, '#train-label').send_keys('tiny')
    press(browser, '#train-start')
    until(lambda: re.search(r'running: step [1-9]', text(browser, 'train-one-state')), 'the first steps')
    press(browser, '#train-stop')
    until(lambda: text(browser, 'train-one-state').startswith('❚❚ stopped'), 'the stop')
    press(browser, '#train-resume', 'goes on from step')
    until(lambda: text(browser, 'train-one-state') == f'✓ done: step {STEPS} of {STEPS}', 'the end')
    assert len(browser.find_elements('css selector', '#train-curves svg polyline')) >= 3
    name = until(lambda: browser.execute_script(OF_A_TRAINING), 'the policy')
    assert find(browser, f'#policy option[value="{name}"]').text == f'tiny: {name}'
    press(browser, '#policy-look')
    until(lambda: text(browser, 'experts-words')[:1] in tuple('✓!'), 'its experts')
    assert browser.find_elements('css selector', '#experts svg')
    press(browser, '#policy-load')
    until(lambda: 'policy_node runs' in text(browser, 'policy-now'), 'the policy on the robot')
    assert text(browser, 'policy-now').endswith('The controller is paused: Start lets the robot move.')
    tab(browser, 'run')
    assert 'holding' in text(browser, 'state')
    press(browser, '[data-call="controller/start"]', 'start')
    until(lambda: 'executing' in text(browser, 'state'), 'the new policy')
    robot.twists.clear()
    until(lambda: any(twist.twist.linear.x for twist in robot.twists), 'that it moves the arm')


# Of several, that of the end: chosen as a person chooses it.
OF_A_TRAINING = (
    'const select = document.getElementById("policy");'
    'const all = [...select.options].map((option) => option.value).filter((each) => !each.includes("comes along"));'
    'if (!all.length) return null;'
    'select.value = all[0]; select.dispatchEvent(new Event("change")); return all[0]'
)


def test_an_evaluation_with_a_film(browser):
    tab(browser, 'run')
    press(browser, '[data-call="controller/pause"]', 'pause')
    tab(browser, 'train')
    until(lambda: browser.find_elements('css selector', '#evaluate-first select'), 'the form')
    until(lambda: browser.execute_script(OF_A_TRAINING), 'the policy')
    put(browser, 'tasks', 'drawer-open')
    put(browser, 'seeds', '7')
    press(browser, '#evaluate-start')
    until(lambda: text(browser, 'evaluation-state')[:1] in tuple('✓✗'), 'its end')
    assert text(browser, 'evaluation-state').startswith('✓ done: '), text(browser, 'evaluation-words')
    rows = find(browser, '#evaluation-rows tbody').text.splitlines()
    assert rows[0].startswith('drawer-open 0 of 1')
    until(lambda: browser.find_elements('css selector', '#films video'), 'the film of the failure')
    browser.execute_script('const film = document.querySelector("#films video"); film.preload = "auto"; film.load()')
    until(lambda: browser.execute_script('return document.querySelector("#films video").readyState >= 2'), 'the film')


def test_a_sentence_that_means_no_other_is_said_where_it_was_typed(browser):
    goal(browser, '打开抽屉')
    goal(browser, '关闭抽屉')
    words = "! policy_node: '关闭抽屉' and '打开抽屉' are one sentence"
    until(lambda: words in text(browser, 'goal-finding'), 'the warning')
    goal(browser, 'open the drawer')
    until(lambda: text(browser, 'goal-finding') == '', 'its end')


def test_a_full_disk_is_said_in_the_words_of_the_recorder(browser):
    tab(browser, 'drive')
    press(browser, '[data-call="recorder/start"]', 'Recording episode_')
    until(lambda: 'MB left' in text(browser, 'recording'), 'the full disk')
    assert text(browser, 'recording').startswith('✗ The disk of ')
    assert 'free some space before the next' in text(browser, 'recording')


def test_dead_nodes_are_named_where_they_are_missed(browser, nodes, robot):
    """The last of this file: nothing lives after it."""
    tab(browser, 'run')
    press(browser, '[data-call="controller/start"]', 'start')
    until(lambda: 'executing' in text(browser, 'state'), 'a robot that runs')
    os.kill(nodes.pid('policy_node'), signal.SIGKILL)
    until(lambda: 'policy_node has been silent for' in text(browser, 'nodes'), 'the policy')
    until(lambda: text(browser, 'reason'), 'why the robot stands')
    assert 'chunk' in text(browser, 'reason') or 'policy' in text(browser, 'reason')
    tab(browser, 'train')
    choose(browser, 'policy', 'metaworld_sawyer (comes along)')
    press(browser, '#policy-load', '✗ policy_node ')
    until(lambda: text(browser, 'policy-now').startswith('policy_node '), 'who is not there')
    os.kill(nodes.pid('recorder_node'), signal.SIGKILL)
    tab(browser, 'drive')
    until(lambda: 'recorder_node has been silent for' in text(browser, 'recording'), 'the recorder')
    press(browser, '[data-call="recorder/start"]', '✗ recorder_node ')
    os.kill(nodes.pid('controller_node'), signal.SIGKILL)
    until(lambda: text(browser, 'state').endswith('no controller'), 'the controller')
    assert text(browser, 'reason').startswith('controller_node has been silent for')
    tab(browser, 'run')
    press(browser, '#release', '✗ controller_node ')
