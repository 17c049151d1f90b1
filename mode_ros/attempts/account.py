"""What a person's time brought: minutes of correcting counted from data sets, and success before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.errors import UserError
from mode_ros.evaluation.results import percent
from mode_ros.evaluation.statistics import Interval, paired_difference_interval
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.labels import episode_success
from mode_ros.training.data.layout import INTERVENTION


@dataclass(frozen=True)
class Effort:
    """What is in a data set. minutes: that a person drove, of those it holds in all; alone: episodes that succeeded
    without one; helped: with; failed: that did not.
    """

    minutes: float
    in_all: float
    episodes: int
    alone: int
    helped: int
    failed: int


@dataclass(frozen=True)
class Score:
    """One policy. name: of the round; minutes: of a person, up to it; attempts: of the round, None where nobody tried;
    results: of mode_ros evaluate.
    """

    name: str
    minutes: float
    attempts: Effort | None
    results: Mapping[str, Any]


def check_told(data: DataFiles) -> None:
    """Raises UserError where a data set's frames do not tell who drove."""
    if INTERVENTION not in data.features:
        raise UserError(
            f'The data set {data.root} does not tell who drove; convert its recordings with `mode_ros convert`.'
        )


def effort(root: Path) -> Effort:
    """Counted from a data set's frames; UserError where they do not tell who drove."""
    data = DataFiles(root)
    check_told(data)
    frames = in_all = alone = helped = failed = 0
    for episode, success in zip(data.episodes, episode_success(data), strict=True):
        driven = int(np.asarray(data.rows(episode, [INTERVENTION])[INTERVENTION], bool).sum())
        frames += driven
        in_all += episode.length
        failed += success is False
        alone += success is not False and not driven
        helped += success is not False and driven > 0
    minutes = 60 * data.rate
    return Effort(frames / minutes, in_all / minutes, len(data.episodes), alone, helped, failed)


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[float, Interval]:
    """The second rate minus the first, with its 95 % interval; both met the same initial states.

    Raises UserError where they did not.
    """
    a, b = ({(e['task'], e['seed']): bool(e['success']) for e in each['episodes']} for each in (first, second))
    if a.keys() != b.keys():
        raise UserError('The evaluations have different episodes, so that they are no pairs; evaluate them alike.')
    pairs = [a[key] for key in a], [b[key] for key in a]
    apart = (sum(pairs[1]) - sum(pairs[0])) / len(a)
    return apart, paired_difference_interval(*pairs)


def table(rounds: Sequence[Score], controls: Sequence[Score]) -> str:
    """Markdown: success against a person's minutes, of corrections and of as many minutes of new demonstrations.

    rounds: of which the first is the policy begun with; controls: from the second round on.
    """
    head = ('', 'minutes so far', 'attempts: alone, helped, failed', 'solved', '95 % interval', 'gained')
    rows = [_row('round ' + each.name, each, rounds[0]) for each in rounds]
    rows += [_row('demonstrations ' + each.name, each, rounds[0]) for each in controls]
    lines = ['| ' + ' | '.join(row) + ' |' for row in (head, ('---',) * len(head), *rows)]
    lines += [
        '',
        'Minutes: that a person, or an expert in their place, drove. Gained: against round 0, in percentage points, '
        'from the same initial states in pairs (95 %). The intervals hold what other initial states change; another '
        'seed of the training may change as much, and the further steps of a round bring something of their own.',
    ]
    for ours, theirs in zip(rounds[1:], controls, strict=False):
        apart, (low, high) = difference(theirs.results, ours.results)
        words = 'no more than' if low <= 0 <= high else 'more than'
        lines.append(
            f'Round {ours.name} against demonstrations: {_points(apart)} ({_points(low)} to {_points(high)}), {words} '
            'other initial states may change.'
        )
    return '\n'.join(lines) + '\n'


def _row(name: str, score: Score, first: Score) -> tuple[str, ...]:
    mean, found = score.results['mean'], score.attempts
    gained = ''
    if score is not first:
        apart, (low, high) = difference(first.results, score.results)
        gained = f'{_points(apart)} ({_points(low)} to {_points(high)})'
    counts = f'{found.alone}, {found.helped}, {found.failed}' if found else ''
    interval = f'{percent(mean["low"])} to {percent(mean["high"])}'
    return name, f'{score.minutes:.1f}', counts, percent(mean['rate']), interval, gained


def _points(share: float) -> str:
    return f'{100 * share:+.1f}'
