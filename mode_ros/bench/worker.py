"""Each variant in a process of its own, so that its peak memory is its own; all take turns, so that drift cancels."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, cast

import torch

from mode_ros.bench.memory import peak_resident
from mode_ros.bench.variants import Measured, Setting, build_variant, make_inputs, measure_once
from mode_ros.errors import UserError


@dataclass(frozen=True)
class Built:
    """What making a variant ready took."""

    seconds: float  # loading, packing, copying
    peak_bytes: int  # of memory, until then


class Worker:
    """A variant, ready to be measured, in a process of its own."""

    def __init__(self, name: str, setting: Setting, batch: int) -> None:
        """Starts loading; `wait` for it before measuring. `name` is one of variants.TITLES."""
        self.name = name
        context = multiprocessing.get_context('spawn')  # a fork would share this process's memory
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, setting, batch), daemon=True)
        self._process.start()
        theirs.close()

    def wait(self) -> Built:
        """Until it is loaded."""
        return cast(Built, self._receive())

    def measure(self) -> Measured:
        """One chunk."""
        self._connection.send('measure')
        return cast(Measured, self._receive())

    def close(self) -> int:
        """End the process; returns its peak memory in bytes."""
        self._connection.send('close')
        peak = cast(int, self._receive())
        self._process.join(30)
        return peak

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.is_alive():
            self._process.terminate()
        self._process.join()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            raise UserError(
                f'Measuring {self.name!r} ended early (exit status {self._process.exitcode}): most likely the memory '
                'did not suffice; leave it out with --variants, or choose a smaller configuration.'
            ) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer


def peak_memory(device: str) -> int:
    """Bytes: of this process's resident memory at its highest, or of the GPU's allocations."""
    if device != 'cpu':
        return torch.cuda.max_memory_allocated()
    return peak_resident()


def _serve(connection: Connection, name: str, setting: Setting, batch: int) -> None:
    torch.set_num_threads(setting.threads)
    torch.set_grad_enabled(False)
    try:
        begin = time.perf_counter()
        compute = build_variant(name, setting, batch)
        inputs = make_inputs(setting.denoiser, batch, setting.device)
        connection.send(Built(time.perf_counter() - begin, peak_memory(setting.device)))
        while connection.recv() == 'measure':
            connection.send(measure_once(compute, inputs))
        connection.send(peak_memory(setting.device))
    except UserError as error:
        connection.send(error)
    except (EOFError, KeyboardInterrupt):
        return
    except Exception as error:  # noqa: BLE001  (it is told on the other side)
        connection.send(RuntimeError(f'{name}: {error}\n{traceback.format_exc()}'))
