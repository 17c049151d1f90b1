"""The bench with the real policy_node: which robots it can be, its faults, and one of them with real processes."""

import pytest
from support.contracts import delta_contract, patient_contract

from mode_ros.bench_safety.contracts import JOINTS, TWIST, bench_contract, moved_state
from mode_ros.bench_safety.faults import FAULTS, find
from mode_ros.bench_safety.faults.policy_process import policy_faults
from mode_ros.bench_safety.run import run
from mode_ros.cli.main import main
from mode_ros.control.contract import parse_contract
from mode_ros.errors import UserError
from mode_ros.paths import shipped_policy
from mode_ros.robots import load_named_contract

ARM = """
robot: seen
rate: 20.0
observation:
  cameras:
    - {name: static, topic: static/image, width: 32, height: 32, max_age: 0.4}
  states:
    - {name: fingers, topic: joint_states, type: joint_state, names: [f], unit: m, max_age: 0.2}
    - {name: arm, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.2}
action:
  - name: arm
    kind: absolute
    feedback: arm
    dimensions:
      - {name: a, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.05, max_step_change: 0.02}
      - {name: b, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.05, max_step_change: 0.02}
    output: {adapter: joint_trajectory, topic: arm/trajectory}
"""


def test_the_arm_is_where_its_group_is_measured():
    assert moved_state(bench_contract(JOINTS)).name == 'joints'
    assert moved_state(bench_contract(TWIST)).name == 'pose'
    assert moved_state(parse_contract(ARM, 'seen.yaml')).name == 'arm', 'not the first of the states'


def test_a_robot_that_the_fake_arm_cannot_be_is_refused():
    for contract in (delta_contract(), patient_contract()):  # displacements whose pose nobody measures
        with pytest.raises(UserError, match=f'cannot be the robot {contract.robot!r}'):
            moved_state(contract)


def test_a_chunk_is_played_to_its_end_before_the_arm_rests():
    faults = {fault.name: fault for fault in policy_faults(length=10, rate=20.0, max_age=0.3)}
    assert faults['policy_node hangs'].stated_periods(0.05) == pytest.approx(12.0)
    assert faults['cameras silent'].stated_periods(0.05) == pytest.approx(18.0), 'a picture of 0.3 s ago still serves'
    assert [fault.name for fault in policy_faults(10, 20.0, 0.0)] == [name for name in faults if 'camera' not in name]
    assert not set(faults) & {fault.name for fault in FAULTS}


def test_faults_of_the_policy_are_found_by_name_where_there_is_one():
    faults = policy_faults(10, 20.0, 0.3)
    assert find(['policy_node hangs'], faults) == (faults[1],)
    with pytest.raises(UserError, match="did you mean 'policy_node hangs'"):
        find(['policy_node hang'], faults)
    with pytest.raises(UserError, match="no fault 'policy_node hangs'"):
        find(['policy_node hangs'])


def test_the_policys_faults_are_listed_for_its_checkpoint(capsys, tmp_path):
    for folder, status in ((shipped_policy('metaworld_sawyer'), 0), (tmp_path / 'nothing', 1)):
        with pytest.raises(SystemExit) as ended:
            main(['bench-safety', '--policy', str(folder), '--list'])
        assert ended.value.code == status
        assert status or 'policy_node kill -9' in capsys.readouterr().out
    assert 'nothing' in capsys.readouterr().err


@pytest.mark.slow
def test_an_arm_that_a_real_policy_moves_rests_when_the_policy_hangs(tmp_path):
    from mode_ros.pairing import make_untrained

    checkpoint, told = tmp_path / 'untrained', []
    make_untrained(*load_named_contract('metaworld_sawyer'), seed=1, chunk_length=10).save(checkpoint)
    faults = find(['policy_node hangs'], policy_faults(10, 20.0, 0.3))
    (row,) = run(faults, 2, tmp_path / 'out', told.append, checkpoint)
    assert (row.stopped, row.named, row.excess) == (2, 2, 0.0), told
