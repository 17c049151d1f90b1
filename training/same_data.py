"""A training goes on with the data that it began with: what would otherwise change below its weights is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.checks.finding import listed
from mode_ros.control.contract import differences, parse_contract
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo
from mode_ros.policy.normalization import StreamStatistics

# Another machine may add up in another order.
_ROUNDING = 1e-5


def check_same_data(
    folder: Path,
    before: CheckpointInfo,
    noted: Sequence[Mapping[str, Any]] | None,
    now: CheckpointInfo,
    outline: Sequence[Mapping[str, Any]],
) -> None:
    """Raise UserError unless a training that saved `before` and `noted` in its checkpoint `folder` finds them again.

    noted, outline: Source.outline then and now; None of a checkpoint from before it was kept.
    """
    found = (
        _contracts(before, now, folder)
        or ([] if noted is None or not all('drawn' in each for each in noted) else list(_outlines(noted, outline)))
        or list(_values('policy', before.config.model_dump(), now.config.model_dump()))
        or _goals(before, now)
        or list(_statistics(before, now))
    )
    if found:
        raise UserError(
            f'The training in {folder.parents[1]} began with other data: {"; ".join(found[:5])}. Take the data back '
            f'as they were, or begin anew from its policy with start.checkpoint={folder} and another --output.'
        )


def _contracts(before: CheckpointInfo, now: CheckpointInfo, folder: Path) -> list[str]:
    if before.contract_text == now.contract_text:
        return []
    theirs = parse_contract(before.contract_text, f'of the checkpoint {folder}')
    return [
        f'the contract has {line}' for line in differences(parse_contract(now.contract_text, 'of the data'), theirs)
    ]


def _outlines(noted: Sequence[Mapping[str, Any]], outline: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(noted) != len(outline):
        yield f'there were {len(noted)} data sets and are {len(outline)}'
        return
    for then, here in zip(noted, outline, strict=True):
        name = here['data']
        if len(then['lengths']) != len(here['lengths']):
            yield f'{name} had {len(then["lengths"])} episodes and has {len(here["lengths"])}'
            continue
        for key, words in (
            ('lengths', 'of another length'),
            ('usable', 'marked otherwise'),
            ('held_out', 'held out or learnt from instead'),
            ('goals', 'told otherwise'),
        ):
            other = [number for number, pair in enumerate(zip(then[key], here[key], strict=True)) if pair[0] != pair[1]]
            if other:
                yield f'in {name} the episodes {listed(other)} are {words}'
        for key, words in (('weight', 'share of the samples'), ('moments', 'number of moments to learn from')):
            if then[key] != here[key]:
                yield f'the {words} of {name} was {then[key]:g} and is {here[key]:g}'
        if then['drawn'] != here['drawn']:
            yield f'in {name} other frames were driven by a person, or count otherwise'


def _values(name: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        for key, value in before.items():
            yield from _values(f'{name}.{key}', value, now[key])
    elif before != now:
        yield f'{name} was {before!r} and is {now!r}'


def _goals(before: CheckpointInfo, now: CheckpointInfo) -> list[str]:
    """Checkpoints of before do not tell their goals."""
    came, went = set(now.goals) - set(before.goals), set(before.goals) - set(now.goals)
    if not before.goals or not (came or went):
        return []
    return [f'the goal {min(went)!r} is not there any more' if went else f'the goal {min(came)!r} is new']


def _statistics(before: CheckpointInfo, now: CheckpointInfo) -> Iterator[str]:
    then, here = before.statistics, now.statistics
    yield from _stream('the actions', then.action, here.action)
    for name in sorted(then.state.keys() | here.state.keys()):
        if name not in then.state or name not in here.state:
            yield f'the state {name!r} is {"new" if name in here.state else "not there any more"}'
        else:
            yield from _stream(f'the state {name!r}', then.state[name], here.state[name])


def _stream(what: str, before: StreamStatistics, now: StreamStatistics) -> Iterator[str]:
    spread = np.subtract(before.max, before.min)
    for name in ('min', 'max', 'mean', 'std', 'q01', 'q99'):
        then, here = np.asarray(getattr(before, name)), np.asarray(getattr(now, name))
        if then.shape != here.shape:
            yield f'{what} were {len(then)} numbers and are {len(here)}'
            return
        other = np.flatnonzero(np.abs(then - here) > _ROUNDING * np.maximum(spread, np.abs(then)))
        if len(other):
            first = other[0]
            yield f'the {name} of number {first} of {what} was {then[first]:.6g} and is {here[first]:.6g}'
            return
