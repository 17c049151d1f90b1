"""Meta-World's fifty tasks: a Sawyer arm that moves and grips but does not turn its hand."""

import functools
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.sim.contact_forces import ContactForces
from mode_ros.sim.instructions import metaworld_instruction
from mode_ros.sim.metaworld_halfway import HALFWAY_TASKS, HIDDEN, Start, split_task
from mode_ros.sim.names import unknown_name
from mode_ros.sim.rendering import OffscreenRenderer, choose_backend
from mode_ros.sim.simulator import Floats, Forces, RobotState, Simulator

VERSION_SUFFIX = '-v3'
ARM_JOINTS = tuple(f'right_j{index}' for index in range(7))
FINGER_JOINTS = ('r_close', 'l_close')
CAMERA_OF = {'static': 'corner4', 'wrist': 'gripperPOV'}
BENCHMARK_TIME_LIMIT = 500

SCENE_NAMES = (
    *(f'object_{number}_{value}' for number in (1, 2) for value in ('x', 'y', 'z', 'q0', 'q1', 'q2', 'q3')),
    *(f'goal_{axis}' for axis in 'xyz'),
)
OBJECTS = slice(4, 18)
"""Where the benchmark's observation has the two objects, after the hand and its gripper. Its last three: the goal."""

EXPERT_STEP_GAIN = 0.15
"""Share of the remaining way that an expert typically moves per step; the benchmark's experts have 0.1 to 0.25."""
SLOWED_EXPERTS = {'bin-picking': 0.25}
"""Experts that lift before the fingers have closed when they are asked less than 40 times a second, and by how much
to slow them (measured at 20 Hz: 0 of 40 successes as it is, 40 of 40 slowed)."""


def metaworld_tasks() -> tuple[str, ...]:
    """The benchmark's 50 task names without their version, in its order, e.g. 'drawer-open', and then HALFWAY_TASKS.

    Raises UserError when Meta-World is not installed.
    """
    return *(name.removesuffix(VERSION_SUFFIX) for name in _import_metaworld().ALL_V3_ENVIRONMENTS), *HALFWAY_TASKS


