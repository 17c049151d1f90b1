"""What is suspicious in the data of a training, said before its first step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mode_ros.checks.bounds import beyond_bounds, states_beyond_bounds
from mode_ros.checks.finding import Finding, unique
from mode_ros.checks.goals import coinciding, unknown_words
from mode_ros.checks.spread import action_floor, duplicates, gripper_still, nearly_constant, state_floor
from mode_ros.policy.language import TextEncoder, lost_words
from mode_ros.training.batches import Source
from mode_ros.training.data.dataset import Dataset


def data_findings(source: Source, encoder: TextEncoder) -> list[Finding]:
    """Of every data set, and of all goals together."""
    found = [Finding('left out', note) for note in source.selection.notes]
    for data in source.datasets:
        found += vector_findings(data)
    goals = list(source.goals)
    found += coinciding(goals, np.stack([embedding.numpy() for embedding in source.goals.values()]))
    found += unknown_words(goals, [lost_words(encoder, goal) for goal in goals])
    return unique(found)


def vector_findings(data: Dataset) -> Iterator[Finding]:
    """Of a data set's actions and states against its contract."""
    yield from (Finding('names', note) for note in data.notes)
    contract, where = data.contract, str(data.files.root)
    if contract is None:
        return
    yield from beyond_bounds(contract, data.actions, where)
    yield from nearly_constant(contract.action_names, data.actions, action_floor(contract), f'{where}, action')
    yield from duplicates(contract.action_names, data.actions, f'{where}, action')
    yield from gripper_still(contract, data.actions)
    for state in contract.observation.states:
        if data.streams.get(state.name) != len(state.names):
            continue
        values, what = data.state[:, data.columns(state.name)], f'{where}, state {state.name}'
        yield from states_beyond_bounds(contract, state.name, values, where)
        yield from nearly_constant(state.names, values, state_floor(contract, state.name), what)
        yield from duplicates(state.names, values, what)
