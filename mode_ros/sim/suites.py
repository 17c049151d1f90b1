"""Named lists of tasks, so that demonstrations are recorded and policies are scored on the same ones."""

from mode_ros.sim.factory import list_tasks
from mode_ros.sim.metaworld_halfway import HALFWAY_TASKS
from mode_ros.sim.names import unknown_name

FIRST_TRAINING_SEED = 1000
"""Demonstrations use this seed and those above it, unless told otherwise; evaluation uses those below, so that no
policy is scored on a scene that it was shown."""

METAWORLD_LISTS: dict[str, tuple[str, ...]] = {
    # Ten that a small policy can learn in an afternoon: one motion each, and no grasp that must not slip.
    'metaworld-demo': (
        'reach',
        'button-press-topdown',
        'door-open',
        'drawer-close',
        'drawer-open',
        'faucet-close',
        'faucet-open',
        'handle-press',
        'window-close',
        'window-open',
    ),
    # Of each pair of tasks the same scenes: what the arm does there, the sentence decides.
    'metaworld-halfway': HALFWAY_TASKS,
    # The benchmark's MT10.
    'metaworld-10': (
        'reach',
        'push',
        'pick-place',
        'door-open',
        'drawer-open',
        'drawer-close',
        'button-press-topdown',
        'peg-insert-side',
        'window-open',
        'window-close',
    ),
}
METAWORLD_ALL = 'metaworld-50'
METAWORLD_GROUPS: dict[str, tuple[str, ...]] = {
    # How hard the 50 tasks are, as Masked World Models (arXiv 2206.14244) sorted them and others report.
    'easy': (
        *('button-press', 'button-press-topdown', 'button-press-topdown-wall', 'button-press-wall', 'coffee-button'),
        *('dial-turn', 'door-close', 'door-lock', 'door-open', 'door-unlock', 'drawer-close', 'drawer-open'),
        *('faucet-close', 'faucet-open', 'handle-press', 'handle-press-side', 'handle-pull', 'handle-pull-side'),
        *('lever-pull', 'peg-unplug-side', 'plate-slide', 'plate-slide-back', 'plate-slide-back-side'),
        *('plate-slide-side', 'reach', 'reach-wall', 'window-close', 'window-open'),
    ),
    'medium': (
        *('basketball', 'bin-picking', 'box-close', 'coffee-pull', 'coffee-push', 'hammer', 'peg-insert-side'),
        *('push-wall', 'soccer', 'sweep', 'sweep-into'),
    ),
    'hard': ('assembly', 'hand-insert', 'pick-out-of-hole', 'pick-place', 'push', 'push-back'),
    'very hard': ('disassemble', 'pick-place-wall', 'shelf-place', 'stick-pull', 'stick-push'),
}
LIBERO_SUITES = {
    'libero-spatial': 'libero_spatial',
    'libero-object': 'libero_object',
    'libero-goal': 'libero_goal',
    'libero-10': 'libero_10',
    'libero-90': 'libero_90',
}

SUITES: tuple[str, ...] = (*METAWORLD_LISTS, METAWORLD_ALL, *LIBERO_SUITES)
"""All names that `suite_tasks` knows."""


def libero_task(name: str) -> str:
    """'SUITE/TASK' with the suite as LIBERO spells it, of one that is spelt as it is here or there; '' for a name that
    is no task of a suite of LIBERO.
    """
    suite, slash, task = name.partition('/')
    theirs = LIBERO_SUITES.get(suite.replace('_', '-'))
    return f'{theirs}/{task}' if slash and theirs else ''


def suite_tasks(name: str) -> tuple[str, tuple[str, ...]]:
    """The simulator's name and the tasks of a suite, both as `make_simulator` takes them.

    Raises UserError for an unknown suite (with the nearest), and for `metaworld-50` and the LIBERO suites where their
    benchmark, which is asked for the tasks, is missing.
    """
    if name in METAWORLD_LISTS:
        return 'metaworld', METAWORLD_LISTS[name]
    if name == METAWORLD_ALL:
        return 'metaworld', tuple(task for task in list_tasks('metaworld') if task not in HALFWAY_TASKS)
    if name in LIBERO_SUITES:
        prefix = f'{LIBERO_SUITES[name]}/'
        return 'libero', tuple(task for task in list_tasks('libero') if task.startswith(prefix))
    raise unknown_name('suite of tasks', name, SUITES)