class MetaworldSimulator(Simulator):
    """One Meta-World task, stepped at the benchmark's 80 Hz.

    `task` may carry the benchmark's version ('drawer-open-v3'), or be one of HALFWAY_TASKS ('drawer-open-halfway'). A
    seed draws objects and goal anew, as in the benchmark. The action clips at 0.01 m per step and axis (0.04 m per
    period of 0.05 s). It moves the point that pulls the hand; the hand follows with a lag of a few steps. The point
    stays in the box that the benchmark sets for each task.

    The static camera is the benchmark's corner4 turned upright: from the front right, with the arm and all objects of
    every task in view. The wrist camera is its gripperPOV: it travels with the hand and looks down past the fingers,
    which are at the left edge; the image's top is away from the robot. Goals that the benchmark marks by a
    coloured ball are visible in both, because some tasks tell them in no other way.

    The end effector of the state is the benchmark's hand, 4 cm above the fingertips; the gripper's opening is the
    distance between the fingers' centres.

    The scene is what the benchmark's own observation has of it: of up to two objects the position in m and four numbers
    of a quaternion, whose order differs between its tasks, and the goal's position. What a task does not have is 0.
    """

    robot = 'Sawyer arm of Meta-World'
    action_names = ('x', 'y', 'z', 'gripper')
    step_seconds = 0.0125
    step_limits = (0.01, 0.01, 0.01)
    scene_names = SCENE_NAMES
    effort_names = FINGER_JOINTS

    def __init__(self, task: str, control_period: float = 0.05) -> None:
        super().__init__(control_period)
        tasks = metaworld_tasks()
        self.task = task.removesuffix(VERSION_SUFFIX)
        if self.task not in tasks:
            raise unknown_name('Meta-World task', task, tasks)
        self.instruction = metaworld_instruction(self.task)
        self.time_limit_steps = BENCHMARK_TIME_LIMIT
        self._name, self._halfway = split_task(self.task)
        self._env = _make_environment(self._name)
        if self._halfway is not None and self._halfway.scene_of != self._name:
            self._env._random_reset_space = _make_environment(self._halfway.scene_of)._random_reset_space
        self._joints = [self._env.model.joint(name) for name in ARM_JOINTS + FINGER_JOINTS]
        self._contacts = ContactForces(self._env.model, 'hand', FINGER_JOINTS)
        _turn_upright(self._env.model.camera(CAMERA_OF['static']))
        self._renderer = OffscreenRenderer(self._env.model, self._env.data)
        self._expert = _import_metaworld().policies.ENV_POLICY_MAP[self._name + VERSION_SUFFIX]()
        self._observation = np.zeros(0)
        self._success_flag = False
        self._start = Start(0.0, {})
        self.reset(0)

    def state(self) -> RobotState:
        """As in `Simulator`."""
        self._check_thread()
        data = self._env.data
        hand = data.body('hand')
        fingers = data.body('rightclaw').xpos - data.body('leftclaw').xpos
        return RobotState(
            joint_names=ARM_JOINTS + FINGER_JOINTS,
            joint_positions=np.array([data.qpos[joint.qposadr[0]] for joint in self._joints]),
            joint_velocities=np.array([data.qvel[joint.dofadr[0]] for joint in self._joints]),
            end_effector_position=hand.xpos.copy(),
            end_effector_orientation=np.roll(hand.xquat, -1),  # MuJoCo has w first
            gripper_opening=float(np.linalg.norm(fingers)),
        )

    def scene(self) -> Floats:
        """As in `Simulator`: [17]."""
        self._check_thread()
        return np.concatenate([self._observation[OBJECTS], self._observation[-3:]])

    def forces(self) -> Forces:
        """As in `Simulator`: of the contacts at this moment, not filtered."""
        self._check_thread()
        return self._contacts.read(self._env.data, self._env.data.body('hand').xpos)

    def expert_action(self) -> Floats:
        """The action [4] of the benchmark's scripted policy, its gain adapted to the control period (`expert_gain`)."""
        self._check_thread()
        # A copy, because some experts change what they are given.
        native = np.asarray(self._expert.get_action(self._observation.copy()), dtype=np.float64)
        displacement = np.clip(expert_gain(self._name, self.steps_per_period) * native[:-1], -1.0, 1.0)
        return np.append(displacement, np.clip(native[-1], -1.0, 1.0)) * self.action_limits

    def close(self) -> None:
        """As in `Simulator`."""
        self._renderer.close()
        self._env.close()

    def _reset(self, seed: int) -> None:
        import mujoco

        self._env.seed(seed)
        self._env.reset()
        if self._halfway is not None:
            self._start = self._halfway.start(seed)
            joint = self._env.model.joint(self._halfway.joint)
            low, high = joint.range
            self._env.data.qpos[joint.qposadr[0]] = low + self._start.share * (high - low)
        # The benchmark moves fixtures last and leaves the scene as it was before, so that its first image is wrong.
        mujoco.mj_forward(self._env.model, self._env.data)
        observation = self._env._get_obs()
        half = (len(observation) - 3) // 2  # two stacked frames and the goal
        observation[half : 2 * half] = observation[:half]
        self._observation = observation
        self._success_flag = False
        self._show_goal()

    def _step(self, native: Floats) -> None:
        self._observation, _, _, _, info = self._env.step(native)
        self._success_flag = bool(info['success'])
        self._show_goal()

    def _succeeds_now(self) -> bool:
        return self._success_flag

    def _render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        return self._renderer.render(CAMERA_OF[camera], width, height)

    def _show_goal(self) -> None:
        """Put the coloured balls where the goal is: a forward pass takes some away, and one task's is misplaced."""
        for site, position in self._env._target_site_config:
            self._env._set_pos_site(site, self._env._target_pos if site == 'goal' else position)
        if self._halfway is not None:
            body = self._env.model.body(self._halfway.body).pos
            for site, offset in self._start.balls.items():
                self._env._set_pos_site(site, np.array(HIDDEN) if offset is None else body + offset)


def expert_gain(task: str, steps: float) -> float:
    """Share of an expert's displacement to use when its action is held for `steps` steps, in (0, 1].

    The experts are proportional controllers tuned to be asked at every step. Held for n steps, one of gain g goes
    n g of the remaining way instead of 1 - (1 - g)^n: for four steps and g = 0.25 all of it, whereupon, since the
    hand lags, it swings around what it should grasp. The quotient undoes that for a typical g.
    """
    if steps <= 1:
        return 1.0
    gain = (1 - (1 - EXPERT_STEP_GAIN) ** steps) / (steps * EXPERT_STEP_GAIN)
    return gain * SLOWED_EXPERTS.get(task, 1.0) if steps > 2 else gain


def _make_environment(task: str) -> Any:
    """The benchmark's environment, with a goal drawn at each reset from its own seeded generator."""
    environment = _import_metaworld().ALL_V3_ENVIRONMENTS[task + VERSION_SUFFIX]()
    environment._set_task_called = True
    environment._freeze_rand_vec = False
    environment.seeded_rand_vec = True
    # The expert reads the goal from the observation; the limits that hide it there are cached, hence the deletion.
    environment._partially_observable = False
    environment.__dict__.pop('sawyer_observation_space', None)
    environment.max_path_length = sys.maxsize
    return environment


def _turn_upright(camera: Any) -> None:
    """Half a turn about the optical axis: the benchmark's fixed cameras hang upside down."""
    w, x, y, z = camera.quat
    camera.quat[:] = (-z, y, -x, w)


@functools.cache
def _import_metaworld() -> ModuleType:
    for package in ('metaworld', 'packaging'):  # Meta-World needs packaging and does not declare it
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f'Meta-World cannot be used because the package {package} is missing; install it with '
                "pip install 'mode_ros[sim]'."
            )
    choose_backend()
    import metaworld
    import metaworld.policies

    warnings.filterwarnings('ignore', message=r'Constant\(s\) may be too high')
    return metaworld
