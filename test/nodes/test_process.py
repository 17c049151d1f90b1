"""How a node's process ends: 1 when it refused to start, 70 after a defect, so that a restart can tell them apart."""

import signal
import subprocess
import sys
import threading

import pytest
import rclpy
from geometry_msgs.msg import TwistStamped
from support.bench import wait_for
from support.contracts import DELTA_TEXT

from mode_ros.nodes import process

RUN = """
from rclpy.node import Node
from mode_ros.errors import UserError
from mode_ros.nodes.process import run_node

class Broken(Node):
    def __init__(self):
        super().__init__('broken')
        if {refuses}:
            raise UserError('No such thing.')
        self.create_timer(0.01, self.fail)

    def fail(self):
        raise ValueError('a defect')

run_node(Broken)
"""


@pytest.mark.parametrize(
    ('refuses', 'status', 'word'), [(True, 1, '[mode_ros] No such thing.'), (False, 70, 'ValueError: a defect')]
)
def test_a_refusal_and_a_defect_end_differently(refuses, status, word):
    code = RUN.format(refuses=refuses)

    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)

    assert result.returncode == status, result.stderr
    assert word in result.stderr
    assert ('Traceback' in result.stderr) != refuses


HANGS = """
import time
from rclpy.node import Node
from mode_ros.nodes.process import run_node

class Hanging(Node):
    def __init__(self):
        super().__init__('hanging')
        self.create_timer(0.01, lambda: print('up', flush=True))

    def close(self):
        time.sleep(60)

run_node(Hanging)
"""


def test_an_end_that_hangs_is_no_refusal():
    """Under respawn a node that somebody ends, and that cannot, starts again: it would not after a refusal."""
    with subprocess.Popen([sys.executable, '-c', HANGS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'up\n'
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.wait(timeout=60) == 70


DEFECTIVE = """
from pathlib import Path
from mode_ros.control.controller import Controller
from mode_ros.nodes.controller_node import ControllerNode
from mode_ros.nodes.process import run_node

tick = Controller.tick

def fail(*arguments):
    raise ValueError('a defect')

def fail_when_told(*arguments):
    return fail() if Path({told!r}).exists() else tick(*arguments)

Controller.tick, Controller.stop = fail_when_told, fail
run_node(ControllerNode)
"""


@pytest.mark.parametrize('periods', [True, False])
def test_a_controller_that_fails_in_its_stop_too_ends_the_velocity_and_starts_again(tmp_path, periods):
    """Not with the status of a refusal, after which respawn gives up."""
    (tmp_path / 'tester.yaml').write_text(DELTA_TEXT)
    rclpy.init()
    ear = rclpy.create_node('ear')
    twists = []
    ear.create_subscription(TwistStamped, 'arm/twist', twists.append, 100)
    told = tmp_path / 'told'
    code = DEFECTIVE.format(told=str(told))
    given = {'contract': tmp_path / 'tester.yaml', 'driver_wait': 0.0, 'listen_seconds': 0.0}
    arguments = [each for name, value in given.items() for each in ('-p', f'{name}:={value}')]
    command = [sys.executable, '-c', code, '--ros-args', *arguments]
    try:
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            wait_for(lambda: rclpy.spin_once(ear, timeout_sec=0.1) or twists, 'commands', timeout=60.0)
            if periods:
                told.touch()
            else:
                process.send_signal(signal.SIGINT)
            stderr = process.communicate(timeout=60)[1]
        assert process.returncode == 70, stderr
        assert 'ValueError: a defect' in stderr
        wait_for(lambda: (rclpy.spin_once(ear, timeout_sec=0.5), len(twists))[1] == len(twists), 'all that was said')
        assert twists[-1].twist.linear.x == 0.0
    finally:
        ear.destroy_node()
        rclpy.shutdown()


class Executor:
    """rclpy's, as far as it is used; `stumble` is raised in its thread, when it is shut down or before."""

    def __init__(self, module, early):
        names = {'__name__': module}
        exec("def stumble():\n    raise AttributeError(\"'NoneType' object has no attribute 'trigger'\")", names)
        self.stumble, self.early, self.ending = names['stumble'], early, threading.Event()

    def __call__(self):
        return self

    def add_node(self, node):
        """There is nothing to spin."""

    def spin(self):
        assert self.early or self.ending.wait(10.0)
        self.stumble()

    def shutdown(self, timeout_sec):
        self.ending.set()


def asked(at_once):
    event = threading.Event()
    if at_once:
        event.set()
    return event


def test_the_executor_may_stumble_over_its_own_shutdown(monkeypatch):
    """A callback that ends while the executor is shut down finds its guard gone: that is no defect of the node."""
    monkeypatch.setattr(process, 'SingleThreadedExecutor', Executor('rclpy.executors', early=False))
    process._spin_until(None, asked(at_once=True))


@pytest.mark.parametrize(('module', 'early'), [('rclpy.executors', True), ('mode_ros.nodes.recorder_node', False)])
def test_what_fails_before_the_end_or_in_a_node_is_a_defect(monkeypatch, module, early):
    monkeypatch.setattr(process, 'SingleThreadedExecutor', Executor(module, early))
    with pytest.raises(AttributeError, match='trigger'):
        process._spin_until(None, asked(at_once=not early))
