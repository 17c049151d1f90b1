"""A process's memory."""

from __future__ import annotations

from pathlib import Path

from mode_ros.errors import UserError


def peak_resident() -> int:
    """Bytes of this process's resident memory at its highest."""
    try:
        status = Path('/proc/self/status').read_text(encoding='ascii')
    except OSError as error:
        raise UserError(f'Peak memory is read from /proc, as on Linux, and that failed ({error}).') from error
    # Not getrusage's ru_maxrss, which starts with what the parent process had.
    return int(next(line for line in status.splitlines() if line.startswith('VmHWM')).split()[1]) * 1024
