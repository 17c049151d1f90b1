"""A controller on a clock that the test turns."""

import numpy as np

from mode_ros.control.chunk import make_chunk
from mode_ros.control.controller import Controller

SECOND = 1_000_000_000


class ControllerBench:
    """A controller, its clock and a robot whose joints report every period."""

    def __init__(self, contract, now=100 * SECOND):
        self.contract, self.now = contract, now
        self.controller = Controller(contract, max_chunk_age=1.0)
        self.joints = np.zeros(2)
        self.controller.activate(now)
        self.alive = True
        self.identity = ''

    def tick(self, periods=1):
        for _ in range(periods):
            if self.alive:
                self.controller.measure('joints', self.now, self.joints)
            tick = self.controller.tick(self.now)
            self.now += self.contract.period
            if tick.request is not None:
                self.identity = tick.request.identity
        return tick

    def chunk(self, actions, stamp=None):
        stamp = self.now if stamp is None else stamp
        return make_chunk(self.contract, stamp, np.asarray(actions, float), self.identity)
