"""The tab Episodes in a real browser, on a data set and recordings made here: every button, and who edits meanwhile."""

import shutil
import subprocess
import sys

import pytest
from support.axe import axe_source, serious_findings
from support.browser import errors, find, open_browser, resize, text
from support.browser import until as wait_for
from support.data_sets import make_data_set
from support.page_robot import PageRobot

pytestmark = pytest.mark.browser

GOALS = ('push the block', 'open the drawer', 'turn the tap', 'open the drawer', 'push the block')
SECONDS = 120.0  # a command is a process of its own, and the machine may be busy


@pytest.fixture(scope='module')
def browser():
    made = open_browser()
    yield made
    made.quit()


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    return make_data_set(tmp_path_factory.mktemp('made'), GOALS, codec='h264').parent


@pytest.fixture
def work(original, tmp_path):
    shutil.copytree(original / 'data', tmp_path / 'data' / 'drawers')
    shutil.copytree(original / 'bags', tmp_path / 'recordings')
    return tmp_path


@pytest.fixture
def served(work):
    from mode_ros.page.episodes_tab import EpisodeFolders, make_episodes_tab
    from mode_ros.page.server import make_application
    from mode_ros.page.serving import Address, Serving

    tab = make_episodes_tab(EpisodeFolders([work / 'recordings', work / 'data'], work / 'data', work / '.page' / 'job'))
    serving = Serving(make_application(PageRobot(), [tab]), Address('127.0.0.1', 0))
    yield serving.url
    serving.close()


@pytest.fixture
def page(browser, served):
    resize(browser, 1280, 720)
    browser.get('about:blank')  # else only the part after # would change
    browser.get_log('browser')  # that the server of the test before has gone is no finding of this one
    browser.get(f'{served}#/episodes')
    choose(browser, 'data set')
    yield browser
    assert errors(browser) == []
    browser.get('about:blank')


def choose(browser, words):
    from selenium.webdriver.support.ui import Select

    wait_for(lambda: words in find(browser, '#ep-item').text, words, SECONDS)
    select = Select(find(browser, '#ep-item'))
    select.select_by_visible_text(next(each.text for each in select.options if words in each.text))
    wait_for(lambda: 'episodes,' in text(browser, 'ep-facts'), 'the list', SECONDS)
    wait_for(lambda: browser.find_elements('css selector', '.plot'), 'the first episode', SECONDS)


def rows(browser):
    """In one go: the list may be made anew at any moment."""
    return browser.execute_script(
        'return [...document.querySelectorAll("#ep-list tr")]'
        '.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").trim())'
    )


def press(browser, selector):
    browser.execute_script('arguments[0].scrollIntoView({block: "center"})', find(browser, selector))
    find(browser, selector).click()


def check(browser, number):
    press(browser, f'#ep-list tr[data-number="{number}"] input')


def settled(browser, words, state='✓ Done'):
    """The job that was started has come to its end, and the page shows its words."""
    wait_for(lambda: words in text(browser, 'ep-job-command'), words, SECONDS)
    wait_for(lambda: text(browser, 'ep-job-state').startswith(state), f'{words}: {state}', SECONDS)


def command(*words):
    subprocess.run([sys.executable, '-m', 'mode_ros', *map(str, words)], check=True, capture_output=True, timeout=300)


def test_a_data_set_is_shown_with_its_video_and_its_numbers(page):
    assert [row.split(' ')[0] for row in rows(page)] == ['0', '1', '2', '3', '4']
    assert rows(page)[1].endswith('open the drawer')
    assert text(page, 'ep-facts').startswith('5 episodes, 20 s, robot tester')
    press(page, '#ep-list tr[data-number="2"] button')
    wait_for(lambda: text(page, 'ep-title') == 'Episode 2: turn the tap', 'the title')
    wait_for(lambda: page.execute_script('return document.querySelector("video")?.readyState >= 2'), 'the video', 30)
    titles = [each.text for each in page.find_elements('css selector', '.plot h3')]
    assert titles == ['state joints', 'action arm (m)', 'action gripper']
    names = find(page, '.plot:nth-child(2) ul').text.split()
    assert names == ['x', 'y', 'z'], 'dashes and names, not colours alone'
    assert 'x from 0' in find(page, '.plot:nth-child(2) svg').get_attribute('aria-label')


