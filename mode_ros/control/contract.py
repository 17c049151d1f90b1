"""The robot contract: what must be the same while recording, converting, training and running.

One YAML file names the topics, field orders, units, image sizes, rate and limits of a robot. The recorder, the
converter, the trainer and the nodes all read it through this module; its text travels inside every bag, data set and
checkpoint, and `differences` tells where two of them disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mode_ros.control.space import Box, SelfCollision
from mode_ros.control.units import Factor, conversion, is_other_size
from mode_ros.settings import read_settings, read_text

NANOSECONDS = 1_000_000_000

TWIST_NAMES = ('x', 'y', 'z', 'rotation_x', 'rotation_y', 'rotation_z')
POSE_NAMES = ('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')
WRENCH_NAMES = ('force_x', 'force_y', 'force_z', 'torque_x', 'torque_y', 'torque_z')
# The first two columns of the rotation matrix: where the hand's x and y axes point, in the frame of the pose.
ROTATION_6D_NAMES = ('x_axis_x', 'x_axis_y', 'x_axis_z', 'y_axis_x', 'y_axis_y', 'y_axis_z')
POSE_TARGETS = (TWIST_NAMES, (*TWIST_NAMES[:3], *ROTATION_6D_NAMES))

# The nodes' own topics, which a contract cannot use for other messages.
_NODES_TOPICS = {
    'action_chunk': 'trajectory_msgs/msg/JointTrajectory',
    'chunk_request': 'trajectory_msgs/msg/JointTrajectory',
    'teleop_command': 'trajectory_msgs/msg/JointTrajectory',
    'intervention': 'std_msgs/msg/Bool',
    'success': 'std_msgs/msg/Bool',
    'estop': 'std_msgs/msg/Bool',
}
_IMAGE_TYPES = {
    'raw': 'sensor_msgs/msg/Image',
    'compressed': 'sensor_msgs/msg/CompressedImage',
    'ffmpeg': 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket',
}
_STATE_TYPES = {
    'joint_state': 'sensor_msgs/msg/JointState',
    'pose': 'geometry_msgs/msg/PoseStamped',
    'wrench': 'geometry_msgs/msg/WrenchStamped',
    'array': 'std_msgs/msg/Float64MultiArray',
    'number': 'std_msgs/msg/Float64',
    'temperature': 'sensor_msgs/msg/Temperature',
    'pressure': 'sensor_msgs/msg/FluidPressure',
    'range': 'sensor_msgs/msg/Range',
}
# Types whose messages are one number.
_SCALARS = ('number', 'temperature', 'pressure', 'range')
# Types whose messages carry no stamp.
_UNSTAMPED = ('array', 'number')
UNSTAMPED_TYPES = tuple(_STATE_TYPES[kind] for kind in _UNSTAMPED)
_COMMAND_TYPES = {
    'joint_trajectory': 'trajectory_msgs/msg/JointTrajectory',
    'forward_command': 'std_msgs/msg/Float64MultiArray',
    'twist': 'geometry_msgs/msg/TwistStamped',
    'pose': 'geometry_msgs/msg/PoseStamped',
    'gripper_command': 'sensor_msgs/msg/JointState',
}

_WHAT = 'The robot contract'

Name = Annotated[str, Field(pattern=r'^[A-Za-z][A-Za-z0-9_]*$')]
Topic = Annotated[str, Field(pattern=r'^[/~]?[A-Za-z_][A-Za-z0-9_/]*[A-Za-z0-9_]$|^[A-Za-z]$')]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class Stream(_Section):
    """What cameras and states have in common."""

    name: Name
    topic: Topic
    max_age: Seconds = Field(description='Seconds after which the stream counts as dead.')
    stamps: Literal['header', 'reception'] = Field(
        'header',
        description="Where a message's time is from: its header, or when it came, for drivers without a clock.",
    )
    delay: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description='Seconds from what a message shows to its stamp.'
    )


class Camera(Stream):
    """One camera stream, of colours or of depth: sensor_msgs/Image or sensor_msgs/CompressedImage."""

    kind: Literal['colour', 'depth'] = Field('colour', description='What its pixels are: colours, or distances.')
    near: Positive | None = Field(None, description='Of depth: metres that count as the nearest.')
    far: Positive | None = Field(None, description='Of depth: metres that count as the farthest.')
    transport: Literal['raw', 'compressed', 'ffmpeg'] = Field(
        'raw', description='Message type: Image, CompressedImage, or packets of video.'
    )
    width: int = Field(ge=16, le=4096, description='Pixels the policy sees; messages of another size are resized.')
    height: int = Field(ge=16, le=4096)
    encoding: Literal['rgb8'] = Field('rgb8', description='Pixels the policy sees; other colour encodings convert.')

    @property
    def message_type(self) -> str:
        """Such as 'sensor_msgs/msg/Image'."""
        return _IMAGE_TYPES[self.transport]

    @property
    def is_depth(self) -> bool:
        return self.kind == 'depth'

    @property
    def channels(self) -> int:
        """Numbers per pixel that the policy sees."""
        return 1 if self.is_depth else 3

    @model_validator(mode='after')
    def _kind_fits(self) -> Camera:
        if self.is_depth:
            if self.near is None or self.far is None or not self.near < self.far:
                raise ValueError(
                    f'the depth camera {self.name!r} needs near and far in metres, near below far: what lies between '
                    'is what the policy can tell apart'
                )
            if self.transport == 'ffmpeg':
                raise ValueError(f'the depth camera {self.name!r} cannot come as video, which loses distances')
            if 'encoding' in self.model_fields_set:
                raise ValueError(f'the depth camera {self.name!r} has no colours: leave its encoding out')
        elif self.near is not None or self.far is not None:
            raise ValueError(f"near and far are of a depth camera, and {self.name!r} is none: say 'kind: depth'")
        return self


class State(Stream):
    """One state stream: joints (one field of them), a pose, force and torque, an array, or a single number."""

    type: Literal['joint_state', 'pose', 'wrench', 'array', 'number', 'temperature', 'pressure', 'range']
    field: Literal['position', 'velocity', 'effort'] = 'position'
    names: tuple[str, ...] = Field(min_length=1, description='Joints in the order of the vector; messages may differ.')
    unit: str
    message_unit: str | None = Field(None, description='Unit of the messages, where it is another than `unit`.')
    scale: Factor | None = Field(None, description='What a number of a message is multiplied by.')
    offset: Factor = Field(0.0, description='What is then added.')
    lower: Factor | None = Field(None, description='Below this a number is suspicious, and named when converted.')
    upper: Factor | None = Field(None, description='Above this, too.')
    publishers: int = Field(1, ge=1, le=16, description='How many may publish on the topic, each other joints.')

    @property
    def message_type(self) -> str:
        """Such as 'sensor_msgs/msg/JointState'."""
        return _STATE_TYPES[self.type]

    @property
    def conversion(self) -> tuple[float, float]:
        """(scale, offset): from a number of a message to one in `unit`. Of a pose: of its position."""
        return conversion(self.unit, self.message_unit, self.scale, self.offset)

    @model_validator(mode='after')
    def _names_fit(self) -> State:
        _refuse_repeats(self.names, f'state {self.name!r} names')
        if self.type == 'pose' and self.names != POSE_NAMES:
            raise ValueError(f'a pose has the names {list(POSE_NAMES)}, not {list(self.names)}')
        if self.type == 'wrench' and self.names not in (WRENCH_NAMES, WRENCH_NAMES[:3]):
            raise ValueError(
                f'a wrench has the names {list(WRENCH_NAMES)}, or the three forces, not {list(self.names)}'
            )
        if self.type in _SCALARS and len(self.names) != 1:
            raise ValueError(f'a {self.type} is one number, and {list(self.names)} names {len(self.names)}')
        if self.type in _UNSTAMPED and self.stamps != 'reception':
            raise ValueError(f"messages of the type {self.type} carry no stamp: say 'stamps: reception'")
        if self.type != 'joint_state' and self.field != 'position':
            raise ValueError(f'field is one of a joint_state, and a {self.type} has none')
        assert self.conversion
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ValueError(f'lower {self.lower} must be below upper {self.upper}')
        return self


class Dimension(_Section):
    """One number of the action and its limits, all in `unit` (per control period where a step is meant)."""

    name: str = Field(min_length=1)
    unit: str
    lower: Finite
    upper: Finite
    max_step: Positive | None = Field(None, description='Largest change in one control period.')
    max_step_change: Positive | None = Field(None, description='Largest change of that step from period to period.')
    max_jerk: Positive | None = Field(None, description='Largest jerk, unit/s^3; needs max_step and max_step_change.')
    message_unit: str | None = Field(None, description='Unit of the messages, where it is another than `unit`.')
    scale: Factor | None = Field(None, description="A message's number times this, plus offset, is one in `unit`.")
    offset: Factor = 0.0

    @property
    def conversion(self) -> tuple[float, float]:
        """(scale, offset): from a number of a message to one in `unit`."""
        return conversion(self.unit, self.message_unit, self.scale, self.offset)

    @model_validator(mode='after')
    def _ordered(self) -> Dimension:
        assert self.conversion
        if not self.lower < self.upper:
            raise ValueError(f'lower {self.lower} must be below upper {self.upper}')
        if self.max_jerk is not None and (self.max_step is None or self.max_step_change is None):
            raise ValueError(f'dimension {self.name!r} limits its jerk, so it needs max_step and max_step_change too')
        return self


class Output(_Section):
    """Where a group's commands go, and as which message."""

    adapter: Literal['joint_trajectory', 'forward_command', 'twist', 'pose', 'gripper_command'] = Field(
        description='How the command leaves: docs/drivers.md has a section for each.'
    )
    topic: Topic
    joints: tuple[str, ...] | None = Field(
        None, description="Of forward_command: names of all the array's numbers, where groups share it."
    )
    frame_id: str = Field('', description='Frame of a twist or a pose.')
    max_speed: Positive | None = Field(None, description='Of a pose: largest speed of its position (m/s).')
    max_rotation_speed: Positive | None = Field(None, description='Of a pose: largest turning speed (rad/s).')
    action: Topic | None = Field(None, description='Of gripper_command: the name of the action server.')
    action_type: Literal['GripperCommand', 'ParallelGripperCommand'] = Field(
        'GripperCommand', description='Of gripper_command: the type of control_msgs/action.'
    )
    tolerance: Positive | None = Field(
        None, description="Of gripper_command: a target that moved by less is no new goal (in the group's unit)."
    )
    max_effort: float = Field(
        0.0, ge=0, allow_inf_nan=False, description='Of gripper_command: N or Nm; 0 leaves it to the driver.'
    )
    delay: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description='Seconds from a command to its motion, beyond the recorded.'
    )

    @property
    def message_type(self) -> str:
        """Such as 'geometry_msgs/msg/TwistStamped'."""
        return _COMMAND_TYPES[self.adapter]

    @model_validator(mode='after')
    def _keys_fit(self) -> Output:
        owners = {
            'joints': ('forward_command',),
            'frame_id': ('twist', 'pose'),
            'max_speed': ('pose',),
            'max_rotation_speed': ('pose',),
            'action': ('gripper_command',),
            'action_type': ('gripper_command',),
            'tolerance': ('gripper_command',),
            'max_effort': ('gripper_command',),
        }
        for key, adapters in owners.items():
            if key in self.model_fields_set and self.adapter not in adapters:
                raise ValueError(f'{key} is for the adapter {" or ".join(adapters)}, not for {self.adapter!r}')
        _refuse_repeats(self.joints or (), 'output.joints')
        if self.adapter == 'gripper_command' and (self.action is None or self.tolerance is None):
            raise ValueError(
                "the adapter 'gripper_command' needs action (the action server, such as "
                '/gripper_controller/gripper_cmd) and tolerance (how far a target moves before it is a new goal)'
            )
        return self


