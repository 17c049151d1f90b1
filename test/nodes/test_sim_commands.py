"""How the simulated robot follows commands: one point at once, a trajectory in time, a displacement until it ends."""

import numpy as np
from support.contracts import absolute_contract, delta_contract

from mode_ros.control.setpoints import Setpoint
from mode_ros.nodes.sim_node import _Commands

MS = 1_000_000


def test_a_single_point_is_the_target_at_once_and_stays():
    contract = absolute_contract()
    commands, (arm,) = _Commands(contract), contract.action
    assert commands.at(0).tolist() == [0.0, 0.0]
    for times in ([0], [100 * MS], [150 * MS, 200 * MS]):  # as controller_node sends them, too
        positions = np.array([[0.5, -0.5]] * len(times))
        commands.take(arm, Setpoint(np.array(times), positions), 1000 * MS)
        for after in (0, 20, 100, 5000):
            assert commands.at((1000 + after) * MS).tolist() == [0.5, -0.5]


def test_a_trajectory_is_followed_in_time_and_a_later_one_sets_out_from_where_it_had_come():
    contract = absolute_contract()  # periods of 100 ms
    commands, (arm,) = _Commands(contract), contract.action
    plan = Setpoint(np.arange(0, 1001, 100) * MS, np.linspace([0, 0], [1, -1], 11))
    commands.take(arm, plan, 0)
    seen = [commands.at(at * MS)[0] for at in range(0, 1200, 100)]
    assert np.allclose(seen, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0])
    commands.take(arm, plan, 2000 * MS)
    back = Setpoint(np.array([1000 * MS]), np.array([[0.5, -0.5]]))
    commands.take(arm, back, 2400 * MS)  # it is at 0.5 at the end of this period: it stays
    assert np.allclose([commands.at(at * MS)[0] for at in range(2400, 3600, 100)], 0.5)


def test_a_displacement_ends_when_no_command_comes():
    contract = delta_contract()  # periods of 50 ms
    commands, arm = _Commands(contract), contract.action[0]
    commands.take(arm, Setpoint.at_once(np.array([0.01, 0.0, 0.0])), 0)
    assert commands.at(100 * MS)[0] == 0.01
    assert commands.at(130 * MS)[0] == 0.0
    commands.clear()
    assert commands.at(0).tolist() == [0.0] * 4
