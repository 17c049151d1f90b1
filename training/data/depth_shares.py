"""How much of the pictures of depth cameras says something, from what was counted when they were converted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.training.data.assembly import read_parts
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.episode_writer import SUMMARY
from mode_ros.training.data.statistics import ImageHistogram

Shares = dict[str, tuple[float, float]]


def shares_of_data_set(files: DataFiles) -> Shares:
    """By depth camera, as mode_ros.checks.depth takes them; {} where nobody counted."""
    return _shares(read_parts(files.root)) if any(map(files.is_depth, files.cameras)) else {}


def shares_of_staged(episodes: Iterable[Path]) -> Shares:
    """The same of the folders of staged episodes."""
    return _shares(json.loads((folder / SUMMARY).read_text()) for folder in episodes)


def _shares(parts: Iterable[Mapping[str, Any]]) -> Shares:
    sums: dict[str, ImageHistogram] = {}
    for part in parts:
        for name, counts in part['histograms'].items():
            if len(counts) == 1:
                sums.setdefault(name, ImageHistogram.of(depth=True)).counts += np.array(counts)
    return {name: found.ends for name, found in sums.items()}
