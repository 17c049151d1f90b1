"""What is suspicious about the goals of a data set that was just made."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from mode_ros.checks.goals import are_plain
from mode_ros.training.data.layout import TASKS


def goal_sentences(data_set: Path) -> list[str]:
    """Sentences about goals of a data set that the usual text encoder cannot tell apart or does not see whole."""
    goals = pq.read_table(data_set / TASKS, columns=['task'])['task'].to_pylist()
    if are_plain(goals):
        return []
    # With it comes torch, which converting needs for nothing else.
    from mode_ros.training.data_findings import spoken_findings

    return [str(finding) for finding in spoken_findings(goals)]
