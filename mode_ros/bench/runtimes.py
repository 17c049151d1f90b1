"""Torch against the static graph, end to end with images, and what each does to a control loop beside it.

Each way to run has a process of its own, which imports torch only where it needs it; they take turns. While one thinks,
this process ticks like a controller and notes how late each tick comes. Nothing here imports torch, so that the memory
of a way without it is its own.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mode_ros.bench.memory import peak_resident
from mode_ros.errors import UserError
from mode_ros.policy.runtimes.choose import RunSettings, load_policy, make_graph_where_it_serves

# Of the control loop: short, so that a chunk meets several ticks.
TICK = 0.005
_WARM_UP = 3


@dataclass(frozen=True)
class Way:
    """One way to run a checkpoint. spinning: its threads wait busily for each other and for work, as torch's do."""

    runtime: str
    threads: int
    spinning: bool = False
    number_format: str = 'float32'

    @property
    def title(self) -> str:
        """As in the table."""
        spinning = ', spinning' if self.spinning else ''
        number_format = '' if self.number_format == 'float32' else f', {self.number_format}'
        return f'{self.runtime}, {self.threads} thread{"s" if self.threads > 1 else ""}{spinning}{number_format}'


@dataclass(frozen=True)
class Found:
    """What one way took; seconds, bytes."""

    way: Way
    chunks: tuple[float, ...]
    processors: tuple[float, ...]
    lateness: tuple[float, ...]  # of the ticks beside it
    ratio: float  # median over the rounds of its time over the first way's in the same round
    ready: float  # from the start of its process to the first chunk
    memory: int
    distance: float  # largest, of its chunk from the first way's, over the spread of that

    def row(self) -> str:
        """Of the table."""
        p50, p99 = (1000 * float(np.percentile(self.chunks, percent)) for percent in (50, 99))
        late50, late99 = (1000 * float(np.percentile(self.lateness, percent)) for percent in (50, 99))
        return (
            f'| {self.way.title} | {p50:.1f} | {p99:.1f} | {self.ratio:.3f} | '
            f'{1000 * float(np.median(self.processors)):.0f} | {late50:.2f} | {late99:.2f} | {self.ready:.1f} | '
            f'{self.memory / 1e6:.0f} | {self.distance:.1e} |'
        )


HEAD = (
    '| way | chunk p50 | p99 (ms) | ratio | processor (ms) | tick late p50 | p99 (ms) | ready (s) | memory (MB) | '
    'distance |\n|---|' + '--:|' * 9
)


def ways(cores: int, openvino: Sequence[str] = ()) -> tuple[Way, ...]:
    """What is compared on a machine of so many cores; the first is the reference. openvino: its number formats."""
    spare = max(cores - 1, 1)
    counts = tuple(dict.fromkeys((cores, spare, 1)))
    return tuple(
        Way(runtime, count, spinning)
        for runtime, usual in (('torch', True), ('onnxruntime', False))
        for count in counts
        for spinning in ((usual, not usual) if count > 1 else (False,))  # one thread has no others that could wait
    ) + tuple(Way('openvino', count, number_format=each) for each in openvino for count in counts)


def compare_ways(checkpoint: Path, chosen: Sequence[Way], rounds: int, say: Callable[[str], None]) -> list[Found]:
    """Measure ways in turns. Makes the graph where there is none. Raises UserError where there can be none."""
    reason = make_graph_where_it_serves(checkpoint, RunSettings('cpu'))
    if reason:
        raise UserError(f'There is no static graph to measure: {reason}.')
    with ExitStack() as stack:
        workers = []
        for way in chosen:
            workers.append(stack.enter_context(_Worker(way, checkpoint)))
            workers[-1].ready = cast(float, workers[-1].receive())
            say(f'{way.title}: ready after {workers[-1].ready:.1f} s')
        for number in range(-_WARM_UP, rounds):
            for worker in workers:
                worker.measure(keep=number >= 0)
        memories = [worker.close() for worker in workers]
    reference = workers[0]
    return [_found(worker, reference, memory) for worker, memory in zip(workers, memories, strict=True)]


def as_values(found: Sequence[Found]) -> list[Mapping[str, Any]]:
    """For JSON."""
    return [{**vars(each), 'way': vars(each.way)} for each in found]


class _Worker:
    def __init__(self, way: Way, checkpoint: Path) -> None:
        context = multiprocessing.get_context('spawn')  # a fork would share this process's memory
        self.way = way
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, way, checkpoint), daemon=True)
        self._process.start()
        theirs.close()
        self.ready = 0.0
        self.chunks: list[float] = []
        self.processors: list[float] = []
        self.lateness: list[float] = []
        self.chunk: NDArray[np.float64] = np.zeros(0)

    def receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            raise UserError(
                f'Measuring {self.way.title!r} ended early: most likely the memory did not suffice.'
            ) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def measure(self, keep: bool) -> None:
        """One chunk, with the control loop ticking beside it."""
        self._connection.send('measure')
        late = tick_until(lambda: self._connection.poll(0), TICK)
        seconds, processor, self.chunk = self.receive()
        if keep:
            self.chunks.append(seconds)
            self.processors.append(processor)
            self.lateness += late

    def close(self) -> int:
        self._connection.send('close')
        return cast(int, self.receive())

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def tick_until(
    done: Callable[[], bool],
    period: float,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[float]:
    """Ticks at a period until `done`, at least once: how late each came, in seconds.

    A tick that comes after the next one was due counts those in between as late as they were.
    """
    late = []
    due = clock() + period
    while True:
        sleep(max(due - clock(), 0.0))
        now = clock()
        while due <= now:
            late.append(now - due)
            due += period
        if done():
            return late


def _found(worker: _Worker, reference: _Worker, memory: int) -> Found:
    pairs = zip(worker.chunks, reference.chunks, strict=True)
    spread = float(np.std(reference.chunk)) or 1.0
    return Found(
        worker.way,
        tuple(worker.chunks),
        tuple(worker.processors),
        tuple(worker.lateness),
        float(np.median([own / other for own, other in pairs])),
        worker.ready,
        memory,
        float(np.abs(worker.chunk - reference.chunk).max()) / spread,
    )


def _serve(connection: Connection, way: Way, checkpoint: Path) -> None:
    begin = time.perf_counter()
    try:
        if way.runtime == 'torch':
            os.environ['OMP_WAIT_POLICY'] = 'ACTIVE' if way.spinning else 'PASSIVE'  # read when torch is loaded
            import torch

            torch.set_num_threads(way.threads)
        settings = RunSettings('cpu', way.number_format, threads=way.threads, spinning=way.spinning)
        policy = load_policy(checkpoint, way.runtime, settings)
        random = np.random.default_rng(0)
        images = {
            camera.name: random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
            for camera in policy.config.cameras
        }
        state = np.zeros(policy.config.denoiser.state_dim) if policy.config.state_streams else None
        policy.predict(images, state, 'open the drawer', np.random.default_rng(0))
        connection.send(time.perf_counter() - begin)
        while connection.recv() == 'measure':
            processor, start = time.process_time(), time.perf_counter()
            chunk = policy.predict(images, state, 'open the drawer', np.random.default_rng(0))
            connection.send((time.perf_counter() - start, time.process_time() - processor, chunk))
        connection.send(peak_resident())
    except UserError as error:
        connection.send(error)
    except (EOFError, KeyboardInterrupt):
        return
    except Exception as error:  # noqa: BLE001  (it is told on the other side)
        connection.send(RuntimeError(f'{way.title}: {error}\n{traceback.format_exc()}'))
