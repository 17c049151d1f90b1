"""Makes a simulator by name; a benchmark is imported only when it is asked for."""

from mode_ros.sim.names import unknown_name
from mode_ros.sim.simulator import Simulator

SIMULATORS = ('metaworld', 'libero')


def make_simulator(name: str, task: str, control_period: float = 0.05) -> Simulator:
    """A simulator with `task` set up and reset with seed 0.

    name: 'metaworld' or 'libero'.
    task: for Meta-World one of its 50 names ('drawer-open', also 'drawer-open-v3'); for LIBERO a suite and an index
        or a name ('libero_spatial/3').
    control_period: seconds between two actions, 0.001 to 1; what an action's displacement refers to.

    Raises UserError for an unknown name or task (with the nearest), a missing benchmark or a missing renderer (with
    the command that installs it).
    """
    if name == 'metaworld':
        from mode_ros.sim.metaworld_sim import MetaworldSimulator

        return MetaworldSimulator(task, control_period)
    if name == 'libero':
        from mode_ros.sim.libero_sim import LiberoSimulator

        return LiberoSimulator(task, control_period)
    raise unknown_name('simulator', name, SIMULATORS)


def missing_expert(name: str, task: str) -> str:
    """Why a task of `list_tasks` has no scripted expert, in a few words, '' where it has one.

    Told without setting the task up, in milliseconds. Raises UserError as `make_simulator`.
    """
    if name == 'metaworld':
        return ''  # the benchmark brings one for each, and those of this project's own tasks are among them
    if name == 'libero':
        from mode_ros.sim.libero_sim import missing_expert as missing

        return missing(task)
    raise unknown_name('simulator', name, SIMULATORS)


def list_tasks(name: str) -> tuple[str, ...]:
    """All tasks of a simulator, as `make_simulator` takes them, in the benchmark's order; UserError as there."""
    if name == 'metaworld':
        from mode_ros.sim.metaworld_sim import metaworld_tasks

        return metaworld_tasks()
    if name == 'libero':
        from mode_ros.sim.libero_sim import libero_tasks

        return libero_tasks()
    raise unknown_name('simulator', name, SIMULATORS)
