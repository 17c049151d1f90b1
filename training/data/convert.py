"""Recordings to a data set: shared out to processes, kept when interrupted, swapped in when complete.

Beside the data set lies `NAME.part` while a conversion runs: one folder per finished recording. A run that is
interrupted leaves them there, and the next one goes on from them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import multiprocessing
import queue
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from mode_ros.checks.finding import listed
from mode_ros.control.contract import differences, parse_contract
from mode_ros.errors import UserError, full_disk_told, in_words
from mode_ros.training.data import layout as files
from mode_ros.training.data.assembly import Assembly, swap
from mode_ros.training.data.counted_once import count_once
from mode_ros.training.data.editing import is_edited, original_of
from mode_ros.training.data.recordings import Recording, contract_layout
from mode_ros.training.data.report import write_report
from mode_ros.training.data.staging import (
    Settings,
    faults,
    load_result,
    remove_unfinished,
    stage_recording,
    staged_folder,
    without_numbers,
)
from mode_ros.training.data.work_folder import RECORDINGS, working
from mode_ros.with_parent import end_worker_with_parent


@dataclass(frozen=True)
class Outcome:
    """What a conversion did.

    new: episodes added; total: episodes in the data set; known: recordings that it already held; left_out: 'recording:
    reason' for everything that should be there and is not; corrected: recordings of the data set that were made anew,
    for another goal or description; frames: in the new episodes; unused: (reason, frames) for what gave none, over the
    same recordings; notes: sentences about what is odd.
    """

    new: int
    total: int
    known: int
    left_out: tuple[str, ...]
    corrected: int = 0
    frames: int = 0
    unused: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


class Conversion:
    """One conversion into the data set `root`; use it as a context, which keeps others out, edits too.

    Into an edited one recordings are added as it was before: `catch_up` then applies the edits to them.
    """

    def __init__(self, root: Path, settings: Settings, robot: str) -> None:
        self._root, self._settings, self._robot = root, settings, robot
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Conversion:
        with contextlib.ExitStack() as held:
            self._target, self._work = self._root, self._hold(self._root, held)
            if is_edited(self._root):
                self._target = original_of(self._root)
                self._work = self._hold(self._target, held)
            self._stage = self._work / RECORDINGS
            self._stage.mkdir(exist_ok=True)
            remove_unfinished(self._stage)
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _hold(self, data_set: Path, held: contextlib.ExitStack) -> Path:
        try:
            return held.enter_context(working(data_set))
        except OSError as error:
            raise UserError(
                f'The data set {data_set} cannot be written: {in_words(error)}. Give another folder.'
            ) from error

    def run(self, recordings: Sequence[Recording], jobs: int, strict: bool) -> Outcome:
        """Converts what the data set does not hold yet. jobs: processes; strict: the first fault ends it (UserError).

        Raises UserError where nothing can be converted, and for a data set made with other settings.
        """
        extras = self._existing()
        sources = {source['key']: source for source in extras['sources']}
        counted = count_once(recordings, sources)
        keyed, notes = counted.keyed, list(counted.notes)
        stale = {key for key in keyed if key in sources and self._is_stale(keyed[key], sources[key])}
        todo = {key: recording for key, recording in keyed.items() if key not in sources or key in stale}
        results = self._convert(todo, jobs, strict)
        by_key = sources | results
        left_out = tuple(f'{by_key[key]["name"]}: {reason}' for key in keyed for reason in faults(by_key[key]))
        if counted.refused and strict:
            raise UserError(f'{counted.refused[0]}. (Without --strict the rest is converted.)')
        left_out += counted.refused
        done = [results[key] for key in keyed if key in results]
        new = [result for result in done if result['episodes'] and result['key'] not in stale]
        bare = [result for result in done if not result['episodes']]
        failed = [result['name'] for result in done if result['failed']]
        if failed:
            some = listed(failed)
            notes.append(f'{len(failed)} recordings are marked as failures and left out ({some}); --keep-failures')
        if not new and not sources:
            # Also what is no fault, such as frames before a group's first command, for it may be all of a recording.
            unused = (f'{frames} frames: {reason}' for reason, frames in _unused(done))
            reasons = '\n'.join(f'  {reason}' for reason in (*left_out, *notes, *unused))
            raise UserError(f'Nothing could be converted:\n{reasons}')
        absent = [source['name'] for key, source in sources.items() if key not in keyed]
        if absent:
            notes.append(
                f'{len(absent)} recordings of the data set are not among those given, and stay: {listed(absent)}'
            )
        notes += _gathered((result['name'], note) for result in done for note in result['notes'])
        changed = {key: results[key] for key in stale}
        if not new and changed and not any((changed.get(key) or source)['episodes'] for key, source in sources.items()):
            self._refuse_nothing([*changed.values()])
        total = self._assemble(extras, new, bare, changed) if new or bare or changed else extras['episodes']
        return Outcome(
            sum(len(result['episodes']) for result in new),
            total,
            sum(key in sources and key not in stale for key in keyed),
            left_out,
            len(stale),
            sum(episode['length'] for result in done for episode in result['episodes']),
            _unused(done),
            tuple(notes),
        )

    def _refuse_nothing(self, changed: Sequence[Mapping[str, Any]]) -> NoReturn:
        # They gave nothing, so there is nothing to go on with.
        for result in changed:
            shutil.rmtree(staged_folder(self._stage, result['key'], self._settings), ignore_errors=True)
        failed = ['marked as failures (keep them with --keep-failures)']
        reasons = dict.fromkeys(
            reason for result in changed for reason in (failed if result['failed'] else faults(result))
        )
        raise UserError(
            f'Nothing of {self._root} would be left, since all of its recordings are now without episodes: '
            f'{"; ".join(reasons)}. Remove the folder if that is meant; it is as it was.'
        )

    def _is_stale(self, recording: Recording, source: Mapping[str, Any]) -> bool:
        """Whether what the data set holds of a recording was made from another goal or description than now."""
        goal = self._settings.goal
        if goal and any(episode['goal'] != goal for episode in source['episodes']):
            return True
        return 'described' in source and source['described'] != recording.described()

    def _existing(self) -> dict[str, Any]:
        """What the data set says of its sources; an empty one where there is none yet."""
        wanted = {'codec': self._settings.encoding.codec, 'quality': self._settings.encoding.crf}
        if not self._target.exists():
            return {'sources': [], 'encoding': wanted, 'min_frames': self._settings.min_frames, 'episodes': 0}
        try:
            extras: dict[str, Any] = json.loads((self._target / files.EXTRAS).read_text())
            theirs = parse_contract((self._target / files.CONTRACT).read_text(), f'{self._target / files.CONTRACT}')
        except (OSError, ValueError) as error:
            raise UserError(
                f'{self._target} exists and is no data set of mode_ros ({in_words(error)}); give the name of a new '
                'folder.'
            ) from error
        found = differences(self._settings.contract(), theirs)
        if found:
            listed = '\n'.join(f'  {line}' for line in found)
            raise UserError(
                f'The data set {self._target} was made for another robot contract. Here, and in it:\n{listed}\n'
                'Give the contract it was made for, or the name of a new folder.'
            )
        encoding = self._settings.encoding
        if encoding.quality is None and extras['encoding']['codec'] == encoding.codec:
            # It goes on as it was begun, also where another quality is usual by now.
            self._settings = replace(self._settings, encoding=replace(encoding, quality=extras['encoding']['quality']))
            wanted = extras['encoding']
        if extras['encoding'] != wanted:
            raise UserError(
                f'The data set {self._target} has images as {extras["encoding"]}, not as {wanted}; '
                'give the same --codec and --quality, or the name of a new folder.'
            )
        return extras

    def _convert(self, todo: dict[str, Recording], jobs: int, strict: bool) -> dict[str, dict[str, Any]]:
        results: dict[str, dict[str, Any]] = {}
        waiting = {}
        for key, recording in todo.items():
            result = load_result(staged_folder(self._stage, key, self._settings), recording)
            if result is None:
                waiting[key] = recording
            else:
                results[key] = result
        total = sum(recording.seconds() for recording in waiting.values())
        for key, result in _run_all(waiting, self._settings, self._stage, jobs, total):
            results[key] = result
            if strict and faults(result):
                break
        if strict:
            for result in results.values():
                for reason in faults(result):
                    raise UserError(f'{result["name"]}: {reason}. (Without --strict the rest is converted.)')
        return results

    def _assemble(
        self,
        extras: dict[str, Any],
        new: Sequence[dict[str, Any]],
        bare: Sequence[dict[str, Any]],
        changed: Mapping[str, dict[str, Any]],
    ) -> int:
        contract = self._settings.contract()
        assembly = Assembly(
            self._target,
            self._work,
            contract_layout(contract),
            self._settings.encoding.codec,
            self._settings.contract_text,
            contract.robot,
            anew=bool(changed),
        )
        sources = []
        for source in extras['sources']:
            if source['key'] in changed:
                # In its old place, so that the numbers of the others stay where that is possible.
                sources += self._add(assembly, changed[source['key']])
            elif changed:
                sources.append({**source, 'numbers': [assembly.carry(number) for number in source['numbers']]})
            else:
                sources.append(source)
        for result in new:
            sources += self._add(assembly, result)
        tree = assembly.finish(
            {
                'encoding': extras['encoding'],
                'min_frames': extras['min_frames'],
                'episodes': assembly.count,
                'sources': sources,
            }
        )
        # Recordings that gave nothing are in the report, and tried again by the next conversion that names them.
        write_report(tree, self._target.name, sources, bare)
        swap(tree, self._target)
        shutil.rmtree(self._stage)
        self._stage.mkdir()
        return assembly.count

    def _add(self, assembly: Assembly, result: dict[str, Any]) -> list[dict[str, Any]]:
        """The recording as a source of the data set; none where it gave no episode."""
        folder = staged_folder(self._stage, result['key'], self._settings)
        about = {'recording': result['name'], 'success': result['success']}
        numbers = [
            assembly.add(folder / f'{index:06d}', {**about, 'start': episode['start']})
            for index, episode in enumerate(result['episodes'])
        ]
        return [{**{k: v for k, v in result.items() if k != 'path'}, 'numbers': numbers}] if numbers else []


def _unused(results: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    """(reason, frames) over all recordings, the most frames first."""
    counts: dict[str, list[Any]] = {}
    for result in results:
        for reason, frames in result['unused']:
            counts.setdefault(without_numbers(reason), [reason, 0])[1] += frames
    return tuple((reason, count) for reason, count in sorted(counts.values(), key=lambda item: -item[1]))


def _gathered(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Notes of many recordings, those that differ in numbers alone as one."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for name, note in notes:
        alike.setdefault(without_numbers(note), []).append((name, note))
    return [
        f'{found[0][0]}: {found[0][1]}' + (f' (and {len(found) - 1} more recordings)' if len(found) > 1 else '')
        for found in alike.values()
    ]


def _run_all(
    waiting: dict[str, Recording], settings: Settings, stage: Path, jobs: int, seconds: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    bar_format = '{l_bar}{bar}| {n:.0f}/{total:.0f} s recorded [{elapsed}<{remaining}{postfix}]'
    workers = min(jobs, len(waiting))
    settings = replace(settings, encoding=replace(settings.encoding, threads=max(1, jobs // max(1, workers))))
    with (
        tqdm(total=max(seconds, 1e-3), desc='convert', bar_format=bar_format, disable=not waiting) as bar,
        full_disk_told(),
    ):
        if workers <= 1:
            for key, recording in waiting.items():
                progress = _Progress(partial(_advance, bar))
                result = stage_recording(recording, key, settings, stage, progress)
                progress.end(recording.seconds())
                yield key, result
        else:
            yield from _run_in_processes(waiting, settings, stage, workers, bar)


def _run_in_processes(
    waiting: dict[str, Recording], settings: Settings, stage: Path, workers: int, bar: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    # A forked child would inherit the locks of the parent's threads.
    context = multiprocessing.get_context('spawn')
    stop, ticks = context.Event(), context.Queue()
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _begin_worker, (stop, ticks))
    try:
        futures = {pool.submit(_work, item, key, settings, stage): key for key, item in waiting.items()}
        left = set(futures)
        while left:
            done, left = concurrent.futures.wait(left, 0.2, concurrent.futures.FIRST_COMPLETED)
            with contextlib.suppress(queue.Empty):
                while True:
                    _advance(bar, ticks.get_nowait())
            for future in done:
                yield futures[future], future.result()
        with contextlib.suppress(queue.Empty):  # what was told last is still on its way
            while True:
                _advance(bar, ticks.get(timeout=0.2))
    except BrokenProcessPool as error:
        raise UserError(
            'A converting process was killed, most likely for lack of memory. What is finished is kept: '
            'type the same command again, with a smaller --jobs.'
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _advance(bar: Any, seconds: float) -> None:
    # Lengths are estimates for some recordings, and tqdm forgets its total when more than that is done.
    bar.update(min(seconds, bar.total - bar.n))


# In a worker process: whether to stop, and where progress goes.
_worker: dict[str, Any] = {}


def _begin_worker(stop: Any, ticks: Any) -> None:
    # Ctrl-C reaches every process of the terminal; the parent decides and sets `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_worker_with_parent()
    _worker.update(stop=stop, ticks=ticks)


def _work(recording: Recording, key: str, settings: Settings, stage: Path) -> dict[str, Any]:
    progress = _Progress(_report)
    result = stage_recording(recording, key, settings, stage, progress)
    progress.end(recording.seconds())
    return result


class _Progress:
    """What a recording has told of itself: short ones say nothing until they end."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._told = 0.0

    def __call__(self, seconds: float) -> None:
        self._told += seconds
        self._tell(seconds)

    def end(self, seconds: float) -> None:
        """seconds: how long it is."""
        self._tell(max(0.0, seconds - self._told))


