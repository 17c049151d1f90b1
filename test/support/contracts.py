"""Small contracts for tests: one arm of displacements, one of joint targets."""

from mode_ros.control.contract import POSE_TARGETS, Contract, parse_contract

DELTA_TEXT = """
robot: tester
rate: 20.0
observation:
  cameras:
    - {name: static, topic: static/image, width: 32, height: 32, max_age: 0.3}
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.2}
action:
  - name: arm
    kind: delta
    dimensions:
      - {name: x, unit: m, lower: -0.04, upper: 0.04}
      - {name: y, unit: m, lower: -0.04, upper: 0.04, max_step_change: 0.01}
      - {name: z, unit: m, lower: -0.04, upper: 0.04, max_step: 0.02}
    output: {adapter: twist, topic: arm/twist, frame_id: base}
  - name: gripper
    kind: absolute
    dimensions:
      - {name: grip, unit: '1', lower: -1.0, upper: 1.0}
    output: {adapter: forward_command, topic: gripper/command}
"""

# For nodes in real time: a busy machine may keep a publisher waiting, and that is not what is tested there.
PATIENT_TEXT = DELTA_TEXT.replace('max_age: 0.3', 'max_age: 1.0').replace('max_age: 0.2', 'max_age: 1.0')

ABSOLUTE_TEXT = """
robot: jointed
rate: 10.0
observation:
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [b, a], unit: rad, max_age: 0.2}
action:
  - name: arm
    kind: absolute
    feedback: joints
    dimensions:
      - {name: a, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.1, max_step_change: 0.03}
      - {name: b, unit: rad, lower: -2.0, upper: 2.0}
    output: {adapter: joint_trajectory, topic: arm/trajectory}
"""

# A hand commanded by poses: 20 Hz, a rotation vector whose x goes round, or two axes.
_POSE_HEAD = """
robot: posed
rate: 20.0
observation:
  states:
    - {name: hand, topic: hand_pose, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 0.2}
    - {name: joints, topic: joint_states, type: joint_state, names: [a], unit: rad, max_age: 0.2}
action:
  - name: arm
    kind: absolute
    feedback: hand
    dimensions:
      - {name: x, unit: m, lower: -1.0, upper: 1.0}
      - {name: y, unit: m, lower: -1.0, upper: 1.0}
      - {name: z, unit: m, lower: 0.0, upper: 1.0}
"""
_VECTOR = """\
      - {name: rotation_x, unit: rad, lower: 0.0, upper: 6.3}
      - {name: rotation_y, unit: rad, lower: -3.0, upper: 3.0}
      - {name: rotation_z, unit: rad, lower: -3.0, upper: 3.0}
"""
_AXES = ''.join(f"      - {{name: {name}, unit: '1', lower: -1.0, upper: 1.0}}\n" for name in POSE_TARGETS[1][3:])
_POSE_TAIL = """\
    output: {adapter: pose, topic: target_pose, frame_id: base, max_speed: 0.2, max_rotation_speed: 1.0}
"""
VECTOR_TEXT, AXES_TEXT = _POSE_HEAD + _VECTOR + _POSE_TAIL, _POSE_HEAD + _AXES + _POSE_TAIL

GRIPPER_TEXT = """
robot: gripping
rate: 20.0
observation:
  states:
    - {name: fingers, topic: joint_states, type: joint_state, names: [finger_joint], unit: m, max_age: 0.2}
action:
  - name: gripper
    kind: absolute
    feedback: fingers
    dimensions:
      - {name: finger_joint, unit: m, lower: 0.0, upper: 0.08}
    output: {adapter: gripper_command, topic: gripper/commanded, action: gripper/gripper_cmd, tolerance: 0.002}
"""


def delta_contract() -> Contract:
    """20 Hz; x free, y with a limited change of step, z with a limited step, and a gripper."""
    return parse_contract(DELTA_TEXT, 'delta.yaml')


def patient_contract() -> Contract:
    """The same with a second's patience for every stream."""
    return parse_contract(PATIENT_TEXT, 'patient.yaml')


def absolute_contract() -> Contract:
    """10 Hz; joint a limited, joint b not; the state lists them the other way round."""
    return parse_contract(ABSOLUTE_TEXT, 'absolute.yaml')
