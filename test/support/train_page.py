"""A work folder for the tab Train and evaluate, with children that do in a second what trainings do in hours."""

import json
import sys
from pathlib import Path

from support import fake_training

from mode_ros.page import evaluations, trainings
from mode_ros.page.places import Places
from mode_ros.paths import share_folder

FAKE = str(Path(fake_training.__file__))


def make_work(folder, monkeypatch):
    """Places with one data set; what the page starts are stand-ins from now on."""
    (folder / 'data' / 'drawers' / 'meta').mkdir(parents=True)
    info = {'total_episodes': 12, 'total_frames': 345}
    (folder / 'data' / 'drawers' / 'meta' / 'info.json').write_text(json.dumps(info))
    for module, word in ((trainings, 'train'), (evaluations, 'evaluate')):
        monkeypatch.setattr(module, f'_{word}', lambda arguments, word=word: [sys.executable, FAKE, word, *arguments])
    return Places.under(folder, share_folder())