class Leader(_Section):
    """A second arm that a person moves and the robot follows: its joints are the actions of a recording."""

    topic: Topic = Field(description='sensor_msgs/JointState of the leader, stamped by the clock of the streams.')
    names: tuple[str, ...] | None = Field(
        None, description="Its joints in the order of the dimensions; default: the dimensions' names."
    )
    max_age: Seconds = Field(0.2, description='Seconds after which what it said last is no action any more.')
    scale: tuple[Factor, ...] | None = Field(None, description='By what each number is multiplied.')
    offset: tuple[Factor, ...] | None = Field(None, description='What is then added to each.')

    @property
    def message_type(self) -> str:
        return _STATE_TYPES['joint_state']

    def check_fits(self, count: int) -> None:
        """ValueError unless it has a number for each of a group's `count` dimensions."""
        for key in ('names', 'scale', 'offset'):
            value = getattr(self, key)
            if value is not None and len(value) != count:
                raise ValueError(f'leader.{key} has {len(value)} entries for {count} dimensions')
        _refuse_repeats(self.names or (), 'leader.names')
        if self.scale is not None and 0.0 in self.scale:
            raise ValueError('leader.scale has a 0, which makes every number the same')


NO_PLACES = ('N', 'Nm', 'N m', 'N*m', 'N·m', 'Nmm', 'rpm')  # and whatever is per second


