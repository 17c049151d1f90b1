"""What is suspicious in the numbers of a recording that was just made into episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mode_ros.checks.bounds import beyond_bounds, states_beyond_bounds
from mode_ros.checks.depth import empty_depth
from mode_ros.checks.described import Limits, beyond_description
from mode_ros.control.contract import Contract
from mode_ros.training.data.assembly import column_values
from mode_ros.training.data.depth_shares import shares_of_staged
from mode_ros.training.data.episode_writer import ROWS
from mode_ros.training.data.layout import ACTION, STATE


def number_findings(contract: Contract, episodes: Sequence[Path], limits: Limits) -> list[str]:
    """Sentences about commands and states beyond the contract's bounds and the robot's limits, and about depth that
    says nothing.

    episodes: folders of staged episodes; limits: of the robot's description.
    """
    if not episodes:
        return []
    actions, states = [], []
    for folder in episodes:
        names = [name for name in (ACTION, STATE) if name in pq.read_schema(folder / ROWS).names]
        table = pq.read_table(folder / ROWS, columns=names)
        actions.append(column_values(table, ACTION).reshape(len(table), -1))
        if STATE in names:
            states.append(column_values(table, STATE).reshape(len(table), -1))
    found = beyond_bounds(contract, np.concatenate(actions), 'the recording')
    start, by_stream = 0, {}
    for state in contract.observation.states if states else ():
        by_stream[state.name] = values = np.concatenate(states)[:, start : start + len(state.names)]
        found += states_beyond_bounds(contract, state.name, values, 'the recording')
        start += len(state.names)
    found += beyond_description(contract, limits, np.concatenate(actions), by_stream, 'the recording')
    found += empty_depth(shares_of_staged(episodes), 'the recording')
    return [str(finding) for finding in found]
