"""What tells the data of a training from any other: one hash, to be kept beside its result.

It is read from vectors and labels alone, without pictures, network or text encoder, so that looking costs seconds. It
tells what decides, apart from the settings, which moments a step is shown, as Source.outline does, and every number of
the actions and states. Where a data set lies, and in which order a mixture lists them, changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from mode_ros.training.batches import episode_goals
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.dataset import Dataset
from mode_ros.training.data.labels import episode_success
from mode_ros.training.data.layout import INFO
from mode_ros.training.plan import listed_data
from mode_ros.training.selection import select_episodes
from mode_ros.training.settings import TrainSettings


def data_mark(settings: TrainSettings) -> str | None:
    """Of the data as they are now, None where a data set or the mixture is gone. Raises UserError for damaged data."""
    if settings.data.mixture and not Path(settings.data.mixture).is_file():
        return None
    items = listed_data(settings)
    if not all((root / INFO).is_file() for root, _ in items):
        return None
    length = settings.policy.chunk_length
    datasets = [Dataset(DataFiles(root, item.keys), length, {}, None) for root, item in items]
    selection = select_episodes(datasets, length, settings.data.keep_failures)
    total = math.fsum(item.weight for _, item in items)
    outlines: list[dict[str, Any]] = []
    for data, (_, item), usable, recordings in zip(
        datasets, items, selection.usable, selection.recordings, strict=True
    ):
        outlines.append(
            {
                'weight': item.weight / total,
                'usable': usable.tolist(),
                'goals': episode_goals(data),
                'recordings': recordings,
                'driven': hashlib.sha256(data.driven.tobytes()).hexdigest(),
                'success': episode_success(data.files),
            }
        )
    lines = sorted(json.dumps(outline, sort_keys=True) for outline in outlines)
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()