def test_the_video_plays_with_the_plots_and_the_slider_moves_both(page):
    line = 'return Number(document.querySelector(".plot .cursor").getAttribute("x1"))'
    wait_for(lambda: page.execute_script('return document.querySelector("video").readyState >= 2'), 'the video', 30)
    before = page.execute_script(line)
    press(page, '#ep-play')
    wait_for(lambda: page.execute_script(line) > before, 'the line')
    wait_for(lambda: find(page, '#ep-play .words').text == 'Play', 'the end', 30)
    assert text(page, 'ep-now') == '1.9 s'
    page.execute_script(
        'const t = document.getElementById("ep-time"); t.value = 0.5; t.dispatchEvent(new Event("input"))'
    )
    wait_for(lambda: text(page, 'ep-now') == '0.5 s', 'the time')
    wait_for(
        lambda: abs(page.execute_script('return document.querySelector("video").currentTime') - 0.5) < 0.05, 'the video'
    )


def test_filters(page, work):
    command('edit', work / 'data' / 'drawers', '--mark-failure', '1,2')
    wait_for(lambda: find(page, '[data-flag=failed]').text == 'failed 2', 'the marks', SECONDS)
    press(page, '[data-flag=failed]')
    assert [row.split(' ')[0] for row in rows(page)] == ['1', '2']
    find(page, '#ep-sentence').send_keys('DRAWER')
    assert [row.split(' ')[0] for row in rows(page)] == ['1']
    press(page, '#ep-all')
    assert text(page, 'ep-chosen') == '1 chosen', 'what is not listed is not chosen'
    press(page, '[data-flag=failed]')
    assert [row.split(' ')[0] for row in rows(page)] == ['1', '3']
    for flag in ('[data-flag=short]', '[data-flag=jerky]', '[data-flag=idle]'):
        press(page, flag)
        assert rows(page) == []
        press(page, flag)
    find(page, '#ep-sentence').clear()
    find(page, '#ep-sentence').send_keys('tap')
    assert text(page, 'ep-chosen') == '0 chosen; 1 more are hidden by the filters, and not meant'
    press(page, '[data-edit=drop]')
    wait_for(lambda: text(page, 'answer') == '✗ Choose episodes first.', 'that nothing is dropped unseen')


def test_every_button_of_editing(page, work):
    from mode_ros.training.data.edits import read_commands

    def edits():
        return [each.words() for each in read_commands(work / 'data' / 'drawers')]

    check(page, 1)
    check(page, 3)
    press(page, '[data-edit=drop]')
    settled(page, '--drop 1,3')
    wait_for(lambda: len(rows(page)) == 3, 'the list as it is now', SECONDS)
    assert text(page, 'ep-job-words').startswith(f'{work}/data/drawers: 3 episodes')
    wait_for(lambda: text(page, 'answer').startswith('✓ data/drawers has changed'), 'that the numbers are others')
    check(page, 0)
    press(page, '[data-edit=failure]')
    settled(page, '--mark-failure 0')
    wait_for(lambda: '✗ failure' in rows(page)[0], 'the mark', SECONDS)
    press(page, '#ep-list tr[data-number="0"] button')
    press(page, '[data-edit=success]')
    settled(page, '--mark-success 0')
    wait_for(lambda: '✓ success' in rows(page)[0], 'the other mark', SECONDS)
    check(page, 2)
    find(page, '#ep-goal').send_keys('push  the red block\n')
    settled(page, '--relabel 2')
    wait_for(lambda: rows(page)[2].endswith('push the red block'), 'the goal', SECONDS)
    press(page, '[data-edit=trim]')
    settled(page, '--trim-idle')
    assert text(page, 'ep-job-words') == 'Nothing is to be changed: no episode stands still at its ends.'
    assert edits() == ['drop 1, 3', 'mark 0 as a failure', 'mark 0 as a success', "relabel 4 'push the red block'"]
    assert text(page, 'ep-edits-count') == '4'
    press(page, '[data-edit=undo]')
    settled(page, '--undo')
    wait_for(lambda: rows(page)[2].endswith('push the block'), 'the goal as it was', SECONDS)
    assert len(edits()) == 3


