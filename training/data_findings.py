"""What is suspicious in the data of a training, said before its first step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from mode_ros.checks.bounds import beyond_bounds, states_beyond_bounds
from mode_ros.checks.depth import empty_depth
from mode_ros.checks.described import beyond_description
from mode_ros.checks.finding import Finding, listed, unique
from mode_ros.checks.goals import are_plain, coinciding, unknown_words
from mode_ros.checks.spread import action_floor, duplicates, gripper_still, nearly_constant, state_floor
from mode_ros.errors import UserError
from mode_ros.policy.goals import lost_words, normalize_sentence
from mode_ros.policy.language import MiniLmTextEncoder, TextEncoder
from mode_ros.training.batches import Source
from mode_ros.training.data.dataset import Dataset
from mode_ros.training.data.depth_shares import shares_of_data_set
from mode_ros.training.data.description import limits_told


def data_findings(source: Source, encoder: TextEncoder) -> list[Finding]:
    """Of every data set, and of all goals together."""
    found = [Finding('left out', note) for note in source.selection.notes]
    found += shared_episodes(source)
    for data in source.datasets:
        found += vector_findings(data)
        found += empty_depth(shares_of_data_set(data.files), str(data.files.root))
    return unique(found + goal_findings(list(source.goals), encoder))


def shared_episodes(source: Source) -> list[Finding]:
    """Episodes that two data sets of a mixture have, as a data set and its copy, or an edited one and its original."""
    found = []
    selected = zip(source.selection.recordings, source.selection.usable, strict=True)
    own = [set(np.asarray(names)[usable]) for names, usable in selected]
    for one, other in combinations(range(len(own)), 2):
        count, roots = len(own[one] & own[other]), [source.datasets[k].files.root for k in (one, other)]
        if count:
            found.append(
                Finding(
                    'copies',
                    f'{count} of {len(own[other])} episodes of {roots[1]} are in {roots[0]}, too, and count twice: '
                    'take one of the two out of the mixture, or leave these out of one.',
                )
            )
    return found


def goal_findings(goals: Sequence[str], encoder: TextEncoder) -> list[Finding]:
    """Sentences, normalised, that an encoder cannot tell apart, and what it does not see of them."""
    if not goals:
        return []
    found = coinciding(goals, encoder.encode(goals).numpy())
    return found + unknown_words(goals, [lost_words(encoder, goal) for goal in goals])


def spoken_findings(goals: Sequence[str]) -> list[Finding]:
    """The same of sentences as they were said, for the encoder that small trainings take; [] where it is missing."""
    sentences = sorted({normalize_sentence(goal) for goal in goals if goal.strip()})
    if are_plain(sentences):
        return []  # the encoder takes seconds to load
    try:
        return goal_findings(sentences, MiniLmTextEncoder())
    except UserError:
        return []


def vector_findings(data: Dataset) -> Iterator[Finding]:
    """Of a data set's actions and states against its contract."""
    yield from (Finding('names', note) for note in data.notes)
    contract, where = data.contract, str(data.files.root)
    empty = [number for number, task in data.files.tasks.items() if not task.strip()]
    if empty:
        yield Finding('goals', f'{where}: task {listed(empty)} has no words, and a policy is told its goal in words.')
    told = data.files.info.get('total_episodes')
    if isinstance(told, int) and told != len(data.files.episodes):
        yield Finding(
            'episodes',
            f'{where}: meta/info.json says that it has {told} episodes, and its episode table lists '
            f'{len(data.files.episodes)}: a part of it may be missing; copy it again.',
        )
    if contract is None:
        return
    if abs(data.rate - contract.rate) > 0.5:
        yield Finding('rate', f'{where} has {data.rate:g} frames per second, and its contract {contract.rate:g} Hz.')
    if data.actions.shape[1] != len(contract.dimensions):
        yield Finding(
            'names',
            f'{where}: its actions have {data.actions.shape[1]} numbers, and its contract {len(contract.dimensions)} '
            f'({list(contract.action_names)}): it is of another robot, or its contract is the wrong one.',
        )
        return
    yield from beyond_bounds(contract, data.actions, where)
    parts = contract.group_slices.values()
    yield from nearly_constant(contract.action_names, data.actions, action_floor(contract), f'{where}, action', parts)
    yield from duplicates(contract.action_names, data.actions, f'{where}, action')
    yield from gripper_still(contract, data.actions)
    for state in contract.observation.states:
        if data.streams.get(state.name) != len(state.names):
            continue
        values, what = data.state[:, data.columns(state.name)], f'{where}, state {state.name}'
        yield from states_beyond_bounds(contract, state.name, values, where)
        yield from nearly_constant(state.names, values, state_floor(contract, state.name), what)
        yield from duplicates(state.names, values, what)
    known = [state.name for state in contract.observation.states if data.streams.get(state.name) == len(state.names)]
    by_stream = {name: data.state[:, data.columns(name)] for name in known}
    yield from beyond_description(contract, limits_told(data.files.extras), data.actions, by_stream, where)
