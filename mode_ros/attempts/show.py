"""Attempts for `record_sim.run.record`: loads the policy once per process and tells the terms of a recording."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from mode_ros.attempts.attempt import attempt
from mode_ros.attempts.supervision import Supervision
from mode_ros.control.contract import Contract
from mode_ros.control.execution import ExecutionSettings, Mode
from mode_ros.errors import UserError
from mode_ros.evaluation.episodes import digest
from mode_ros.evaluation.evaluator import checkpoint_contract
from mode_ros.pairing import load_paired
from mode_ros.policy.checkpoint import read_info
from mode_ros.policy.runtimes.interface import RunningPolicy
from mode_ros.record_sim.session import Write
from mode_ros.record_sim.task_folder import Attempts, Terms
from mode_ros.sim.demonstrator import Noise
from mode_ros.sim.simulator import Simulator

FIRST_ATTEMPT_SEED = 100_000
"""Attempts begin in scenes of these seeds, which neither demonstrations nor evaluations have."""


def attempt_terms(checkpoint: Path, execution: Mode, delay: int, far: float, patience: float) -> tuple[str, Attempts]:
    """The contract's text of a checkpoint, and what attempts with it have in common; UserError where it is none."""
    text = read_info(checkpoint).contract_text
    for option, value in (('--far', far), ('--patience', patience)):
        if not 0 < value <= 1000:
            raise UserError(f'{option} {value:g} cannot be used; give a number above 0, up to 1000.')
    if not 1 <= delay <= 100:
        raise UserError(f'--delay {delay} cannot be used; give 1 to 100 control periods.')
    return text, Attempts(str(checkpoint.absolute()), digest(checkpoint), execution, delay, far, patience)


def show_attempt(
    simulator: Simulator, contract: Contract, goal: str, terms: Terms, seed: int, write: Write
) -> bool | None:
    """A `Show` of record_sim.run: one attempt of the policy, which is kept whether it succeeds or not."""
    agreed = terms.attempts
    assert agreed is not None
    rule = Supervision(far=agreed.far, patience=agreed.patience)
    execution = ExecutionSettings(agreed.execution)
    policy = _policy(agreed.checkpoint, agreed.digest)
    noise = Noise().scaled(terms.noise)
    return attempt(simulator, contract, policy, goal, seed, write, execution, agreed.delay, rule, noise).success


@functools.cache
def _policy(checkpoint: str, known: str) -> RunningPolicy:
    if digest(Path(checkpoint)) != known:
        raise UserError(f'The checkpoint {checkpoint} has changed while it was being recorded; type the command again.')
    # A process for each core is what --jobs is for.
    torch.set_num_threads(1)
    return load_paired(checkpoint, checkpoint_contract(Path(checkpoint)), 'cpu')
