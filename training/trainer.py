"""The training loop: steps, validation, checkpoints, and going on where it stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from pydantic import ValidationError
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

import mode_ros.training.snapshots as snapshots
from mode_ros.errors import UserError, in_words
from mode_ros.policy.network import PolicyNetwork
from mode_ros.settings import explain
from mode_ros.training.batches import Batch, ahead
from mode_ros.training.inspection.findings import Watch
from mode_ros.training.inspection.pictures import chunk_picture, routing_picture
from mode_ros.training.inspection.way import gradient_norms, mixture_notes
from mode_ros.training.loss import move_biases
from mode_ros.training.objective import Losses, Objective
from mode_ros.training.optimizer import average_of, build_optimizer
from mode_ros.training.plan import Plan, build_network
from mode_ros.training.progress import LOG, TENSORBOARD, Progress
from mode_ros.training.recorded import RecordedStep, fix_shapes, plain_state, put_on_gpu
from mode_ros.training.same_data import check_same_data
from mode_ros.training.schedule import learning_rate_factor
from mode_ros.training.settings import TrainSettings, as_begun
from mode_ros.training.sharding import load_optimizer, load_weights, make_mesh, spread, whole
from mode_ros.training.training_report import REPORT, SAMPLES, peak_memory_mb, save_samples, write_report
from mode_ros.training.validation import Validation, validate

# Settings that may change when a training goes on: they decide what is written, how a batch is cut and how a step is
# run, not what is learnt. (Batch norm sees other parts of the batch when it is cut in another way, as on another number
# of processes.)
MAY_CHANGE = {
    'data.cache',
    'data.pictures',
    'run.accumulate',
    'run.shard',
    'run.recorded',
    'run.log_every',
    'run.validate_every',
    'run.validation_samples',
    'run.checkpoint_minutes',
    'run.keep',
}
# What is logged of each step besides the experts' shares, by its name in _one_step.
_LOGGED = ('denoising', 'balancing', 'gradient_norm')


class Stopped(Exception):
    """The training was asked to stop, and its state is saved."""


def make_accelerator(settings: TrainSettings, cpu: bool) -> Accelerator:
    """Mixed precision and processes, as the settings and `accelerate launch` say.

    Raises UserError for more processes than this machine has GPUs, unless they are to use its CPU.
    """
    _check_devices(cpu)
    precision = {'float32': 'no', 'bfloat16': 'bf16'}[settings.run.precision]
    return Accelerator(cpu=cpu, mixed_precision=precision)


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
        recorded = settings.run.recorded
        if recorded and (processes > 1 or accelerator.device.type != 'cuda'):
            where = f'{processes} processes' if processes > 1 else f'the {accelerator.device.type}'
            raise UserError(
                f'run.recorded is for one process on a GPU, and this training is on {where}: set it to false.'
            )
        self._network = build_network(plan).to(accelerator.device)
        self._spread = settings.run.shard and processes > 1
        if not self._spread:  # FSDP takes weights in their plain order alone
            self._network = self._network.to(memory_format=torch.channels_last)
        self._average = average_of(self._network, settings.optimizer)
        objective = Objective(self._network, settings.loss)
        objective.over_all = self.mean_over_all
        if self._spread:
            mesh = make_mesh(accelerator.device)
            spread(objective, self._network, mesh)
            spread(self._average.module, self._average.module, mesh)
        optimizer = build_optimizer(self._network, settings.optimizer)
        if self._spread:  # accelerate's own FSDP is not for a CPU, where tests run
            self._objective, self._optimizer = objective, optimizer
        else:
            self._objective, self._optimizer = accelerator.prepare(objective, optimizer)
        self._recorded: RecordedStep | None = None
        if recorded:
            fix_shapes(self._network)  # and not the average's, which nobody records
            self._recorded = RecordedStep(self._whole_step)
        self._biases = [block.router.bias for block in self._network.denoiser.stack if self._settings.loss.bias_rate]
        self._validation_moments = plan.source.validation(settings.run.validation_samples)
        self._watch = Watch(1 if settings.policy.routing == 'dense' else settings.policy.top_k)
        self._behind: tuple[int, Batch, Mapping[str, Tensor]] | None = None  # replayed, and not looked at yet
        self._best = float('inf')
        self._stop: int | None = None
        self.step = 0
        """Optimiser steps done."""

    @property
    def average(self) -> PolicyNetwork:
        """The averaged weights, in eval mode: what a checkpoint holds. To be asked for in all processes."""
        network = self._average.module
        assert isinstance(network, PolicyNetwork)
        if self._spread:
            weights = whole(network.state_dict())
            network = PolicyNetwork(self._plan.config)
            network.load_state_dict(weights)
            network.to(self._accelerator.device)
        return network.eval()

    # ---- the loop ---------------------------------------------------------------------------------------------

    def train(self, resume: bool = False, stop_after: int | None = None) -> Validation | None:
        """Train to the end, and write OUT/policy; returns the last validation, None without held-out episodes.

        resume: go on from the newest checkpoint; stop_after: end early after this many steps in all, as if interrupted.
        Raises Stopped, the state saved, after SIGINT, SIGTERM or SIGHUP and where nobody reads its lines any more, and
        UserError for a loss that is not finite and for a disk that takes no more.
        """
        if resume:
            self._restore()
        if self._recorded is not None:
            put_on_gpu(self._optimizer)
        if self._settings.data.pictures == 'device':
            self._plan.source.hold_pictures(self._accelerator.device)
        progress: Progress | None = None
        searching = torch.backends.cudnn.benchmark
        # Shapes that never change are worth a search for the fastest kernels.
        torch.backends.cudnn.benchmark = searching or self._recorded is not None
        try:
            progress = self._progress()
            if progress is not None:
                progress.begin(self.step)
            with self._signals():
                found = self._run(progress, stop_after)
        except OSError as error:  # of the log and of TensorBoard's; a checkpoint's is a UserError already
            raise snapshots.cannot_write(self._out, error) from error
        finally:
            torch.backends.cudnn.benchmark = searching
            if progress is not None:
                progress.close()
        return found

    def _run(self, progress: Progress | None, stop_after: int | None) -> Validation | None:
        run, last = self._settings.run, None
        saved = time.monotonic()
        window = _Window()
        batches = ahead(self._plan.source, self._parts(), run.batch_size, self._settings.loss)
        if self.step == 0:
            self._note(progress)
        self._objective.train()
        while self.step < self._steps:
            window.add(self._one_step(batches))
            self.step += 1
            ended = self.step == self._steps
            if ended or not self.step % run.log_every or not self.step % run.validate_every:
                self._look_back()  # before anything of the step is told
            if self.step % run.log_every == 0 or ended:
                values = window.values(self.mean_over_all)
                if progress is not None:
                    peak = peak_memory_mb(self._accelerator.device)
                    told = {**values, 'learning_rate': self._rate(self.step - 1), 'peak_memory_mb': peak}
                    progress.show(self.step, told)
                    samples = (self.step % run.log_every or run.log_every) * run.batch_size
                    for line in self._watch.lines(self.step, values['expert_shares'], samples):
                        progress.say(line)
                window = _Window()
            if self.step % run.validate_every == 0 or ended:
                self._note(progress)
            if self._validation_moments and (self.step % run.validate_every == 0 or ended):
                last = self._validate(progress)
            stopping, due = self._agree(
                self._stop is not None or self.step == stop_after or (progress is not None and progress.unheard),
                self._accelerator.is_main_process and time.monotonic() - saved > 60 * run.checkpoint_minutes,
            )
            if due or stopping or ended:
                self._save()
                saved = time.monotonic()
            if stopping and not ended:
                raise Stopped(
                    f'Stopped after step {self.step} of {self._steps}; go on with --resume and the same settings.'
                )
        average = self.average
        if self._accelerator.is_main_process:
            snapshots.save_policy(
                self._out / snapshots.POLICY, self._plan.info(self.step), average, self._settings.to_yaml()
            )
            write_report(self._out)
        return last

    def _one_step(self, batches: Iterator[Batch]) -> Mapping[str, Any]:
        if self._recorded is not None:
            return self._replayed_step(self._recorded, batches)
        run, parts = self._settings.run, []
        waited = 0.0
        begin = time.perf_counter()
        seen: list[Batch] = []
        for number in range(run.accumulate):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            seen.append(batch)
            # What is dropped is decided as the batch is: by the seed and the step, so that going on repeats it.
            torch.manual_seed(_seed(run.seed, self.step, number, self._accelerator.process_index))
            last = number == run.accumulate - 1
            with self._gradients_exchanged(last):
                parts.append(self._backward(batch.to(self._accelerator.device)))
        logged = (self.step + 1) % run.log_every == 0 and not self._spread
        by_part = gradient_norms(self._network) if logged else {}
        norm = self._clip()
        # The gradient is the same in all processes, so that all stop together.
        if not bool(torch.isfinite(norm)):
            raise self._not_finite(self.step, seen, [each.errors for each in parts])
        for group in self._optimizer.param_groups:
            group['lr'] = self._rate(self.step)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        shares = torch.stack([each.shares for each in parts]).mean(0)
        if self._settings.loss.bias_rate:
            move_biases(self._biases, self.mean_over_all(shares), self._settings.loss.bias_rate)
        self._average.update_parameters(self._network)
        return {
            'denoising': torch.stack([each.denoising for each in parts]).mean(),
            'balancing': torch.stack([each.balancing for each in parts]).mean(),
            'shares': shares,
            'gradient_norm': norm.detach(),
            'gradient_norms': by_part,
            'waited': waited,
            'seconds': time.perf_counter() - begin,
        }

    def _backward(self, batch: Batch) -> Losses:
        """The losses of one part of a step, their gradient added to what is there; batch: on the device."""
        with self._accelerator.autocast():
            losses: Losses = self._objective(batch)
        self._accelerator.backward(losses.total / self._settings.run.accumulate)
        return losses

    def _clip(self) -> Tensor:
        """Bound the gradient; returns its norm before that, whole."""
        largest = self._settings.optimizer.clip or float('inf')
        norm = self._accelerator.clip_grad_norm_(self._network.parameters(), largest)
        assert isinstance(norm, Tensor)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def _replayed_step(self, recorded: RecordedStep, batches: Iterator[Batch]) -> Mapping[str, Any]:
        """As _one_step, of one part. Whether all is finite is looked at one step later, so that the host can get the
        next batch ready meanwhile.
        """
        begin = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - begin
        sent = batch.to(self._accelerator.device)
        self._look_back()
        torch.manual_seed(_seed(self._settings.run.seed, self.step, 0, 0))
        for group in self._optimizer.param_groups:
            group['lr'].fill_(self._rate(self.step))
        found = recorded(sent)
        self._behind = self.step, batch, found
        self._average.update_parameters(self._network)
        return {**found, 'gradient_norms': {}, 'waited': waited, 'seconds': time.perf_counter() - begin}

    def _look_back(self) -> None:
        """Wait for the replayed step; raise UserError where it was not finite."""
        if self._behind is not None:
            (step, batch, found), self._behind = self._behind, None
            if not bool(torch.isfinite(found['gradient_norm'])):
                raise self._not_finite(step, [batch], [found['errors']])

    def _whole_step(self, batch: Batch) -> Mapping[str, Tensor]:
        """What is recorded."""
        losses = self._backward(batch)
        norm = self._clip()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._settings.loss.bias_rate:
            move_biases(self._biases, losses.shares, self._settings.loss.bias_rate)
        return {
            'denoising': losses.denoising,
            'balancing': losses.balancing,
            'shares': losses.shares,
            'gradient_norm': norm.detach(),
            'errors': losses.errors,
        }

    def _parts(self) -> Iterator[tuple[int, slice]]:
        """(step, this process's rows) of every part of every step still to come."""
        run, world = self._settings.run, self._accelerator.num_processes
        size = run.batch_size // (run.accumulate * world)
        for step in range(self.step, self._steps):
            for number in range(run.accumulate):
                start = (number * world + self._accelerator.process_index) * size
                yield step, slice(start, start + size)

    def _not_finite(self, step: int, batches: Sequence[Batch], errors: Sequence[Tensor]) -> UserError:
        mine = [
            (moment, float(error))
            for batch, of_samples in zip(batches, errors, strict=True)
            for moment, error in zip(batch.moments, of_samples.tolist(), strict=True)
        ]
        everywhere = gather_object(mine)
        wrong = [moment for moment, error in everywhere if not np.isfinite(error)]
        if wrong:
            which = f'These samples gave it: {self._plan.source.describe(wrong)}'
        else:
            largest = sorted(everywhere, key=lambda each: each[1], reverse=True)
            which = f'The samples with the largest loss: {self._plan.source.describe([each[0] for each in largest])}'
        return UserError(
            f'The loss or its gradient is not finite at step {step}, so the training stops and keeps its last '
            f'checkpoint. {which}. Look at these, or lower optimizer.learning_rate.'
        )

    def _rate(self, step: int) -> float:
        optimizer = self._settings.optimizer
        return optimizer.learning_rate * learning_rate_factor(step, optimizer.schedule_steps or self._steps, optimizer)

    def _note(self, progress: Progress | None) -> None:
        """How the mixture is doing, of the averaged weights; not of weights that are spread, which gathering costs."""
        if progress is not None and not self._spread:
            average = self.average
            progress.record(self.step, 'mixture', mixture_notes(average.denoiser, average.config.diffusion))

    def _validate(self, progress: Progress | None) -> Validation | None:
        found, average = None, self.average
        if self._accelerator.is_main_process:
            source = self._plan.source
            found = validate(average, source, self._validation_moments, self._settings.loss)
            names = self._plan.contract.action_names
            assert progress is not None
            progress.validated(
                self.step,
                found.error,
                {
                    **{f'step_{index}': float(value) for index, value in enumerate(found.by_step)},
                    **{f'of_{name}': float(value) for name, value in zip(names, found.by_dimension, strict=True)},
                    'by_task': found.by_task,
                    **found.free_errors,
                },
            )
            progress.picture(self.step, 'validation/chunks', chunk_picture(found, names))
            progress.picture(self.step, 'routing/use', routing_picture(average))
            save_samples(self._out, self.step, found)
            if found.error < self._best:
                self._best = found.error
                snapshots.save_policy(
                    self._out / snapshots.BEST, self._plan.info(self.step), average, self._settings.to_yaml()
                )
        self._accelerator.wait_for_everyone()
        return found

    # ---- going on ---------------------------------------------------------------------------------------------

    def _save(self) -> None:
        self._look_back()
        average, network, optimizer = self.average, self._network.state_dict(), self._optimizer.state_dict()
        if self._recorded is not None:
            optimizer = plain_state(optimizer)
        if self._spread:
            network, optimizer = whole(network), whole(optimizer)
        if self._accelerator.is_main_process:
            state = {
                'step': self.step,
                'settings': self._settings.model_dump(mode='json'),
                'network': network,
                'optimizer': optimizer,
                'averaged': int(self._average.n_averaged),
                'best': self._best,
                'validated': self._plan.source.mark(self._validation_moments),
                'data': self._plan.source.outline,
            }
            snapshots.save_snapshot(
                self._out,
                self._plan.info(self.step),
                average,
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
        _check_same(state['settings'], self._settings, folder)
        before, source = snapshots.load_info(folder), self._plan.source
        check_same_data(folder, before, state.get('data'), self._plan.info(self.step), source.outline)
        load_weights(self._network, state['network'])
        load_optimizer(self._optimizer, state['optimizer'])
        load_weights(self._average.module, snapshots.load_average(folder).state_dict())
        self._average.n_averaged.fill_(state['averaged'])
        self.step = state['step']
        # Errors on other moments are another number: the best of them is not known yet. A checkpoint of before does not
        # say which they were; then, failed spans counted in them.
        now = source.mark(self._validation_moments)
        then = state.get('validated', '' if source.any_failed else now)
        self._best = state['best'] if then == now else float('inf')

    # ---- several processes ------------------------------------------------------------------------------------

    def mean_over_all(self, values: Tensor) -> Tensor:
        """The mean over all processes of what each of them gives, of any shape; without a gradient."""
        if self._accelerator.num_processes == 1:
            return values
        mean = self._accelerator.reduce(values, reduction='mean')
        assert isinstance(mean, Tensor)
        return mean

    def _gradients_exchanged(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around one part of a step: processes exchange gradients after the last one alone."""
        if isinstance(self._objective, FSDPModule):
            self._objective.set_requires_gradient_sync(last)
            return contextlib.nullcontext()
        alone: contextlib.AbstractContextManager[None] = self._accelerator.no_sync(self._objective)
        return contextlib.nullcontext() if last else alone

    def _agree(self, *mine: bool) -> list[bool]:
        """For each question whether any process says yes; one exchange for all of them."""
        if self._accelerator.num_processes == 1:  # without a word to the GPU, which would have to finish first
            return list(mine)
        said = torch.tensor(mine, dtype=torch.float32, device=self._accelerator.device)
        return [share > 0 for share in self.mean_over_all(said).tolist()]

    def _progress(self) -> Progress | None:
        if not self._accelerator.is_main_process:
            return None
        return Progress(self._out, self._steps, self._settings.run.batch_size, self.step)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT, SIGTERM or SIGHUP lets the step end and saves; the second counts at once.

        Of several processes each gets a second one from their launcher, which would break off the saving; it ends
        them for good when they take too long.
        """

        def ask(number: int, frame: FrameType | None) -> None:
            self._stop = number
            for each, before in earlier.items():
                signal.signal(each, before if self._accelerator.num_processes == 1 else signal.SIG_IGN)

        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it, to go on without the terminal
            numbers.append(signal.SIGHUP)
        earlier = {number: signal.getsignal(number) for number in numbers}
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

    def values(self, over_all: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """Numbers by name, over all processes; over_all: their mean.

        data_share: the share of the time in which the step waited for its batch.
        """
        shares = torch.stack([step['shares'] for step in self._steps]).mean(0)
        waited, seconds = (sum(step[name] for step in self._steps) for name in ('waited', 'seconds'))
        means = [torch.stack([step[name] for step in self._steps]).float().mean() for name in _LOGGED]
        mine = torch.stack([*means, means[0].new_tensor(waited / seconds), *shares.flatten()])
        numbers = over_all(mine).tolist()
        return {
            **dict(zip((*_LOGGED, 'data_share'), numbers, strict=False)),
            'gradient_norms': self._steps[-1]['gradient_norms'],
            'expert_shares': np.reshape(numbers[len(_LOGGED) + 1 :], shares.shape).tolist(),
        }


def prepare_folder(out: Path, settings: TrainSettings, resume: bool) -> None:
    """Make OUT with training.yaml, and remove what a killed training left there half written.

    Raises UserError for a folder with other things in it, and for a training with checkpoints or a policy unless it
    goes on; one that ended before it had either is begun anew, its best policy put aside.
    """
    snapshots.remove_leftovers(out)
    if resume:
        return
    try:
        if out.exists() and any(out.iterdir()):
            if snapshots.checkpoints(out):
                raise UserError(f'{out} holds a training: go on with --resume, or give another --output.')
            if not (out / snapshots.SETTINGS).is_file():
                raise UserError(f'{out} is not empty: give another --output, or empty it.')
            if (out / snapshots.POLICY).exists():
                raise UserError(
                    f'{out} holds the policy of a training without checkpoints to go on from: give another --output, '
                    f'or remove {out / snapshots.POLICY}.'
                )
            snapshots.put_aside(out / snapshots.BEST)
            for file in (LOG, REPORT, SAMPLES):
                (out / file).unlink(missing_ok=True)
            for folder in (TENSORBOARD, snapshots.CHECKPOINTS):
                shutil.rmtree(out / folder, ignore_errors=True)
        out.mkdir(parents=True, exist_ok=True)
        (out / snapshots.SETTINGS).write_text(settings.to_yaml(), encoding='utf-8')
    except OSError as error:
        raise UserError(f'The folder {out} cannot be written ({in_words(error)}): give another --output.') from error


def _seed(*numbers: int) -> int:
    # Shifted as a Python number: NumPy 1, which ROS brings on Ubuntu 24.04 and older, shifts no uint64 by an int.
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


def _check_devices(cpu: bool) -> None:
    # `accelerate launch` and torchrun say by this how many of them there are on this machine.
    wanted = int(os.environ.get('LOCAL_WORLD_SIZE', '1'))
    if cpu or wanted == 1:
        return
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted > found:
        raise UserError(
            f'{wanted} processes were started here, but this machine has {found} GPUs: start at most one for each, as '
            f'`accelerate launch --num_processes {max(found, 1)}`, or let them share its CPU with --device cpu.'
        )


def _check_same(before: Mapping[str, Any], now: TrainSettings, folder: Path) -> None:
    training = folder.parents[1]
    try:
        # Through the model: what it began without has what was done then, or its default.
        earlier = TrainSettings.model_validate(as_begun(before)).model_dump(mode='json')
    except ValidationError as error:
        raise UserError(
            f'The training in {training} began with settings that this version of mode_ros does not have '
            f'({explain(error, TrainSettings)}): begin anew with another --output.'
        ) from error
    found = [
        f'{section}.{key} was {earlier[section][key]!r} and is {value!r}'
        for section, values in now.model_dump(mode='json').items()
        for key, value in values.items()
        if earlier[section][key] != value and f'{section}.{key}' not in MAY_CHANGE
    ]
    if found:
        raise UserError(
            f'The training in {training} began with other settings: {"; ".join(found)}. Go on with those, or begin '
            'anew with another --output.'
        )
