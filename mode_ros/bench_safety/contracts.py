"""The fake arm as two robots: one follows joint targets, one velocities. Their topics are the benchmark's own.

Or as the robot that a checkpoint was made for, which then drives it through the real policy_node.
"""

from __future__ import annotations

from pathlib import Path

from mode_ros.control.contract import Contract, State, parse_contract
from mode_ros.errors import UserError
from mode_ros.policy.folder import CONTRACT, read_text

JOINTS = 'joints'
TWIST = 'twist'
FAST = 'fast'

# max_step 0.05 rad per period is 1 rad/s at 20 Hz; max_step_change 0.02 is 8 rad/s².
TEXTS = {
    JOINTS: """
robot: bench_joints
rate: 20.0
observation:
  states:
    - {name: joints, topic: bench_safety/joint_states, type: joint_state, names: [a, b, c], unit: rad, max_age: 0.2}
action:
  - name: arm
    kind: absolute
    feedback: joints
    max_tracking_error: 0.2
    dimensions:
      - {name: a, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.05, max_step_change: 0.02}
      - {name: b, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.05, max_step_change: 0.02}
      - {name: c, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.05, max_step_change: 0.02}
    output: {adapter: joint_trajectory, topic: bench_safety/joint_trajectory}
""",
    TWIST: """
robot: bench_twist
rate: 20.0
observation:
  states:
    - {name: pose, topic: bench_safety/pose, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 0.2}
action:
  - name: arm
    kind: delta
    dimensions:
      - {name: x, unit: m, lower: -0.04, upper: 0.04, max_step: 0.02, max_step_change: 0.005}
      - {name: y, unit: m, lower: -0.04, upper: 0.04, max_step: 0.02, max_step_change: 0.005}
      - {name: z, unit: m, lower: -0.04, upper: 0.04, max_step: 0.02, max_step_change: 0.005}
    output: {adapter: twist, topic: bench_safety/twist, frame_id: base}
""",
}


# Velocities at 50 Hz, whose messages are stamped: for how regular the control is.
TEXTS[FAST] = TEXTS[TWIST].replace('bench_twist', 'bench_fast').replace('rate: 20.0', 'rate: 50.0')


# The robot of the checkpoint.
OWN = 'own'


def bench_text(robot: str, checkpoint: Path | None = None) -> str:
    """The contract of JOINTS, TWIST or FAST, or of the checkpoint; UserError without one."""
    return TEXTS[robot] if checkpoint is None else read_text(checkpoint / CONTRACT)


def bench_contract(robot: str, checkpoint: Path | None = None) -> Contract:
    """As `bench_text`; UserError for a robot that the fake arm cannot be."""
    contract = parse_contract(
        bench_text(robot, checkpoint), robot if checkpoint is None else f'{checkpoint}/{CONTRACT}'
    )
    moved_state(contract)
    return contract


def moved_state(contract: Contract) -> State:
    """Where the first group's motion is measured; UserError where nothing does."""
    group = contract.action[0]
    if group.feedback is not None:
        state = contract.state(group.feedback)
        if state.type == 'joint_state' and len(state.names) == len(group.dimensions):
            return state
    elif group.kind == 'delta':
        for state in contract.observation.states:
            if state.type == 'pose':
                return state
    raise UserError(
        f'The fake arm cannot be the robot {contract.robot!r}: it moves one group, the first, by joint targets with a '
        'state of the same joints as `feedback`, or by displacements of a measured pose.'
    )
