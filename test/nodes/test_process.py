"""How a node's process ends: 1 when it refused to start, 70 after a defect, so that a restart can tell them apart."""

import signal
import subprocess
import sys
import threading

import pytest

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
