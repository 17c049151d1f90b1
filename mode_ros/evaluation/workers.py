"""Episodes in several processes: each has the policy and a simulator of its own, and one torch thread."""

from __future__ import annotations

import concurrent.futures
import contextlib
import math
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from mode_ros.errors import UserError
from mode_ros.evaluation.episodes import Episode
from mode_ros.evaluation.evaluator import Evaluator, Work, load_policy
from mode_ros.policy.stages import Interrupted
from mode_ros.with_parent import end_worker_with_parent

# A task's episodes are split where there would be fewer pieces than this per process, so that none idles for long.
PIECES_PER_JOB = 2


def run_in_processes(work: Work, waiting: Sequence[tuple[str, int]], jobs: int) -> Iterator[Episode]:
    """Runs the (task, seed) in `waiting`; gives each episode as it is finished, in no particular order.

    Raises UserError as Evaluator does, and where a process is killed.
    """
    # A forked child would inherit the locks of the parent's threads.
    context = multiprocessing.get_context('spawn')
    # A simple queue's put returns when the item is in the pipe: what a future has finished can be read when it is done.
    stop, finished = context.Event(), context.SimpleQueue()
    pool = concurrent.futures.ProcessPoolExecutor(jobs, context, _begin, (work, stop, finished))
    try:
        left = {pool.submit(_run, piece) for piece in pieces(waiting, jobs)}
        while left:
            done, left = concurrent.futures.wait(left, 0.2, concurrent.futures.FIRST_COMPLETED)
            yield from _drain(finished)
            for future in done:
                future.result()
        yield from _drain(finished)
    except BrokenProcessPool as error:
        raise UserError(
            'A process of the evaluation was killed, most likely for lack of memory. What is finished is kept: type '
            'the same command again, with a smaller --jobs.'
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def pieces(waiting: Sequence[tuple[str, int]], jobs: int) -> list[list[tuple[str, int]]]:
    """`waiting` in pieces of one task each, since a simulator holds one task and takes a while to build."""
    by_task: dict[str, list[tuple[str, int]]] = {}
    for task, seed in waiting:
        by_task.setdefault(task, []).append((task, seed))
    split = math.ceil(PIECES_PER_JOB * jobs / max(len(by_task), 1))
    found = []
    for group in by_task.values():
        size = math.ceil(len(group) / split)
        found += [group[first : first + size] for first in range(0, len(group), size)]
    return found


def run_here(work: Work, waiting: Sequence[tuple[str, int]], load: Callable[[], Any]) -> Iterator[Episode]:
    """As `run_in_processes`, one after the other in this process, in order. load: gives the policy."""
    if not waiting:
        return
    with Evaluator(work, load()) as evaluator:
        for task, seed in waiting:
            yield evaluator.episode(task, seed)


def _drain(finished: Any) -> Iterator[Episode]:
    while not finished.empty():
        yield finished.get()


# In a worker process: its evaluator, whether to stop, and where finished episodes go.
_worker: dict[str, Any] = {}


def _begin(work: Work, stop: Any, finished: Any) -> None:
    # Ctrl-C reaches every process of the terminal; the parent decides and sets `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_worker_with_parent()
    torch.set_num_threads(work.settings.threads or 1)
    _worker.update(work=work, stop=stop, finished=finished)


def _run(piece: Sequence[tuple[str, int]]) -> None:
    # Loaded here and not when the process begins, where an error would only be a broken pool.
    if 'evaluator' not in _worker:
        _worker['evaluator'] = Evaluator(_worker['work'], load_policy(_worker['work'].settings))
    with contextlib.suppress(Interrupted):
        for task, seed in piece:
            _worker['finished'].put(_worker['evaluator'].episode(task, seed, _worker['stop'].is_set))
