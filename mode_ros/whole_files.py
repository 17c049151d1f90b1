"""Files that are never half there, whatever ends the process that writes them, and whoever else writes them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file aside, onto the disk, and rename it; text as UTF-8. Raises OSError, and leaves what was there."""
    aside = path.with_name(f'.{path.name}.{secrets.token_hex(8)}')
    try:
        with aside.open('xb') as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
