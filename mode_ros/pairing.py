"""A policy and the robot it was made for: built from one contract, and loaded only for the same one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract
from mode_ros.control.depth import fit_depth, is_depth
from mode_ros.control.images import fit
from mode_ros.control.observation import Observation
from mode_ros.made_for import require_made_for
from mode_ros.policy.config import CameraConfig, PolicyConfig
from mode_ros.policy.normalization import Statistics, StreamStatistics
from mode_ros.policy.plans import Continuation, PlanLike
from mode_ros.policy.runtimes.choose import RunSettings, load_policy
from mode_ros.policy.runtimes.interface import RunningPolicy

if TYPE_CHECKING:
    from mode_ros.policy.policy import Policy
    from mode_ros.policy.runtimes.interface import Noise

log = logging.getLogger(__name__)


def small_config(contract: Contract, chunk_length: int = 10, with_state: bool = False) -> PolicyConfig:
    """The laptop-sized policy for a robot: its cameras and action size, and with_state its state vector."""
    states = contract.observation.states if with_state or not contract.observation.cameras else ()
    return PolicyConfig.small(
        action_dim=len(contract.dimensions),
        cameras=[
            CameraConfig(name=camera.name, height=camera.height, width=camera.width, depth=camera.is_depth)
            for camera in contract.observation.cameras
        ],
        state=[state.name for state in states],
        state_dim=sum(len(state.names) for state in states),
        chunk_length=chunk_length,
    )


def limit_statistics(contract: Contract) -> Statistics:
    """Statistics for a policy that has seen no data: actions spread over the contract's limits, states unscaled."""
    lower = np.array([dimension.lower for dimension in contract.dimensions])
    upper = np.array([dimension.upper for dimension in contract.dimensions])
    return Statistics(
        action=StreamStatistics.of(np.linspace(lower, upper, 101)),
        state={state.name: StreamStatistics.unit(len(state.names)) for state in contract.observation.states},
    )


def make_untrained(
    contract: Contract, text: str, seed: int, chunk_length: int = 10, with_state: bool = False
) -> Policy:
    """A laptop-sized policy with random weights; text: the contract's own text, for its checkpoint."""
    from mode_ros.policy.policy import Policy  # which imports torch, and predicting may not need it

    config = small_config(contract, chunk_length, with_state)
    return Policy.untrained(config, limit_statistics(contract), text, seed)


def load_paired(
    folder: str,
    contract: Contract,
    device: str,
    number_format: str = 'float32',
    steps: int | None = None,
    solver: str | None = None,
    continuation: Continuation | None = None,
    runtime: str = 'torch',
    threads: int = 1,
    make: bool = False,
    say: Callable[[str], None] = log.info,
) -> RunningPolicy:
    """The policy in a checkpoint folder; UserError unless it was made for exactly this contract.

    device: 'auto', 'cpu' or 'cuda'; number_format, steps, solver, runtime, threads, make, say: as for load_policy.
    continuation: too, but where it is not given, displacements are continued by `rejoin` (docs/execution.md has what
    was measured).
    """
    require_made_for(folder, contract)
    if continuation is None and contract.delta_mask.any():
        continuation = 'rejoin'
    settings = RunSettings(device, number_format, steps, solver, continuation, threads, make=make)
    policy = load_policy(folder, runtime, settings, say=say)
    policy.add_up(contract.delta_mask)
    return policy


def predict(
    policy: RunningPolicy,
    observation: Observation,
    goal: str,
    generator: Noise,
    should_stop: Callable[[], bool] | None = None,
    on_stage: Callable[[str], None] | None = None,
    plan: PlanLike | None = None,
) -> NDArray[np.float64]:
    """Actions [A, d] in the contract's order and units; see RunningPolicy.predict. Pictures get the policy's size."""
    streams = policy.config.state_streams
    state = np.concatenate([observation.states[name] for name in streams]) if streams else None
    sizes = {camera.name: (camera.width, camera.height) for camera in policy.config.cameras}
    images = {
        name: (fit_depth if is_depth(image) else fit)(image, *sizes.get(name, image.shape[1::-1]))
        for name, image in observation.images.items()
    }
    return policy.predict(images, state, goal, generator, should_stop, on_stage, plan)
