"""Recordings that are no data set yet: read as `convert` would, and nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mode_ros.checks.bounds import beyond_bounds, states_beyond_bounds
from mode_ros.checks.depth import empty_depth
from mode_ros.checks.described import Limits, beyond_description
from mode_ros.checks.episodes import success_labels
from mode_ros.checks.finding import Finding, noted
from mode_ros.checks.pictures import RepeatCount, frozen
from mode_ros.checks.spread import action_floor, duplicates, gripper_still, nearly_constant, state_floor
from mode_ros.control.contract import Contract, parse_contract
from mode_ros.doctor.page import Page
from mode_ros.doctor.vectors import Episode, motion_findings
from mode_ros.training.data.convert import choose_contract
from mode_ros.training.data.recordings import About, Recording, RecordingProblem
from mode_ros.training.data.resample import Frame
from mode_ros.training.data.statistics import ImageHistogram
from mode_ros.training.data_findings import spoken_findings


def examine_recordings(path: Path, recordings: Sequence[Recording], contract_text: str | None) -> Page:
    """contract_text: of recordings that name none; UserError where nobody does."""
    contract = parse_contract(choose_contract(recordings, contract_text), f'of {path}')
    page = Page(f'Recordings in {path}', [('robot', contract.robot), ('recordings', str(len(recordings)))])
    episodes: list[Episode] = []
    goals: dict[str, None] = {}
    labels: list[bool | None] = []
    limits: dict[str, tuple[str, float, float]] = {}
    counts = {camera.name: RepeatCount() for camera in contract.observation.cameras}
    depths = {camera.name: ImageHistogram.of(depth=True) for camera in contract.observation.cameras if camera.is_depth}
    for number, recording in enumerate(recordings):
        about = About()
        frames: list[Frame] = []
        try:
            for item in recording.read(contract, '', about, lambda _: None):
                if not isinstance(item, Frame):
                    if item.fault:
                        page.add([Finding('left out', f'{recording.name}: {item.reason}.')])
                    continue
                moving = not frames or bool(np.abs(item.action - frames[-1].action).max() > 0)
                for camera, count in counts.items():
                    if not frames:
                        count.begin()
                    count.add(item.observation.images[camera], moving)
                for camera, depth in depths.items():
                    depth.add(item.observation.images[camera])
                goals[item.goal] = None
                # The pictures are let go of.
                frames.append(replace(item, observation=replace(item.observation, images={})))
        except RecordingProblem as error:
            page.add([Finding('left out', f'{recording.name}: {error}.')])
        page.add([noted(recording.name, note) for note in getattr(about, 'notes', ())])
        labels.append(about.success)
        limits |= about.limits
        if frames:
            episodes.append(_episode(number, frames, contract))
    page.facts.append(('frames', str(sum(len(each.actions) for each in episodes))))
    page.facts.append(('goals', ', '.join(map(repr, goals)) or 'none'))
    if episodes:
        page.add(_vectors(contract, episodes, limits, str(path)))
        page.add(motion_findings(contract, episodes, str(path)))
        page.add(frozen(counts.items(), contract.rate, str(path)))
        page.add(empty_depth({name: each.ends for name, each in depths.items()}, str(path)))
    page.add(spoken_findings([goal for goal in goals if goal]))
    page.add(success_labels(labels, list(range(len(labels)))))
    return page


def _episode(number: int, frames: Sequence[Frame], contract: Contract) -> Episode:
    states = {
        state.name: np.stack([frame.observation.states[state.name] for frame in frames])
        for state in contract.observation.states
    }
    return Episode(number, np.stack([frame.action for frame in frames]), states)


def _vectors(contract: Contract, episodes: Sequence[Episode], limits: Limits, where: str) -> list[Finding]:
    actions = np.concatenate([each.actions for each in episodes])
    found = beyond_bounds(contract, actions, where)
    parts = contract.group_slices.values()
    found += nearly_constant(contract.action_names, actions, action_floor(contract), 'action', parts)
    found += duplicates(contract.action_names, actions, 'action') + gripper_still(contract, actions)
    by_stream = {
        state.name: np.concatenate([each.states[state.name] for each in episodes])
        for state in contract.observation.states
    }
    found += beyond_description(contract, limits, actions, by_stream, where)
    for state in contract.observation.states:
        values = by_stream[state.name]
        found += states_beyond_bounds(contract, state.name, values, where)
        found += nearly_constant(state.names, values, state_floor(contract, state.name), f'state {state.name}')
        found += duplicates(state.names, values, f'state {state.name}')
    return found
