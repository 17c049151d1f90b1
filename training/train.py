"""`mode_ros train`: from a YAML file to a checkpoint folder and a report."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from mode_ros.alone import alone
from mode_ros.errors import UserError
from mode_ros.paths import share_folder
from mode_ros.policy.network import PolicyNetwork
from mode_ros.training.plan import Plan, make_plan
from mode_ros.training.settings import load_train_settings
from mode_ros.training.trainer import Stopped, Trainer, make_accelerator, prepare_folder

# What `train` returns for a check that found something: it was said line by line.
LOOK_AT = 'look at'


def find_config(name: str) -> Path:
    """The training file `name`: a path, or the name of one that comes with mode_ros. Raises UserError."""
    path = Path(name)
    if path.is_file() or path.suffix:
        return path
    folder = share_folder() / 'config' / 'train'
    if not (folder / f'{name}.yaml').exists():
        known = sorted(each.stem for each in folder.glob('*.yaml'))
        raise UserError(f'There is no training file {name!r}; give a path, or one of {known}.')
    return folder / f'{name}.yaml'


def train(config: Path, changes: Sequence[str], out: Path, resume: bool, cpu: bool, check_only: bool = False) -> str:
    """Train as `config` with its changes says; returns '' when done, and how to go on when it was interrupted.

    check_only: LOOK_AT where something in the data is suspicious.
    """
    settings = load_train_settings(config, changes)
    accelerator = make_accelerator(settings, cpu)
    # One process decodes the pictures of a new data set, the others find them.
    with accelerator.main_process_first():
        plan = make_plan(settings)
    if accelerator.is_main_process:
        print(describe(plan), flush=True)
        for finding in plan.findings:
            print(f'{"note   " if finding.note else "look at"}    {finding}', file=sys.stderr, flush=True)
    try:
        trainer = Trainer(plan, out, accelerator)
        if check_only:
            return LOOK_AT if any(not finding.note for finding in plan.findings) else ''
        # After all that may be refused, so that OUT stays free for a second try.
        locked = accelerator.is_main_process and (out.exists() or not resume)
        with alone(out, 'training') if locked else contextlib.nullcontext():
            if accelerator.is_main_process:
                prepare_folder(out, settings, resume)
            accelerator.wait_for_everyone()
            found = trainer.train(resume)
    except Stopped as stopped:
        return str(stopped)
    except (RuntimeError, MemoryError) as error:
        if not _is_memory(error):
            raise
        parts = settings.run.accumulate * accelerator.num_processes
        raise UserError(
            f'There is not enough memory for a part of {settings.run.batch_size // parts} samples '
            f'({str(error).splitlines()[0] if str(error) else type(error).__name__}): raise run.accumulate, which '
            'computes a step in more and smaller parts, or lower run.batch_size, the image size or policy.embed_dim.'
        ) from error
    finally:
        accelerator.end_training()
    if accelerator.is_main_process:
        error_words = '' if found is None else f' Validation error {found.error:.4f}.'
        print(f'Trained {trainer.step} steps.{error_words} The policy is in {out / "policy"}.')
    return ''


def _is_memory(error: BaseException) -> bool:
    # On a CPU torch says it in words.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def describe(plan: Plan) -> str:
    """What will be trained, on what, in a few lines."""
    with torch.device('meta'):
        network = PolicyNetwork(plan.config)
    total = sum(parameter.numel() for parameter in network.parameters())
    source, settings = plan.source, plan.settings
    usable = sum(int(each.sum()) for each in source.selection.usable)
    held = sum(int(each.sum()) for each in source.held_out)
    goals = len({goal for data in source.datasets for goal in data.goals})
    apart = f', {source.left_out} left out that the policy drove' if source.left_out else ''
    return (
        f'robot      {plan.contract.robot}: {len(plan.config.cameras)} cameras, {plan.config.denoiser.state_dim} state '
        f'numbers, {plan.config.denoiser.action_dim} action numbers at {plan.contract.rate:g} Hz\n'
        f'data       {usable - held} episodes to learn from ({source.frames} moments{apart}), {held} held out, '
        f'{goals} goals\n'
        f'network    {total / 1e6:.1f} million weights\n'
        f'training   {settings.run.steps} steps of {settings.run.batch_size} samples in {settings.run.precision}'
    )
