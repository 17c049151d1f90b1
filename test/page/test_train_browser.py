"""The tab Train and evaluate in a real browser: every button, with children that take a second."""

import pytest
from support.axe import axe_source, serious_findings
from support.bench import wait_for
from support.browser import errors, find, open_browser, resize, text
from support.page_robot import PageRobot
from support.train_page import make_work

pytestmark = pytest.mark.browser


@pytest.fixture(scope='module')
def browser():
    made = open_browser()
    yield made
    made.quit()


@pytest.fixture
def loaded():
    return []


@pytest.fixture
def page(browser, tmp_path, monkeypatch, loaded):
    from mode_ros.page import experts
    from mode_ros.page.server import make_application
    from mode_ros.page.serving import Address, Serving
    from mode_ros.page.train_tab import make_train_tab
    from mode_ros.paths import share_folder

    async def load(folder, name):
        loaded.append(name)
        return True, f'policy_node runs {name}.'

    async def inspect(checkpoint):
        return {'sigmas': [0.1, 1.0], 'use': [[[1.0, 0.0]], [[0.5, 0.5]]], 'findings': ['expert 1 of layer 0 is idle']}

    monkeypatch.setattr(experts, '_inspect', inspect)
    tab = make_train_tab(make_work(tmp_path, monkeypatch), share_folder(), load)
    serving = Serving(make_application(PageRobot(), [tab]), Address('127.0.0.1', 0))
    resize(browser, 1280, 720)
    errors(browser)  # of the page before, whose server has gone, are no findings here
    browser.get(f'{serving.url}#/train')
    wait_for(lambda: find(browser, '#train-preset').get_attribute('value') == 'small', 'the form')
    wait_for(lambda: browser.find_elements('css selector', '#evaluate-first select'), 'the other form', 60.0)
    yield browser
    browser.get('about:blank')
    serving.close()


def field(page, key):
    return find(page, f'[data-key="{key}"] input, [data-key="{key}"] select')


def put(page, key, value):
    page.execute_script(
        'arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event("change"))', field(page, key), value
    )


def problem(page, key):
    return find(page, f'[data-key="{key}"] .problem').get_attribute('textContent')


def press(page, identity):
    wait_for(lambda: find(page, f'#{identity}').is_enabled(), identity)
    page.execute_script('arguments[0].scrollIntoView({block: "center"})', find(page, f'#{identity}'))
    find(page, f'#{identity}').click()


def test_what_is_wrong_is_said_beside_its_field(page):
    from selenium.webdriver.support.ui import Select

    press(page, 'train-start')
    wait_for(lambda: 'Choose a data set' in problem(page, 'data.path'), 'the reason')
    put(page, 'data.path', 'drawers')
    put(page, 'run.steps', '0')
    wait_for(lambda: 'greater than or equal to 1' in problem(page, 'run.steps'), 'the reason')
    assert field(page, 'run.steps').get_attribute('aria-invalid') == 'true'
    assert problem(page, 'data.path') == ''
    press(page, 'train-undo')
    wait_for(lambda: field(page, 'run.steps').get_attribute('value') == '20000', 'the preset')
    put(page, 'policy.experts', '1')
    wait_for(lambda: 'lower top_k' in find(page, '[data-section=policy] > .problem').text, 'the reason of a section')
    assert find(page, '#train-more').get_attribute('open')
    assert text(page, 'train-changed') == '(1 changed)'
    # By its value: what is typed slowly begins another word, which another preset may begin with.
    Select(find(page, '#train-preset')).select_by_value('pretrain')
    wait_for(lambda: field(page, 'policy.layers').get_attribute('value') == '12', 'another preset')
    assert errors(page) == []


def test_all_settings_can_be_searched(page):
    page.execute_script('document.getElementById("train-more").open = true')
    find(page, '#train-search').send_keys('learning_rate')
    shown = page.execute_script(
        'return [...document.querySelectorAll("#train-fields .field")].filter((each) => each.offsetParent !== null)'
        '.map((each) => each.dataset.key)'
    )
    assert 'optimizer.learning_rate' in shown
    assert len(shown) < 6
    find(page, '#train-search').send_keys('\n')
    assert text(page, 'answer') == '', 'Enter starts nothing'


def test_a_training_is_started_stopped_and_gone_on_with_and_another_viewer_sees_the_same(page):
    put(page, 'data.path', 'drawers')
    put(page, 'run.seed', '7')
    find(page, '#train-label').send_keys('my first')
    press(page, 'train-start')
    wait_for(lambda: 'step 3 of 6' in text(page, 'train-one-state'), 'the third step')
    assert text(page, 'train-one-title') == 'my first'
    other = open_browser()
    try:
        other.get(page.current_url)
        wait_for(lambda: 'step 3 of 6' in text(other, 'train-one-state'), 'the same')
        press(other, 'train-stop')
        wait_for(lambda: text(page, 'train-one-state').startswith('❚❚ stopped'), 'the stop')
    finally:
        other.quit()
    press(page, 'train-resume')
    wait_for(lambda: text(page, 'train-one-state') == '✓ done: step 6 of 6', 'the end')
    assert len(page.find_elements('css selector', '#train-curves svg polyline')) >= 4
    assert find(page, '#train-tasks tbody').text.splitlines()[0].startswith('push <fast>')
    wait_for(lambda: find(page, '#train-runs').text.startswith('✓ done my first'), 'the list')
    assert errors(page) == []


