"""What every simulated robot offers: the robot contract's action in; two cameras and the robot's state out."""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mode_ros.errors import UserError

Floats = NDArray[np.float64]

CAMERAS = ('static', 'wrist')


@dataclass(frozen=True)
class RobotState:
    """What the robot's own sensors measure at one moment; copies, so that a later step does not change them.

    joint_names: J names, the arm from base to wrist and then the two fingers.
    joint_positions: [J] in rad, fingers (prismatic) in m.
    joint_velocities: [J] in rad/s, fingers in m/s.
    end_effector_position: [3] in m, in the simulator's world frame (z up).
    end_effector_orientation: [4] unit quaternion x, y, z, w in the world frame.
    gripper_opening: distance between the two fingers in m. Larger is more open.
    """

    joint_names: tuple[str, ...]
    joint_positions: Floats
    joint_velocities: Floats
    end_effector_position: Floats
    end_effector_orientation: Floats
    gripper_opening: float


@dataclass(frozen=True)
class Forces:
    """What the hand feels of what it touches; copies. Neither its own weight nor the arm's pull is in it.

    wrench: [6] the force in N and the torque in Nm that what is touched exerts on the hand and its fingers, in the
    world frame, the torque about the end effector's position.
    efforts: [F] N, how hard each finger presses along its joint, in the joint's direction.
    """

    wrench: Floats
    efforts: Floats