def test_a_refusal_is_shown_in_the_words_of_the_command(page):
    press(page, '#ep-all')
    press(page, '[data-edit=drop]')
    settled(page, '--drop 0-4', '✗ Failed')
    assert 'would be left; remove the folder if that is meant.' in text(page, 'ep-job-words')
    find(page, '#ep-goal').send_keys('-x\n')
    wait_for(lambda: text(page, 'answer') == '✗ A goal cannot begin with -: -x', 'the refusal')


def test_two_who_edit_are_told_of_each_other(page, work):
    """The other one is at a terminal; a second page is told by the same words."""
    page.execute_script('window.stale = fetch; window.fetch = (path, ...more) => '
                        '/edit$/.test(path) ? stale(path, ...more) : new Promise(() => {})')  # fmt: skip
    command('edit', work / 'data' / 'drawers', '--drop', '0')
    check(page, 0)  # by the list of before
    press(page, '[data-edit=drop]')
    settled(page, '--drop 0', '✗ Failed')
    assert 'is not what it was when it was looked at' in text(page, 'ep-job-words')
    page.execute_script('window.fetch = stale')
    page.refresh()
    choose(page, 'data set')
    assert len(rows(page)) == 4, 'only what the other one dropped is gone'


def test_recordings_are_shown_and_converted(page, work):
    choose(page, 'recordings')
    assert not find(page, '#ep-edit').is_displayed()
    assert not find(page, '#ep-replay').is_displayed()
    assert len(page.find_elements('css selector', '#ep-pictures img')) == 8
    find(page, '#ep-name').send_keys('../outside')
    press(page, '#ep-convert button')
    wait_for(lambda: text(page, 'answer').startswith('✗ Give the new data set a name'), 'the refusal')
    assert not (work / 'outside').exists()
    find(page, '#ep-name').clear()
    find(page, '#ep-name').send_keys('blocks')
    press(page, '#ep-keep')
    press(page, '#ep-convert button')
    settled(page, 'data/blocks --keep-failures')
    assert '5 new episodes, 5 in all' in find(page, '#ep-job-lines').get_attribute('textContent')
    choose(page, 'data/blocks')
    assert len(rows(page)) == 5
    choose(page, 'recordings')
    from selenium.webdriver.support.ui import Select

    Select(find(page, '#ep-into')).select_by_visible_text('add to data/blocks')
    assert not find(page, '#ep-name').is_displayed()
    press(page, '#ep-convert button')
    settled(page, 'convert')
    wait_for(lambda: '0 new episodes' in text(page, 'ep-job-words'), 'that nothing is converted twice', SECONDS)