def test_a_policy_is_looked_at_and_put_on_the_robot(page, loaded):
    page.execute_script('document.getElementById("policy").value = "metaworld_sawyer (comes along)"')
    press(page, 'policy-look')
    wait_for(lambda: text(page, 'experts-words') == '! expert 1 of layer 0 is idle', 'the findings')
    assert len(page.find_elements('css selector', '#experts svg')) == 1
    assert len(page.find_elements('css selector', '#experts rect')) == 4
    press(page, 'policy-load')
    wait_for(lambda: text(page, 'policy-now') == 'policy_node runs metaworld_sawyer (comes along).', 'the answer')
    assert loaded == ['metaworld_sawyer (comes along)']
    assert errors(page) == []


def make_checkpoint(run, step):
    folder = run / 'checkpoints' / f'step_{step:08d}'
    folder.mkdir(parents=True)
    for name in ('config.json', 'weights.safetensors', 'training_state.pt'):
        (folder / name).touch()
    (run / 'training.yaml').write_text('run: {steps: 5000}\n')


def options(page, selector):
    return page.execute_script(
        'return [...document.querySelector(arguments[0]).options].map((each) => each.text)', selector
    )


def test_no_other_policy_than_the_chosen_one_is_put_on_the_robot(page, tmp_path, loaded):
    """A training that runs keeps its newest checkpoints: the chosen one goes, and others come."""
    make_checkpoint(tmp_path / 'runs' / 'train_a', 1000)
    wait_for(lambda: 'train_a, step 1000' in options(page, '#policy'), 'the policy')
    page.execute_script(
        'const policy = document.getElementById("policy"); policy.value = "train_a, step 1000";'
        'policy.dispatchEvent(new Event("change"))'
    )
    assert find(page, '#policy-load').is_enabled()
    make_checkpoint(tmp_path / 'runs' / 'train_a', 2000)
    wait_for(lambda: options(page, '#policy')[0] == 'train_a, step 1000 is gone: choose', 'that it is gone')
    assert find(page, '#policy').get_attribute('value') == ''
    for button in ('policy-load', 'policy-look', 'evaluate-start'):
        assert not find(page, f'#{button}').is_enabled()
    looks = 'return performance.getEntriesByName(location.origin + "/train/all").length'
    count = page.execute_script(looks)
    wait_for(lambda: page.execute_script(looks) > count + 1, 'the next looks')
    assert find(page, '#policy').get_attribute('value') == '', 'nothing else is chosen by itself'
    page.execute_script(
        'const policy = document.getElementById("policy"); policy.value = "train_a, step 2000";'
        'policy.dispatchEvent(new Event("change"))'
    )
    press(page, 'policy-load')
    wait_for(lambda: loaded == ['train_a, step 2000'], 'the one that was chosen then')


def test_what_comes_to_the_disk_can_be_chosen_and_what_goes_is_said(page, tmp_path):
    put(page, 'data.path', 'drawers')
    (tmp_path / 'data' / 'lids' / 'meta').mkdir(parents=True)
    (tmp_path / 'data' / 'lids' / 'meta' / 'info.json').write_text('{"total_episodes": 3, "total_frames": 9}')
    path = '[data-key="data.path"] select'
    wait_for(lambda: 'lids (3 episodes, 9 frames)' in options(page, path), 'the new data set')
    assert field(page, 'data.path').get_attribute('value') == 'drawers'
    (tmp_path / 'data' / 'drawers').rename(tmp_path / 'moved')
    wait_for(lambda: 'drawers is gone: choose' in options(page, path), 'that it is gone')
    press(page, 'train-start')
    wait_for(lambda: 'is not there any more' in problem(page, 'data.path'), 'the refusal')
    assert not (tmp_path / 'runs').exists()


def test_an_evaluation_and_its_films(page):
    put(page, 'rollouts', '0')
    press(page, 'evaluate-start')
    wait_for(lambda: 'greater than or equal to 1' in problem(page, 'rollouts'), 'the reason')
    put(page, 'rollouts', '')
    put(page, 'seeds', '7')
    press(page, 'evaluate-start')
    wait_for(lambda: text(page, 'evaluation-state').startswith('▶ running: 1 of 2'), 'its beginning', 60.0)
    press(page, 'evaluation-stop')
    wait_for(lambda: text(page, 'evaluation-state').startswith('❚❚ stopped'), 'the stop')
    press(page, 'evaluation-resume')
    wait_for(lambda: text(page, 'evaluation-state').startswith('✓ done'), 'the end')
    wait_for(lambda: page.find_elements('css selector', '#films video'), 'the films')
    assert find(page, '#evaluation-rows tbody').text.splitlines() == [
        'reach 1 of 2 50 % 9 % to 91 %',
        'all 1 of 2 50 % 9 % to 91 %',
    ]


@pytest.mark.parametrize(('width', 'height'), [(1280, 720), (390, 844)])
def test_it_fits(page, width, height):
    resize(page, width, height)
    page.execute_script('for (const each of document.querySelectorAll("details")) each.open = true')
    assert page.execute_script('return document.documentElement.scrollWidth') <= width
    assert not find(page, '#tiles').is_displayed()
    find(page, '#tab-run').click()
    assert find(page, '#tiles').is_displayed()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_no_serious_finding_of_axe(page, scheme):
    page.execute_script('for (const each of document.querySelectorAll("details")) each.open = true')
    assert serious_findings(page, axe_source(), scheme) == []