class ActionGroup(_Section):
    """Dimensions that are commanded together by one message."""

    name: Name
    kind: Literal['absolute', 'delta'] = Field(description='Targets, or displacements per control period.')
    dimensions: tuple[Dimension, ...] = Field(min_length=1)
    output: Output
    feedback: Name | None = Field(None, description='State stream that measures an absolute group, name by name.')
    source: Literal['command', 'state', 'leader'] = Field(
        'command',
        alias='from',
        description='What counts as the action of a recording: commands, the next state, or where a leader arm is.',
    )
    leader: Leader | None = Field(None, description="With 'from: leader': the arm that a person moves.")
    initial: tuple[Finite, ...] | None = Field(
        None, description='Of an absolute group: what is in force in a recording until its first command.'
    )
    box: Box | None = Field(None, description='Where the robot may be, from its description or its measured pose.')
    max_tracking_error: Positive | None = Field(
        None, description='Largest distance of a command from what feedback measures, in the units of the dimensions.'
    )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dimension.name for dimension in self.dimensions)

    @property
    def heard_on(self) -> tuple[str, str] | None:
        """(topic, message type) that a recording's actions are read from; None where they are measured states."""
        if self.source == 'state':
            return None
        if self.leader is not None:
            return self.leader.topic, self.leader.message_type
        return self.output.topic, self.output.message_type

    @model_validator(mode='after')
    def _adapter_fits(self) -> ActionGroup:
        if self.output.adapter == 'twist':
            if self.kind != 'delta':
                raise ValueError("a twist commands displacements: its kind is 'delta'")
            if self.names not in (TWIST_NAMES[:3], TWIST_NAMES):
                raise ValueError(f'a twist has the dimensions {list(TWIST_NAMES[:3])} or {list(TWIST_NAMES)}')
            if not self.output.frame_id:
                raise ValueError("a twist needs output.frame_id, the frame of its directions, such as 'base_link'")
            for dimension in self.dimensions:
                expected = 'm' if dimension.name in TWIST_NAMES[:3] else 'rad'
                if dimension.unit != expected:
                    raise ValueError(f'dimension {dimension.name!r} of a twist is in {expected!r}')
        elif self.kind == 'delta':
            raise ValueError(f"the adapter {self.output.adapter!r} commands targets: its kind is 'absolute'")
        else:
            self._check_targets()
        if self.output.adapter == 'pose':
            self._check_pose()
        if self.output.adapter == 'gripper_command' and len(self.dimensions) != 1:
            raise ValueError(
                f'a gripper command has one dimension, not {list(self.names)}; make a group for each gripper'
            )
        _refuse_repeats(self.names, f'dimensions of the action group {self.name!r}')
        if self.initial is not None:
            self._check_initial(self.initial)
        if self.source == 'state' and (self.kind == 'delta' or self.feedback is None):
            raise ValueError(
                "'from: state' takes the next measured state as the action of an absolute group: it needs "
                'kind absolute and feedback'
            )
        if (self.source == 'leader') != (self.leader is not None):
            raise ValueError("'from: leader' and the section 'leader' (its topic) belong together")
        if self.leader is not None:
            if self.kind == 'delta' or self.output.adapter == 'pose':
                raise ValueError('a leader arm tells targets of joints: its group is absolute, and no pose')
            self.leader.check_fits(len(self.dimensions))
        if self.output.joints is not None:
            missing = [name for name in self.names if name not in self.output.joints]
            if missing:
                raise ValueError(f'output.joints {list(self.output.joints)} lacks the dimensions {missing}')
        if self.box is not None:
            self.box.check_fits(self.output.adapter, {dimension.unit for dimension in self.dimensions})
        if self.max_tracking_error is not None and self.feedback is None:
            raise ValueError('max_tracking_error compares commands with feedback, so the group needs feedback')
        for dimension in self.dimensions:
            if self.kind == 'delta' and dimension.offset != 0.0:
                raise ValueError(f'dimension {dimension.name!r} is a displacement, which has a scale and no offset')
            if self.kind == 'delta' and not dimension.lower <= 0 <= dimension.upper:
                raise ValueError(f'dimension {dimension.name!r} excludes 0, the displacement that stands still')
            limited = dimension.max_step is not None or dimension.max_step_change is not None
            if self.kind == 'absolute' and limited and self.feedback is None:
                raise ValueError(
                    f'dimension {dimension.name!r} limits its step, so the group needs feedback to start '
                    'from where the robot is'
                )
        return self

    def _check_targets(self) -> None:
        # Every stop repeats the last target or falls silent. A speed or a force would go on with that.
        for dimension in self.dimensions:
            for unit in (dimension.unit, dimension.message_unit or ''):
                if '/s' in unit or unit in NO_PLACES:
                    raise ValueError(
                        f'dimension {dimension.name!r} is in {unit!r}, and the adapter {self.output.adapter!r} '
                        'commands places: a stop holds the last command, with which a speed or a force would go on. '
                        'Command positions, or displacements with the adapter twist'
                    )

    def _check_pose(self) -> None:
        if self.names not in POSE_TARGETS:
            raise ValueError(
                f'a pose has the dimensions {list(TWIST_NAMES)} (a rotation vector) or '
                f'{list(ROTATION_6D_NAMES)} after x, y, z, not {list(self.names)}'
            )
        for dimension in self.dimensions:
            expected = 'm' if dimension.name in 'xyz' else 'rad' if self.names == TWIST_NAMES else '1'
            if dimension.unit != expected:
                raise ValueError(f'dimension {dimension.name!r} of a pose is in {expected!r}')
            if dimension.name not in TWIST_NAMES[:3] and dimension.conversion != (1.0, 0.0):
                raise ValueError(f'dimension {dimension.name!r} turns the hand; a rotation cannot be scaled')
        if not self.output.frame_id:
            raise ValueError("a pose needs output.frame_id, the frame of its numbers, such as 'base_link'")
        if self.feedback is None:
            raise ValueError('a pose needs feedback, a state of type pose, to start from where the hand is')

    def _check_initial(self, initial: tuple[float, ...]) -> None:
        if self.kind == 'delta':
            raise ValueError('a group of displacements stands still before its first command and needs no initial')
        if len(initial) != len(self.dimensions):
            raise ValueError(f'initial has {len(initial)} numbers for {len(self.dimensions)} dimensions')
        for dimension, value in zip(self.dimensions, initial, strict=True):
            if not dimension.lower <= value <= dimension.upper:
                raise ValueError(
                    f'initial {value} of {dimension.name!r} is beyond {dimension.lower} to {dimension.upper}'
                )


