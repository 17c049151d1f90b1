"""The bench with mocks of drivers beside the node under test."""

import time

import numpy as np
from support.bench import Bench, wait_for

from mode_ros.control.contract import parse_contract
from mode_ros.control.takeover import LET_GO_SECONDS, TeleopCommand
from mode_ros.messages.teleop import encode_teleop
from mode_ros.nodes.controller_node import ControllerNode


class DriverBench(Bench):
    """Plays the operator; the drivers are nodes of their own."""

    def add(self, node):
        self.under_test.append(node)
        self.executor.add_node(node)
        return node

    def configure(self, tmp_path, text, wait=5.0):
        """A configured controller_node for the contract `text`, and whether it could be activated."""
        path = tmp_path / 'contract.yaml'
        path.write_text(text)
        self.contract = parse_contract(text, 'contract.yaml')
        node = self.start(ControllerNode, activate=False, contract=str(path), driver_wait=wait)
        assert node.trigger_configure().name == 'SUCCESS'
        return node, node.trigger_activate().name == 'SUCCESS'

    def drive(self, action, done, what):
        """A person's command every period until `done`; nobody held anything before."""
        names = self.contract.action_names
        time.sleep(1.2 * LET_GO_SECONDS)

        def once():
            self.publish(encode_teleop(TeleopCommand(self.now(), names, np.array(action, float))), 'teleop_command')
            time.sleep(0.8 * self.contract.period_seconds)
            return done()

        wait_for(once, what)
