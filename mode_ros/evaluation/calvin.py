"""CALVIN (Mees et al., 2022): five tasks in a row, each begun where the one before has left the scene.

The benchmark itself is on no package registry; this is the adapter to it where its packages are installed. Its tasks
are judged by its own oracle from what changed since a task began, and its gripper is 1 when open, where ours is 1 when
closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.images import fit
from mode_ros.errors import UserError
from mode_ros.evaluation.calvin_package import CAMERA_OF, Chain, load_benchmark
from mode_ros.evaluation.rollout import Outcome
from mode_ros.sim.simulator import Floats, RobotState, Simulator

CHAIN_LENGTH = 5
TASK_STEPS = 360  # steps after which the benchmark counts a task as failed
CONTROL_HZ = 30

ARM_JOINTS = tuple(f'panda_joint{index}' for index in range(1, 8))


class CalvinSimulator(Simulator):
    """CALVIN's environment with chains of tasks: `reset` chooses the chain, `begin` its next task.

    As in CALVIN's recorded actions, a rotation's three numbers are added to the hand's Euler angles. Velocities are not
    measured there; the state has NaN for them.
    """

    robot = 'Panda arm of CALVIN'
    action_names = ('x', 'y', 'z', 'rotation_x', 'rotation_y', 'rotation_z', 'gripper')
    step_seconds = 1.0 / CONTROL_HZ
    step_limits = (0.02, 0.02, 0.02, 0.05, 0.05, 0.05)

    def __init__(
        self, environment: Any, oracle: Any, chains: Sequence[Chain], sentences: Mapping[str, str], period: float
    ) -> None:
        """environment: calvin_env's PlayTableSimEnv, or what has its reset, step, get_info, close, load, scene, cameras
        and cid; oracle: its Tasks; sentences: task name to what a person says for it; period: the control period, s.
        """
        super().__init__(period)
        self._environment, self._oracle, self._chains, self._sentences = environment, oracle, chains, sentences
        self.task = 'calvin'
        self.time_limit_steps = TASK_STEPS
        # It would render every camera in every step, which takes most of its time, and most pictures nobody sees.
        self._cameras = {camera.name: camera for camera in environment.cameras}
        environment.cameras = []
        self._now: Any = None
        self._start: Any = None
        self._solved_now = False
        self._gripper = 1
        self.reset(0)

    @classmethod
    def load(cls, data: Path | None, period: float) -> CalvinSimulator:
        """The benchmark as it is installed. data: a CALVIN data set, whose `validation` folder describes the scene.

        Raises UserError where a package or the folder is missing.
        """
        found = load_benchmark(data)
        return cls(found.environment, found.oracle, found.chains, found.sentences, period)

    @property
    def chain(self) -> tuple[str, ...]:
        """The tasks of the chain that the last reset chose."""
        return self._chain.tasks

    def begin(self, task: str) -> None:
        """Asks for `task` from now on, in the scene as it is."""
        self.instruction = self._sentences[task]
        self._asked = task
        self._start = self._environment.get_info()
        self._steps = 0
        self._succeeded = self._solved_now = False

    def state(self) -> RobotState:
        """As in `Simulator`."""
        robot = np.asarray(self._now['robot_obs'], dtype=np.float64)
        opening = float(robot[6])
        return RobotState(
            joint_names=(*ARM_JOINTS, 'panda_gripper_width'),
            joint_positions=np.append(robot[7:14], opening),
            joint_velocities=np.full(len(ARM_JOINTS) + 1, np.nan),
            end_effector_position=robot[:3].copy(),
            end_effector_orientation=_quaternion(robot[3:6]),
            gripper_opening=opening,
        )

    def close(self) -> None:
        """As in `Simulator`."""
        self._environment.close()
        self._environment.cid = -1  # closed again, as it is when it is deleted, it would fail

    def _reset(self, seed: int) -> None:
        if seed >= len(self._chains):
            raise UserError(f'CALVIN has {len(self._chains)} chains, 0 to {len(self._chains) - 1}; {seed} is beyond.')
        self._chain = self._chains[seed]
        # Its own reset leaves contacts of the episode before, and the blocks would come to lie a little differently.
        # Where it lets them appear before that reset decides only the order in which contacts are solved.
        self._environment.scene.np_random = np.random.default_rng(0)
        self._environment.load()
        self._now = self._environment.reset(**self._chain.initial)
        self._gripper = 1
        self.begin(self._chain.tasks[0])

    def _step(self, native: Floats) -> None:
        if native[-1] != 0.0:  # before the first command the gripper stays as it is
            self._gripper = -1 if native[-1] > 0 else 1
        self._now, _, _, info = self._environment.step(np.append(native[:-1], self._gripper))
        self._solved_now = bool(self._oracle.get_task_info_for_set(self._start, info, {self._asked}))

    def _succeeds_now(self) -> bool:
        return self._solved_now

    def _render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        picture, _ = self._cameras[CAMERA_OF[camera]].render()
        return fit(np.ascontiguousarray(picture, np.uint8), width, height)


def run_chain(simulator: CalvinSimulator, seed: int, run: Callable[[str], Outcome]) -> tuple[str, list[Outcome]]:
    """Runs the chain `seed` task by task until the first failure; what was asked for, and the outcome of each task.

    run: runs one task, given what the robot is told.
    """
    simulator.reset(seed)
    goals, outcomes = [], []
    for task in simulator.chain:
        simulator.begin(task)
        goals.append(simulator.instruction)
        outcomes.append(run(simulator.instruction))
        if not outcomes[-1].success:
            break
    return '; then '.join(goals), outcomes


def _quaternion(angles: Floats) -> Floats:
    """x, y, z, w of rotations [3] in rad about the fixed axes x, then y, then z."""
    x, y, z, w = 0.0, 0.0, 0.0, 1.0
    for axis, angle in enumerate(angles):
        turn = [0.0, 0.0, 0.0, float(np.cos(angle / 2))]
        turn[axis] = float(np.sin(angle / 2))
        a, b, c, d = turn
        x, y, z, w = (
            d * x + a * w + b * z - c * y,
            d * y - a * z + b * w + c * x,
            d * z + a * y - b * x + c * w,
            d * w - a * x - b * y - c * z,
        )
    return np.array([x, y, z, w])
