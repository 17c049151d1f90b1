"""What a data set says of itself, held to what can be: before it is used, so that everything later may rely on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.training.data.layout import ACTION, EXTRAS, INFO, STATE


def check_features(root: Path, features: Any) -> dict[str, Any]:
    """The features of meta/info.json; UserError for one without a type, and vectors without a length."""
    if not isinstance(features, Mapping) or not features:
        raise _wrong(root, f'its features are {_brief(features)}, not columns by name')
    for name, feature in features.items():
        if not isinstance(feature, Mapping) or not isinstance(feature.get('dtype'), str):
            raise _wrong(root, f'the feature {name!r} is {_brief(feature)}, and has no dtype')
    return dict(features)


def check_vectors(root: Path, features: Mapping[str, Any]) -> None:
    """UserError where actions or states are no lists of numbers of one length."""
    for name in (ACTION, STATE):
        shape = features[name].get('shape') if name in features else [1]
        whole = isinstance(shape, Sequence) and len(shape) == 1 and all(isinstance(n, int) and n > 0 for n in shape)
        if not whole:
            raise _wrong(
                root, f'the feature {name!r} has the shape {_brief(shape)}, and a list of numbers has one, as [7]'
            )


def check_extras(root: Path, extras: Any, features: Mapping[str, Any]) -> dict[str, Any]:
    """What meta/mode_ros.json says; UserError where it is none, or its state streams are not those of the data."""
    if not isinstance(extras, dict):
        raise UserError(f'{root / EXTRAS} is damaged: it holds {_brief(extras)}. Convert the data set again.')
    streams = extras.get('state_streams')
    if streams is None:
        return extras
    sound = isinstance(streams, dict) and all(isinstance(size, int) and size > 0 for size in streams.values())
    size = features[STATE]['shape'][0] if STATE in features else 0
    if not sound or sum(streams.values()) != size:
        raise UserError(
            f'{root / EXTRAS} says that the state has the streams {_brief(streams)}, and its frames have {size} '
            'numbers of state. Convert the data set again.'
        )
    return extras


def check_tasks(root: Path, rows: Sequence[tuple[Any, Any]]) -> dict[int, str]:
    """rows: (task_index, task). UserError for what is no sentence, and two sentences with one number."""
    found: dict[int, str] = {}
    for number, task in rows:
        if not isinstance(task, str):
            raise UserError(
                f'Task {number} of the data set {root} is {_brief(task)}: name it in words in its task table.'
            )
        if found.setdefault(int(number), task) != task:
            raise UserError(
                f'The task table of the data set {root} has two tasks of the number {number}, {found[int(number)]!r} '
                f'and {task!r}, so that nobody knows which was done: number them anew.'
            )
    return found


def check_listed_once(root: Path, numbers: Sequence[int]) -> None:
    """UserError for an episode that is listed twice, which would count twice."""
    seen: set[int] = set()
    for number in numbers:
        if number in seen:
            raise UserError(
                f'The data set {root} lists episode {number} twice in its episode table, so that it would count twice: '
                'take one out, or copy the data set again.'
            )
        seen.add(number)


def _wrong(root: Path, why: str) -> UserError:
    return UserError(f'The data set {root} is described wrongly in {INFO}: {why}.')


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
