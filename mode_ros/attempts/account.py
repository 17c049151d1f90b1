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
    """What is in a data set. minutes: that a person drove; alone: episodes that succeeded without one; helped: with;
    failed: that did not.
    """

    minutes: float = 0.0
    episodes: int = 0
    alone: int = 0
    helped: int = 0
    failed: int = 0

    def __add__(self, other: Effort) -> Effort:
        return Effort(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Score:
    """One policy. name: of the round; effort: in all until then; results: of mode_ros evaluate."""

    name: str
    effort: Effort
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
    frames, alone, helped, failed = 0, 0, 0, 0
    for episode, success in zip(data.episodes, episode_success(data), strict=True):
        driven = int(np.asarray(data.rows(episode, [INTERVENTION])[INTERVENTION], bool).sum())
        frames += driven
        failed += success is False
        alone += success is not False and not driven
        helped += success is not False and driven > 0
    return Effort(frames / data.rate / 60, len(data.episodes), alone, helped, failed)


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
    head = ('', 'minutes of a person', 'attempts: alone, helped, failed', 'solved', '95 % interval', 'gained')
    rows = [_row('round ' + each.name, each, rounds[0]) for each in rounds]
    rows += [_row('demonstrations ' + each.name, each, rounds[0]) for each in controls]
    lines = ['| ' + ' | '.join(row) + ' |' for row in (head, ('---',) * len(head), *rows)]
    lines += ['', 'Gained: against round 0, in percentage points, from the same initial states in pairs (95 %).']
    for ours, theirs in zip(rounds[1:], controls, strict=False):
        apart, (low, high) = difference(theirs.results, ours.results)
        words = 'which may be chance' if low <= 0 <= high else 'which is not chance'
        lines.append(
            f'Round {ours.name} against demonstrations: {_points(apart)} ({_points(low)} to {_points(high)}), {words}.'
        )
    return '\n'.join(lines) + '\n'


def _row(name: str, score: Score, first: Score) -> tuple[str, ...]:
    mean, found = score.results['mean'], score.effort
    gained = ''
    if score is not first:
        apart, (low, high) = difference(first.results, score.results)
        gained = f'{_points(apart)} ({_points(low)} to {_points(high)})'
    counts = f'{found.alone}, {found.helped}, {found.failed}' if found.episodes else ''
    interval = f'{percent(mean["low"])} to {percent(mean["high"])}'
    return name, f'{found.minutes:.1f}', counts, percent(mean['rate']), interval, gained


def _points(share: float) -> str:
    return f'{100 * share:+.1f}'
