"""A page_node of its own beside real nodes, in a browser, and an ear for what reaches the arm."""

import signal
import subprocess
import sys
import threading

from support.bench import wait_for
from support.browser import find, text

CONTRACT = 'metaworld_sawyer'
NO_SERVICE = 'nobody offers its service'


class Listener:
    """What reaches the arm."""

    def __init__(self):
        import rclpy
        from geometry_msgs.msg import TwistStamped
        from rclpy.executors import SingleThreadedExecutor
        from std_msgs.msg import String
        from trajectory_msgs.msg import JointTrajectory

        from mode_ros.nodes.qos import LATCHED, SENSOR

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('listener', context=self.context)
        self.twists, self.commands, self.goals = [], [], []
        self.node.create_subscription(TwistStamped, 'arm/twist_command', self.twists.append, SENSOR)
        self.node.create_subscription(JointTrajectory, 'teleop_command', self.commands.append, 10)
        self.node.create_subscription(String, 'goal', lambda message: self.goals.append(message.data), LATCHED)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def moves(self):
        return abs(self.twists[-1].twist.linear.x) > 0.01 if self.twists else False

    def close(self):
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()


class Page:
    """A page_node of its own process, which can be killed."""

    def __init__(self, *options):
        command = [sys.executable, '-m', 'mode_ros', 'page', CONTRACT, '--port', '0', '--sim-time', *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[-1]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        self.process.terminate()
        self.process.wait(10)


def press(browser, selector, words):
    """Presses a button and looks for words in what the page answers to it.

    The page may hear a node before it has found its services, and then says that nobody offers one: pressed again, as a
    person does.
    """

    def answered():
        browser.execute_script('document.getElementById("answer").textContent = ""')
        find(browser, selector).click()
        answer = wait_for(lambda: text(browser, 'answer'), f'an answer to {selector}', 60.0)
        return '' if NO_SERVICE in answer else answer

    wait_for(lambda: find(browser, selector).is_enabled(), selector)
    answer = wait_for(answered, f'somebody who offers what {selector} asks for', 60.0, every=0.5)
    assert words in answer, f'the answer to {selector} is {answer!r}, without {words!r}'


def tell(browser, listener, goal):
    """Types a goal once the listener hears the topic, and waits for the page's answer and for what was heard.

    Where it fails, it says which of the two did not come, and what came instead.
    """
    wait_for(lambda: listener.goals, 'a goal of the start: nothing is heard on the topic')
    find(browser, '#goal').send_keys(f'{goal}\n')
    try:
        wait_for(lambda: f'The goal is "{goal}".' in text(browser, 'answer'), f'the answer to the goal {goal!r}')
        wait_for(lambda: listener.goals[-1:] == [goal], f'the goal {goal!r} on its topic')
        wait_for(lambda: text(browser, 'goal-now') == goal, f'that the page heard the goal {goal!r}')
    except AssertionError as error:
        typed = find(browser, '#goal').get_attribute('value')
        raise AssertionError(
            f'{error}; the goals heard: {listener.goals}; the page shows {text(browser, "goal-now")!r}, its answer is '
            f'{text(browser, "answer")!r}, its field holds {typed!r}'
        ) from None


def hold(browser, key):
    """Presses a button as soon as the page says who drives, and keeps it."""
    from selenium.webdriver.common.action_chains import ActionChains

    wait_for(lambda: text(browser, 'driving').partition(',')[0].endswith('drives'), 'the line for driving')
    ActionChains(browser).click_and_hold(find(browser, f'[data-key={key}]')).perform()


def await_page(browser, condition, what):
    """As wait_for; where it comes to nothing, it says what the page shows of the robot and of who drives."""
    try:
        return wait_for(condition, what)
    except AssertionError as error:
        shown = {name: text(browser, name) for name in ('state', 'reason', 'driving')}
        raise AssertionError(f'{error}; the page shows {shown}') from None


def let_go(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).release().perform()
