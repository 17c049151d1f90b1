"""Parameters of controller_node, and what they mean to the controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from mode_ros.control.contract import Contract
from mode_ros.control.execution import MODES, ExecutionSettings, Mode
from mode_ros.control.listening import LISTEN_SECONDS
from mode_ros.control.safety import SafetySettings, clock_limit
from mode_ros.errors import UserError
from mode_ros.nodes.parameters import parameter


@dataclass(frozen=True)
class ControllerParameters:
    contract: str = parameter('', 'Robot contract: a name in config/robots, or the path of a YAML file.')
    max_chunk_age: float = parameter(
        10.0, 'A chunk whose observation is older is refused.', unit='s', minimum=0.05, maximum=60.0
    )
    driver_wait: float = parameter(
        2.0,
        'How long an activation looks for the drivers to check them; 0.0: not at all.',
        unit='s',
        minimum=0.0,
        maximum=60.0,
    )
    execution: str = parameter('realtime', 'How chunks are executed: docs/execution.md.', choices=MODES)
    actions: int = parameter(
        0, 'Actions of a chunk that are executed before the next is asked for; 0: as many as useful.', minimum=0
    )
    ensemble_weight: float = parameter(
        0.1, 'Of temporal ensembling: exp(-weight * i) for the chunk i, 0 the oldest.', minimum=0.0, maximum=10.0
    )
    policy_seconds: float = parameter(
        3.0, 'A chunk that does not come for so long is told as no policy.', unit='s', minimum=0.1, maximum=600.0
    )
    goal_seconds: float = parameter(
        0.0, 'Longest time for one goal, then the robot is stopped; 0.0: any.', unit='s', minimum=0.0
    )
    deadman_topic: str = parameter('', 'std_msgs/Bool that must be true, anew and anew, for the policy to move.')
    deadman_button: int = parameter(-1, 'Or the button of sensor_msgs/Joy on `joy`; -1: none.', minimum=-1, maximum=64)
    deadman_seconds: float = parameter(
        0.5, 'A word of the deadman counts for so long.', unit='s', minimum=0.02, maximum=10.0
    )
    heartbeat_seconds: float = parameter(
        0.0, 'Longest silence of `estop`, then the robot is stopped; 0.0: any.', unit='s', minimum=0.0, maximum=60.0
    )
    clock_seconds: float = parameter(
        0.0,
        "Longest time of the wall between two control periods; 0.0: the states' shortest max_age, 1.0 under /clock.",
        unit='s',
        minimum=0.0,
        maximum=60.0,
    )
    max_clock_speed: float = parameter(
        2.0, 'Fastest that the clock may run against the wall; 0.0: any.', minimum=0.0, maximum=1000.0
    )
    count_publishers: bool = parameter(True, 'Stop where two speak that must be one.')
    listen_seconds: float = parameter(
        LISTEN_SECONDS,
        'So long after its configuration a controller listens for another one before its first command; 0.0: not.',
        unit='s',
        minimum=0.0,
        maximum=10.0,
    )
    realtime_priority: int = parameter(0, 'SCHED_FIFO priority; 0: none.', minimum=0, maximum=99)
    cpu: int = parameter(-1, 'Core of the process; -1: any.', minimum=-1, maximum=4096)
    autostart: bool = parameter(True, 'Configure and activate at start, without a lifecycle manager.')


def execution_settings(given: ControllerParameters) -> ExecutionSettings:
    """How chunks are executed."""
    return ExecutionSettings(cast('Mode', given.execution), given.actions, given.ensemble_weight)


def safety_settings(given: ControllerParameters, contract: Contract, simulated: bool) -> SafetySettings:
    """What is watched, and how strictly. simulated: the time comes from /clock. Raises UserError for two deadmen."""
    if given.deadman_topic and given.deadman_button >= 0:
        raise UserError(
            f'deadman_topic is {given.deadman_topic!r} and deadman_button {given.deadman_button}: with two, letting go '
            'of one would be overruled by the other; give one of them.'
        )
    return SafetySettings(
        max_clock_speed=given.max_clock_speed,
        clock_seconds=given.clock_seconds or clock_limit(contract, simulated),
        goal_seconds=given.goal_seconds,
        deadman_seconds=given.deadman_seconds if given.deadman_topic or given.deadman_button >= 0 else 0.0,
        heartbeat_seconds=given.heartbeat_seconds,
        policy_seconds=given.policy_seconds,
    )
