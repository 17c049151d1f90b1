"""Commands that only look, asked for their answer: in processes of their own, so that the page's stays small."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from mode_ros.page.episode_commands import RUN
from mode_ros.page.jobs import child_environment

# At once: more would take the cores from the robot.
AT_ONCE = 2
# Reading a long recording takes long; what takes longer is stuck (seconds).
LONGEST_SECONDS = 300.0
KEPT = 64
NICE = 10


@dataclass(frozen=True)
class Answer:
    """status: as the command's; words: why there is no answer, in its own words."""

    status: int
    output: str
    words: str


class Lookup:
    """Answers of commands, kept as long as what they are about is the same."""

    def __init__(self, run: Sequence[str] = RUN) -> None:
        self._run = tuple(run)
        self._kept: OrderedDict[tuple[str, ...], Answer] = OrderedDict()
        self._running: dict[tuple[str, ...], asyncio.Task[Answer]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ask(self, command: Sequence[str], version: str) -> Answer:
        """version: of what it is about. Whoever asks for the same at the same time waits for the same answer."""
        key = (*command, version)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._running:
            self._running[key] = asyncio.ensure_future(self._look(key, command))
        # Whoever goes away takes the answer from nobody else.
        return await asyncio.shield(self._running[key])

    async def _look(self, key: tuple[str, ...], command: Sequence[str]) -> Answer:
        try:
            async with self._turns:
                answer = await _output([*self._run, *command], command[0])
            if answer.status in (0, 3):  # others may go better next time
                self._kept[key] = answer
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return answer
        finally:
            del self._running[key]


async def _output(command: Sequence[str], verb: str) -> Answer:
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=child_environment(),
        )
    except OSError as error:
        return Answer(-1, '', f'The command cannot be started: {error.strerror or error}.')
    with contextlib.suppress(OSError):  # gone already
        os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
    try:
        output, told = await asyncio.wait_for(child.communicate(), LONGEST_SECONDS)
    except asyncio.TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        return Answer(-1, '', f'No answer within {LONGEST_SECONDS:g} s; look at it with `mode_ros {verb} …`.')
    status = child.returncode or 0
    if status < 0:
        return Answer(status, '', f'The process that looks was killed (signal {-status}).')
    lines = [line for line in told.decode(errors='replace').splitlines() if line.strip()]
    said = [line.removeprefix('mode_ros: ') for line in lines if line.startswith('mode_ros: ')]
    return Answer(status, output.decode(errors='replace'), (said or lines or [''])[-1])
