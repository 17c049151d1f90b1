"""A checkpoint apart from its weights: its files, and what they say. Needs no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.policy.config import PolicyConfig, parse_policy_config
from mode_ros.policy.folder import CONFIG, CONTRACT, STATISTICS, read_text, require_files
from mode_ros.policy.normalization import Statistics
from mode_ros.policy.words import Words, read_words

FORMAT_VERSION = 1
GOALS = 'goals.json'

_CONFIG_KEYS = {'format_version', 'trained_steps', 'policy'}


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint apart from its weights: cheap to read, enough to compare contracts."""

    config: PolicyConfig
    statistics: Statistics
    contract_text: str
    trained_steps: int  # 0: random weights
    goals: tuple[str, ...] = ()  # that it was trained with; empty where that is not known
    words: Words | None = None  # what others mean; None where none were learned

    def __post_init__(self) -> None:
        action, denoiser = self.statistics.action, self.config.denoiser
        if action.dim != denoiser.action_dim:
            raise UserError(f'The statistics have {action.dim} action numbers, but the policy {denoiser.action_dim}.')
        missing = [name for name in self.config.state_streams if name not in self.statistics.state]
        if missing:
            known = sorted(self.statistics.state)
            raise UserError(f'The statistics lack the state stream {missing[0]!r} the policy uses; they have {known}.')
        state = sum(self.statistics.state[name].dim for name in self.config.state_streams)
        if state != denoiser.state_dim:
            raise UserError(f'The statistics have {state} state numbers, but the policy {denoiser.state_dim}.')
        if self.words is not None and self.words.weight.shape[1] != self.config.text_encoder.dim:
            raise UserError(
                f'The words are for {self.words.weight.shape[1]} numbers a sentence, and the policy takes '
                f'{self.config.text_encoder.dim}: make them anew, with `mode_ros words`.'
            )
        if self.trained_steps < 0:
            raise UserError(f'trained_steps is {self.trained_steps}, and cannot be negative.')


def read_info(folder: Path | str, with_words: bool = True) -> CheckpointInfo:
    """Settings, statistics and contract, without the weights. Raises UserError that names the file and the key.

    with_words: False to make them anew, whatever is there.
    """
    folder = Path(folder)
    require_files(folder)
    where = folder / CONFIG
    settings = _read_json(where)
    if not isinstance(settings, dict):
        raise UserError(f'{where} holds {type(settings).__name__} instead of an object.')
    version = settings.get('format_version')
    if version != FORMAT_VERSION:
        raise UserError(f'{where} has format_version {version!r}; this version of mode_ros reads {FORMAT_VERSION}.')
    if settings.keys() != _CONFIG_KEYS:
        wrong = sorted(settings.keys() ^ _CONFIG_KEYS)
        raise UserError(f'{where} must have exactly the keys {sorted(_CONFIG_KEYS)}; unknown or missing: {wrong}.')
    steps = settings['trained_steps']
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise UserError(f'{where}: trained_steps is {steps!r}, and must be a whole number.')
    config = parse_policy_config(settings['policy'], str(where))
    statistics = Statistics.from_values(_read_json(folder / STATISTICS), str(folder / STATISTICS))
    contract_text = read_text(folder / CONTRACT)
    try:
        goals = _read_goals(folder / GOALS)
        words = read_words(folder, goals) if with_words else None
        return CheckpointInfo(config, statistics, contract_text, steps, goals, words)
    except UserError as error:
        raise UserError(f'The files in {folder} do not belong together. {error}') from error


def _read_goals(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    goals = _read_json(path)
    if not isinstance(goals, list) or not all(isinstance(goal, str) and goal.strip() for goal in goals):
        raise UserError(f'{path} must be a list of sentences.')
    return tuple(goals)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f'{path} is not valid JSON ({error}): it may have been cut short.') from error
