"""Scenes in which two tasks are possible, so that only the sentence tells which one is meant.

In the benchmark a drawer that is to be opened is closed, and one that is to be closed is open, and a coloured ball
marks where its handle should go: the scene alone says what to do, and a policy trained on nothing else need not listen.
Here the drawer, the window or the faucet is halfway, and for one seed both tasks of a pair begin with the same scene,
the ball included. In half of the scenes there is none, in the others it marks either goal, whichever is meant.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SUFFIX = '-halfway'
HIDDEN = (10.0, 10.0, 10.0)
"""Where the benchmark puts a ball that is not to be seen."""

_NO_BALL = 0.5


class Start(NamedTuple):
    """How a scene begins. share: how far the joint is, of its range; balls: each site, and its offset in m from the
    fixture's body, None where it is not to be seen.
    """

    share: float
    balls: dict[str, tuple[float, float, float] | None]


@dataclass(frozen=True)
class Halfway:
    """A fixture between the goals of two tasks.

    scene_of: the task whose positions of the fixture both use. body, joint: their names in the model. shares: where
    the joint may begin, from its lower limit. goals: of the opening and of the closing task, the site that marks it and
    its offset in m from the body.
    """

    scene_of: str
    body: str
    joint: str
    shares: tuple[float, float]
    goals: tuple[tuple[str, tuple[float, float, float]], tuple[str, tuple[float, float, float]]]

    def start(self, seed: int) -> Start:
        """What is drawn for a seed."""
        generator = np.random.default_rng(seed)
        share = float(generator.uniform(*self.shares))
        balls: dict[str, tuple[float, float, float] | None] = {site: None for site, _ in self.goals}
        if generator.random() >= _NO_BALL:
            site, offset = self.goals[generator.integers(2)]
            balls[site] = offset
        return Start(share, balls)


# In the middle third neither task of a pair counts as done.
_DRAWER = Halfway(
    scene_of='drawer-open',
    body='drawer',
    joint='goal_slidey',
    shares=(0.35, 0.65),
    goals=(('goal', (0.0, -0.36, 0.09)), ('goal', (0.0, -0.16, 0.09))),
)
_WINDOW = Halfway(
    scene_of='window-open',
    body='window',
    joint='window_slide',
    shares=(0.35, 0.65),
    goals=(('goal', (0.2, 0.0, 0.0)), ('goal', (0.0, 0.0, 0.0))),
)
_FAUCET = Halfway(
    scene_of='faucet-open',
    body='faucetBase',
    joint='knob_Joint_1',
    shares=(0.5, 0.5),  # where the benchmark has it for both
    goals=(('goal_open', (0.175, 0.0, 0.125)), ('goal_close', (-0.175, 0.0, 0.125))),
)

HALFWAY = {
    'drawer-open': _DRAWER,
    'drawer-close': _DRAWER,
    'faucet-open': _FAUCET,
    'faucet-close': _FAUCET,
    'window-open': _WINDOW,
    'window-close': _WINDOW,
}
"""The tasks of the benchmark that can begin halfway."""

HALFWAY_TASKS = tuple(f'{task}{SUFFIX}' for task in HALFWAY)
"""Their names here, e.g. 'drawer-open-halfway'."""


def split_task(task: str) -> tuple[str, Halfway | None]:
    """The benchmark's name of a task, and how it begins where that is not the benchmark's way."""
    if task not in HALFWAY_TASKS:
        return task, None
    name = task.removesuffix(SUFFIX)
    return name, HALFWAY[name]
