"""Records demonstrations of many tasks in several processes, and goes on where it was interrupted."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mode_ros.control.contract import Contract, parse_contract
from mode_ros.errors import UserError, full_disk_told
from mode_ros.record_sim.held import held_seeds, origin
from mode_ros.record_sim.session import Write, demonstrate
from mode_ros.record_sim.task_folder import TaskFolder, Terms, partial_episode
from mode_ros.record_sim.wire import Wire
from mode_ros.recording.bag import Bag
from mode_ros.recording.episode import Episode, absolute_topic
from mode_ros.recording.topics import recorded_topics
from mode_ros.sim.demonstrator import Noise
from mode_ros.sim.factory import make_simulator
from mode_ros.sim.instructions import training_instructions
from mode_ros.sim.simulator import Simulator
from mode_ros.simulated import check_fits
from mode_ros.with_parent import end_worker_with_parent

ROBOTS = {'metaworld': 'metaworld_sawyer', 'libero': 'libero_panda'}
"""The contract of each simulator's robot, in config/robots."""


@dataclass(frozen=True)
class Outcome:
    """What a run did. recorded: new episodes; total: episodes in all folders; failed: seeds without success, by task,
    earlier runs included; given_up: tasks that have failed too often.
    """

    recorded: int
    total: int
    failed: dict[str, int]
    given_up: tuple[str, ...]


Show = Callable[[Simulator, Contract, str, Terms, int, Write], bool | None]
"""Shows the goal once from a seed's initial state, with all that a recorder hears given to the last; says whether it
succeeded, or None where the recording is not to be kept."""


def demonstration(
    simulator: Simulator, contract: Contract, goal: str, terms: Terms, seed: int, write: Write
) -> bool | None:
    """A `Show`: the benchmark's expert, of which only what succeeds is kept."""
    return demonstrate(simulator, contract, goal, seed, Noise().scaled(terms.noise), write).success or None


def record(
    out: Path,
    terms: Sequence[Terms],
    episodes: int,
    jobs: int,
    show: Show = demonstration,
    besides: Sequence[Path] = (),
) -> Outcome:
    """Records until each task has `episodes` episodes in its folder in `out`.

    jobs: processes; show: what is recorded, a function of a module, so that other processes find it; besides: data sets
    and folders of recordings whose seeds of the same task are left out.

    Raises UserError for folders that cannot be used, a contract of another robot, and tasks without an expert. What is
    finished is kept then, too.
    """
    with contextlib.ExitStack() as stack, full_disk_told():
        held = [held_seeds(besides, each.simulator, each.task) for each in terms]
        folders = [
            stack.enter_context(contextlib.closing(TaskFolder(out, each, seeds)))
            for each, seeds in zip(terms, held, strict=True)
        ]
        before = sum(len(folder.finished) for folder in folders)
        wanted = sum(max(0, episodes - len(folder.finished)) for folder in folders)
        with tqdm(total=wanted, desc='record-sim', unit='episode', disable=not wanted) as bar:
            way = _in_processes if jobs > 1 and wanted > 1 else _here
            for folder, seed, success in stack.enter_context(contextlib.closing(way(folders, episodes, jobs, show))):
                folder.take(seed, success)
                bar.update(success)
                told = f'{sum(len(each.failed) for each in folders)} failed, {folder.terms.task}'
                bar.set_postfix_str(told, refresh=False)
        total = sum(len(folder.finished) for folder in folders)
        failed = {folder.terms.task: len(folder.failed) for folder in folders if folder.failed}
        given_up = tuple(folder.terms.task for folder in folders if folder.is_given_up(episodes))
        return Outcome(total - before, total, failed, given_up)


def record_episode(simulator: Simulator, terms: Terms, root: Path, seed: int, show: Show = demonstration) -> bool:
    """Records one seed into the task's folder `root`; False, and nothing there, when it is not to be kept."""
    contract = parse_contract(terms.contract, 'of the demonstrations')
    goals = training_instructions(terms.task) if terms.simulator == 'metaworld' else (simulator.instruction,)
    goal = goals[seed % len(goals)]
    partial = partial_episode(root, seed - terms.seed)
    bag = Bag(partial.bag)
    try:
        wire, types = Wire(), {}
        for topic in (each for each in recorded_topics(contract) if not each.if_told):
            types[topic.name] = topic.type
            bag.add(absolute_topic(topic.name), topic.type, topic.latched)

        def write(topic: str, now: int, message: Any) -> None:
            bag.write(absolute_topic(topic), now, wire.encode(message, types[topic]))

        success = show(simulator, contract, goal, terms, seed, write)
        if success is not None:
            bag.close(Episode(terms.contract, goal, success=success, origin=origin(terms, seed)).to_custom_data())
            partial.complete()
            return True
    except BaseException:
        bag.abort()
        partial.remove()
        raise
    bag.abort()
    partial.remove()
    return False


Ended = Generator[tuple[TaskFolder, int, bool], None, None]


def _here(folders: Sequence[TaskFolder], episodes: int, jobs: int, show: Show) -> Ended:
    with _Stage() as stage:
        for folder in folders:
            while (seed := folder.next_seed(episodes)) is not None:
                yield folder, seed, stage.record(folder.terms, folder.root, seed, show)


def _in_processes(folders: Sequence[TaskFolder], episodes: int, jobs: int, show: Show) -> Ended:
    # A forked child would inherit the locks of the parent's threads, and its OpenGL.
    pool = concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context('spawn'), _begin_worker)
    running: dict[concurrent.futures.Future[bool], tuple[TaskFolder, int]] = {}
    try:
        while True:
            # Task after task, and no queue: a process seldom has to set up another simulator.
            for folder in folders:
                while len(running) < jobs and (seed := folder.next_seed(episodes)) is not None:
                    running[pool.submit(_work, folder.terms, folder.root, seed, show)] = folder, seed
            if not running:
                return
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                folder, seed = running.pop(future)
                yield folder, seed, future.result()
    except BrokenProcessPool as error:
        raise UserError(
            'A recording process was killed, most likely for lack of memory. What is finished is kept: '
            'type the same command again, with a smaller --jobs.'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


class _Stage:
    """The simulator of the task that is being recorded."""

    def __init__(self) -> None:
        self._simulator: Simulator | None = None
        self._terms: Terms | None = None

    def record(self, terms: Terms, root: Path, seed: int, show: Show) -> bool:
        if self._simulator is None or terms != self._terms:
            self.close()
            contract = parse_contract(terms.contract, 'of the demonstrations')
            self._simulator = make_simulator(terms.simulator, terms.task, contract.period_seconds)
            self._terms = terms
            check_fits(contract, f'The contract of {contract.robot}', self._simulator)
        return record_episode(self._simulator, terms, root, seed, show)

    def close(self) -> None:
        if self._simulator is not None:
            self._simulator.close()
            self._simulator = None

    def __enter__(self) -> _Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# In a worker process.
_stage = _Stage()


def _begin_worker() -> None:
    # Ctrl-C reaches every process of the terminal; the parent lets what is running end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_worker_with_parent()


def _work(terms: Terms, root: Path, seed: int, show: Show) -> bool:
    return _stage.record(terms, root, seed, show)
