"""Two evaluations side by side: what one gained on the other, and whether it could be chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mode_ros.errors import UserError
from mode_ros.evaluation.protocol import unperturbed
from mode_ros.evaluation.results import percent
from mode_ros.evaluation.settings import say
from mode_ros.evaluation.statistics import difference_interval, paired_difference_interval

Outcomes = dict[tuple[str, int], bool]


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """What differs between two results, in words and as a table: rate of the second minus rate of the first.

    Episodes of the same task from the same initial state are compared in pairs. A perturbed task is compared with the
    plain one, not in pairs, since its initial states are others. Raises UserError where the two have no task in common.
    """
    a, b = _outcomes(first), _outcomes(second)
    perturbed = first['settings'].get('perturb') != second['settings'].get('perturb')
    everything = {task for task, _ in (*a, *b)}
    tasks = [task for task in dict.fromkeys(task for task, _ in a) if any(task == other for other, _ in b)]
    if not tasks:
        raise UserError('The two results have no task in common, so there is nothing to compare.')
    a, b = ({key: won for key, won in side.items() if key[0] in tasks} for side in (a, b))
    common = a.keys() & b.keys()
    paired = not perturbed and {task for task, _ in common} == set(tasks)
    alone = len(a) + len(b) - 2 * len(common) if paired else 0
    if paired:
        a, b = ({key: won for key, won in side.items() if key in common} for side in (a, b))
    lines = [_what_differs(first, second), '']
    width = max(len(name) for name in (*tasks, 'all of these'))
    lines.append(f'  {"task":<{width}}  {"first":>8}  {"second":>8}  {"difference":>10}  95 % interval')
    for name in (*tasks, ''):
        one = {key: won for key, won in a.items() if name in ('', key[0])}
        two = {key: won for key, won in b.items() if name in ('', key[0])}
        lines.append(_row(name or 'all of these', width, one, two, paired))
    lines += ['', _verdict(a, b, paired)]
    if alone:
        lines.append(f'Left out: {alone} episodes from initial states that only one of the two has.')
    if left := everything - set(tasks):
        lines.append(f'Only one of the two has: {", ".join(sorted(left))}.')
    return '\n'.join(lines)


def _outcomes(results: Mapping[str, Any]) -> Outcomes:
    perturb = results['settings'].get('perturb')
    return {
        (unperturbed(episode['task'], perturb), episode['seed']): bool(episode['success'])
        for episode in results['episodes']
    }


def _what_differs(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    found = []
    for title, one, two in _settings_of(first, second):
        if one != two:
            found.append(f'  {title}: {say(one)} and {say(two)}')
    return 'Settings that differ (first and second):\n' + ('\n'.join(found) if found else '  none')


def _settings_of(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    rows = [('checkpoint', first['checkpoint']['digest'][:12], second['checkpoint']['digest'][:12])]
    names = sorted({*first['settings'], *second['settings']})
    rows += [(name.replace('_', '-'), first['settings'].get(name), second['settings'].get(name)) for name in names]
    rows.append(('latency (control periods)', first['latency_periods'], second['latency_periods']))
    return rows


def _interval(a: Outcomes, b: Outcomes, paired: bool) -> tuple[float, float]:
    if paired:
        keys = sorted(a)
        return paired_difference_interval([a[key] for key in keys], [b[key] for key in keys])
    return difference_interval((sum(a.values()), len(a)), (sum(b.values()), len(b)))


def _row(name: str, width: int, a: Outcomes, b: Outcomes, paired: bool) -> str:
    rate_a, rate_b = _rate(a), _rate(b)
    low, high = _interval(a, b, paired)
    return (
        f'  {name:<{width}}  {percent(rate_a):>8}  {percent(rate_b):>8}  {_signed(rate_b - rate_a):>10}  '
        f'{_signed(low)} to {_signed(high)}'
    )


def _verdict(a: Outcomes, b: Outcomes, paired: bool) -> str:
    low, high = _interval(a, b, paired)
    how = f'{len(a)} pairs of episodes' if paired else f'{len(a)} and {len(b)} episodes, which are not the same ones'
    if low <= 0 <= high:
        return (
            f'No difference can be told from {how}: zero lies within the interval. A difference larger than '
            f'{_points(max(-low, high))} is unlikely.'
        )
    better = 'second' if low > 0 else 'first'
    return f'The {better} is better, as {how} tell: zero lies outside the interval.'


def _rate(outcomes: Outcomes) -> float:
    return sum(outcomes.values()) / len(outcomes)


def _signed(rate: float) -> str:
    return f'{100 * rate:+.1f} %'


def _points(rate: float) -> str:
    return f'{100 * rate:.1f} percentage points'
