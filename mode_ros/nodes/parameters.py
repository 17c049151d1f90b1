"""ROS parameters declared once, as the fields of a frozen dataclass.

    @dataclass(frozen=True)
    class Parameters:
        device: str = parameter('auto', 'Where the network runs.', choices=('auto', 'cpu', 'cuda'))

`read_parameters(node, Parameters)` declares them with type, description and range, refuses any override that is not
declared (ROS itself ignores a misspelt one in silence) and returns the values.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node

from mode_ros.errors import UserError

T = TypeVar('T')

# Declared by rclpy itself, depending on its version and the node's settings.
_ROS_OWN = ('use_sim_time', 'start_type_description_service', 'qos_overrides')

_TYPES = {
    bool: (ParameterType.PARAMETER_BOOL, 'true or false'),
    int: (ParameterType.PARAMETER_INTEGER, 'a whole number'),
    float: (ParameterType.PARAMETER_DOUBLE, 'a number with a decimal point, such as 30.0'),
    str: (ParameterType.PARAMETER_STRING, 'a text'),
}


def parameter(
    default: Any,
    description: str,
    *,
    unit: str = '',
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    read_only: bool = True,
) -> Any:
    """A dataclass field that is a ROS parameter. minimum and maximum are inclusive and in `unit`."""
    return dataclasses.field(
        default=default,
        metadata={
            'description': f'{description} ({unit})' if unit else description,
            'minimum': minimum,
            'maximum': maximum,
            'choices': choices,
            'read_only': read_only,
        },
    )


def read_parameters(node: Node, declaration: type[T]) -> T:
    """Declares the fields of `declaration` on `node` and returns their values.

    The node must have been made with automatically_declare_parameters_from_overrides=True, which is how its
    overrides can be seen. Raises UserError for an unknown name and for a value of the wrong type or out of range.
    """
    fields = {field.name: field for field in dataclasses.fields(declaration)}  # type: ignore[arg-type]
    # Public API for 'what was given': all of it has been declared by the constructor.
    given = {name: node.get_parameter(name) for name in node.list_parameters([], 0).names}
    for name in given:
        if name not in fields and name.split('.')[0] not in _ROS_OWN:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f'did you mean {near[0]!r}?' if near else f'it has {sorted(fields)}.'
            raise UserError(f'{node.get_name()} has no parameter {name!r}; {hint}')
    values = {name: _declare(node, field, given.get(name)) for name, field in fields.items()}
    return declaration(**values)


def _declare(node: Node, field: dataclasses.Field[Any], given: Any) -> Any:
    kind = type(field.default)
    ros_type, in_words = _TYPES[kind]
    value = field.default
    if given is not None:
        value = given.value
        if type(value) is not kind:
            raise UserError(f'The parameter {field.name!r} of {node.get_name()} is {value!r}, which is not {in_words}.')
        node.undeclare_parameter(field.name)
    choices, minimum, maximum = (field.metadata[key] for key in ('choices', 'minimum', 'maximum'))
    if choices and value not in choices:
        raise UserError(f'The parameter {field.name!r} of {node.get_name()} is {value!r}; it can be {list(choices)}.')
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise UserError(
            f'The parameter {field.name!r} of {node.get_name()} is {value!r}; it goes from {minimum} to '
            f'{"any number" if maximum is None else maximum}.'
        )
    descriptor = ParameterDescriptor(
        name=field.name,
        type=ros_type,
        description=field.metadata['description'],
        read_only=field.metadata['read_only'],
        additional_constraints=f'one of {list(choices)}' if choices else '',
    )
    if minimum is not None or maximum is not None:
        _set_range(descriptor, kind, minimum, maximum)
    try:
        node.declare_parameter(field.name, value, descriptor, ignore_override=True)
    except InvalidParameterTypeException as error:  # pragma: no cover - excluded by the checks above
        raise UserError(str(error)) from error
    return value


def _set_range(descriptor: ParameterDescriptor, kind: type, minimum: float | None, maximum: float | None) -> None:
    if kind is int:
        descriptor.integer_range = [
            IntegerRange(from_value=int(minimum or 0), to_value=2**31 - 1 if maximum is None else int(maximum))
        ]
    else:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(minimum or 0.0), to_value=1e9 if maximum is None else float(maximum))
        ]
