"""Which seeds of a task other folders and data sets hold already: recorded again, they would count twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError, in_words
from mode_ros.record_sim.task_folder import ABOUT, Terms

# As training data sets are written; record-sim needs nothing else of training.
_DATA_SET, _EXTRAS = Path('meta/info.json'), Path('meta/mode_ros.json')


def origin(terms: Terms, seed: int) -> dict[str, Any]:
    """What makes a demonstration the same as another one, to be kept with the recording."""
    about = {'simulator': terms.simulator, 'task': terms.task, 'seed': seed, 'noise': terms.noise}
    if terms.attempts is None:
        return about
    agreed = asdict(terms.attempts)
    del agreed['checkpoint']  # where it lies; its digest says which it is
    return {**about, 'policy': agreed.pop('digest'), **agreed}


def held_seeds(paths: Sequence[Path], simulator: str, task: str) -> frozenset[int]:
    """Seeds of the task in data sets, in folders of recordings, and in folders of such folders.

    Raises UserError for a path that is neither, and for a data set that does not say which seeds it holds.
    """
    found: set[int] = set()
    for path in paths:
        if (path / _DATA_SET).is_file():
            origins = _origins(path)
            found |= {int(each['seed']) for each in origins if (each['simulator'], each['task']) == (simulator, task)}
            continue
        folders = [item.parent for item in (*path.glob(ABOUT), *path.glob(f'*/{ABOUT}'))]
        if not folders:
            raise UserError(
                f'--besides {path} is neither a data set nor a folder that record-sim wrote; name one of these.'
            )
        for folder in folders:
            found |= _recorded(folder, simulator, task)
    return frozenset(found)


def _origins(data_set: Path) -> list[dict[str, Any]]:
    try:
        sources = json.loads((data_set / _EXTRAS).read_text())['sources']
        origins = [source['origin'] for source in sources]
        return [json.loads(each) for each in origins if each]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'The data set {data_set} does not say which seeds it holds ({in_words(error)}): it was '
            'converted by an earlier release; name the folders of its recordings instead.'
        ) from error


def _recorded(folder: Path, simulator: str, task: str) -> set[int]:
    try:
        terms = Terms.from_plain(json.loads((folder / ABOUT).read_text(encoding='utf-8'))['terms'])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f'{folder / ABOUT} cannot be read ({in_words(error)}).') from error
    if (terms.simulator, terms.task) != (simulator, task):
        return set()
    numbers = [path.name.removeprefix('episode_') for path in folder.glob('episode_*')]
    return {terms.seed + int(number) for number in numbers if number.isdecimal()}
