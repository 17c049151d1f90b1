"""How a node's process ends: 1 when it refused to start, 70 after a defect, so that a restart can tell them apart."""

import subprocess
import sys

import pytest

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
