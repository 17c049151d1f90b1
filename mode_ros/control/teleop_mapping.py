"""Which key or button does what: a YAML file per device, checked when it is read.

Inputs are written as `axis1`, `-axis1` (the other way round) and `button4` for a joystick, numbered as in
sensor_msgs/Joy, and as single characters or `space`, `tab`, `enter`, `backspace`, `up`, `down`, `left`, `right` for a
keyboard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mode_ros.control.contract import Contract
from mode_ros.errors import UserError
from mode_ros.settings import load_settings

KEY_NAMES = ('space', 'tab', 'enter', 'backspace', 'up', 'down', 'left', 'right')
# Stands for the joint that is chosen at the moment.
SELECTED = 'selected'

_AXIS = re.compile(r'^-?axis\d+$')
_BUTTON = re.compile(r'^button\d+$')

Speed = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class Motion(_Section):
    """One dimension of the action and what moves it."""

    dimension: str = Field(description=f"An action name of the contract, or '{SELECTED}'.")
    axis: str | None = Field(None, description='A joystick axis.')
    plus: str | None = Field(None, description='A key or button that moves it up.')
    minus: str | None = Field(None, description='A key or button that moves it down.')
    speed: Speed = Field(description="At full deflection and speed 1, in the dimension's unit per second.")
    optional: bool = Field(False, description='Left out where the contract has no such dimension.')

    @model_validator(mode='after')
    def _moved_by_something(self) -> Motion:
        if (self.axis is None) == (self.plus is None and self.minus is None):
            raise ValueError(f'{self.dimension!r} is moved either by an axis or by plus and minus')
        return self


class Select(_Section):
    """Choosing the joint that `selected` stands for."""

    next: str
    previous: str
    group: str = Field('', description="The action group to choose from (default: the contract's first).")


class Gripper(_Section):
    """A group that is opened and closed."""

    group: str
    input: str
    mode: Literal['toggle', 'hold'] = Field('toggle', description='hold: closed while the input is held.')
    open: Literal['lower', 'upper'] | float = Field(description='The bound, or the value, at which it is open.')
    closed: Literal['lower', 'upper'] | float
    optional: bool = Field(False, description='Left out where the contract has no such group.')


class Speeds(_Section):
    """Steps of speed."""

    faster: str
    slower: str
    steps: tuple[Share, ...] = Field((0.1, 0.25, 0.5, 1.0), min_length=1)
    start: Share = Field(0.5, description='One of the steps.')

    @model_validator(mode='after')
    def _start_is_a_step(self) -> Speeds:
        if self.start not in self.steps:
            raise ValueError(f'start {self.start} is none of the steps {list(self.steps)}')
        return self


class RecorderInputs(_Section):
    """What calls the recorder's services."""

    start: str
    stop: str
    discard: str
    success: str
    failure: str


class TeleopMapping(_Section):
    """A device's keys or buttons and what they do."""

    device: Literal['joystick', 'keyboard']
    deadman: str = Field(description='Joystick: held while driving. Keyboard: takes over, and gives back.')
    motions: tuple[Motion, ...] = Field(min_length=1)
    deadzone: float = Field(0.1, ge=0, lt=1, description='Deflections below it count as none.')
    speeds: Speeds
    select: Select | None = None
    grippers: tuple[Gripper, ...] = ()
    recorder: RecorderInputs | None = None

    @model_validator(mode='after')
    def _consistent(self) -> TeleopMapping:
        used: dict[str, str] = {}
        for what, name in self._inputs():
            problem = self._problem(what, name)
            if problem:
                raise ValueError(f'{what}: {problem}')
            plain = name.removeprefix('-') if _AXIS.match(name) else name
            if plain in used:
                raise ValueError(f'{name!r} is given to {used[plain]} and to {what}')
            used[plain] = what
        if self.select is None and any(motion.dimension == SELECTED for motion in self.motions):
            raise ValueError(f"a motion of '{SELECTED}' needs select, to choose the joint")
        return self

    def _inputs(self) -> Iterator[tuple[str, str]]:
        yield 'deadman', self.deadman
        for motion in self.motions:
            for part in ('axis', 'plus', 'minus'):
                if getattr(motion, part) is not None:
                    yield f'{part} of {motion.dimension}', getattr(motion, part)
        for gripper in self.grippers:
            yield f'gripper {gripper.group}', gripper.input
        for section in (self.speeds, self.select, self.recorder):
            if section is not None:
                for part in ('faster', 'slower', 'next', 'previous', *RecorderInputs.model_fields):
                    if isinstance(getattr(section, part, None), str):
                        yield part, getattr(section, part)

    def _problem(self, what: str, name: str) -> str:
        if self.device == 'keyboard':
            if what.startswith('axis'):
                return 'a keyboard has no axes; give plus and minus'
            if name not in KEY_NAMES and not (len(name) == 1 and name.isprintable() and name != ' '):
                return f'{name!r} is no key; give one character, or one of {list(KEY_NAMES)}'
        elif what.startswith('axis') and not _AXIS.match(name):
            return f'{name!r} is no axis such as axis1 or -axis1'
        elif not what.startswith('axis') and not _BUTTON.match(name):
            return f'{name!r} is no button such as button4'
        return ''

    def check_fits(self, contract: Contract, source: str) -> None:
        """Raises UserError for a dimension or group that the contract has not; `source` names the mapping."""
        groups = {group.name: group for group in contract.action}
        for motion in self.motions:
            if motion.dimension not in (*contract.action_names, SELECTED) and not motion.optional:
                raise UserError(
                    f'The mapping {source} moves {motion.dimension!r}, which the contract of {contract.robot} has not; '
                    f'it has {list(contract.action_names)}. Choose another mapping, or copy this one and change it.'
                )
        named = [gripper.group for gripper in self.grippers if not gripper.optional]
        if self.select is not None and self.select.group:
            named.append(self.select.group)
        for name in named:
            if name not in groups:
                raise UserError(
                    f'The mapping {source} names the action group {name!r}, which the contract of {contract.robot} has '
                    f'not; it has {list(groups)}. Copy the mapping and change it.'
                )
        for gripper in self.grippers:
            if gripper.group in groups and groups[gripper.group].kind != 'absolute':
                raise UserError(
                    f'The mapping {source} opens and closes {gripper.group!r}, which the contract of {contract.robot} '
                    'moves by displacements; write it as motions.'
                )


def load_mapping(path: Path) -> TeleopMapping:
    """Reads a mapping; a UserError names the file and every key that does not fit."""
    return load_settings(path, TeleopMapping, 'The teleoperation mapping')