class Observation(_Section):
    """Everything the policy may look at."""

    cameras: tuple[Camera, ...] = ()
    states: tuple[State, ...] = ()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Cameras, then states."""
        return (*self.cameras, *self.states)

    @model_validator(mode='after')
    def _some_stream(self) -> Observation:
        names = [stream.name for stream in self.streams]
        if not names:
            raise ValueError('name at least one camera or state')
        _refuse_repeats(names, 'streams')
        return self


class Contract(_Section):
    """A robot as recorder, converter, trainer and nodes see it."""

    robot: Name
    rate: float = Field(ge=0.1, le=1000, allow_inf_nan=False, description='Actions per second (Hz).')
    control_rate: float | None = Field(
        None, ge=0.1, le=1000, allow_inf_nan=False, description='Commands per second (Hz), a multiple of rate.'
    )
    max_chunk_length: int = Field(256, ge=1, le=4096, description='Actions of the longest chunk that is accepted.')
    observation: Observation
    goal_topic: Topic = Field('goal', description='std_msgs/String, transient local: the task in plain language.')
    action: tuple[ActionGroup, ...] = Field(min_length=1)
    self_collision: SelfCollision | None = Field(None, description="Judged from the robot's description, with pin.")

    @model_validator(mode='after')
    def _consistent(self) -> Contract:
        _refuse_repeats([group.name for group in self.action], 'action groups')
        _refuse_repeats(self.action_names, 'action dimensions')
        self._check_boxes()
        self._refuse_two_types()
        self._check_shared_outputs()
        self._refuse_uneven_rates()
        states = {state.name: state for state in self.observation.states}
        for group in self.action:
            if group.feedback is None:
                continue
            if group.feedback not in states:
                raise ValueError(
                    f'action group {group.name!r} has feedback {group.feedback!r}, which is no state '
                    f'(states: {sorted(states)})'
                )
            if group.output.adapter == 'pose':
                if states[group.feedback].type != 'pose':
                    raise ValueError(f'feedback {group.feedback!r} of the pose {group.name!r} is no state of type pose')
                _refuse_other_length(states[group.feedback], f'is the feedback of the pose {group.name!r}')
                continue
            missing = set(group.names) - set(states[group.feedback].names)
            if missing:
                raise ValueError(
                    f'feedback {group.feedback!r} of action group {group.name!r} does not measure {sorted(missing)}'
                )
            for dimension in group.dimensions:
                measured = states[group.feedback].unit
                if is_other_size(measured, dimension.unit):
                    raise ValueError(
                        f'{dimension.name!r} of the action group {group.name!r} is commanded in {dimension.unit!r}, '
                        f'and its feedback {group.feedback!r} is in {measured!r}: give both one unit, and say what the '
                        'messages are in with message_unit'
                    )
        return self

    def _check_boxes(self) -> None:
        poses = sorted(state.name for state in self.observation.states if state.type == 'pose')
        for group in self.action:
            if group.box is not None and group.box.state is not None and group.box.state not in poses:
                raise ValueError(
                    f'the box of the action group {group.name!r} is measured by {group.box.state!r}, which is no pose '
                    f'(poses: {poses})'
                )
            if group.box is not None and group.box.state is not None:
                use = f'measures the box of the action group {group.name!r}'
                _refuse_other_length(self.state(group.box.state), use)

    def _check_shared_outputs(self) -> None:
        """Groups that share a topic leave in one message; what cannot be one is refused."""
        for topic, groups in self.outputs.items():
            first, which = groups[0].output, ' and '.join(repr(group.name) for group in groups)
            if len(groups) > 1 and first.adapter not in ('joint_trajectory', 'forward_command'):
                raise ValueError(
                    f'the action groups {which} share the topic {topic!r}, and two commands of the adapter '
                    f'{first.adapter!r} cannot be one message; give each a topic of its own'
                )
            if len({group.output.joints for group in groups}) > 1 or (
                len(groups) > 1 and first.adapter == 'forward_command' and first.joints is None
            ):
                raise ValueError(
                    f'the action groups {which} share the array on {topic!r}, whose numbers have no names: give both '
                    'the same output.joints, the names of all its numbers in their order'
                )
            names = [name for group in groups for name in group.names]
            if len(groups) > 1:
                _refuse_repeats(names, f'the action groups {which}, which share the topic {topic!r},')
            untold = [name for name in first.joints or () if name not in names]
            if untold:
                raise ValueError(f'no action group commands {untold}, which output.joints says are on {topic!r}')

    def _refuse_uneven_rates(self) -> None:
        ratio = (self.control_rate or self.rate) / self.rate
        if ratio < 1 or abs(ratio - round(ratio)) > 1e-9 * ratio:
            raise ValueError(f'control_rate {self.control_rate} Hz is not a multiple of rate {self.rate} Hz')

    def _refuse_two_types(self) -> None:
        """ROS gives a topic one message type; a second one would end a node while it starts."""
        users = [(name, kind, 'the nodes') for name, kind in _NODES_TOPICS.items()]
        users.append((self.goal_topic, 'std_msgs/msg/String', 'goal_topic'))
        users += [(camera.topic, camera.message_type, f'camera {camera.name!r}') for camera in self.observation.cameras]
        users += [(state.topic, state.message_type, f'state {state.name!r}') for state in self.observation.states]
        users += [
            (group.output.topic, group.output.message_type, f'action group {group.name!r}') for group in self.action
        ]
        users += [
            (group.leader.topic, group.leader.message_type, f'the leader of {group.name!r}')
            for group in self.action
            if group.leader is not None
        ]
        first: dict[str, tuple[str, str]] = {}
        for topic, kind, user in users:
            # With and without the slash they are one topic, unless the nodes are in a namespace.
            known, knower = first.setdefault(topic.lstrip('/'), (kind, user))
            if known != kind:
                raise ValueError(
                    f'the topic {topic!r} is {known} for {knower} and {kind} for {user}; a topic has one message type, '
                    'so give one of them another topic'
                )

    @property
    def outputs(self) -> dict[str, tuple[ActionGroup, ...]]:
        """Topics of commands, and the groups whose commands leave there together."""
        topics = dict.fromkeys(group.output.topic for group in self.action)
        return {topic: tuple(group for group in self.action if group.output.topic == topic) for topic in topics}

    @property
    def commands_per_action(self) -> int:
        """Commands sent in the period of one action; 1 without control_rate."""
        return round((self.control_rate or self.rate) / self.rate)

    @property
    def command_seconds(self) -> float:
        """Seconds from one command to the next."""
        return self.period_seconds / self.commands_per_action

    @property
    def period(self) -> int:
        """Nanoseconds from one action to the next."""
        return round(NANOSECONDS / self.rate)

    @property
    def period_seconds(self) -> float:
        return 1.0 / self.rate

    @property
    def motion_delay(self) -> int:
        """Nanoseconds from a command to its motion, of the slowest group."""
        return round(max(group.output.delay for group in self.action) * NANOSECONDS)

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """All action dimensions, group after group: the order of every action vector."""
        return tuple(dimension for group in self.action for dimension in group.dimensions)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the action's numbers, each once: 'group.name' where two groups have dimensions of one name."""
        return tuple(name for names in self.group_action_names.values() for name in names)

    @property
    def group_action_names(self) -> dict[str, tuple[str, ...]]:
        """The same, group by group. Messages always carry the plain names of the group."""
        plain = [dimension.name for dimension in self.dimensions]
        return {
            group.name: tuple(f'{group.name}.{n}' if plain.count(n) > 1 else n for n in group.names)
            for group in self.action
        }

    @cached_property
    def delta_mask(self) -> NDArray[np.bool_]:
        """[d], True where an action is a displacement."""
        return np.array([group.kind == 'delta' for group in self.action for _ in group.dimensions])

    @property
    def group_slices(self) -> dict[str, slice]:
        """Where each group lies in the action vector."""
        slices, start = {}, 0
        for group in self.action:
            slices[group.name] = slice(start, start + len(group.dimensions))
            start += len(group.dimensions)
        return slices

    def camera(self, name: str) -> Camera:
        return next(camera for camera in self.observation.cameras if camera.name == name)

    def state(self, name: str) -> State:
        return next(state for state in self.observation.states if state.name == name)


