"""YAML files into pydantic models: one strict reader, so that every settings file is refused in the same words.

A misspelt key, a key written twice and a value out of range are errors that name the key by its whole path, the value,
and for a misspelt key the nearest valid one.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from mode_ros.errors import UserError

Model = TypeVar('Model', bound=BaseModel)
Place = Sequence['int | str']  # how pydantic says where in the document a value is

# Values are named in full up to this many characters; a whole section given in the place of a number is not.
_LONGEST_VALUE = 80


def load_settings(path: Path | str, model: type[Model], what: str) -> Model:
    """The settings in the YAML file at `path`; raises as `read_settings` does, and for a file that cannot be read.

    what: begins the sentence of an error and is followed by the path, such as 'The mixture'.
    """
    return read_settings(read_text(path, what), model, f'{what} {path}')


def read_text(path: Path | str, what: str) -> str:
    """The UTF-8 text of a file; UserError names it if it cannot be read. what: as in `load_settings`."""
    try:
        return Path(path).read_text(encoding='utf-8')
    except OSError as error:
        why = error.strerror or str(error)
    except UnicodeDecodeError:
        why = 'it is not UTF-8 text'
    raise UserError(f'{what} {path} cannot be read: {why}. Give the path of a YAML file.')


def read_settings(text: str, model: type[Model], what: str) -> Model:
    """The settings that YAML `text` gives, as a `model`.

    what: begins the sentence of an error, such as 'The mixture mine.yaml'. Raises UserError, in one line, that names
    every key that is unknown (with the nearest valid one), missing, written twice or out of range. Unknown keys are
    refused where the model says `extra='forbid'`.
    """
    document = read_yaml(text, what)
    if not isinstance(document, dict):
        given = 'is empty' if document is None else f'holds {_brief(document)}'
        raise UserError(f'{what} {given}; it must be a YAML mapping with the keys {list(model.model_fields)}.')
    return read_values(document, model, what)


def read_values(values: Any, model: type[Model], what: str) -> Model:
    """As `read_settings`, from values that were read already (JSON, YAML with changes from the command line)."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f'{what} does not fit: {explain(error, model)}') from error


def read_yaml(text: str, what: str) -> Any:
    """The plain values in YAML `text`; UserError for a key written twice and for what is no YAML. what: as above."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = '' if mark is None else f' (line {mark.line + 1}, column {mark.column + 1})'
        raise UserError(f'{what} is not valid YAML: {error.problem or error.context}{place}.') from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2024-13-01
        raise UserError(f'{what} is not valid YAML: {" ".join(str(error).split())}.') from error


def explain(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Findings of pydantic as one line: `key.path: what is wrong; ...`.

    model: what was validated; with it an unknown key is answered with the nearest one that is valid in its place.
    """
    return '; '.join(f'{key}: {words}' for key, words in findings(error, model))


def findings(error: ValidationError, model: type[BaseModel] | None = None) -> list[tuple[str, str]]:
    """Findings of pydantic as (key.path, what is wrong); the key of what concerns all of it is 'as a whole'.

    model: as in `explain`.
    """
    found = error.errors()
    places = [each['loc'] for each in found]
    # Of a list whose entries are all wrong pydantic also says that it is too short.
    return [
        _finding(each, model)
        for each in found
        if each['type'] != 'too_short' or not any(_is_below(place, each['loc']) for place in places)
    ]


def _is_below(place: Place, other: Place) -> bool:
    return len(place) > len(other) and tuple(place[: len(other)]) == tuple(other)


def _finding(finding: Any, model: type[BaseModel] | None) -> tuple[str, str]:
    path = finding['loc']
    key = '.'.join(str(part) for part in path) or 'as a whole'
    if finding['type'] == 'extra_forbidden':
        return key, f'unknown key{_nearest(path, model)}'
    if finding['type'] == 'value_error':  # one of our own checks, which names the value itself
        return key, finding['msg'].removeprefix('Value error, ')
    message = finding['msg']
    if finding['type'] == 'missing':  # its input is the section around it
        return key, message
    if finding['type'] == 'model_type':  # pydantic's words are about classes
        message = 'Input should be a mapping of keys to values'
    return key, f'{message}, not {_brief(finding["input"])}'


def _nearest(path: Place, model: type[BaseModel] | None) -> str:
    if model is None:
        return ''
    known = sorted({field for section in _sections_at(path[:-1], model) for field in section.model_fields})
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f', did you mean {near[0]}?' if near else f' (known here: {", ".join(known)})' if known else ''


def _sections_at(path: Place, model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that a value at `path` may be one of: several where a field takes one of several sections."""
    sections = [model]
    for part in path:
        below = [section.model_fields[part] for section in sections if part in section.model_fields]
        if below:  # else part is the number of an item, a key of a mapping or the tag of a union: no level of models
            sections = [found for field in below for found in _models_in(field.annotation)]
    return sections


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else reprlib.repr(value)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key written twice, of which plain YAML keeps the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == 'tag:yaml.org,2002:merge':  # `<<: *defaults`: the keys beside it win by definition
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, f'{key!r} cannot be a key', key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key {key!r} is written twice', key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
