"""The routing picture: `mode_ros inspect` in a process of its own, asked once for each state of a checkpoint."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.page.jobs import child_environment
from mode_ros.page.lookup import NICE
from mode_ros.page.places import WEIGHTS

SECONDS = 180.0


class Experts:
    """Of any checkpoint. For one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int], dict[str, Any]] = {}
        self._asking = asyncio.Lock()

    async def of(self, checkpoint: Path) -> dict[str, Any]:
        """`sigmas` [S], use [S, L, E]: the share that each expert is used at each noise level; findings: sentences.

        Raises UserError in the words of the command.
        """
        try:
            key = checkpoint, (checkpoint / WEIGHTS).stat().st_mtime_ns
        except OSError as error:
            raise UserError(f'{checkpoint.name} is not there any more.') from error
        async with self._asking:
            if key not in self._known:
                self._known[key] = await _inspect(checkpoint)
        return self._known[key]


async def _inspect(checkpoint: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix='mode_ros_') as folder:
        found = Path(folder) / 'found.json'
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, '-m', 'mode_ros', 'inspect', str(checkpoint), '--json', str(found)),
            stdin=asyncio.subprocess.DEVNULL,
            env=child_environment(),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, child.pid, NICE)  # the robot comes first
        try:
            _, said = await asyncio.wait_for(child.communicate(), SECONDS)
        except asyncio.TimeoutError:
            raise UserError(f'Looking at the experts has taken more than {SECONDS:g} s: the machine is busy.') from None
        finally:
            if child.returncode is None:
                child.kill()
        if child.returncode:
            last = said.decode(errors='replace').strip().splitlines() or [f'status {child.returncode}']
            raise UserError(last[-1].removeprefix('mode_ros: '))
        side = json.loads(found.read_text(encoding='utf-8'))[0]
    routed = side['over_range']
    return {
        'sigmas': routed['sigmas'],
        'use': routed['use'],
        'findings': [finding['text'] for finding in side['findings']],
    }