def load_contract(path: Path | str) -> Contract:
    """Reads a contract; a UserError names the file and every key that does not fit."""
    return parse_contract(read_contract_text(path), str(path))


def read_contract_text(path: Path | str) -> str:
    """The file's text, as it is stored in bags, data sets and checkpoints."""
    return read_text(path, _WHAT)


def parse_contract(text: str, source: str) -> Contract:
    """The contract in `text`; `source` names it in errors."""
    return read_settings(text, Contract, f'{_WHAT} {source}')


# How actions become commands: no policy learns it, so it may be changed after a training.
_NOT_LEARNED = {'control_rate', 'max_chunk_length', 'max_jerk', 'max_tracking_error', 'publishers'}
# Where the robot may go is the laboratory's to say, too.
_NOT_LEARNED_SECTIONS = re.compile(r'^(action\.[^.]+\.(box|output\.(delay|joints))|self_collision)\b')


# What only says how recordings become data: a policy that runs is none the wiser.
_OF_RECORDINGS = re.compile(r'^action\.[^.]+\.(initial|source|leader)\b|^observation\.states\.[^.]+\.(lower|upper)\b')


def differences(ours: Contract, theirs: Contract, running: bool = False) -> list[str]:
    """Every field in which two contracts disagree, as 'path: ours, not theirs'; empty when they agree.

    What only tells how actions become commands (control rate, jerk, tracking error, longest chunk, the output's
    delay, names of a shared array) and where the robot may be (box, self-collision, publishers) may differ. Two ways to
    write one conversion of units are one. running: for a policy that is to run, what only says how recordings become
    data (initial, from, leader, bounds of states) may differ, too.
    """
    return [
        line
        for line in _differences(_described(ours), _described(theirs), '')
        if line.split(':')[0].split('.')[-1] not in _NOT_LEARNED
        and not _NOT_LEARNED_SECTIONS.match(line)
        and not (running and _OF_RECORDINGS.match(line))
    ]


