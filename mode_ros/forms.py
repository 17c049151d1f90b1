"""A form for people from a settings class: every key with its description, default, range and choices, as JSON values.

What is typed is text, read as on the command line (KEY=VALUE) and judged by the class itself, so that a form refuses
and lets through what a file would.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mode_ros.errors import UserError
from mode_ros.settings import findings

# Where a finding belongs to no field that is shown.
WHOLE = 'as a whole'

_NUMBERS = {int: 'whole', float: 'number', bool: 'truth'}
_BOUNDS = {'ge': 'from', 'gt': 'above', 'le': 'to', 'lt': 'below'}


def describe(model: type[BaseModel], prefix: str = '') -> list[dict[str, Any]]:
    """The fields of a settings class and of the sections in it, in their order.

    Each: key ('optimizer.learning_rate'), words, kind ('whole', 'number', 'truth', 'choice', 'text', 'value': YAML),
    choices, range ('from 0 below 1', '' where there is none) and optional: whether null is a value.
    """
    return [shown for name, field in model.model_fields.items() for shown in _shown(f'{prefix}{name}', field)]


def texts(values: Mapping[str, Any], keys: frozenset[str], prefix: str = '') -> dict[str, str]:
    """Plain nested values as the texts of a form's fields, by key. keys: those that are fields."""
    found: dict[str, str] = {}
    for name, value in values.items():
        key = f'{prefix}{name}'
        if key in keys:
            found[key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        elif isinstance(value, Mapping):
            found |= texts(value, keys, f'{key}.')
    return found


def problems(error: UserError, model: type[BaseModel], keys: frozenset[str]) -> dict[str, str]:
    """What mode_ros.settings.read_values refused, by the field or the section that it belongs to, else WHOLE."""
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return {WHOLE: str(error)}
    found: dict[str, str] = {}
    for place, words in findings(cause, model):
        key = _field_of(place, keys)
        found[key] = f'{found[key]}; {words}' if key in found else words
    return found


def _field_of(place: str, keys: frozenset[str]) -> str:
    """The field, or the section with fields, that a place such as 'optimizer.betas.0' lies in."""
    parts = place.split('.')
    for length in range(len(parts), 0, -1):
        key = '.'.join(parts[:length])
        if key in keys or any(other.startswith(f'{key}.') for other in keys):
            return key
    return WHOLE


def _shown(key: str, field: FieldInfo) -> Iterator[dict[str, Any]]:
    kind, optional = _without_none(field.annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from describe(kind, f'{key}.')
        return
    choices = [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []
    name = 'choice' if choices else 'text' if kind is str else _NUMBERS.get(kind, 'value')
    yield {
        'key': key,
        'words': field.description or '',
        'kind': name,
        'choices': choices,
        'range': '' if name == 'value' else _range(field),  # of a value's parts, not of it
        'optional': optional,
    }


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without `| None`, and whether it had one. An Annotated inside it is taken off."""
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    kept = [option for option in options if option is not type(None)]
    kind = kept[0] if len(kept) == 1 else annotation
    return (get_args(kind)[0] if hasattr(kind, '__metadata__') else kind), len(kept) < len(options)


def _range(field: FieldInfo) -> str:
    inside = [getattr(part, '__metadata__', ()) for part in get_args(field.annotation)]
    constraints = [*field.metadata, *(each for group in inside for each in group)]
    # A Field within an Annotated keeps its constraints in a list of its own.
    flat = [each for part in constraints for each in (part.metadata if isinstance(part, FieldInfo) else [part])]
    said = [
        f'{words} {getattr(each, name):g}' for name, words in _BOUNDS.items() for each in flat if hasattr(each, name)
    ]
    return ' '.join(said)
