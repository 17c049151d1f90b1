"""Long work in processes of their own, which go on when the page ends and are found again by the next one.

A job has a folder of its own:

    job.json     its command and what the page wants to remember of it
    output.txt   what it printed
    lock         held as long as the job lives, by whoever lives of it: so a number that another process has by now is
                 never taken for it
    pid          of the process that does the work
    group        of all processes of the job
    stopping     it was asked to stop
    ended.json   its exit status, once it has one
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mode_ros.alone import take_lock
from mode_ros.errors import UserError

JOB, OUTPUT, LOCK, STOPPING, ENDED = 'job.json', 'output.txt', 'lock', 'stopping', 'ended.json'
PID, GROUP = 'pid', 'group'

# What a process is not told: the page's own secret.
SECRETS = ('MODE_ROS_PAGE_TOKEN',)
# As a shell says it: of a process that a signal has ended.
_INTERRUPTED = (130, 143, -signal.SIGINT, -signal.SIGTERM)
_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Told:
    """What there is to say of a job. state: running, stopping, done, stopped, failed, dead (its end was not seen)."""

    state: str
    words: str
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.state in ('running', 'stopping')


def start(folder: Path, command: Sequence[str], about: Mapping[str, Any]) -> None:
    """Run `command` as the job of `folder`, which may have been one before that has ended.

    Raises UserError where it still lives and where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open('w') as lock:
            if not _take(lock.fileno(), tries=20):
                raise UserError(f'{folder.name} still runs: stop it first.')
            for name in (PID, GROUP, STOPPING, ENDED):
                (folder / name).unlink(missing_ok=True)
            written = {'command': list(command), 'started': time.time(), 'about': dict(about)}
            (folder / JOB).write_text(json.dumps(written, indent=1) + '\n', encoding='utf-8')
            _spawn(folder, lock.fileno())
    except OSError as error:
        raise UserError(f'{folder} cannot be written: {error.strerror or error}.') from error


def child_environment() -> dict[str, str]:
    """What a process that the page starts is given: all but what is the page's alone."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


def _spawn(folder: Path, lock: int) -> None:
    with (folder / OUTPUT).open('ab') as output:
        child = subprocess.Popen(
            [sys.executable, '-m', 'mode_ros.page.job_child', str(folder), str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Whoever ends the page, with Ctrl-C or with its terminal, does not end the work.
            start_new_session=True,
            pass_fds=(lock,),
            env=child_environment(),
        )
    _children.append(child)
    (folder / GROUP).write_text(str(child.pid))


# Kept so that those that end while the page runs leave no zombies: poll() in `lives` reaps them.
_children: list[subprocess.Popen[bytes]] = []


def lives(folder: Path) -> bool:
    """Whether anything of the job still runs."""
    _children[:] = [child for child in _children if child.poll() is None]
    try:
        with (folder / LOCK).open() as lock:
            return not _take(lock.fileno())
    except OSError:
        return False


def stop(folder: Path) -> tuple[bool, str]:
    """Ctrl-C, once: a second one would break off the saving."""
    if not lives(folder):
        return False, f'{folder.name} does not run.'
    try:
        number = int((folder / PID).read_text())
    except (OSError, ValueError):
        return False, f'{folder.name} is only just starting: try again in a second.'
    if (folder / ENDED).exists() or not _signal(number, 0):
        return _end_rest(folder)
    if (folder / STOPPING).exists():
        return False, f'{folder.name} was asked to stop already: it ends its step and saves.'
    if not _signal(number, signal.SIGINT):
        return _end_rest(folder)
    (folder / STOPPING).touch()
    return True, f'{folder.name} ends its step, saves and stops.'


def _signal(number: int, what: int) -> bool:
    """Whether the process is there."""
    try:
        os.kill(number, what)
    except ProcessLookupError:
        return False
    return True


def _end_rest(folder: Path) -> tuple[bool, str]:
    """Of one whose process has ended, as when it was killed, and whose helpers hold the lock: nothing of it saves."""
    try:
        # No other group has its number as long as one of them lives.
        os.killpg(int((folder / GROUP).read_text()), signal.SIGTERM)
    except (OSError, ValueError):
        return False, f'{folder.name} had ended, and what it left behind cannot be found: end it by hand.'
    return True, f'{folder.name} had ended; what it left behind is ended, too.'


def tell(folder: Path) -> Told:
    """The job's state and its last words."""
    job = _json(folder / JOB)
    about = job.get('about', {})
    words = last_words(folder / OUTPUT)
    alive = lives(folder)  # before its end is looked for, which is written while it still holds the lock
    if alive:
        return Told('stopping' if (folder / STOPPING).exists() else 'running', words, about)
    status = _json(folder / ENDED).get('status')
    if status is None:
        return Told('dead', f'Its process ended without a word (killed, or the machine went down). {words}', about)
    state = 'done' if status == 0 else 'stopped' if status in _INTERRUPTED else 'failed'
    return Told(state, words, about)


def last_words(path: Path) -> str:
    """The last line that something printed, '' before the first."""
    try:
        with path.open('rb') as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
            lines = file.read().decode(errors='replace').replace('\r', '\n').splitlines()
    except OSError:
        return ''
    return next((line.strip() for line in reversed(lines) if line.strip()), '')[-500:]


def _take(descriptor: int, tries: int = 1) -> bool:
    for _ in range(tries):
        if take_lock(descriptor):
            return True
        time.sleep(0.01 if tries > 1 else 0.0)  # who only looks has it for a moment
    return False


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