def test_a_job_is_cancelled_and_a_second_one_refused(browser, work):
    from mode_ros.page.episodes_tab import EpisodeFolders, make_episodes_tab
    from mode_ros.page.server import make_application
    from mode_ros.page.serving import Address, Serving

    slow = work / 'slow.py'
    slow.write_text(
        'import sys, time\n'
        'if "edit" in sys.argv:\n'
        '    print("convert:  40%|####      | 2/5 s recorded", end="\\r", file=sys.stderr, flush=True)\n'
        '    time.sleep(300)\n'
        'from mode_ros.cli.main import main\n'
        'main()\n'
    )
    folders = EpisodeFolders([work / 'data'], work / 'data', work / 'job', run=(sys.executable, str(slow)))
    serving = Serving(make_application(PageRobot(), [make_episodes_tab(folders)]), Address('127.0.0.1', 0))
    try:
        browser.get('about:blank')
        browser.get(f'{serving.url}#/episodes')
        choose(browser, 'data set')
        press(browser, '[data-edit=drop]')
        wait_for(lambda: text(browser, 'ep-job-state') == '● Running 40 %', 'the progress', SECONDS)
        assert find(browser, '#ep-job-percent').get_attribute('value') == '40'
        assert not find(browser, '[data-edit=trim]').is_enabled()
        # In one go: with every word of the server the button is disabled again.
        browser.execute_script(
            'const trim = document.querySelector("[data-edit=trim]"); trim.disabled = false; trim.click()'
        )
        wait_for(lambda: 'still runs, asked for by a page at 127.0.0.1' in text(browser, 'answer'), 'who asked')
        press(browser, '#ep-cancel')
        wait_for(lambda: text(browser, 'ep-job-state') == '■ Cancelled', 'the end', SECONDS)
        assert not find(browser, '#ep-cancel').is_displayed()
        assert find(browser, '[data-edit=trim]').is_enabled()
    finally:
        serving.close()
        browser.get_log('browser')


LISTING = """
import json, sys, time
if "--show" in sys.argv:
    time.sleep(300)
one = dict(name="e", goal="g", seconds=1.0, success=None, flags=[], problem="")
told = dict(kind="recordings", robot="tester", revision="0", edits=[])
print(json.dumps(dict(told, episodes=[dict(one, number=k) for k in range(8)])))
"""


def serve_listing(work, robot, port=0):
    """With a command that lists eight recordings, and is stuck when it is to show one."""
    from mode_ros.page.episodes_tab import EpisodeFolders, make_episodes_tab
    from mode_ros.page.server import make_application
    from mode_ros.page.serving import Address, Serving

    run = (sys.executable, '-c', LISTING)
    folders = EpisodeFolders([work / 'recordings'], work / 'data', work / 'job', run=run)
    return Serving(make_application(robot, [make_episodes_tab(folders)]), Address('127.0.0.1', port))


def test_many_episodes_clicked_in_a_row_leave_the_browsers_requests_free(browser, work):
    robot = PageRobot()
    serving = serve_listing(work, robot)
    try:
        browser.get('about:blank')
        browser.get(f'{serving.url}#/episodes')
        wait_for(lambda: len(rows(browser)) == 8, 'the list', SECONDS)
        for number in (*range(8), 7):
            press(browser, f'#ep-list tr[data-number="{number}"] button')
        wait_for(lambda: text(browser, 'ep-title') == 'Episode 7: g', 'the last')
        browser.execute_script('document.querySelector(\'[data-call="controller/start"]\').click()')
        wait_for(lambda: robot.done == ['controller start'], 'a start that did not wait for what was clicked before')
        assert text(browser, 'ep-about') == 'Reading …', 'and the last is still waited for'
    finally:
        browser.get('about:blank')
        serving.close()
        browser.get_log('browser')


def test_a_server_that_comes_back_is_seen_to_answer(browser, work):
    robot = PageRobot()
    serving = serve_listing(work, robot)
    port = int(serving.url.rstrip('/').rpartition(':')[2])
    try:
        browser.get('about:blank')
        browser.get(f'{serving.url}#/episodes')
        wait_for(lambda: text(browser, 'ep-facts').startswith('8 episodes'), 'the list', SECONDS)
        serving.close()
        wait_for(lambda: text(browser, 'ep-facts') == "The page's server does not answer.", 'that it has gone')
        serving = serve_listing(work, robot, port)
        wait_for(lambda: text(browser, 'ep-facts').startswith('8 episodes'), 'what there is', SECONDS)
    finally:
        browser.get('about:blank')
        serving.close()
        browser.get_log('browser')


