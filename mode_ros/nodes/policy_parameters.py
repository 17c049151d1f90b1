"""The parameters of policy_node."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mode_ros.nodes.parameters import parameter
from mode_ros.policy.runtimes.names import RUNTIMES


@dataclass(frozen=True)
class PolicyParameters:
    contract: str = parameter('', 'Robot contract: a name in config/robots, or the path of a YAML file.')
    checkpoint: str = parameter(
        '', 'Checkpoint folder of the policy; another one can be set while none is loaded.', read_only=False
    )
    device: str = parameter('auto', 'Where the network runs.', choices=('auto', 'cpu', 'cuda'))
    runtime: str = parameter(
        'auto',
        'What computes the chunks; auto: the static graph, made once where there is none, where it serves.',
        choices=RUNTIMES,
    )
    threads: int = parameter(
        0, 'CPU threads of the network; 0: all cores but one, which is left to the control.', minimum=0, maximum=256
    )
    seed: int = parameter(-1, 'Seed of the sampling noise; -1 draws another one at every start.', minimum=-1)
    number_format: str = parameter(
        'float32', 'Numbers of the large matrix products.', choices=('float32', 'bfloat16', 'int8')
    )
    steps: int = parameter(0, "Denoising steps per chunk; 0 takes the checkpoint's.", minimum=0, maximum=1000)
    solver: str = parameter(
        'checkpoint', "Solver of the denoising steps, or the checkpoint's.", choices=('checkpoint', 'ddim', 'dpmpp_2m')
    )
    continuation: str = parameter(
        'checkpoint',
        'How a chunk continues what the robot executes meanwhile; checkpoint: rejoin for displacements, else trained '
        'where it is, else soft.',
        choices=('checkpoint', 'none', 'hard', 'soft', 'guided', 'trained', 'rejoin'),
    )
    frozen_periods: int = parameter(
        20,
        'A camera whose picture stays the same for longer, while the robot moves, is not used; 0: not looked at.',
        unit='control periods',
        minimum=0,
        maximum=100_000,
    )
    autostart: bool = parameter(True, 'Configure and activate at start, without a lifecycle manager.')


def spare_cores() -> int:
    """The cores that this process may use but one, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(cores - 1, 1)
