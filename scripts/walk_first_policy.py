"""Walks docs/first-policy.md in chromium without a display, from the first command to the robot that runs, with a
picture of every step and the time that it took.

    python scripts/walk_first_policy.py WORK --pictures docs/images

It looks at the arm by its topics, where a person looks at the pictures; all that it does it does on the page.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEMO = ('--page', '--untrained', '--task', 'drawer-close', '--seconds', '2')
GOAL = 'close the drawer'
# (key of the page's buttons, until the hand is so): back, down, and against the drawer. Metres.
WAY: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ('d', lambda hand: hand.y < 0.46),
    ('q', lambda hand: hand.z < 0.10),
    ('a', lambda hand: hand.y > 0.80),
)


class Walk:
    """A browser, the demo's processes, and a listener to the arm."""

    def __init__(self, work: Path, pictures: Path | None) -> None:
        self.work, self.pictures = work, pictures
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()
        self.steps: list[tuple[str, float]] = []
        command = [sys.executable, '-m', 'mode_ros', 'demo', *DEMO, '--output', str(work)]
        self.demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said: list[str] = []
        threading.Thread(target=self._hear, daemon=True).start()
        self.url = self.until(self._url, 'the page', 300)
        domain = re.search(r'ROS_DOMAIN_ID (\d+)', '\n'.join(self.said))
        assert domain is not None
        os.environ['ROS_DOMAIN_ID'] = domain.group(1)
        self.hand: Any = None
        self.success = False
        self._listen()
        self._open()

    def _hear(self) -> None:
        assert self.demo.stdout is not None
        for line in self.demo.stdout:
            self.said.append(line.rstrip())

    def _url(self) -> str:
        assert self.demo.poll() is None, '\n'.join(self.said)
        return next((line.split()[-1] for line in self.said if line.startswith('The page is at')), '')

    def _listen(self) -> None:
        import rclpy
        from geometry_msgs.msg import PoseStamped
        from rclpy.executors import SingleThreadedExecutor
        from std_msgs.msg import Bool

        rclpy.init()
        node = rclpy.create_node('walker')
        node.create_subscription(PoseStamped, 'end_effector_pose', self._on_pose, 1)
        node.create_subscription(Bool, 'success', self._on_success, 1)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        threading.Thread(target=executor.spin, daemon=True).start()

    def _on_pose(self, message: Any) -> None:
        self.hand = message.pose.position

    def _on_success(self, message: Any) -> None:
        self.success = bool(message.data)

    def _open(self) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which('chromium') or ''
        for argument in ('headless=new', 'no-sandbox', 'disable-gpu', 'disable-dev-shm-usage', 'hide-scrollbars'):
            options.add_argument(f'--{argument}')
        driver = webdriver.ChromeService(shutil.which('chromedriver'))
        self.browser = webdriver.Chrome(options=options, service=driver)
        self._resize(1280, 720)
        self.browser.get(self.url)

    # ---- what a person does -----------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Any], what: str, timeout: float = 120.0) -> Any:
        end = time.monotonic() + timeout
        while not (found := condition()):
            if time.monotonic() > end:
                self.picture('stuck')
                raise SystemExit(f'Waited {timeout:g} s for {what}.\n' + '\n'.join(self.said[-5:]))
            time.sleep(0.1)
        return found

    def find(self, selector: str) -> Any:
        return self.browser.find_element('css selector', selector)

    def text(self, identity: str) -> str:
        return str(self.browser.execute_script('return document.getElementById(arguments[0]).textContent', identity))

    def press(self, selector: str, answer: str = '') -> None:
        element = self.find(selector)
        self.until(element.is_enabled, f'{selector} to be enabled')
        self.browser.execute_script('arguments[0].scrollIntoView({block: "nearest"})', element)
        element.click()
        if answer:
            self.until(lambda: answer in self.text('answer'), f'{answer!r} after {selector}')

    def put(self, key: str, value: str) -> None:
        """A setting of the form."""
        self.browser.execute_script(
            'const e = document.querySelector(`[data-key="${arguments[0]}"] :is(input, select)`);'
            'e.value = arguments[1]; e.dispatchEvent(new Event("change"))',
            key,
            value,
        )

    def hold(self, key: str, done: Callable[[Any], bool], most: float = 180.0) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).click_and_hold(self.find(f'[data-key="{key}"]')).perform()
        self.until(lambda: done(self.hand) or self.success, f'the hand after {key}', most)
        ActionChains(self.browser).release().perform()

    def job(self, verb: str) -> None:
        """The command that was started on the tab Episodes has come to a good end."""
        self.until(lambda: f'mode_ros {verb} ' in self.text('ep-job-command'), verb)
        self.until(lambda: not self.text('ep-job-state').startswith('●'), f'the end of {verb}', 900)
        # Where the simulator had no time to send pictures, pieces of an episode are left out, and said.
        if self.text('ep-job-state')[0] not in '✓!':
            raise SystemExit(f'{verb}: {self.text("ep-job-words")}')

    def picture(self, name: str) -> None:
        from PIL import Image

        if self.pictures is not None:
            shot = Image.open(io.BytesIO(self.browser.get_screenshot_as_png())).convert('RGB').resize((960, 540))
            shot.quantize(128).save(self.pictures / f'first_{name}.png', optimize=True)

    def looks(self, folder: Path) -> None:
        """Every tab, light and dark, on a laptop and on a phone held upright."""
        folder.mkdir(parents=True, exist_ok=True)
        for device, (width, height) in {'laptop': (1280, 720), 'phone': (390, 844)}.items():
            self._resize(width, height)
            for tab in ('run', 'drive', 'episodes', 'train'):
                self.browser.execute_script(f'document.getElementById("tab-{tab}").click(); scrollTo(0, 0)')
                time.sleep(3.0)
                for scheme in ('light', 'dark'):
                    self.browser.execute_script('document.documentElement.dataset.theme = arguments[0]', scheme)
                    time.sleep(0.3)
                    self.browser.save_screenshot(str(folder / f'{tab}_{device}_{scheme}.png'))
        self._resize(1280, 720)

    def _resize(self, width: int, height: int) -> None:
        size = {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': width < 500}
        self.browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)

    def step(self, name: str) -> None:
        before = sum(seconds for _, seconds in self.steps)
        self.steps.append((name, time.monotonic() - self.began - before))
        print(f'{name}: {self.steps[-1][1]:.0f} s', flush=True)

    # ---- the steps --------------------------------------------------------------------------------------------

    def open_page(self) -> None:
        self.until(lambda: any('go on until Ctrl-C' in line for line in self.said), 'the episode of the demo', 300)
        self.press('[data-call="controller/pause"]', 'ause')
        self.find('#goal').send_keys(f'{GOAL}\n')
        self.until(lambda: self.text('goal-now') == GOAL, 'the goal')
        time.sleep(1.0)
        self.picture('1_open')
        self.step('open the page')

    def record(self, episodes: int) -> None:
        for number in range(episodes):
            self.press('#tab-run')
            self.press('#new-scene', 'reset with seed')
            self.press('#tab-drive')
            self.until(self._records, 'that an episode begins')
            for place, (key, done) in enumerate(WAY):
                self.hold(key, done)
                if (number, place) == (0, 1):
                    self.picture('2_drive')
            self.press('[data-call="recorder/success"]', 'marked as a success')
            self.press('[data-call="recorder/stop"]', f'episode_{number:06d}: ')
        time.sleep(1.0)
        self.picture('3_record')
        self.step(f'drive and record {episodes} episodes')

    def _records(self) -> bool:
        """Presses Record; on a busy machine a camera may be late, and then one presses it again."""
        before = self.text('answer')
        self.press('[data-call="recorder/start"]')
        self.until(lambda: self.text('answer') != before, 'the answer to Record')
        return 'Recording episode_' in self.text('answer')

    def choose(self, words: str) -> None:
        from selenium.webdriver.support.ui import Select

        self.until(lambda: words in self.find('#ep-item').text, words)
        select = Select(self.find('#ep-item'))
        select.select_by_visible_text(next(each.text for each in select.options if words in each.text))
        self.until(lambda: self.browser.find_elements('css selector', '.episodes .plot'), 'the first episode', 300)

    def convert(self) -> None:
        self.press('#tab-episodes')
        self.choose('recordings')
        self.find('#ep-name').send_keys('drawer')
        self.press('#ep-convert button')
        self.job('convert')
        self.picture('4_convert')
        self.step('convert')

    def drop(self) -> None:
        self.choose('data/drawer')
        before = len(self.browser.find_elements('css selector', '#ep-list tr'))
        self.press('#ep-list tr[data-number="0"] input')
        self.press('[data-edit=drop]')
        self.job('edit')
        count = 'return document.querySelectorAll("#ep-list tr").length'
        self.until(lambda: self.browser.execute_script(count) == before - 1, 'the list without it')
        self.until(lambda: self.browser.find_elements('css selector', '.episodes .plot'), 'the first episode', 300)
        time.sleep(1.0)
        self.picture('5_drop')
        self.step('look, and drop one')

    def train(self, steps: int, batch: int, seconds: float) -> None:
        self.press('#tab-train')
        self.until(
            lambda: self.browser.find_elements('css selector', '[data-key="data.path"] select option'), 'the form'
        )
        self.put('data.path', 'drawer')
        self.put('run.steps', str(steps))
        self.put('run.batch_size', str(batch))
        self.put('run.log_every', '5')
        self.find('#train-label').send_keys('drawer')
        self.press('#train-start')
        began = time.monotonic()
        self.until(lambda: re.search(r'step [1-9]', self.text('train-one-state')), 'the first steps', 600)

        def over() -> bool:
            return not self.text('train-one-state').startswith('▶') or time.monotonic() - began > seconds

        self.until(over, 'the end of the training', seconds + 60)
        self.picture('6_train')
        if self.text('train-one-state').startswith('▶'):
            self.press('#train-stop')
        self.until(lambda: self.text('train-one-state')[0] in '✓❚', 'its end', 300)
        self.step(f'train ({self.text("train-one-state")})')

    def run(self) -> None:
        self.until(lambda: self.browser.find_elements('css selector', '#policy option'), 'the policies')
        name = self.browser.execute_script(
            'const s = document.getElementById("policy");'
            's.value = [...s.options].map((o) => o.value).find((v) => !v.includes("comes along"));'
            's.dispatchEvent(new Event("change")); return s.value'
        )
        print(f'policy {name}', flush=True)
        self.press('#policy-load')
        self.until(lambda: 'policy_node runs' in self.text('policy-now'), 'the policy on the robot', 300)
        self.press('#tab-run')
        self.press('#new-scene', 'reset with seed')
        self.press('[data-call="controller/start"]', 'start')
        self.until(lambda: 'executing' in self.text('state'), 'the running policy')
        began = time.monotonic()
        self.until(lambda: self.success or time.monotonic() - began > 30, 'the drawer', 60)
        time.sleep(0.5)
        self.picture('7_run')
        self.step(f'run it (success: {"yes" if self.success else "no"})')

    def close(self) -> None:
        self.browser.quit()
        self.demo.terminate()
        self.demo.wait(60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work', type=Path, help='folder of the demo')
    parser.add_argument('--pictures', type=Path, help='where the pictures go')
    parser.add_argument('--looks', type=Path, help='where pictures of every tab go, light and dark, laptop and phone')
    parser.add_argument('--episodes', type=int, default=5)
    parser.add_argument('--recorded', action='store_true', help='WORK is of a walk that came to the training')
    parser.add_argument('--steps', type=int, default=200)
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--seconds', type=float, default=120.0, help='of training, before it is stopped')
    arguments = parser.parse_args()
    walk = Walk(arguments.work, arguments.pictures)
    try:
        walk.open_page()
        if not arguments.recorded:
            walk.record(arguments.episodes)
            walk.convert()
            walk.drop()
        walk.train(arguments.steps, arguments.batch, arguments.seconds)
        walk.run()
        print(f'all: {time.monotonic() - walk.began:.0f} s', flush=True)
        if arguments.looks is not None:
            walk.looks(arguments.looks)
    finally:
        walk.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
