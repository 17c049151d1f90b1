"""One recording to staged episodes: the unit of work that processes share out and that an interruption loses at most.

A staged recording is a folder with one folder per episode and RESULT. It gets its final name when it is complete, so
a folder with that name is never half-written.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mode_ros.control.contract import NANOSECONDS, Contract, parse_contract
from mode_ros.training.data.episode_writer import Encoding, EpisodeWriter
from mode_ros.training.data.frames import Frame, LeftOut
from mode_ros.training.data.layout import Layout
from mode_ros.training.data.recordings import About, Progress, Recording, RecordingProblem, contract_layout
from mode_ros.training.data.resample import NO_END
from mode_ros.training.data.suspicions import number_findings

RESULT = 'recording.json'
_UNFINISHED = '.unfinished'
# Raise it when the same recording would give other episodes.
_STAGING_VERSION = 3
# Spans of one reason that are told one by one.
_TOLD = 3


@dataclass(frozen=True)
class Settings:
    """What decides how a recording becomes episodes. goal: replaces the recorded ones unless ''; min_frames: shorter
    segments are left out; keep_failures: recordings that are marked as failures are kept.
    """

    contract_text: str
    goal: str = ''
    min_frames: int = 10
    encoding: Encoding = field(default_factory=Encoding)
    keep_failures: bool = False

    def contract(self) -> Contract:
        return parse_contract(self.contract_text, 'of the data set')

    def fingerprint(self) -> str:
        """Differs where results would; how many threads encode does not count."""
        values: dict[str, Any] = asdict(self)
        values['encoding'] = [self.encoding.codec, self.encoding.crf]
        values['contract_text'] = self.contract().model_dump(mode='json')
        words = json.dumps([_STAGING_VERSION, values], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()[:12]


def staged_folder(stage: Path, key: str, settings: Settings) -> Path:
    """Where the recording with this key is staged."""
    return stage / f'{key}-{settings.fingerprint()}'


def remove_unfinished(stage: Path) -> None:
    """Clears what interrupted runs left behind; complete recordings stay."""
    for folder in stage.glob(f'*{_UNFINISHED}'):
        shutil.rmtree(folder)


def load_result(folder: Path, recording: Recording) -> dict[str, Any] | None:
    """The result of a staged recording, None where it is not staged yet.

    One that was made from another description than the recording has now, or that a power cut spoilt, is removed.
    """
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
        if result['described'] == recording.described():
            return result
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        pass  # a power cut may leave the file without its content
    shutil.rmtree(folder)
    return None


def stage_recording(
    recording: Recording, key: str, settings: Settings, stage: Path, progress: Progress
) -> dict[str, Any]:
    """Converts `recording` and returns its result, which RESULT holds too.

    The result has key, name, episodes (summaries without pictures), left_out ([from, to, reason, fault] in seconds),
    problem ('' or why the recording cannot be used, or not to its end), failed (whether it was left out as a failure),
    unused ([reason, frames]), notes, limits, streams, drops, recovered, parts, and goal and described, from which it
    was made.
    """
    final = staged_folder(stage, key, settings)
    work = final.with_name(final.name + _UNFINISHED)
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        result = _Segments(recording, settings, work).run(progress)
        result |= {'key': key, 'goal': settings.goal, 'described': recording.described(), 'origin': recording.origin()}
        result['parts'] = list(recording.parts())
        (work / RESULT).write_text(json.dumps(result))
        work.rename(final)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return result


class _Segments:
    """Cuts one recording into episodes."""

    def __init__(self, recording: Recording, settings: Settings, folder: Path) -> None:
        self._recording, self._settings, self._folder = recording, settings, folder
        self._contract = settings.contract()
        self._layout: Layout = contract_layout(self._contract)
        self._about = About()
        self._writer: EpisodeWriter | None = None
        self._first: Frame | None = None
        self._last = 0
        self._spans: list[LeftOut] = []
        self._episodes: list[dict[str, Any]] = []
        self._failed = False

    def run(self, progress: Progress) -> dict[str, Any]:
        problem = ''
        items = self._recording.read(self._contract, self._settings.goal, self._about, progress)
        try:
            for item in items:
                if self._about.judged and self._is_failure():
                    break  # nothing in it changes that
                if isinstance(item, LeftOut):
                    self._end()
                    self._leave_out(item)
                else:
                    self._add(item)
        except RecordingProblem as error:
            problem = str(error)
        except BaseException:
            if self._writer is not None:
                self._writer.discard()
            raise
        finally:
            if isinstance(items, Generator):
                items.close()
        self._end()
        if self._is_failure():
            for number in range(len(self._episodes)):
                shutil.rmtree(self._folder / f'{number:06d}')
            self._episodes, self._spans, self._failed = [], [], True
        return self._result(problem)

    def _is_failure(self) -> bool:
        return self._about.success is False and not self._settings.keep_failures

    def _add(self, frame: Frame) -> None:
        if self._first is not None and frame.goal != self._first.goal:
            self._end()
        if self._writer is None:
            folder = self._folder / f'{len(self._episodes):06d}'
            self._writer, self._first = EpisodeWriter(folder, self._layout, self._settings.encoding), frame
        observation = frame.observation
        states = [observation.states[name] for name, _ in self._layout.streams]
        self._writer.add(observation.images, states, frame.action, frame.intervention)
        self._last = observation.stamp

    def _end(self) -> None:
        writer, first = self._writer, self._first
        self._writer = self._first = None
        if writer is None or first is None:
            return
        start = first.observation.stamp
        if writer.length < self._settings.min_frames:
            reason = f'a segment of {writer.length} frames is shorter than a chunk of {self._settings.min_frames}'
            writer.discard()
            self._leave_out(LeftOut(start, self._last + self._contract.period, reason))
            return
        summary = writer.close({'goal': first.goal, 'start': start})
        self._episodes.append({name: summary[name] for name in ('goal', 'start', 'length')})

    def _leave_out(self, span: LeftOut) -> None:
        before = self._spans[-1] if self._spans else None
        # One span, not one per frame, and not two where numbers in the words differ.
        if (
            before is not None
            and before.fault == span.fault
            and without_numbers(before.reason) == without_numbers(span.reason)
            and abs(span.start - before.stop) <= self._contract.period
        ):
            before.stop = max(before.stop, span.stop)
        else:
            self._spans.append(span)

    def _result(self, problem: str) -> dict[str, Any]:
        if not problem and not self._failed and not self._episodes and not any(span.fault for span in self._spans):
            problem = _nothing(self._spans)
        start, health = self._about.start, self._about.health
        folders = [self._folder / f'{number:06d}' for number in range(len(self._episodes))]
        for episode in self._episodes:
            episode['start'] = round((episode['start'] - start) / NANOSECONDS, 3)
        return {
            'name': self._recording.name,
            'path': str(self._recording.path),
            'problem': problem,
            'success': self._about.success,
            'failed': self._failed,
            'unused': self._unused(),
            'notes': [*self._about.notes, *number_findings(self._contract, folders, self._about.limits)],
            'drops': self._about.drops,
            'recovered': self._about.recovered,
            'limits': self._about.limits,
            'streams': health,
            'episodes': self._episodes,
            'left_out': [
                [_seconds(span.start - start), _seconds(span.stop - start), span.reason, span.fault]
                for span in self._spans
            ],
        }

    def _unused(self) -> list[list[Any]]:
        """[reason, frames] for every reason for which frames were not made, in the order in which they came."""
        counts: dict[str, list[Any]] = {}
        for span in self._spans:
            found = counts.setdefault(without_numbers(span.reason), [span.reason, 0])
            found[1] += round((span.stop - span.start) / self._contract.period)
        return [found for found in counts.values() if found[1]]


def faults(result: Mapping[str, Any]) -> list[str]:
    """What was left out of a recording although it should not have been, in words; repetitions once."""
    alike: dict[str, list[tuple[float, float, str]]] = {}
    for first, last, reason, fault in result['left_out']:
        if fault:
            alike.setdefault(without_numbers(reason), []).append((first, last, reason))
    found = []
    for spans in alike.values():
        told = [f'{first:.2f} to {last:.2f} s: {reason}' for first, last, reason in spans]
        if len(told) > _TOLD:
            told = [f'{told[0]} (and {len(told) - 1} times more until {spans[-1][1]:.2f} s)']
        found += told
    return ([result['problem']] if result['problem'] else []) + found


def _nothing(spans: list[LeftOut]) -> str:
    reasons = [span.reason for span in spans]
    if 'before the first goal' in reasons:
        return 'it has no goal, neither in its metadata nor on the goal topic; give one with --goal'
    reasons = [reason for reason in reasons if reason != NO_END] or reasons
    return reasons[-1] + ', so it has no actions' if reasons else 'its streams never overlap for a whole period'


def without_numbers(text: str) -> str:
    """What reasons have in common that differ in their numbers alone."""
    return re.sub(r'\b\d+', '', text)  # joint1 and joint2 stay two


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds / NANOSECONDS, 3)
