"""Files that are never half there, whatever ends the process that writes them, and whoever else writes them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file aside, onto the disk, and rename it; text as UTF-8. Raises OSError, and leaves what was there."""
    handle, name = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(0o644)  # mkstemp's is for its owner alone
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
