"""What a conversion made and what it left out: report.json for programs, report.html for people.

The page is one file without scripts and without anything from elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mode_ros.checks.finding import listed
from mode_ros.training.data import layout as files
from mode_ros.training.data.assembly import read_parts
from mode_ros.training.data.plot import line_plot
from mode_ros.training.page import page, table, text

# Pictures of the first episodes only: the page of a large data set must still open. report.json has all numbers.
SHOWN_EPISODES = 200

_BASE64 = re.compile('[A-Za-z0-9+/]+={0,2}')

_STYLE = """
.none { color: #19723c } section h3 { margin: 0 0 .1rem } .camera { margin-top: .5rem }
.sheet { display: flex; gap: 3px; margin: .5rem 0 0; overflow: hidden } .sheet img { height: 72px; border-radius: 3px }
summary { color: #5a6b7b; margin: .5rem 0; cursor: pointer }
"""


def write_report(
    data_set: Path, name: str, sources: Sequence[Mapping[str, Any]], bare: Sequence[Mapping[str, Any]]
) -> None:
    """Writes report.json and report.html into `data_set`.

    sources: the recordings whose episodes it holds; bare: those of this conversion that gave none.
    """
    recordings = [*sources, *bare]
    episodes: list[dict[str, Any]] = []
    cards: list[str] = []
    for part in read_parts(data_set):
        if len(cards) < SHOWN_EPISODES:
            cards.append(_episode(part))
        left = ('histograms', 'images', 'sheet', 'times', 'state', 'action')
        episodes.append({key: value for key, value in part.items() if key not in left})
    report = {
        'data_set': name,
        'episodes': episodes,
        'frames': sum(episode['length'] for episode in episodes),
        'seconds': round(sum(episode['seconds'] for episode in episodes), 3),
        'recordings': recordings,
        'left_out': [row for recording in recordings for row in _left_out(recording)],
        'unused': [
            {'recording': recording['name'], 'reason': reason, 'frames': frames}
            for recording in recordings
            for reason, frames in recording.get('unused', [])
        ],
        'notes': [f'{recording["name"]}: {note}' for recording in recordings for note in recording.get('notes', [])],
        'failures': [recording['name'] for recording in recordings if recording.get('failed')],
    }
    (data_set / files.REPORT_JSON).write_text(json.dumps(report, indent=1) + '\n')
    (data_set / files.REPORT_PAGE).write_text(_page(report, cards), encoding='utf-8')


def _left_out(recording: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    if recording['problem']:
        yield {'recording': recording['name'], 'from': None, 'to': None, 'reason': recording['problem']}
    for first, last, reason, fault in recording['left_out']:
        if fault:
            yield {'recording': recording['name'], 'from': first, 'to': last, 'reason': reason}


def _page(report: Mapping[str, Any], cards: Sequence[str]) -> str:
    episodes = report['episodes']
    solved = sum(episode['success'] is True for episode in episodes)
    facts = (
        f'{len(episodes)} episodes, {report["frames"]} frames, {_clock(report["seconds"])}, '
        f'{len(report["recordings"])} recordings; {solved} marked as successful'
    )
    more = len(episodes) - len(cards)
    rest = f'<p class="sub">{more} more episodes are in report.json.</p>' if more else ''
    body = (
        f'<h1>{text(report["data_set"])}</h1><p class="facts">{facts}</p>'
        f'<h2>Left out</h2>{_left_out_table(report["left_out"])}{_failures(report["failures"])}'
        f'{_unused_table(report["unused"])}{_notes(report["notes"])}'
        f'<h2>Tasks</h2>{_task_table(episodes)}'
        f'<h2>Streams</h2>{_streams(report["recordings"])}'
        f'<h2>Episodes</h2>{"".join(cards)}{rest}'
    )
    return page(report['data_set'], body, _STYLE)


def _left_out_table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return '<p class="none">Nothing.</p>'
    body = [
        [
            text(row['recording']),
            _span(row['from'], row['to']),
            f'<span class="bad">{text(row["reason"])}</span>',
        ]
        for row in rows
    ]
    return table(['recording', 'span (s)', 'why'], body)


def _failures(names: Sequence[str]) -> str:
    if not names:
        return ''
    return f'<p>{len(names)} recordings are marked as failures and are not in it: {text(listed(names))}.</p>'


def _unused_table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ''
    body = [[text(row['recording']), text(row['frames']), text(row['reason'])] for row in rows]
    return f'<h2>Frames that are not used</h2>{table(["recording", "frames", "why"], body, numbers=(1,))}'


def _notes(notes: Sequence[str]) -> str:
    items = ''.join(f'<li><span class="bad">{text(note)}</span></li>' for note in notes)
    return f'<h2>Suspicious</h2><ul>{items}</ul>' if notes else ''


def _task_table(episodes: Sequence[Mapping[str, Any]]) -> str:
    goals: dict[str, list[Mapping[str, Any]]] = {}
    for episode in episodes:
        goals.setdefault(episode['goal'], []).append(episode)
    body = [
        [
            text(goal),
            str(len(group)),
            str(sum(episode['success'] is True for episode in group)),
            _clock(sum(episode['seconds'] for episode in group)),
        ]
        for goal, group in goals.items()
    ]
    return table(['goal', 'episodes', 'successful', 'time'], body, numbers=(1, 2, 3))


def _streams(recordings: Sequence[Mapping[str, Any]]) -> str:
    """Recordings with trouble in sight, the others folded away."""
    if not any(recording['streams'] for recording in recordings):
        return '<p class="sub">These recordings have no message streams.</p>'
    ill = [recording for recording in recordings if _is_ill(recording)]
    well = [recording for recording in recordings if not _is_ill(recording)]
    shown = _stream_table(ill) if ill else '<p class="none">All arrived as they should.</p>'
    folded = f'<details><summary>{len(well)} recordings without trouble</summary>{_stream_table(well)}</details>'
    return shown + (folded if well else '')


def _is_ill(recording: Mapping[str, Any]) -> bool:
    return (
        any(_troubles(found) for found in recording['streams'].values())
        or any(recording['drops'].values())
        or bool(recording['recovered'])
    )


def _troubles(found: Mapping[str, Any]) -> list[str]:
    gaps = [f'{found["gap_count"]} gap{"s" * (found["gap_count"] > 1)}'] if found.get('gap_count') else []
    return gaps + [f'{found[key]} {key.replace("_", " ")}' for key in _TROUBLES if found.get(key)]


def _stream_table(recordings: Sequence[Mapping[str, Any]]) -> str:
    body = []
    for recording in recordings:
        for number, (name, found) in enumerate(recording['streams'].items()):
            offset = found.get('offset_ms')
            trouble = _troubles(found)
            body.append(
                [
                    text(recording['name']) if number == 0 else '',
                    text(name) + (f' <span class="sub">{text(found["topic"])}</span>' if found.get('topic') else ''),
                    text(found['messages']),
                    _number(found.get('rate')),
                    _number(found.get('jitter_ms')),
                    _number(found.get('longest_ms')),
                    ' / '.join(_number(value) for value in offset) if offset else '',
                    f'<span class="bad">{text(", ".join(trouble))}</span>'
                    if trouble
                    else '<span class="good">ok</span>',
                ]
            )
        drops = {topic: count for topic, count in recording['drops'].items() if count}
        if drops:
            lost = ', '.join(f'{count} of {topic}' for topic, count in drops.items())
            body.append(['', f'<span class="bad">dropped while recording: {text(lost)}</span>', *[''] * 6])
        if recording['recovered']:
            body.append(['', f'<span class="bad">{text(recording["recovered"])}</span>', *[''] * 6])
    heads = ['recording', 'stream', 'messages', 'Hz', 'jitter (ms)', 'longest (ms)', 'delay p50 / p99 (ms)', '']
    return table(heads, body, numbers=(2, 3, 4, 5, 6))


_TROUBLES = ('zero_stamps', 'reordered', 'unusable')


def _episode(part: Mapping[str, Any]) -> str:
    success = {True: '<span class="good">success</span>', False: '<span class="bad">failure</span>'}.get(
        part['success'], 'success unknown'
    )
    driven = f', {part["intervention"]:.0%} driven by a person' if part['intervention'] else ''
    sheets = ''.join(
        f'<div class="camera sub">{text(camera)}</div><div class="sheet">'
        + ''.join(f'<img alt="" src="data:image/jpeg;base64,{text(image)}">' for image in images if _is_base64(image))
        + '</div>'
        for camera, images in part['sheet'].items()
    )
    plots = ''.join(
        line_plot(f'{kind} {series["title"]}', series['names'], part['times'], series['values'])
        for kind in ('state', 'action')
        for series in part[kind]
    )
    return (
        f'<section><h3>{part["episode"]}. {text(part["goal"])}</h3>'
        f'<div class="sub">{text(part["recording"])} from {part["start"]:.2f} s, {part["length"]} frames, '
        f'{part["seconds"]:.2f} s, {success}{driven}</div>{sheets}<div class="plots">{plots}</div></section>'
    )


def _is_base64(image: object) -> bool:
    """Whether it can be a picture: what somebody else's data set has in its place must not become part of the page."""
    return isinstance(image, str) and _BASE64.fullmatch(image) is not None


def _span(first: float | None, last: float | None) -> str:
    return 'all or the rest' if first is None or last is None else f'{first:.2f} to {last:.2f}'


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{rest:02d}'


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.2f}'