def _report(seconds: float) -> None:
    if _worker['stop'].is_set():
        raise concurrent.futures.CancelledError
    _worker['ticks'].put(seconds)


def check_apart(target: Path, recordings: Sequence[Recording]) -> None:
    """UserError for a data set that would lie in one of its recordings."""
    for recording in recordings:
        if target.resolve().is_relative_to(recording.path.resolve()):
            raise UserError(
                f'The data set {target} would lie in the recording {recording.path}; give a folder outside of it.'
            )


def choose_contract(recordings: Sequence[Recording], text: str | None) -> str:
    """The contract's text: the given one, or that of the first recording that names one; UserError without any."""
    if text is not None:
        return text
    problem = ''
    for recording in recordings:
        try:
            named = recording.contract()
        except UserError as error:
            problem = problem or str(error)
            continue
        if named is not None:
            return named[1]
    broken = [(recording, why) for recording in recordings if (why := recording.unreadable())]
    if broken and len(broken) == len(recordings):
        recording, why = broken[0]
        more = f' (and {len(broken) - 1} more)' if len(broken) > 1 else ''
        raise UserError(f'{recording.path} cannot be read{more}: {why}.')
    raise UserError(
        problem
        or 'No recording names its robot contract, as bags of `ros2 bag record` do not; '
        'give it with --contract (a name in config/robots, or a YAML file).'
    )
