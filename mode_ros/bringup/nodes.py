"""What is started together: the one list that the launch files and the demo both read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# How long a simulator may stand still before the controller takes its clock for broken (seconds of the wall). A machine
# that is busy keeps it for longer than a robot's clock may stand, and no arm is there to be hurt.
SIMULATOR_SECONDS = 10.0


@dataclass(frozen=True)
class NodeSpec:
    """One process. executable: its name in lib/mode_ros and its module in mode_ros.nodes; it is also the node's."""

    executable: str
    parameters: Mapping[str, Any]


def robot_nodes(
    contract: str,
    checkpoint: str,
    device: str = '',
    use_sim_time: bool = False,
    page: bool = False,
    runtime: str = '',
    view: bool = False,
    clock_seconds: float | None = None,
) -> list[NodeSpec]:
    """The nodes beside a robot's own drivers. Empty strings, and None, leave a parameter to the settings file."""
    clock = {'use_sim_time': use_sim_time}
    thinking = _given(contract=contract, checkpoint=checkpoint, device=device, runtime=runtime)
    nodes = [
        NodeSpec('policy_node', thinking | clock),
        NodeSpec('controller_node', _given(contract=contract, clock_seconds=clock_seconds) | clock),
    ]
    return [*nodes, *_pages(page, contract, checkpoint, clock), *_views(view, contract, clock)]


def simulation_nodes(
    contract: str,
    checkpoint: str,
    device: str = '',
    simulator: str = '',
    task: str = '',
    page: bool = False,
    runtime: str = '',
    view: bool = False,
    **simulation: Any,
) -> list[NodeSpec]:
    """A simulated robot and the nodes of a real one. simulation: further parameters of sim_node."""
    # The simulator is the clock's source, so it runs on wall time itself.
    simulated = NodeSpec('sim_node', _given(contract=contract, simulator=simulator, task=task, **simulation))
    beside = robot_nodes(
        contract,
        checkpoint,
        device,
        use_sim_time=True,
        page=page,
        runtime=runtime,
        view=view,
        clock_seconds=SIMULATOR_SECONDS,
    )
    return [simulated, *beside]


def recording_nodes(
    contract: str,
    folder: str = '',
    simulator: str = '',
    task: str = '',
    controller: bool = True,
    teleop: bool = True,
    use_sim_time: bool = False,
    page: bool = False,
    view: bool = False,
) -> list[NodeSpec]:
    """What records demonstrations beside a robot's drivers, or beside the simulator where one is named.

    controller: false where the nodes of `robot_nodes` run already; teleop: false where it runs in a terminal of its
    own, which the keyboard needs.
    """
    clock = {'use_sim_time': use_sim_time or bool(simulator)}
    nodes = []
    if simulator:
        nodes.append(NodeSpec('sim_node', _given(contract=contract, simulator=simulator, task=task)))
    if controller:
        patience = SIMULATOR_SECONDS if simulator else None
        nodes.append(NodeSpec('controller_node', _given(contract=contract, clock_seconds=patience) | clock))
    if teleop:
        nodes.append(NodeSpec('teleop_node', _given(contract=contract) | clock))
    nodes.append(NodeSpec('recorder_node', _given(contract=contract, folder=folder) | clock))
    return [*nodes, *_pages(page, contract, '', clock, folder), *_views(view, contract, clock)]


def _pages(wanted: bool, contract: str, checkpoint: str, clock: Mapping[str, Any], folders: str = '') -> list[NodeSpec]:
    parameters = _given(contract=contract, checkpoint=checkpoint, folders=folders) | dict(clock)
    return [NodeSpec('page_node', parameters)] if wanted else []


def _views(wanted: bool, contract: str, clock: Mapping[str, Any]) -> list[NodeSpec]:
    return [NodeSpec('view_node', _given(contract=contract) | dict(clock))] if wanted else []


def _given(**parameters: Any) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value not in ('', None)}
