"""Files that are never half there, whatever ends the process that writes them, and whoever else writes them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def name_aside(path: Path) -> Path:
    """A hidden name beside `path` that nobody else has, for what is renamed to it when it is whole.

    What is made there is for whom the user's umask says, as what tempfile makes is not.
    """
    return path.with_name(f'.{path.name}.{secrets.token_hex(8)}')


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file aside, onto the disk, and rename it; text as UTF-8. Raises OSError, and leaves what was there."""
    aside = name_aside(path)
    try:
        with aside.open('xb') as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
