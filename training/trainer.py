"""The training loop: steps, validation, checkpoints, and going on where it stopped."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list, gather_object
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.network import PolicyNetwork
import mode_ros.training.snapshots as snapshots
from mode_ros.training.batches import Batch, ahead
from mode_ros.training.objective import Losses, Objective
from mode_ros.training.optimizer import average_of, build_optimizer
from mode_ros.training.plan import Plan, build_network
from mode_ros.training.progress import Progress
from mode_ros.training.schedule import learning_rate_factor
from mode_ros.training.settings import TrainSettings
from mode_ros.training.validation import Validation, validate

# Settings that may change when a training goes on: they decide what is written, not what is learnt.
_MAY_CHANGE = {'log_every', 'validate_every', 'validation_samples', 'checkpoint_minutes', 'keep'}


class Stopped(Exception):
    """The training was asked to stop, and its state is saved."""


def make_accelerator(settings: TrainSettings, cpu: bool) -> Accelerator:
    """Mixed precision and processes, as the settings and `accelerate launch` say."""
    precision = {'float32': 'no', 'bfloat16': 'bf16'}[settings.run.precision]
    # An expert that no sample of a process drew has no gradient there.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[unused])


class Trainer:
    """One training in one process; several processes each have one and share every batch."""

    def __init__(self, plan: Plan, out: Path, accelerator: Accelerator) -> None:
        settings = plan.settings
        self._plan, self._out, self._accelerator = plan, out, accelerator
        self._settings, self._steps = settings, settings.run.steps
        processes = accelerator.num_processes
        if settings.run.batch_size % (processes * settings.run.accumulate):
            raise UserError(
                f'run.batch_size {settings.run.batch_size} cannot be cut into {processes} processes times '
                f'run.accumulate {settings.run.accumulate}: make it a multiple of '
                f'{processes * settings.run.accumulate}.'
            )
        self._network = build_network(plan).to(accelerator.device, memory_format=torch.channels_last)
        self._average = average_of(self._network, settings.optimizer.ema_decay)
        objective = Objective(self._network, settings.loss)
        objective.over_all = self._mean_over_all
        optimizer = build_optimizer(self._network, settings.optimizer)
        self._objective, self._optimizer = accelerator.prepare(objective, optimizer)
        self._validation_moments = plan.source.validation(settings.run.validation_samples)
        self._best = float('inf')
        self._stop: int | None = None
        self.step = 0
        """Optimiser steps done."""

    @property
    def average(self) -> PolicyNetwork:
        """The averaged weights, in eval mode: what a checkpoint holds."""
        network = self._average.module
        assert isinstance(network, PolicyNetwork)
        return network.eval()

    # ---- the loop ---------------------------------------------------------------------------------------------

    def train(self, resume: bool = False, stop_after: int | None = None) -> Validation | None:
        """Train to the end, and write OUT/policy; returns the last validation, None without held-out episodes.

        resume: go on from the newest checkpoint; stop_after: end early after this many steps in all, as if interrupted.
        Raises Stopped after SIGINT or SIGTERM, the state saved, and UserError for a loss that is not finite.
        """
        if resume:
            self._restore()
        progress = self._progress()
        if progress is not None:
            progress.begin(self.step)
        try:
            with self._signals():
                found = self._run(progress, stop_after)
        finally:
            if progress is not None:
                progress.close()
        return found

    def _run(self, progress: Progress | None, stop_after: int | None) -> Validation | None:
        run, last = self._settings.run, None
        saved = time.monotonic()
        window = _Window()
        batches = ahead(self._plan.source, self._parts(), run.batch_size, self._settings.loss)
        self._objective.train()
        while self.step < self._steps:
            window.add(self._one_step(batches))
            self.step += 1
            ended = self.step == self._steps
            if self.step % run.log_every == 0 or ended:
                values = window.values()
                if progress is not None:
                    progress.show(self.step, {**values, 'learning_rate': self._rate(self.step - 1)})
                window = _Window()
            if self._validation_moments and (self.step % run.validate_every == 0 or ended):
                last = self._validate(progress)
            stopping = self._agree(self._stop is not None or self.step == stop_after)
            due = self._agree(time.monotonic() - saved > 60 * run.checkpoint_minutes)
            if due or stopping or ended:
                self._save()
                saved = time.monotonic()
            if stopping and not ended:
                raise Stopped(
                    f'Stopped after step {self.step} of {self._steps}; go on with --resume and the same settings.'
                )
        if self._accelerator.is_main_process:
            snapshots.save_policy(
                self._out / snapshots.POLICY, self._plan.info(self.step), self.average, self._settings.to_yaml()
            )
        return last

    def _one_step(self, batches: Iterator[Batch]) -> Mapping[str, Any]:
        run, parts = self._settings.run, []
        waited = 0.0
        begin = time.perf_counter()
        moments: list[tuple[int, int]] = []
        for number in range(run.accumulate):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            moments += batch.moments
            last = number == run.accumulate - 1
            alone = contextlib.nullcontext() if last else self._accelerator.no_sync(self._objective)
            with alone:
                losses: Losses = self._objective(batch.to(self._accelerator.device))
                self._accelerator.backward(losses.total / run.accumulate)
            parts.append(losses)
        norm = self._accelerator.clip_grad_norm_(self._network.parameters(), self._settings.optimizer.clip)
        # The gradient is the same in all processes, so that all stop together.
        if not bool(torch.isfinite(norm)):
            raise UserError(
                f'The loss is not finite at step {self.step} (denoising '
                f'{[round(float(each.denoising), 4) for each in parts]}), so the training stops and keeps its last '
                f'checkpoint. The batch: {self._plan.source.describe(moments)}. Look at these, or lower '
                'optimizer.learning_rate.'
            )
        for group in self._optimizer.param_groups:
            group['lr'] = self._rate(self.step)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._average.update_parameters(self._network)
        return {
            'denoising': torch.stack([each.denoising for each in parts]).mean(),
            'balancing': torch.stack([each.balancing for each in parts]).mean(),
            'shares': torch.stack([each.shares for each in parts]).mean(0),
            'gradient_norm': norm.detach(),
            'waited': waited,
            'seconds': time.perf_counter() - begin,
        }

    def _parts(self) -> Iterator[tuple[int, slice]]:
        """(step, this process's rows) of every part of every step still to come."""
        run, world = self._settings.run, self._accelerator.num_processes
        size = run.batch_size // (run.accumulate * world)
        for step in range(self.step, self._steps):
            for number in range(run.accumulate):
                start = (number * world + self._accelerator.process_index) * size
                yield step, slice(start, start + size)

    def _rate(self, step: int) -> float:
        optimizer = self._settings.optimizer
        return optimizer.learning_rate * learning_rate_factor(step, self._steps, optimizer)

    def _validate(self, progress: Progress | None) -> Validation | None:
        found = None
        if self._accelerator.is_main_process:
            source = self._plan.source
            found = validate(self.average, source, self._validation_moments, self._settings.loss)
            names = self._plan.contract.action_names
            assert progress is not None
            progress.validated(
                self.step,
                found.error,
                {
                    **{f'step_{index}': float(value) for index, value in enumerate(found.by_step)},
                    **{f'of_{name}': float(value) for name, value in zip(names, found.by_dimension, strict=True)},
                    'by_task': found.by_task,
                },
            )
            if found.error < self._best:
                self._best = found.error
                snapshots.save_policy(
                    self._out / snapshots.BEST, self._plan.info(self.step), self.average, self._settings.to_yaml()
                )
        self._accelerator.wait_for_everyone()
        return found

    # ---- going on ---------------------------------------------------------------------------------------------

    def _save(self) -> None:
        random = gather_object([torch.get_rng_state()])
        if self._accelerator.is_main_process:
            state = {
                'step': self.step,
                'settings': self._settings.model_dump(mode='json'),
                'network': self._network.state_dict(),
                'optimizer': self._optimizer.state_dict(),
                'averaged': int(self._average.n_averaged),
                'random': random,
                'best': self._best,
            }
            snapshots.save_snapshot(
                self._out,
                self._plan.info(self.step),
                self.average,
                state,
                self._settings.to_yaml(),
                self._settings.run.keep,
            )
        self._accelerator.wait_for_everyone()

    def _restore(self) -> None:
        found = snapshots.checkpoints(self._out)
        if not found:
            raise UserError(f'{self._out} has no checkpoint to go on from; leave out --resume to begin.')
        folder = found[-1]
        state = snapshots.load_state(folder)
        _check_same(state['settings'], self._settings.model_dump(mode='json'), folder)
        self._network.load_state_dict(state['network'])
        self._optimizer.load_state_dict(state['optimizer'])
        _, average = snapshots.load_average(folder)
        self.average.load_state_dict(average.state_dict())
        self._average.n_averaged.fill_(state['averaged'])
        self.step, self._best = state['step'], state['best']
        random = state['random']
        torch.set_rng_state(random[self._accelerator.process_index % len(random)])

    # ---- several processes ------------------------------------------------------------------------------------

    def _mean_over_all(self, shares: Tensor) -> Tensor:
        if self._accelerator.num_processes == 1:
            return shares
        mean = self._accelerator.reduce(shares, reduction='mean')
        assert isinstance(mean, Tensor)
        return mean

    def _agree(self, mine: bool) -> bool:
        """What the first process says, in all of them."""
        if self._accelerator.num_processes == 1:
            return mine
        said = [mine]
        broadcast_object_list(said)
        return said[0]

    def _progress(self) -> Progress | None:
        if not self._accelerator.is_main_process:
            return None
        return Progress(self._out, self._steps, self._settings.run.batch_size)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM lets the step end and saves; the second counts at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            self._stop = number
            for each, before in earlier.items():
                signal.signal(each, before)

        earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in earlier:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, before in earlier.items():
                signal.signal(number, before)


class _Window:
    """Means over the steps since the last line."""

    def __init__(self) -> None:
        self._steps: list[Mapping[str, Any]] = []

    def add(self, step: Mapping[str, Any]) -> None:
        self._steps.append(step)

    def values(self) -> dict[str, Any]:
        """Numbers by name; data_share: the share of the time in which the step waited for its batch."""
        means = {
            name: float(torch.stack([step[name] for step in self._steps]).float().mean())
            for name in ('denoising', 'balancing', 'gradient_norm')
        }
        shares = torch.stack([step['shares'] for step in self._steps]).mean(0)
        seconds = sum(step['seconds'] for step in self._steps)
        return {
            **means,
            'data_share': sum(step['waited'] for step in self._steps) / seconds,
            'expert_shares': shares.cpu().tolist(),
        }


def prepare_folder(out: Path, settings: TrainSettings, resume: bool) -> None:
    """Make OUT with training.yaml; refuses a folder with another training in it unless it goes on."""
    if resume:
        return
    if out.exists() and any(out.iterdir()):
        raise UserError(f'{out} is not empty: go on with --resume, or give another --output.')
    out.mkdir(parents=True, exist_ok=True)
    (out / snapshots.SETTINGS).write_text(settings.to_yaml(), encoding='utf-8')
    shutil.rmtree(out / snapshots.CHECKPOINTS, ignore_errors=True)


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    found = [
        f'{section}.{key} was {before[section].get(key)!r} and is {value!r}'
        for section, values in now.items()
        for key, value in values.items()
        if before[section].get(key) != value and not (section == 'run' and key in _MAY_CHANGE)
    ]
    if found:
        raise UserError(
            f'The training in {folder.parents[1]} began with other settings: {"; ".join(found)}. Go on with those, or '
            'begin anew with another --output.'
        )
