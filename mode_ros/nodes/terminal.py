"""A terminal read key by key, put back as it was when the node ends, whatever the reason."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator

from mode_ros.control.teleop_mapping import TeleopMapping

# What terminals send for keys that are no characters.
_SEQUENCES = {
    '\x1b[A': 'up',
    '\x1b[B': 'down',
    '\x1b[C': 'right',
    '\x1b[D': 'left',
    '\x1bOA': 'up',
    '\x1bOB': 'down',
    '\x1bOC': 'right',
    '\x1bOD': 'left',
}
# Escape, and what follows up to the letter or tilde that ends it; or one character.
_SEQUENCE = re.compile(r'\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z]|.)?|.', re.DOTALL)
_NAMES = {' ': 'space', '\t': 'tab', '\n': 'enter', '\r': 'enter', '\x7f': 'backspace', '\x08': 'backspace'}


class TerminalProblem(Exception):
    """There is no terminal to read; the message says so as a sentence."""


class Terminal:
    """Reads keys in a thread until it is closed."""

    def __init__(self, on_key: Callable[[str], None]) -> None:
        """on_key is called, in that thread, with a character or one of teleop_mapping.KEY_NAMES."""
        try:
            self._input = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._input)
            # A background job that touched the settings would be stopped.
            if os.tcgetpgrp(self._input) != os.getpgrp():
                raise OSError('the terminal belongs to another process')
        except (OSError, ValueError, termios.error) as error:
            raise TerminalProblem(
                'this process has no terminal to read keys from, as under ros2 launch; start teleop_node in a terminal '
                'of its own for the keyboard.'
            ) from error
        # Keys one by one and unseen; Ctrl-C still interrupts.
        tty.setcbreak(self._input)
        atexit.register(self._restore)
        self._on_key = on_key
        self._closing = False
        self._shown = ''
        self._lock = threading.Lock()
        self.ended = False
        self._thread = threading.Thread(target=self._read, name='keyboard', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Puts the terminal back as it was."""
        self._closing = True
        self._thread.join(timeout=0.5)
        self.show('')
        self._restore()
        atexit.unregister(self._restore)

    def say(self, text: str) -> None:
        """Prints a line above the status."""
        with self._lock:
            print(f'\r\x1b[K{text}\n{self._shown}', end='', file=sys.stderr, flush=True)

    def show(self, status: str) -> None:
        """Rewrites the status, the last line."""
        status = status[: _columns() - 1]
        with self._lock:
            if status != self._shown:
                self._shown = status
                print(f'\r\x1b[K{status}', end='', file=sys.stderr, flush=True)

    def _restore(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # the terminal itself may be gone
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def _read(self) -> None:
        try:
            while not self._closing:
                if not select.select([self._input], [], [], 0.05)[0]:
                    continue
                data = os.read(self._input, 256)
                if not data:
                    break
                for key in split_keys(data.decode('utf-8', 'ignore')):
                    self._on_key(key)
        except OSError:
            pass  # hung up
        self.ended = True


def split_keys(text: str) -> Iterator[str]:
    """Characters and names of keys in what a terminal sent; sequences that mean no known key are left out."""
    for sequence in _SEQUENCE.findall(text):
        if sequence in _SEQUENCES:
            yield _SEQUENCES[sequence]
        elif not sequence.startswith('\x1b'):
            yield _NAMES.get(sequence, sequence)


def describe_keys(mapping: TeleopMapping) -> str:
    """The keys and what they do, in a few lines."""
    moves = ', '.join(f'{motion.plus}/{motion.minus} {motion.dimension}' for motion in mapping.motions)
    lines = [f'{mapping.deadman} takes over and gives back. Hold a key to move: {moves}.']
    others = [f'{mapping.speeds.faster}/{mapping.speeds.slower} speed']
    if mapping.select is not None:
        others.append(f'{mapping.select.next}/{mapping.select.previous} choose the joint')
    others += [f'{gripper.input} {gripper.group}' for gripper in mapping.grippers]
    if mapping.recorder is not None:
        others += [f'{key} {word}' for word, key in mapping.recorder.model_dump().items()]
    return '\n'.join([*lines, ', '.join(others) + '. Ctrl-C ends.'])


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return 200