def test_only_who_looks_at_the_tab_makes_the_server_look(browser, work, monkeypatch):
    from mode_ros.page import episodes_tab

    looking, state = [], episodes_tab._Episodes.state

    async def count(self, socket):
        looking.append(socket)
        try:
            await state(self, socket)
        finally:
            looking.remove(socket)

    hide = (
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'));"
    )
    monkeypatch.setattr(episodes_tab._Episodes, 'state', count)
    serving = serve_listing(work, PageRobot())
    try:
        browser.get('about:blank')
        browser.get(f'{serving.url}#/episodes')
        for leave, back in (
            ("document.getElementById('tab-run').click()", "document.getElementById('tab-episodes').click()"),
            (hide, "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))"),
        ):
            wait_for(lambda: len(looking) == 1, 'a look')
            wait_for(lambda: len(rows(browser)) == 8, 'the list', SECONDS)
            browser.execute_script(leave)
            wait_for(lambda: not looking, 'its end')
            browser.execute_script(back)
        wait_for(lambda: len(looking) == 1, 'a look')
        assert text(browser, 'ep-facts').startswith('8 episodes')
    finally:
        browser.get('about:blank')
        serving.close()
        browser.get_log('browser')


def test_the_doctor_is_asked(page, work):
    press(page, '#ep-doctor')
    asked = ('to look at:', 'Nothing suspicious was found.')
    wait_for(lambda: any(words in text(page, 'ep-doctor-words') for words in asked), 'the findings', SECONDS)
    findings = [each.text for each in page.find_elements('css selector', '#ep-findings li')]
    assert bool(findings) == ('to look at:' in text(page, 'ep-doctor-words'))
    assert all(each.startswith('! ') for each in findings)


def test_replaying_without_a_robot_is_refused_in_the_words_of_the_command(page):
    press(page, '#ep-replay')
    settled(page, 'replay', '✗ Failed')
    assert text(page, 'ep-job-words').startswith('Nothing is replayed: no simulated robot is there')


def test_a_data_set_that_is_gone_leaves_the_list(page, work):
    shutil.move(work / 'data' / 'drawers', work / 'moved')
    wait_for(lambda: 'drawers' not in find(page, '#ep-item').text, 'the list', SECONDS)
    wait_for(lambda: not find(page, '#ep-edit').is_displayed(), 'what else there is', SECONDS)


def test_all_of_it_by_the_keyboard(page, work):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    reached = set()
    page.execute_script('document.getElementById("ep-item").focus()')
    for _ in range(60):
        reached.add(page.execute_script(
            'const e = document.activeElement; return e.id || e.dataset.edit || e.dataset.flag || '
            '(e.closest("#ep-list") ? e.tagName : e.tagName + e.parentElement.id)'))  # fmt: skip
        ActionChains(page).send_keys(Keys.TAB).perform()
    assert {
        'ep-item',
        'ep-sentence',
        'failed',
        'ep-all',
        'INPUT',
        'BUTTON',
        'drop',
        'success',
        'failure',
        'trim',
    } <= reached
    assert {'ep-goal', 'ep-doctor', 'ep-play', 'ep-time', 'ep-replay'} <= reached
    page.execute_script('document.querySelector("#ep-list tr[data-number=\\"1\\"] input").focus()')
    ActionChains(page).send_keys(Keys.ENTER).perform()
    assert text(page, 'ep-chosen') == '1 chosen', 'Enter chooses: the space bar stops, here as everywhere'
    page.execute_script('document.querySelector("[data-edit=drop]").focus()')
    ActionChains(page).send_keys(Keys.ENTER).perform()
    settled(page, '--drop 1')


@pytest.mark.parametrize(('width', 'height'), [(1280, 720), (390, 844)])
def test_it_fits(page, width, height):
    resize(page, width, height)
    assert page.execute_script('return document.documentElement.scrollWidth') <= width
    assert not find(page, '#sight').is_displayed()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_no_serious_finding_of_axe(page, scheme):
    source = axe_source()
    press(page, '[data-flag=failed]')
    press(page, '[data-flag=failed]')
    assert serious_findings(page, source, scheme) == []
