"""Makes a checkpoint's static graph, by torch, in a process of its own where torch is not loaded yet.

What has loaded torch keeps its gigabyte to the end: so the process that wants a graph in order to do without torch does
not make it itself.
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from mode_ros.errors import UserError

Say = Callable[[str], None]

# Exit status of the process for what a user can mend: the sentence is all that it wrote.
REFUSED = 3
_TELL_SECONDS = 10.0
_LOOK_SECONDS = 0.2
_WAIT_SECONDS = 0.3  # a node has little time to end in
# How long the process takes to tidy up when the one that asked is gone; torch may be deep in its own code.
_END_SECONDS = 2.0


def lacking() -> str:
    """A package that making a graph needs and that is not installed; '' where both are."""
    return next((name for name in ('torch', 'onnx') if importlib.util.find_spec(name) is None), '')


def make_graph(checkpoint: Path, steps: int | None, solver: str | None, command: str, say: Say) -> None:
    """Make and store the graph of a checkpoint that samples so; None: as it says.

    command: what to type for it elsewhere, for the message; say: told what goes on. Raises UserError where there is no
    torch, and for a policy of which no graph can be made; whatever else is raised meanwhile ends the making.
    """
    if missing := lacking():
        raise UserError(
            f'There is no graph of {checkpoint}, and no {missing} here to make it: where torch and onnx are, type '
            f'`{command}`, and copy the folder with its runtimes/.'
        )
    begin = time.monotonic()
    say(f'making the static graph of {checkpoint}, once, which takes some ten seconds or more')
    if sys.modules.get('torch') is not None:
        from mode_ros.policy.runtimes.export import export_graph

        export_graph(checkpoint, steps, solver)
    else:
        _make_aside(checkpoint, steps, solver, say)
    say(f'the static graph of {checkpoint} is made, after {time.monotonic() - begin:.0f} s')


def _make_aside(checkpoint: Path, steps: int | None, solver: str | None, say: Say) -> None:
    arguments = [str(checkpoint)]
    arguments += [] if steps is None else ['--steps', str(steps)]
    arguments += [] if solver is None else ['--solver', solver]
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [sys.executable, '-m', __name__, *arguments],
            stdin=subprocess.PIPE,  # which is closed when this process is gone, however it ends
            stdout=subprocess.DEVNULL,
            stderr=told,
        )
        begin = time.monotonic()
        try:
            again = _TELL_SECONDS
            while process.poll() is None:
                time.sleep(_LOOK_SECONDS)
                if time.monotonic() - begin > again:
                    say(f'still making the static graph, for {again:.0f} s')
                    again += _TELL_SECONDS
        finally:
            _end(process)
        if process.returncode:
            raise UserError(_why(process.returncode, checkpoint, told))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Tell it that nobody wants its graph any more; it is not waited for long, since it ends by itself."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_WAIT_SECONDS)


def _why(status: int, checkpoint: Path, told: IO[bytes]) -> str:
    told.seek(0)
    lines = [line for line in told.read().decode(errors='replace').splitlines() if line.strip()]
    last = lines[-1] if lines else 'it said nothing'
    if status == REFUSED:
        return last
    return f'The static graph of {checkpoint} could not be made (exit status {status}): {last.rstrip(".")}.'


def _end_with_the_other(descriptor: int) -> None:
    """Waits until the process that asked closes its end; then this one ends, too, tidily if it can."""
    # Not from sys.stdin, whose lock a thread that waits in it would hold when the interpreter ends.
    while os.read(descriptor, 1):
        pass
    _thread.interrupt_main()
    time.sleep(_END_SECONDS)
    os._exit(1)


def main() -> int:
    """Of the process: makes the graph; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('--steps', type=int)
    parser.add_argument('--solver')
    given = parser.parse_args()
    threading.Thread(target=_end_with_the_other, args=(0,), daemon=True).start()
    try:
        from mode_ros.policy.runtimes.export import export_graph

        export_graph(given.checkpoint, given.steps, given.solver)
    except UserError as error:
        print(' '.join(str(error).split()), file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return 1
    return 0


if __name__ == '__main__':
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the graph is there: taking torch apart piece by piece would keep the other one waiting
