"""Editing a data set: the list of what was decided grows or shrinks, and the data set is made anew from its original.

Beside the data set NAME lie, once it was edited, NAME.original (its own files, shared with NAME where they are the
same) and, while it is made anew, NAME.part. A rebuild takes its place by renaming when it is complete.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.checks.finding import listed
from mode_ros.checks.motion import moving_span, still_frames
from mode_ros.checks.spread import RANGE_SHARE, action_floor
from mode_ros.control.contract import parse_contract
from mode_ros.errors import UserError, full_disk_told
from mode_ros.training.data import layout as files
from mode_ros.training.data.assembly import TREE, swap
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.edits import (
    EDITS,
    Command,
    check_revision,
    kept_episodes,
    overruled,
    read_commands,
    renumbered,
    sources_told,
    write_commands,
)
from mode_ros.training.data.layout import ACTION
from mode_ros.training.data.rebuild import rebuild
from mode_ros.training.data.work_folder import ORIGINAL, work_folder, working

# What stays before the first motion and after the last: standing still at the end is to be learnt, too (seconds).
TRIM_MARGIN = 0.5
# Nothing shorter is left of an episode.
LEAST_FRAMES = 10


def original_of(root: Path) -> Path:
    """Where the data set is kept as it was before the first edit."""
    return root.with_name(root.name + '.original')


def is_edited(root: Path) -> bool:
    """Whether what lies at `root` was made from an original. UserError where that is gone."""
    if not (root / EDITS).is_file():
        return False
    if not original_of(root).is_dir():
        raise UserError(
            f'The data set {root} was edited, and its original {original_of(root)} is gone: bring it back, or delete '
            f'{root / EDITS} to let it stand as it is.'
        )
    return True


def edit(
    root: Path,
    drop: Sequence[int] = (),
    relabel: Mapping[int, str] | None = None,
    mark: Mapping[int, bool] | None = None,
    trim_idle: bool = False,
    expected: str = '',
) -> Command:
    """Decides about episodes by their numbers as they are now, and makes the data set anew. Returns what was decided,
    in the original's numbers.

    expected: the `revision` that the numbers are of, '' for any. Raises UserError for an episode that is not there, a
    goal without words, when nothing would be left, and where the data set is another by now.
    """
    with _locked(root):
        check_revision(root, expected)
        files_now, source = DataFiles(root), DataFiles(_source(root))
        _refuse_unfinished(root, files_now, source)
        originals = _originals(files_now, root)
        places = {each.index: place for place, each in enumerate(files_now.episodes)}
        given = [('drop', number) for number in drop] + [('relabel', number) for number in relabel or {}]
        given += [('mark-success' if good else 'mark-failure', number) for number, good in (mark or {}).items()]
        for option, number in given:
            if number not in places:
                raise UserError(f'--{option} {number}: the data set {root} has the episodes {files_now.numbers}.')
        for number, goal in (relabel or {}).items():
            if not goal.strip():
                raise UserError(f'The new goal of episode {number} has no words: say what was done in it.')
        commands = read_commands(root)
        kept = kept_episodes(len(source.episodes), commands)
        trimmed = _idle_ends(files_now, [each.rows for each in kept]) if trim_idle else {}
        command = Command(
            tuple(originals[places[number]] for number in drop),
            {originals[places[number]]: ' '.join(goal.split()) for number, goal in (relabel or {}).items()},
            {originals[places[number]]: good for number, good in (mark or {}).items()},
            {originals[place]: rows for place, rows in trimmed.items() if files_now.episodes[place].index not in drop},
        )
        if not command.is_empty:
            _apply(root, [*commands, command])
        return command


def undo(root: Path, expected: str = '') -> tuple[Command, str]:
    """Takes back what was decided last. Returns it, and what is to be said of the other edits as `catch_up` does.

    expected: as in `edit`. UserError where nothing was decided.
    """
    with _locked(root):
        check_revision(root, expected)
        commands = read_commands(root)
        if not commands:
            raise UserError(f'The data set {root} was not edited; there is nothing to undo.')
        # Without the last one from the start: it may be what leaves nothing of the original as it is by now, and so may
        # those before it.
        source = DataFiles(_source(root))
        others, said = _as_numbered_now(commands[:-1], DataFiles(root), source)
        more = 0
        while others and not kept_episodes(len(source.episodes), others):
            others, more = others[:-1], more + 1
        if more:
            said = '; '.join([*([said] if said else []), f'{more} before it, which left nothing of the data set, too'])
        _apply(root, others)
        return commands[-1], said


def catch_up(root: Path) -> str:
    """Makes an edited data set anew where its original is another than it was made from: with more recordings, or with
    corrected ones. Returns what is to be said of the edits: that some could not be kept, or stand over a correction.

    Whoever calls this keeps others out, as a Conversion into `root` does.
    """
    now, source = DataFiles(root), DataFiles(original_of(root))
    if _made_from(now) == sources_told(source.extras):
        return ''
    commands, said = _as_numbered_now(read_commands(root), now, source)
    _apply(root, commands, f'take the last edit back with `mode_ros edit {root} --undo`')
    return said


def _refuse_unfinished(root: Path, now: DataFiles, source: DataFiles) -> None:
    """UserError where a conversion ended before the edits were applied to what it made; now they are."""
    if not is_edited(root) or _made_from(now) in (None, sources_told(source.extras)):
        return
    said = catch_up(root)
    raise UserError(
        f'A conversion into {root} ended before its edits were applied again; now they are, and nothing else was '
        'changed: look again, since its episodes may have other numbers now.' + (f' Besides, {said}.' if said else '')
    )


def _made_from(data: DataFiles) -> Any:
    """What an edited data set says of its original's recordings, as `sources_told` does; None where it does not."""
    return data.extras.get('original_sources')


