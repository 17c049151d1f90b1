"""A process's memory, and what is in it, as Linux tells."""

from __future__ import annotations

from pathlib import Path

from mode_ros.errors import UserError


def peak_resident(pid: int | str = 'self') -> int:
    """Bytes of a process's resident memory at its highest."""
    # Not getrusage's ru_maxrss, which starts with what the parent process had.
    return _status(pid, 'VmHWM')


def resident(pid: int | str = 'self') -> int:
    """Bytes of a process's resident memory now, shared libraries included."""
    return _status(pid, 'VmRSS')


def loads(pid: int | str, library: str) -> bool:
    """Whether a shared library whose file's name begins so is mapped into a process."""
    mapped = _read(pid, 'maps').splitlines()
    return any(line.rpartition('/')[2].startswith(library) for line in mapped if '/' in line)


def _status(pid: int | str, field: str) -> int:
    lines = _read(pid, 'status').splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def _read(pid: int | str, name: str) -> str:
    try:
        return Path(f'/proc/{pid}/{name}').read_text(encoding='utf-8', errors='replace')
    except OSError as error:
        raise UserError(f'Memory is read from /proc, as on Linux, and that failed ({error}).') from error
