"""report.html: one page without scripts and without anything from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mode_ros.evaluation.episodes import Episode
from mode_ros.evaluation.films import film_path, strip_data
from mode_ros.evaluation.results import percent
from mode_ros.whole_files import write_whole

PAGE = 'report.html'

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem }
th { text-align: left; color: #5a6b7b; font-weight: 600 } th, td { padding: .25rem .7rem .25rem 0; vertical-align: top }
tr { border-bottom: 1px solid #e4e9ee } td.n, th.n { text-align: right } tr.mean { font-weight: 600 }
.facts, .sub { color: #5a6b7b } .sub { font-size: .9rem }
figure { margin: 0 0 1.2rem } figure img { display: block; border-radius: 4px; max-width: 100% }
figcaption { margin-bottom: .3rem } svg text { font: 11px system-ui, sans-serif; fill: #5a6b7b }
"""

_BAR_WIDTH, _BAR_HEIGHT = 220, 14


def write_report(folder: Path, results: Mapping[str, Any], failures: Sequence[Episode]) -> None:
    """Writes the page. failures: those that are shown."""
    mean = results['mean']
    shown = ''.join(_figure(folder, episode) for episode in failures)
    write_whole(
        folder / PAGE,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<title>{_text(results["suite"])}</title><style>{_STYLE}</style></head><body>'
        f'<h1>{_text(results["suite"])}: {_headline(results)}</h1>'
        f'<p class="facts">{_facts(results)}</p>{_table(results)}<p class="sub">{_text(results["intervals"])}</p>'
        f'<p class="sub">After the first chunk the robot stood still and waited for {percent(mean["share_held"])} '
        f'of the control periods; {mean["chunks_refused"]} chunks were refused.</p>'
        + (f'<h2>Failures</h2>{shown}' if shown else '')
        + f'<h2>Settings</h2>{_settings(results)}</body></html>\n',
    )


def rate_bar(found: Mapping[str, Any]) -> str:
    """An <svg> of a rate on a scale from 0 to 1 with its interval as a line."""

    def x(rate: float) -> float:
        return 1 + rate * (_BAR_WIDTH - 2)

    middle = _BAR_HEIGHT / 2
    low, high = x(found['low']), x(found['high'])
    caps = ''.join(f'M{end:.1f} {middle - 4}V{middle + 4}' for end in (low, high))
    label = f'{percent(found["rate"])}, {percent(found["low"])} to {percent(found["high"])}'
    return (
        f'<svg width="{_BAR_WIDTH}" height="{_BAR_HEIGHT}" role="img" aria-label="{label}">'
        f'<rect x="1" y="2" width="{_BAR_WIDTH - 2}" height="{_BAR_HEIGHT - 4}" fill="#eef2f5"/>'
        f'<rect x="1" y="2" width="{x(found["rate"]) - 1:.1f}" height="{_BAR_HEIGHT - 4}" fill="#56b4e9"/>'
        f'<path d="M{low:.1f} {middle}H{high:.1f}{caps}" fill="none" stroke="#1c2733" stroke-width="1.4"/></svg>'
    )


def _headline(results: Mapping[str, Any]) -> str:
    if 'average_length' in results:
        length = results['average_length']
        return f'{length["tasks"]:.2f} tasks in a row ({length["low"]:.2f} to {length["high"]:.2f})'
    mean = results['mean']
    return f'{percent(mean["rate"])} solved ({percent(mean["low"])} to {percent(mean["high"])})'


def _facts(results: Mapping[str, Any]) -> str:
    checkpoint = results['checkpoint']
    trained = f'{checkpoint["trained_steps"]} training steps' if checkpoint['trained_steps'] else 'untrained'
    latency = results['latency_periods']
    waits = '' if latency is None else f', {latency} control period{"s" * (latency != 1)} from a request to its chunk'
    return _text(f'{checkpoint["folder"]} ({trained}), {results["mean"]["rollouts"]} episodes{waits}')


def _table(results: Mapping[str, Any]) -> str:
    rows = [_row(found, ', '.join(found.get('goals', [])), '') for found in results['tasks']]
    if 'average_length' not in results:
        rows.append(_row({'task': 'mean over tasks', **results['mean']}, '', ' class="mean"'))
    for name, found in results.get('groups', {}).items():
        rows.append(_row({'task': f'{name} ({found["tasks"]} tasks)', **found}, '', ''))
    if 'mean_over_groups' in results:
        rows.append(_mean_row('mean over the four groups', results['mean_over_groups']))
    head = (
        '<th>task</th><th class="n">solved</th><th class="n">rate</th><th>0 to 100 %, with interval</th>'
        '<th class="n">95 % interval</th><th class="n">seconds to success</th>'
    )
    return f'<table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _row(found: Mapping[str, Any], goals: str, mark: str) -> str:
    seconds = found['seconds_to_success']
    said = f'<div class="sub">{_text(goals)}</div>' if goals else ''
    return (
        f'<tr{mark}><td>{_text(found["task"])}{said}</td><td class="n">{found["successes"]} of {found["rollouts"]}</td>'
        f'<td class="n">{percent(found["rate"])}</td><td>{rate_bar(found)}</td>'
        f'<td class="n">{percent(found["low"])} to {percent(found["high"])}</td>'
        f'<td class="n">{"" if seconds is None else f"{seconds:.2f}"}</td></tr>'
    )


def _mean_row(name: str, found: Mapping[str, Any]) -> str:
    """Of a mean that is no count of episodes."""
    interval = f'{percent(found["low"])} to {percent(found["high"])}'
    return (
        f'<tr class="mean"><td>{_text(name)}</td><td></td><td class="n">{percent(found["rate"])}</td>'
        f'<td>{rate_bar(found)}</td><td class="n">{interval}</td><td></td></tr>'
    )


def _figure(folder: Path, episode: Episode) -> str:
    strip = strip_data(folder, episode)
    if not strip:
        return ''
    film = film_path(folder, episode).relative_to(folder)
    return (
        f'<figure><figcaption>{_text(episode.task)}, seed {episode.seed}: {_text(episode.goal)} '
        f'<a class="sub" href="{_text(film)}">film</a></figcaption>'
        f'<img alt="from first to last, static camera above, wrist camera below" src="{strip}"></figure>'
    )


def _settings(results: Mapping[str, Any]) -> str:
    versions = {f'version of {name}': text for name, text in results.get('versions', {}).items()}
    items = {**results['settings'], **versions}
    rows = ''.join(
        f'<tr><td>{_text(name.replace("_", "-"))}</td><td>{"" if value is None else _text(value)}</td></tr>'
        for name, value in items.items()
    )
    return f'<details><summary class="sub">What the episodes depend on</summary><table>{rows}</table></details>'


def _text(value: Any) -> str:
    return html.escape(str(value))