def _as_numbered_now(commands: Sequence[Command], now: DataFiles, source: DataFiles) -> tuple[list[Command], str]:
    """Commands of a data set by the numbers that its original has by now, and what is to be said of them."""
    root, before, told = now.root, _made_from(now), sources_told(source.extras)
    if before in (None, told):
        return list(commands), ''
    made, lost = renumbered(commands, before, told)
    over = overruled(made, before, told)
    said = []
    if lost:
        said.append(
            f'{lost} edits of {root} were about recordings that give other episodes now, and are gone: look with --list'
        )
    if over:
        said.append(
            f'the goal or mark that was corrected for {listed(over)} (number in {original_of(root).name}) does not '
            f'count, since it was edited: take that back with `mode_ros edit {root} --undo`, or edit it once more'
        )
    return made, '; '.join(said)


def _apply(root: Path, commands: Sequence[Command], way: str = 'remove the folder if that is meant') -> None:
    """way: what to do where nothing would be left."""
    source, work = _source(root), work_folder(root)
    kept = kept_episodes(len(DataFiles(source).episodes), commands)
    if not kept:
        raise UserError(f'Nothing of {root} would be left; {way}.')
    tree = work / TREE
    with full_disk_told():
        if commands:
            rebuild(source, tree, kept, root.name)
            write_commands(tree, commands)
        else:
            shutil.rmtree(tree, ignore_errors=True)
            shutil.copytree(source, tree, copy_function=_link)
    if not is_edited(root):
        # Kept under another name before the new one takes its place; the same files, so it costs no space.
        _remove_leftover(root)
        aside = work / ORIGINAL
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(root, aside, copy_function=_link, ignore=shutil.ignore_patterns('cache'))
        aside.rename(original_of(root))
    swap(tree, root)
    if not commands:
        # Half removed under its name, it would be in the way of every later edit.
        gone = work / ORIGINAL
        original_of(root).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _source(root: Path) -> Path:
    return original_of(root) if is_edited(root) else root


def _originals(data: DataFiles, root: Path) -> list[int]:
    """Of each episode as it is now, its place in the original."""
    if not is_edited(root):
        return list(range(len(data.episodes)))
    found = data.extras.get('originals')
    if not isinstance(found, list) or len(found) != len(data.episodes):
        raise UserError(
            f'{root / files.EXTRAS} does not say where its episodes are from, although {original_of(root)} is there: '
            'move one of them away.'
        )
    return [int(number) for number in found]


def _idle_ends(data: DataFiles, rows: Sequence[tuple[int, int] | None]) -> dict[int, tuple[int, int]]:
    """Rows of the original to keep, by the episode's number now, where standing still is cut from its ends."""
    actions = [
        np.asarray(data.rows(each, [ACTION])[ACTION], np.float64).reshape(each.length, -1) for each in data.episodes
    ]
    text = data.contract_text
    if text is not None:
        contract = parse_contract(text, f'of the data set {data.root}')
        delta, floor = contract.delta_mask, action_floor(contract)
    else:
        every = np.concatenate(actions)
        delta, floor = np.zeros(every.shape[1], bool), tuple(RANGE_SHARE * np.ptp(every, axis=0))
    found = {}
    for number, own in enumerate(actions):
        first, last = moving_span(still_frames(own, delta, floor), round(TRIM_MARGIN * data.rate))
        if (first, last) != (0, len(own)) and last - first >= LEAST_FRAMES:
            before = (rows[number] or (0, 0))[0]
            found[number] = before + first, before + last
    return found


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """`working` for an edit, which needs a data set that is there."""
    if not root.exists() and not work_folder(root).exists():
        raise UserError(f'There is no data set at {root}.')
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(working(root))
        except OSError as error:
            raise UserError(f'The data set {root} cannot be edited where it is: {error.strerror}.') from error
        if not (root / files.INFO).is_file():
            raise UserError(f'There is no data set at {root}.')
        yield


def _remove_leftover(root: Path) -> None:
    """An original that an interrupted edit made is the same files; another one is somebody's data."""
    original = original_of(root)
    if not original.exists():
        return
    if not (original / files.INFO).exists() or not (original / files.INFO).samefile(root / files.INFO):
        raise UserError(f'{original} is in the way, where the data set is to be kept as it is now: move it away.')
    shutil.rmtree(original)


def _link(source: str, target: str) -> None:
    from mode_ros.training.data.assembly import link

    link(Path(source), Path(target))
