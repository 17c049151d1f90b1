"""An evaluation from the settings to the report: what is finished is kept, and an interrupted one goes on."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from tqdm import tqdm

from mode_ros.alone import alone
from mode_ros.control.contract import Contract
from mode_ros.errors import full_disk_told
from mode_ros.evaluation import results as scores
from mode_ros.evaluation.calvin_package import check_available
from mode_ros.evaluation.episodes import Episode, Journal, digest
from mode_ros.evaluation.evaluator import Work, checkpoint_contract, in_periods, inference_seconds, load_policy
from mode_ros.evaluation.films import film_failures, wanted
from mode_ros.evaluation.protocol import CALVIN, Protocol, make_protocol
from mode_ros.evaluation.report import write_report
from mode_ros.evaluation.settings import EvaluationSettings, of_an_episode
from mode_ros.evaluation.workers import run_here, run_in_processes
from mode_ros.policy.checkpoint import read_info
from mode_ros.policy.runtimes.interface import RunningPolicy
from mode_ros.sim.suites import FIRST_TRAINING_SEED
from mode_ros.whole_files import write_whole

Load = Callable[[EvaluationSettings], RunningPolicy]

# A chunk that takes so many times longer than another tells of other work on the machine.
UNSTEADY = 2.0


def evaluate(settings: EvaluationSettings, load: Load = load_policy) -> dict[str, Any]:
    """Runs what is missing of the evaluation, writes results.json and report.html, and returns the results.

    load: gives the policy where it runs in this process. Raises UserError for what cannot be evaluated.
    """
    protocol = make_protocol(settings)
    if protocol.simulator == CALVIN:
        check_available(settings.calvin_data)
    _warn_of_seen_seeds(protocol)
    contract = checkpoint_contract(settings.checkpoint)
    if settings.jobs == 1 and settings.threads:
        torch.set_num_threads(settings.threads)
    # Loaded once, and only where something must be measured or run in this process.
    policy = cache(lambda: load(settings))

    def measure() -> dict[str, Any]:
        if settings.through_ros:
            return {'latency_seconds': None, 'latency_periods': None}
        if settings.delay is not None:
            first = settings.delays[0]
            return {'latency_seconds': round(first * contract.period_seconds, 6), 'latency_periods': first}
        seconds = _measured_latency(policy()) if settings.latency is None else settings.latency
        return {'latency_seconds': round(seconds, 6), 'latency_periods': in_periods(seconds, contract)}

    with alone(settings.output, 'evaluation'), full_disk_told():
        journal = Journal(settings.output, _identity(settings), measure)
        return _score(settings, protocol, contract, journal, policy)


def _score(
    settings: EvaluationSettings,
    protocol: Protocol,
    contract: Contract,
    journal: Journal,
    policy: Any,
) -> dict[str, Any]:
    """Runs what is missing in the journal and writes the results. policy: gives it, and is asked once."""
    if settings.jobs > 1:
        policy.cache_clear()  # it was only measured here, and a large one takes gigabytes
    waiting = [key for key in protocol.episodes if key not in journal.episodes]
    if waiting and (changed := journal.begun_with(scores.versions())):
        print(
            f'The first episodes in {settings.output} were run with other versions ({"; ".join(changed)}): '
            'results.json tells both, and counts them together.',
            file=sys.stderr,
        )
    work = Work(settings, protocol.simulator, journal.about['latency_periods'])
    if protocol.simulator == CALVIN and waiting:
        print('CALVIN draws its chains of tasks first, which takes a minute or more.', file=sys.stderr)
    with _progress(protocol, journal, waiting) as bar:
        for episode in _run(work, waiting, policy):
            journal.add(episode)
            bar.set_postfix_str(_solved(protocol, journal), refresh=False)
            bar.update()
    counted = [journal.episodes[key] for key in protocol.episodes]
    found = scores.summarise(settings.suite, journal.about, counted)
    write_whole(settings.output / scores.RESULTS, scores.as_json(found))
    failures = wanted(counted, settings.videos)
    if protocol.simulator != CALVIN and not settings.through_ros:
        for problem in film_failures(work, contract, failures):
            print(problem, file=sys.stderr)
    write_report(settings.output, found, failures)
    return found


def _run(work: Work, waiting: list[tuple[str, int]], policy: Callable[[], RunningPolicy]) -> Iterator[Episode]:
    if work.settings.through_ros:
        # Only this needs ROS.
        from mode_ros.evaluation.through_ros import run_through_ros

        return run_through_ros(work, waiting)
    if work.settings.jobs > 1 and waiting:
        return run_in_processes(work, waiting, work.settings.jobs)
    return run_here(work, waiting, policy)


def _measured_latency(policy: RunningPolicy) -> float:
    taken = inference_seconds(policy)
    seconds = statistics.median(taken)
    print(
        f'A chunk takes {1000 * seconds:.0f} ms here (median of {len(taken)}); the robot stands still that long.',
        file=sys.stderr,
    )
    if max(taken) > UNSTEADY * min(taken):
        print(
            f'But it took from {1000 * min(taken):.0f} to {1000 * max(taken):.0f} ms: this machine is busy. Give the '
            "robot's own with --latency.",
            file=sys.stderr,
        )
    return seconds


def _identity(settings: EvaluationSettings) -> dict[str, Any]:
    return {
        'checkpoint': {
            'folder': str(settings.checkpoint),
            'digest': digest(settings.checkpoint),
            'trained_steps': read_info(settings.checkpoint).trained_steps,
        },
        'settings': of_an_episode(settings),
    }


def _progress(protocol: Protocol, journal: Journal, waiting: list[tuple[str, int]]) -> Any:
    total = len(protocol.episodes)
    return tqdm(
        total=total,
        initial=total - len(waiting),
        desc='evaluate',
        bar_format='{l_bar}{bar}| {n_fmt}/{total_fmt} episodes [{elapsed}<{remaining}{postfix}]',
        disable=not waiting,
    )


def _solved(protocol: Protocol, journal: Journal) -> str:
    done = [journal.episodes[key] for key in protocol.episodes if key in journal.episodes]
    return f'{sum(episode.success for episode in done)} solved'


def _warn_of_seen_seeds(protocol: Protocol) -> None:
    if protocol.simulator == 'metaworld' and max(protocol.seeds) >= FIRST_TRAINING_SEED:
        print(
            f'Demonstrations in simulation are recorded with seeds from {FIRST_TRAINING_SEED} on: the policy may have '
            f'seen some of these initial states.',
            file=sys.stderr,
        )