def _described(contract: Contract) -> dict[str, Any]:
    """Its fields; message_unit as the scale that it means."""
    found = contract.model_dump()
    sections: list[tuple[dict[str, Any], State | Dimension]] = []
    sections += zip(found['observation']['states'], contract.observation.states, strict=True)
    for group, part in zip(found['action'], contract.action, strict=True):
        sections += zip(group['dimensions'], part.dimensions, strict=True)
    for written, meant in sections:
        written['scale'], written['offset'] = meant.conversion
        written['message_unit'] = None
    return found


_ABSENT = object()


def _differences(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    ours, theirs = _by_name(ours), _by_name(theirs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            yield from _differences(ours.get(key, _ABSENT), theirs.get(key, _ABSENT), f'{path}.{key}'.lstrip('.'))
        # Equal parts in another order are another vector.
        if ours.keys() == theirs.keys() and list(ours) != list(theirs):
            yield f'{path}: the order {list(ours)}, not {list(theirs)}'
    elif ours != theirs:
        yield f'{path}: {_brief(ours)}, not {_brief(theirs)}'


def _by_name(value: Any) -> Any:
    # Streams, groups and dimensions are known by name: an inserted camera then reads as one difference, not many.
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
        return {item['name']: item for item in value}
    return value


def _brief(value: Any) -> str:
    if value is _ABSENT:
        return 'absent'
    return 'present' if isinstance(value, dict) else repr(list(value) if isinstance(value, tuple) else value)


def _refuse_other_length(state: State, use: str) -> None:
    # The numbers of a pose bear no names that an action has, so that they are not compared unit by unit: what measures
    # a hand or a box is in metres, as those are. A unit that is not known by name may be any length.
    if state.unit != 'm':
        raise ValueError(
            f"the pose {state.name!r} {use}, which is in 'm', and its own unit is {state.unit!r}: give it unit 'm', "
            'and say what the messages are in with message_unit, or with scale'
        )


def _refuse_repeats(names: Any, what: str) -> None:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise ValueError(f'{what} repeat {repeated}')
