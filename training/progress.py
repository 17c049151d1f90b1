"""What a training says of itself while it runs: a line for people, TensorBoard, and a log for programs."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOG, TENSORBOARD = 'log.jsonl', 'tensorboard'


class Progress:
    """One training's output. Times come from `clock`, in seconds."""

    def __init__(
        self, out: Path, steps: int, batch_size: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """done: steps that were done before; what TensorBoard was told of later ones is taken back."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self._steps, self._batch_size, self._clock = steps, batch_size, clock
        cut = _is_cut(out / LOG)
        self._log = (out / LOG).open('a', encoding='utf-8')
        if cut:
            self._log.write('\n')
        self._board = SummaryWriter(str(out / TENSORBOARD), purge_step=done + 1 if done else None)
        self._terminal = sys.stdout.isatty()
        self._since: tuple[int, float] | None = None
        self._validated = ''
        self.unheard = False
        """Whether the terminal was closed, or what the lines were piped to has ended."""

    def begin(self, step: int) -> None:
        """Steps are counted from here."""
        self._since = (step, self._clock())

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """After `step` steps in all; values: by name, of the steps since the last time."""
        begun, at = self._since or (step, self._clock())
        now = self._clock()
        rate = (step - begun) / max(now - at, 1e-9)
        self._since = (step, now)
        self.record(step, 'step', {**values, 'steps_per_second': rate})
        left = (self._steps - step) / rate if rate else 0.0
        line = (
            f'step {step}/{self._steps} | {rate:.2f} steps/s, {rate * self._batch_size:.0f} samples/s | '
            f'{_duration(left)} left | loss {values["denoising"]:.4f}{self._validated}'
        )
        if self._terminal:
            self._print(f'\r\x1b[K{line}', end='')
        else:
            self._print(line)

    def validated(self, step: int, error: float, values: Mapping[str, float]) -> None:
        """A validation's error, which the line repeats, and what else it found."""
        self._validated = f' | validation {error:.4f}'
        self.record(step, 'validation', {'error': error, **values})
        if self._since is not None:  # the next line's rate is that of training alone
            self._since = (step, self._clock())

    def record(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """To TensorBoard (numbers) and the log (all)."""
        self._log.write(json.dumps({'step': step, 'kind': kind, **values}) + '\n')
        self._log.flush()
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f'{kind}/{name}', value, step)

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """To TensorBoard. image: red-green-blue, [height, width, 3]."""
        self._board.add_image(name, image, step, dataformats='HWC')

    def say(self, text: str) -> None:
        """A line that stays."""
        self._print(f'\r\x1b[K{text}' if self._terminal else text)

    def close(self) -> None:
        if self._terminal:
            self._print('')
        self._board.close()
        self._log.close()

    def _print(self, line: str, end: str = '\n') -> None:
        try:
            print(line, end=end, flush=True)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            self.unheard = True
            # What is still to be written would end the process with an error of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_cut(path: Path) -> bool:
    """Whether a file's last line has no end, as a kill leaves it."""
    return path.is_file() and path.read_bytes()[-1:] not in (b'', b'\n')


def read_log(out: Path) -> list[dict[str, Any]]:
    """Every line of a training's log; what a resumed training repeated counts once, the last time."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for line in (out / LOG).read_text(encoding='utf-8').splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # cut short by a kill
            continue
        found[entry['step'], entry['kind']] = entry
    return [found[key] for key in sorted(found)]


def _duration(seconds: float) -> str:
    minutes, _ = divmod(round(seconds), 60)
    return (
        f'{minutes // 60} h {minutes % 60:02d} min' if minutes >= 60 else f'{minutes} min {round(seconds) % 60:02d} s'
    )
