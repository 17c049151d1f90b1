"""A demonstrator: the benchmark's expert, and an arm that is pushed now and then while it works.

An expert left alone shows only the way that it takes itself; a policy that strays from it has never seen the way back.
So the arm is disturbed while the demonstrator, who sees where it has got to, goes on (DART, arXiv 1703.09327): the
simulation executes command plus disturbance, and what is recorded is the command, which is right for the state that it
was given for. A push on a real arm looks the same in a recording.
"""

from dataclasses import dataclass

import numpy as np

from mode_ros.errors import UserError
from mode_ros.sim.simulator import Floats, Simulator


@dataclass(frozen=True)
class Noise:
    """How much an arm is disturbed. Sizes are shares of what the arm can move in a control period (`action_limits`).

    jitter: standard deviation of what is added in every period, drawn anew each time.
    push_chance: probability, per period without a push, that one begins. push_size: how far it moves the arm per
    period, in a direction drawn once per push. push_periods: the fewest and the most periods that it lasts.
    """

    jitter: float = 0.1
    push_chance: float = 0.07
    push_size: float = 0.6
    push_periods: tuple[int, int] = (2, 6)

    def scaled(self, level: float) -> 'Noise':
        """Jitter and pushes of `level` times the size, as often as before; 0 is none.

        Raises UserError for a level that is negative or above 10.
        """
        if not 0.0 <= level <= 10.0:
            raise UserError(f'The noise level {level} cannot be used; give 0 (none) to 10, where 1 is usual.')
        return Noise(self.jitter * level, self.push_chance, self.push_size * level, self.push_periods)


class Disturbance:
    """What is added to the commands of one episode, period after period; the same generator gives the same again."""

    def __init__(self, noise: Noise, limits: Floats, generator: np.random.Generator) -> None:
        """limits: [A] of `Simulator.action_limits`. The gripper, the last, is left alone: it would drop things."""
        self._noise, self._limits, self._generator = noise, limits, generator
        self._left = 0
        self._push = np.zeros(len(limits) - 1)

    def next(self) -> Floats:
        """The disturbance of one control period, [A] in the action's units."""
        noise, size = self._noise, len(self._push)
        if self._left == 0 and self._generator.random() < noise.push_chance:
            fewest, most = noise.push_periods
            self._left = int(self._generator.integers(fewest, most, endpoint=True))
            direction = self._generator.normal(size=size)
            self._push = noise.push_size * direction / np.linalg.norm(direction)
        shares = noise.jitter * self._generator.normal(size=size)
        if self._left > 0:
            self._left -= 1
            shares += self._push
        return np.append(shares, 0.0) * self._limits


class Demonstrator:
    """Shows a simulator's task. Ask once per control period, and step the simulator with what was commanded plus the
    disturbance.
    """

    def __init__(self, simulator: Simulator, noise: Noise, seed: int) -> None:
        """seed: of the disturbances; the simulator is reset by the caller, with a seed of its own."""
        self._simulator = simulator
        self._disturbance = Disturbance(noise, simulator.action_limits, np.random.default_rng(seed))

    def action(self) -> Floats:
        """What to command now, [A] within `action_limits`; UserError where the task has no expert."""
        return self._simulator.expert_action()

    def disturbance(self) -> Floats:
        """What befalls the arm while that is executed, [A]; draws the next one at each call."""
        return self._disturbance.next()
