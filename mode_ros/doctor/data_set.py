"""A data set: everything `train --check` says, and what needs a look at whole episodes."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.checks.depth import empty_depth
from mode_ros.checks.episodes import copies, intervention_share, split_recordings, success_labels
from mode_ros.checks.finding import Finding, listed, noted
from mode_ros.checks.motion import still_frames
from mode_ros.checks.pictures import RepeatCount, frozen
from mode_ros.checks.spread import action_floor
from mode_ros.control.contract import Contract, parse_contract
from mode_ros.doctor.page import Page
from mode_ros.doctor.vectors import Episode, motion_findings
from mode_ros.training.data import layout
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.dataset import Dataset
from mode_ros.training.data.depth_shares import shares_of_data_set
from mode_ros.training.data.labels import episode_success
from mode_ros.training.data.layout import INTERVENTION
from mode_ros.training.data.pictures_of import pictures_of
from mode_ros.training.data_findings import spoken_findings, vector_findings
from mode_ros.training.selection import fingerprint, held_out_episodes

# Episodes whose pictures are decoded: a camera that hangs does so more than once.
LOOKED_AT = 4
# Checks that the conversion makes of each recording, and this page of all of them.
LOOKED_AT_ANEW = ('bounds', 'units', 'depth')


def examine_data_set(root: Path, contract: Contract | None) -> Page:
    """contract: of a data set that carries none; without any, only what needs none is looked at."""
    files = DataFiles(root)
    text = files.contract_text
    contract = contract or (None if text is None else parse_contract(text, f'of the data set {root}'))
    data = Dataset(files, 1, {}, contract)
    page = Page(
        f'Data set {root}',
        [
            ('robot', contract.robot if contract else 'unknown: name its contract with --contract'),
            ('episodes', f'{len(files.episodes)} ({len(data)} frames at {data.rate:g} Hz), {len(data.goals)} goals'),
            (
                'cameras',
                ', '.join(f'{name} {"x".join(map(str, files.size(name)))}' for name in files.cameras) or 'none',
            ),
            ('states', ', '.join(f'{name} ({size})' for name, size in data.streams.items()) or 'none'),
        ],
    )
    page.add(list(vector_findings(data)))
    page.add(spoken_findings(data.goals))
    numbers = [episode.index for episode in files.episodes]
    prints = [fingerprint(data, k) for k in range(len(numbers))]
    page.add(copies(prints, numbers))
    tasks = [int(data.task_index[start]) for start in data.episode_starts]
    held = held_out_episodes(tasks, 0.1, 0)
    page.add(split_recordings(_recordings(files), held.tolist()))
    page.add(success_labels(episode_success(files), numbers))
    if INTERVENTION in files.features:
        page.add(intervention_share(_shares(files), numbers))
    page.add(empty_depth(shares_of_data_set(files), str(root)))
    page.add(_recording_notes(root, {finding.check for finding in page.findings}))
    if contract is not None and len(contract.dimensions) == data.actions.shape[1]:
        episodes = [
            Episode(number, data.actions[data.episode(k)], _states(data, k)) for k, number in enumerate(numbers)
        ]
        page.add(motion_findings(contract, episodes, str(root)))
        page.add(_frozen(files, data, contract))
    return page


def _recordings(files: DataFiles) -> list[str]:
    """Of each episode, the recording it is from: its own number where a data set does not say."""
    found = [str(number) for number in range(len(files.episodes))]
    for source in files.extras.get('sources', ()):
        for number in source.get('numbers', ()):
            if number < len(found):
                found[number] = f'{source["name"]} ({source["key"][:8]})'
    return found


def _states(data: Dataset, number: int) -> dict[str, Any]:
    rows = data.episode(number)
    return {name: data.state[rows, data.columns(name)] for name in data.streams}


def _shares(files: DataFiles) -> list[float]:
    return [float(np.mean(files.rows(each, [INTERVENTION])[INTERVENTION])) for each in files.episodes]


def _recording_notes(root: Path, found_now: Collection[str]) -> list[Finding]:
    """What was said of the recordings when they were converted, such as of their clocks. Of what is looked at here
    anew, only which recordings they were. found_now: checks that found something.
    """
    try:
        report = json.loads((root / layout.REPORT_JSON).read_text())
    except (OSError, ValueError):
        return []
    found, again = [], dict[str, list[str]]()
    for recording in report.get('recordings', []):
        for note in recording.get('notes', []):
            finding = noted(recording['name'], str(note))
            if finding.check in LOOKED_AT_ANEW:
                again.setdefault(finding.check, []).append(recording['name'])
            else:
                found.append(finding)
    for check, names in again.items():
        if check in found_now:
            whose = listed(list(dict.fromkeys(names)))
            found.append(Finding(check, f'the conversion found the same in {whose}.', note=True))
    return found


def _frozen(files: DataFiles, data: Dataset, contract: Contract) -> list[Finding]:
    counts = {camera: RepeatCount() for camera in files.cameras}
    floor = action_floor(contract)
    chosen = np.unique(np.linspace(0, len(files.episodes) - 1, LOOKED_AT).round().astype(int))
    for number in chosen:
        still = still_frames(data.actions[data.episode(int(number))], contract.delta_mask, floor)
        for camera, count in counts.items():
            count.begin()
            for image, rests in zip(pictures_of(files, files.episodes[number], camera), still, strict=False):
                count.add(image, not rests)
    return frozen(counts.items(), data.rate, str(files.root))
