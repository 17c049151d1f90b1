"""Files that are not there yet: Git LFS leaves a few lines of text where a large file should be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mode_ros.errors import UserError

_MARK = b'version https://git-lfs'
# A pointer has three short lines.
_MOST_BYTES = 1024


def is_pointer(path: Path) -> bool:
    """Whether a Git LFS pointer lies at `path`; False where nothing can be read."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return False
        with open(path, 'rb') as file:
            return file.read(len(_MARK)) == _MARK
    except OSError:
        return False


def refuse_pointers(root: Path, paths: Iterable[Path]) -> None:
    """UserError that names the first of `paths` that is a pointer, and how many are."""
    found = [path for path in dict.fromkeys(paths) if is_pointer(path)]
    if found:
        raise UserError(
            f'{found[0]} is a Git LFS pointer, not the file itself ({len(found)} such files in {root}): '
            'fetch them with `git lfs pull` in that folder.'
        )
