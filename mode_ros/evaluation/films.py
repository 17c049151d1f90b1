"""Films of failures. A failed episode is shown again from its commands, so that filming costs nothing while it runs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract
from mode_ros.demo.report import write_video
from mode_ros.errors import UserError
from mode_ros.evaluation.episodes import Episode, commands_path, file_name
from mode_ros.evaluation.evaluator import Work, open_simulator
from mode_ros.sim.simulator import Simulator

VIDEOS = 'videos'
SIZE = 256  # pixels of a side; the policy's own pictures are smaller
EVERY = 2  # control periods between two pictures
STRIP_PICTURES = 6
STRIP_SIZE = 96

# A replay that ends further from where the episode ended shows something else (m).
SAME_END = 1e-6

Frame = dict[str, NDArray[np.uint8]]


def wanted(episodes: Iterable[Episode], videos: int) -> list[Episode]:
    """The first `videos` failures of each task, in the order of `episodes`."""
    chosen: list[Episode] = []
    for episode in episodes:
        if not episode.success and sum(other.task == episode.task for other in chosen) < videos:
            chosen.append(episode)
    return chosen


def film_path(folder: Path, episode: Episode) -> Path:
    """Where the film of an episode lies."""
    return folder / VIDEOS / f'{file_name(episode.task, episode.seed)}.mp4'


def film_failures(work: Work, contract: Contract, episodes: Sequence[Episode]) -> list[str]:
    """Films those of `episodes` that have no film yet; says which could not be filmed, and why."""
    folder = work.settings.output
    problems = []
    simulator: Simulator | None = None
    try:
        for episode in episodes:
            path = film_path(folder, episode)
            if path.exists() or not commands_path(folder, episode).exists():
                continue
            if simulator is None or simulator.task != episode.task:
                if simulator is not None:
                    simulator.close()
                simulator = open_simulator(work, episode.task, contract)
            with np.load(commands_path(folder, episode), allow_pickle=False) as archive:
                commands, end = archive['commands'], archive['end']
            frames, away = replay(simulator, episode.seed, commands, end)
            if away > SAME_END or simulator.success():
                problems.append(
                    f'{file_name(episode.task, episode.seed)} is not filmed: played again on this machine, it ends '
                    f'{100 * away:.1f} cm from where it did'
                )
                continue
            write_film(path, frames, episode, contract.rate / EVERY)
    finally:
        if simulator is not None:
            simulator.close()
    return problems


def replay(
    simulator: Simulator, seed: int, commands: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[list[Frame], float]:
    """Plays commands [periods, d] again from the initial state `seed`.

    Returns a picture of each camera for every EVERY-th period, and how far from `end` [3] the hand ends, in m.
    """
    simulator.reset(seed)
    frames = []
    for index, command in enumerate(commands):
        if index % EVERY == 0:
            frames.append({camera: simulator.render(camera, SIZE, SIZE) for camera in simulator.cameras})
        for _ in range(round(simulator.steps_per_period)):
            if simulator.steps < simulator.time_limit_steps and not simulator.success():
                simulator.step(command)
    frames.append({camera: simulator.render(camera, SIZE, SIZE) for camera in simulator.cameras})
    return frames, float(np.linalg.norm(simulator.state().end_effector_position - end))


def write_film(path: Path, frames: Sequence[Frame], episode: Episode, rate: float) -> None:
    """An mp4 of both cameras side by side with the goal below, and beside it a strip of pictures for the report.

    Raises UserError where the encoder fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'.{path.stem}.part.mp4')
    try:
        write_video(aside, frames, f'{episode.goal}   (seed {episode.seed}, not solved)', rate)
    except OSError as error:
        raise UserError(f'The film {path} cannot be written: {error}; --videos 0 leaves films out.') from error
    cv2.imwrite(str(path.with_suffix('.jpg')), cv2.cvtColor(_strip(frames), cv2.COLOR_RGB2BGR))
    aside.replace(path)


def strip_data(folder: Path, episode: Episode) -> str:
    """An episode's strip as the address of an image within a page, '' where there is none."""
    path = film_path(folder, episode).with_suffix('.jpg')
    if not path.exists():
        return ''
    return 'data:image/jpeg;base64,' + base64.b64encode(path.read_bytes()).decode()


def _strip(frames: Sequence[Frame]) -> NDArray[np.uint8]:
    """Pictures from first to last, the cameras one beneath the other."""
    chosen = [frames[round(index)] for index in np.linspace(0, len(frames) - 1, STRIP_PICTURES)]
    size = (STRIP_SIZE, STRIP_SIZE)
    columns = [
        np.vstack([cv2.resize(view, size, interpolation=cv2.INTER_AREA) for view in frame.values()]) for frame in chosen
    ]
    return np.asarray(np.hstack(columns), np.uint8)
