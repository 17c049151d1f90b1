"""Which episodes of a data set succeeded, as far as anybody said."""

from __future__ import annotations

import json

from mode_ros.training.data import layout as files
from mode_ros.training.data.data_files import DataFiles


def episode_success(data: DataFiles) -> list[bool | None]:
    """Of each episode: what was edited, or else what the conversion noted; None where nobody said."""
    known = data.extras.get('success')
    if isinstance(known, list) and len(known) == len(data.episodes):
        return [None if each is None else bool(each) for each in known]
    found: list[bool | None] = []
    for episode in data.episodes:
        path = data.root / files.REPORT_PARTS / f'episode-{episode.index:06d}.json'
        try:
            found.append(json.loads(path.read_text()).get('success'))
        except (OSError, ValueError):
            found.append(None)
    return found
