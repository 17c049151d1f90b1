"""Checkpoints of a training that goes on: a policy folder that runs as it is, and beside it what continuing needs.

    OUT/training.yaml                  the settings, every key
    OUT/checkpoints/step_00001000/     a policy (the averaged weights), training.yaml and training_state.pt
    OUT/best/                          the policy with the smallest validation error so far
    OUT/policy/                        the policy at the end

Every folder is written aside, whole, and renamed.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mode_ros.errors import UserError, in_words
from mode_ros.policy.checkpoint import CheckpointInfo, load_checkpoint, read_info, save_checkpoint
from mode_ros.policy.network import PolicyNetwork

CHECKPOINTS, BEST, POLICY, SETTINGS, STATE = 'checkpoints', 'best', 'policy', 'training.yaml', 'training_state.pt'
_STEP = 'step_'
# What mode_ros.whole_files calls them while they are written, and .part what they were called before.
_LEFT = re.compile(rf'\.{{1,2}}(?P<name>{BEST}|{POLICY}|{_STEP}\d+)(\.part|(\.part)?\.[0-9a-f]{{16}})')


def checkpoints(out: Path) -> list[Path]:
    """The finished checkpoints, oldest first."""
    return sorted(path for path in (out / CHECKPOINTS).glob(f'{_STEP}*') if (path / STATE).is_file())


def save_snapshot(
    out: Path, info: CheckpointInfo, average: PolicyNetwork, state: Mapping[str, Any], settings: str, keep: int
) -> Path:
    """Write the checkpoint of info.trained_steps and remove all but the `keep` newest; returns its folder.

    Raises UserError when the disk is full; then the earlier ones are as they were.
    """
    folder = out / CHECKPOINTS / f'{_STEP}{info.trained_steps:08d}'
    _save(folder, info, average, settings, state)
    for old in checkpoints(out)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def save_policy(folder: Path, info: CheckpointInfo, network: PolicyNetwork, settings: str) -> None:
    """Write a policy with the settings of its training beside. Raises UserError when the disk is full."""
    _save(folder, info, network, settings, None)


def remove_leftovers(out: Path) -> None:
    """Remove what a training left in OUT that was killed while it wrote; nobody else may be writing there."""
    if not (out / SETTINGS).is_file():
        return
    for path in (*out.glob('.*'), *(out / CHECKPOINTS).glob('.*')):
        found = _LEFT.fullmatch(path.name)
        # Without a best one, what is aside may be the one before.
        if found and (found['name'] != BEST or (out / BEST).exists()):
            shutil.rmtree(path, ignore_errors=True)


def _save(
    folder: Path, info: CheckpointInfo, network: PolicyNetwork, settings: str, state: Mapping[str, Any] | None
) -> None:
    def more(aside: Path) -> None:
        (aside / SETTINGS).write_text(settings, encoding='utf-8')
        if state is not None:
            with (aside / STATE).open('wb') as file:
                torch.save(dict(state), file)

    try:
        save_checkpoint(folder, info, network, more)
    except (OSError, RuntimeError) as error:
        raise cannot_write(folder, error) from error
    except Exception as error:  # safetensors has an error of its own for what the disk refuses
        if type(error).__name__ != 'SafetensorError':
            raise
        raise cannot_write(folder, error) from error


def put_aside(folder: Path) -> None:
    """Give a folder that is there another name, so that nothing of a training is lost where another begins."""
    if folder.exists():
        names = (folder.with_name(f'{folder.name}_before{number}') for number in ('', *range(2, 1000)))
        folder.rename(next(name for name in names if not name.exists()))


def load_state(folder: Path) -> dict[str, Any]:
    """What a checkpoint keeps for going on. Raises UserError for one that is damaged."""
    try:
        state = torch.load(folder / STATE, map_location='cpu', weights_only=True)
    except Exception as error:  # a cut file fails in many ways
        raise _damaged(folder, f'{folder / STATE} cannot be read ({in_words(error)})') from error
    return dict(state)


def load_info(folder: Path) -> CheckpointInfo:
    """What the policy of a checkpoint says of itself. Raises UserError for one that is damaged."""
    try:
        return read_info(folder)
    except UserError as error:
        raise _damaged(folder, str(error).rstrip('.')) from error


def load_average(folder: Path) -> PolicyNetwork:
    """The averaged weights of a checkpoint. Raises UserError for one that is damaged."""
    try:
        return load_checkpoint(folder)[1]
    except UserError as error:
        raise _damaged(folder, str(error).rstrip('.')) from error


def _damaged(folder: Path, why: str) -> UserError:
    before = [each.name for each in checkpoints(folder.parents[1]) if each.name < folder.name]
    way = f'go on from {before[-1]} with --resume' if before else 'begin anew with another --output'
    return UserError(f'The checkpoint {folder} is damaged: {why}. Remove it and {way}.')


def cannot_write(folder: Path, error: BaseException) -> UserError:
    """What to say when something of a training cannot be written."""
    chain, cause = [error], error.__cause__ or error.__context__
    while cause is not None and cause not in chain:  # torch's own error stands before the system's
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    full = any(getattr(each, 'errno', None) in (errno.ENOSPC, errno.EDQUOT) for each in chain)
    full = full or 'No space left' in str(error)  # safetensors has it in words alone
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e6
    why = f'the disk is full ({free:.0f} MB free)' if full else f'{type(error).__name__}: {error}'
    return UserError(
        f'{folder} could not be written: {why}. The checkpoints before it are whole: make room and go on with --resume.'
    )
