"""Which episodes an evaluation has: tasks of a suite, initial states, and what the robot is told in each."""

from __future__ import annotations

from dataclasses import dataclass

from mode_ros.errors import UserError
from mode_ros.evaluation.settings import EvaluationSettings, Goals
from mode_ros.sim import instructions
from mode_ros.sim.factory import list_tasks
from mode_ros.sim.metaworld_halfway import split_task
from mode_ros.sim.names import unknown_name
from mode_ros.sim.simulator import Simulator
from mode_ros.sim.suites import SUITES, libero_task, suite_tasks

CALVIN = 'calvin'

# Episodes per task. LIBERO's are the first of the 50 initial states that come with each task.
ROLLOUTS = {'metaworld': 50, 'libero': 20, CALVIN: 1000}
LIBERO_STATES = 50

# Our words for LIBERO-PRO's suites: the ending of each. Its fifth, the environment, comes without initial states.
LIBERO_PRO = {'language': 'lan', 'object': 'object', 'position': 'swap', 'task': 'task'}
PERTURBED_SUITES = ('libero-spatial', 'libero-object', 'libero-goal', 'libero-10')


@dataclass(frozen=True)
class Protocol:
    """simulator: as make_simulator takes it, or 'calvin'; tasks: likewise; seeds: of each task's episodes."""

    simulator: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def episodes(self) -> tuple[tuple[str, int], ...]:
        """Every (task, seed), task after task."""
        return tuple((task, seed) for task in self.tasks for seed in self.seeds)


def make_protocol(settings: EvaluationSettings) -> Protocol:
    """The episodes that the settings ask for; UserError for an unknown suite or task (with the nearest), for seeds
    that the benchmark does not have, and for a perturbation or goals that the suite does not have.
    """
    known: tuple[str, ...]
    if settings.suite == CALVIN:
        simulator, known = CALVIN, (CALVIN,)
    elif settings.suite in SUITES:
        simulator, known = suite_tasks(settings.suite)
    else:
        raise unknown_name('suite', settings.suite, (*SUITES, CALVIN))
    tasks = tuple(dict.fromkeys(_find(name, simulator, settings.suite, known) for name in settings.tasks)) or known
    if settings.goals == 'contrary' and not settings.tasks:
        names = {split_task(task)[0] for task in tasks}
        tasks = tuple(task for task in tasks if instructions.CONTRARY.get(split_task(task)[0]) in names)
    seeds = settings.seeds or tuple(range(settings.rollouts or ROLLOUTS[simulator]))
    if simulator == 'libero' and max(seeds) >= LIBERO_STATES:
        raise UserError(
            f'LIBERO has {LIBERO_STATES} initial states per task, 0 to {LIBERO_STATES - 1}; {max(seeds)} is beyond. '
            f'Give up to {LIBERO_STATES} rollouts.'
        )
    if settings.goals == 'held-out' and simulator != 'metaworld':
        raise UserError(
            f'There are no held-out goals for the suite {settings.suite!r}, only for those of Meta-World; '
            f'LIBERO has other words for its tasks with --perturb language.'
        )
    if settings.goals == 'contrary':
        _check_contrary(simulator, settings.suite, tasks)
    if settings.perturb is not None:
        if settings.suite not in PERTURBED_SUITES:
            raise UserError(
                f'The suite {settings.suite!r} cannot be perturbed; LIBERO-PRO has {", ".join(PERTURBED_SUITES)}.'
            )
        tasks = tuple(_perturbed(task, settings.perturb) for task in tasks)
    return Protocol(simulator, tasks, seeds)


def goal_of(simulator: Simulator, goals: Goals, seed: int) -> str:
    """What the robot is told: the task's instruction, one of the paraphrases that no training sees, by the seed, or the
    instruction of the task that undoes this one.
    """
    if goals == 'trained':
        return simulator.instruction
    if goals == 'contrary':
        return instructions.contrary_instruction(simulator.task)
    unseen = instructions.held_out_instructions(simulator.task)
    return unseen[seed % len(unseen)]


def _check_contrary(simulator: str, suite: str, tasks: tuple[str, ...]) -> None:
    if simulator != 'metaworld' or not tasks:
        raise UserError(
            f'The suite {suite!r} has no two tasks of which one undoes the other; take metaworld-demo, or name tasks '
            f'of {", ".join(instructions.CONTRARY)}.'
        )
    for task in tasks:
        instructions.contrary_instruction(task)  # refuses what has none


def _find(name: str, simulator: str, suite: str, known: tuple[str, ...]) -> str:
    """A task by its name or its number within the suite, with or without the suite before it."""
    theirs, slash, within = libero_task(name).partition('/')
    if slash:
        if not known[0].startswith(f'{theirs}/'):
            right = theirs.replace('_', '-')
            raise UserError(f'The task {name!r} is of the suite {right}, not of {suite}: give --suite {right}.')
        name = within
    if name.isdecimal() and int(name) < len(known):
        return known[int(name)]
    for task in known:
        if name in (task, task.partition('/')[2]):
            return task
    if simulator == 'metaworld' and name.removesuffix('-v3') in (every := list_tasks(simulator)):
        return name.removesuffix('-v3')
    if simulator == 'metaworld':
        raise unknown_name('Meta-World task', name, every)
    raise unknown_name(f'task of the suite {suite} called', name, [task.partition('/')[2] or task for task in known])


def unperturbed(task: str, perturbation: str | None) -> str:
    """The task that was perturbed so; None: it was not."""
    suite, slash, name = task.partition('/')
    return task if perturbation is None else f'{suite.removesuffix(f"_{LIBERO_PRO[perturbation]}")}{slash}{name}'


def _perturbed(task: str, perturbation: str) -> str:
    suite, _, name = task.partition('/')
    return f'{suite}_{LIBERO_PRO[perturbation]}/{name}'
