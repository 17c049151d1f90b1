"""A checkpoint: what its statistics and its contract say, without its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mode_ros.checks.bounds import beyond_bounds, states_beyond_bounds
from mode_ros.checks.contract import contract_slips
from mode_ros.checks.finding import Finding
from mode_ros.checks.spread import action_floor, state_floor
from mode_ros.control.contract import parse_contract
from mode_ros.doctor.page import Page
from mode_ros.policy.checkpoint import read_info
from mode_ros.policy.normalization import StreamStatistics


def examine_checkpoint(folder: Path) -> Page:
    """UserError for a folder that is no checkpoint."""
    info = read_info(folder)
    contract = parse_contract(info.contract_text, f'{folder}/contract.yaml')
    config = info.config
    page = Page(
        f'Checkpoint {folder}',
        [
            ('runs', f'{contract.robot} at {contract.rate:g} Hz'),
            ('trained', f'{info.trained_steps} steps' if info.trained_steps else 'not at all: its actions are random'),
            ('sees', ', '.join([c.name for c in config.cameras] + [f'state {name}' for name in config.state_streams])),
            ('chunk', f'{config.denoiser.chunk_length} actions of {config.denoiser.action_dim} numbers'),
        ],
    )
    if not info.trained_steps:
        page.add([Finding('training', 'The policy is untrained; its actions are random.')])
    action = info.statistics.action
    page.add(beyond_bounds(contract, np.array([action.min, action.max]), 'the extremes of its data'))
    page.add(_still(action, contract.action_names, action_floor(contract), 'action'))
    for state in contract.observation.states:
        if state.name in config.state_streams:
            found = info.statistics.state[state.name]
            extremes = np.array([found.min, found.max])
            page.add(states_beyond_bounds(contract, state.name, extremes, 'the extremes of its data'))
            page.add(_still(found, state.names, state_floor(contract, state.name), f'state {state.name}'))
    page.add(contract_slips(contract))
    return page


def _still(statistics: StreamStatistics, names: tuple[str, ...], floor: tuple[float, ...], kind: str) -> list[Finding]:
    still = [
        f'{name} (deviation {spread:.2g})'
        for name, spread, least in zip(names, statistics.std, floor, strict=True)
        if spread < least
    ]
    if not still:
        return []
    held = 'scaled by the floor' if statistics.floor else 'and this policy scales them by that: retrain it'
    return [Finding('spread', f'{kind}: {", ".join(still)} hardly changed in its data, {held}.')]
