"""The folder NAME.part beside a data set NAME: whoever makes the data set anew works there, one at a time."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from mode_ros.alone import take_lock
from mode_ros.errors import UserError
from mode_ros.training.data.assembly import TREE, restore

# What a conversion has finished, to go on with; an original on its way to its name, or away.
RECORDINGS, ORIGINAL = 'recordings', 'original'
_LOCK = '.lock'


def work_folder(data_set: Path) -> Path:
    """Where it lies, on the same disk."""
    return data_set.with_name(data_set.name + '.part')


@contextlib.contextmanager
def working(data_set: Path) -> Iterator[Path]:
    """Keeps everybody else from making `data_set` anew, and gives the folder to work in.

    A swap that was interrupted is undone or finished first. Raises UserError where somebody else is at it, OSError
    where nothing can be written.
    """
    work = work_folder(data_set)
    work.mkdir(parents=True, exist_ok=True)
    with open(work / _LOCK, 'w') as lock:
        if not take_lock(lock):
            raise UserError(f'The data set {data_set} is being converted or edited; wait for that to end.')
        try:
            restore(data_set, work)
            yield work
        finally:
            _tidy(work)


def _tidy(work: Path) -> None:
    for name in (TREE, ORIGINAL):
        shutil.rmtree(work / name, ignore_errors=True)
    with contextlib.suppress(OSError):  # a conversion's parts stay
        (work / RECORDINGS).rmdir()
    (work / _LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        work.rmdir()