class Simulator(ABC):
    """A simulated arm with one task, driven step by step; it keeps no clock of its own and starts no thread.

    The action is the robot contract's: the displacement of the end effector over one control period (m, and for
    arms that turn a rotation vector in rad, both in the world frame), and last the gripper, from -1 (open) to +1
    (close). One `step` advances `step_seconds`, which may be shorter than the control period: the caller repeats an
    action for as many steps as fit into one period, and `step` gives each its share of the displacement.

    A simulator starts reset with seed 0. All calls must come from the thread that constructed it, because an OpenGL
    context belongs to one thread; calls from another raise RuntimeError.
    """

    robot: ClassVar[str]
    """Name of the arm, for people."""
    action_names: ClassVar[tuple[str, ...]]
    """[A] names of the action's elements, the gripper last."""
    step_seconds: ClassVar[float]
    """Simulated time that one `step` advances, s."""
    step_limits: ClassVar[tuple[float, ...]]
    """[A - 1] largest displacement of one step per element (m or rad); the benchmark clips what is larger."""

    ending_seconds: ClassVar[float] = 0.5
    """What a demonstration goes on for after its success, s: that the arm lets go, or stays, is part of the task."""

    cameras = CAMERAS
    scene_names: ClassVar[tuple[str, ...]] = ()
    """[S] names of the numbers of `scene`; none where the simulator does not tell them."""
    effort_names: ClassVar[tuple[str, ...]] = ()
    """[F] names of the finger joints whose efforts `forces` tells; none where the simulator tells no forces."""
    task: str
    """The task's full name, as `make_simulator` takes it."""
    instruction: str
    """What the robot is to do, as one plain English sentence."""
    time_limit_steps: int
    """Steps after which the benchmark counts an episode as failed. Nothing stops there: that is the caller's part."""

    def __init__(self, control_period: float) -> None:
        if not 0.001 <= control_period <= 1.0:
            raise UserError(
                f'A control period of {control_period} s cannot be simulated; it must lie between 0.001 and 1 s '
                '(0.05 s is 20 Hz).'
            )
        self.control_period = control_period
        self._thread = threading.get_ident()
        self._steps = 0
        self._succeeded = False

    @property
    def steps_per_period(self) -> float:
        """Steps in one control period; a whole number when the period is a multiple of `step_seconds`."""
        return self.control_period / self.step_seconds

    @property
    def action_limits(self) -> Floats:
        """[A] largest magnitude per element of an action that is not clipped: m or rad per period, gripper 1."""
        return np.append(np.asarray(self.step_limits) * self.steps_per_period, 1.0)

    @property
    def steps(self) -> int:
        """Steps since the last reset."""
        return self._steps

    def reset(self, seed: int) -> None:
        """Put the robot and the objects where `seed` says; the same seed gives the same state and images, bit by bit.

        Raises UserError for a negative seed.
        """
        self._check_thread()
        if seed < 0:
            raise UserError(f'The seed {seed} cannot be used; it must be 0 or larger.')
        self._reset(seed)
        self._steps = 0
        self._succeeded = False
        self._first_scene = self.scene()

    def step(self, action: ArrayLike) -> None:
        """Advance `step_seconds` under `action` [A]; elements beyond `action_limits` are clipped.

        Never ends an episode: neither success nor the benchmark's time limit stops the simulation.
        Raises UserError when the action has another length or is not finite.
        """
        self._check_thread()
        self._step(self._native(action))
        self._steps += 1
        self._succeeded = self._succeeded or self._succeeds_now()

    def success(self) -> bool:
        """Whether the task was solved at any step since the reset (latched, as both benchmarks count it)."""
        return self._succeeded

    def render(self, camera: str = 'static', width: int = 128, height: int = 128) -> NDArray[np.uint8]:
        """The view of one camera now: uint8 [height, width, 3], RGB, upright (first row is the top).

        Raises UserError for an unknown camera or a size that is not positive.
        """
        self._check_thread()
        if camera not in self.cameras:
            raise UserError(f'There is no camera {camera!r}; the simulator has {" and ".join(self.cameras)}.')
        if width < 1 or height < 1:
            raise UserError(f'An image of {width}x{height} pixels cannot be rendered; both sides must be at least 1.')
        return self._render(camera, width, height)

    def expert_action(self) -> Floats:
        """What the benchmark's own scripted expert, which sees the true state, would do now: an action [A].

        Raises UserError where the benchmark has no such expert.
        """
        raise UserError(f'The task {self.task!r} has no scripted expert.')

    def scene(self) -> Floats:
        """Where the objects and the goal are now, [S] in the order of `scene_names`; [0] where that is not told.

        No sensor of a robot measures this. It is for experiments without pictures.
        """
        self._check_thread()
        return np.zeros(0)

    def first_scene(self) -> Floats:
        """`scene` as it was at the reset: what a camera sees of it before the arm is in the way, [S]."""
        return self._first_scene.copy()

    def forces(self) -> Forces:
        """What the hand feels now.

        Raises UserError where that is not told; `effort_names` is empty there.
        """
        raise UserError(f'The simulated {self.robot} tells no forces.')

    @abstractmethod
    def state(self) -> RobotState:
        """The robot's state now."""

    @abstractmethod
    def close(self) -> None:
        """Free the renderer and the simulation. May be called twice; nothing else may be called afterwards."""

    @abstractmethod
    def _reset(self, seed: int) -> None: ...

    @abstractmethod
    def _step(self, native: Floats) -> None:
        """Advance one step; `native` [A] is each element's share of its step limit, in [-1, 1]."""

    @abstractmethod
    def _succeeds_now(self) -> bool: ...

    @abstractmethod
    def _render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]: ...

    def _native(self, action: ArrayLike) -> Floats:
        values = np.asarray(action, dtype=np.float64)
        if values.shape != (len(self.action_names),):
            raise UserError(
                f'An action of shape {values.shape} was given, but the {self.robot} takes '
                f'{len(self.action_names)} numbers: {", ".join(self.action_names)}.'
            )
        if not np.all(np.isfinite(values)):
            raise UserError(f'The action {values.tolist()} was refused, because every number must be finite.')
        return np.clip(values / self.action_limits, -1.0, 1.0)

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise RuntimeError('A simulator must be used from the thread that constructed it.')

    def __enter__(self) -> 'Simulator':
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
