"""Which tasks are recorded, from the names that are given: known, with what no expert can show, before anything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mode_ros.errors import UserError
from mode_ros.sim.factory import list_tasks, missing_expert
from mode_ros.sim.names import unknown_name
from mode_ros.sim.suites import SUITES, libero_task, suite_tasks


@dataclass(frozen=True)
class Choice:
    """simulator, tasks: as `make_simulator` takes them; left_out: tasks of a suite that no expert can show, and why."""

    simulator: str
    tasks: tuple[str, ...]
    left_out: Mapping[str, str]

    def told(self) -> str:
        """One line that names what is left out and why, '' where nothing is."""
        if not self.left_out:
            return ''
        count, total = len(self.left_out), len(self.left_out) + len(self.tasks)
        verb = 'is' if count == 1 else 'are'
        return f'{count} of {total} tasks {verb} left out, without a scripted expert: {_reasons(self.left_out)}'


def choose_tasks(names: Sequence[str], simulator: str | None = None) -> Choice:
    """The simulator and its tasks, from names of tasks and suites; where no name tells it, `simulator` or Meta-World.

    Of a suite, the tasks that have no scripted expert are left out. Raises UserError for an unknown name, where a suite
    or a task of one belongs to another simulator, for a task without an expert that is named itself, and where no task
    is left.
    """
    for name in names:
        theirs = _simulator_of(name)
        if not theirs:
            continue
        if simulator not in (None, theirs):
            what = 'suite' if name in SUITES else 'task'
            raise UserError(f'The {what} {name!r} is of {theirs}, not of {simulator}; record them one after the other.')
        simulator = theirs
    simulator = simulator or 'metaworld'
    chosen: dict[str, bool] = {}  # task to whether it is named itself
    for name in names:
        for task in suite_tasks(name)[1] if name in SUITES else (_known_task(simulator, name),):
            chosen[task] = chosen.get(task, False) or name not in SUITES
    if not chosen:
        raise UserError('No task is given; name tasks, or a suite of ' + ', '.join(SUITES) + '.')
    missing = {task: why for task in chosen if (why := missing_expert(simulator, task))}
    refused = {task: why for task, why in missing.items() if chosen[task]}
    if refused:
        raise UserError(
            f'Without a scripted expert nothing can be shown of {_reasons(refused)}; leave out what is named here, or '
            'name the whole suite, of which the other tasks are recorded.'
        )
    if len(missing) == len(chosen):
        raise UserError(f'No task of {", ".join(names)} has a scripted expert: {_reasons(missing)}; name other tasks.')
    return Choice(simulator, tuple(task for task in chosen if task not in missing), missing)


def _reasons(missing: Mapping[str, str]) -> str:
    return ', '.join(f'{task} ({why})' for task, why in missing.items())


def _simulator_of(name: str) -> str:
    """As the name of a suite, or of a task within one, tells it; '' where it does not."""
    if name in SUITES:
        return suite_tasks(name)[0]
    return 'libero' if libero_task(name) else ''


def _known_task(simulator: str, name: str) -> str:
    """The task as `list_tasks` calls it."""
    known = list_tasks(simulator)
    name = libero_task(name) or name
    suite, _, index = name.partition('/')
    if index.isdecimal():
        within = [task for task in known if task.startswith(f'{suite}/')]
        if int(index) < len(within):
            return within[int(index)]
        if within:
            raise UserError(f'There is no task {name!r}; {suite} has {len(within)} tasks, 0 to {len(within) - 1}.')
    name = name.removesuffix('-v3')
    if name not in known:
        raise unknown_name(f'task or suite of {simulator}', name, (*known, *SUITES))
    return name
