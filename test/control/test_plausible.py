"""Chunks whose targets jump."""

import numpy as np
import pytest
from support.contracts import AXES_TEXT, absolute_contract, delta_contract, parse_contract
from support.thinking import Thinking

from mode_ros.control.plausible import Plausibility
from mode_ros.control.tick import Phase

TEXT = """
robot: counter
rate: 20.0
observation:
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [x], unit: rad, max_age: 0.3}
action:
  - name: arm
    kind: absolute
    feedback: joints
    max_tracking_error: 0.2
    dimensions:
      - {name: x, unit: rad, lower: -9.0, upper: 9.0, max_step: 0.05, max_step_change: 0.02}
    output: {adapter: joint_trajectory, topic: arm/command}
"""


class Jumping(Thinking):
    """From chunk number `since` on, what the policy decides itself lies elsewhere; its prefix is kept."""

    since, away, number = 3, 1.5, 0

    def _actions(self, plan):
        actions = super()._actions(plan)
        self.number += 1
        if self.number >= self.since:
            actions[plan.committed :] += self.away
        return actions


def jumping(mode='realtime', since=3):
    bench = Jumping(parse_contract(TEXT, 'c.yaml'), mode, [2], length=10)
    bench.since = since
    return bench.run(60)


def steps(bench):
    return np.nan_to_num(np.abs(np.diff(bench.commands)))


def test_a_chunk_that_keeps_the_prefix_and_then_jumps_is_refused_and_the_robot_stopped_when_its_plan_ends():
    bench = jumping()
    assert set(bench.refused) >= {'jump'}
    breach = bench.controller.breach
    assert breach.problem.name == 'jump'
    assert 'x jumps by 1.5 to action 2 (limit 0.25)' in breach.problem.reason
    assert bench.phases[-1] is Phase.STOPPED
    executed = bench.executed
    assert executed == list(range(1, len(executed) + 1)), 'what was planned before is played to its end'
    assert len(executed) > 12
    assert steps(bench).max() < 0.01


def test_one_that_jumps_once_costs_nothing_where_the_next_one_comes_in_time():
    class Once(Jumping):
        def _actions(self, plan):
            actions = super()._actions(plan)
            self.away = 0.0 if self.number >= self.since else self.away
            return actions

    bench = Once(parse_contract(TEXT, 'c.yaml'), 'realtime', [1], length=12, actions=4)
    bench.run(60)
    assert bench.refused == ['jump']
    assert bench.controller.breach is None
    assert bench.phases[-1] is Phase.EXECUTING


@pytest.mark.parametrize('mode', ['naive', 'ensemble'])
def test_whatever_the_mode(mode):
    bench = jumping(mode)
    assert 'jump' in bench.refused
    assert steps(bench).max() < 0.025, 'a switch as usual, and no way of 1.5 at 0.05 a period'


def test_one_planned_at_rest_is_refused_and_another_asked_for():
    bench = jumping('synchronous')
    assert set(bench.refused) == {'far'}
    assert bench.controller.breach is None
    assert bench.phases[-1] is Phase.WAITING
    jumps_later = Jumping(parse_contract(TEXT, 'c.yaml'), 'synchronous', [2], length=10)

    def actions(plan, usual=jumps_later._actions):
        rows = usual(plan)
        rows[5:] += jumps_later.number >= 3
        return rows

    jumps_later.since, jumps_later._actions = 99, actions
    assert set(jumps_later.run(60).refused) == {'jump'}


def test_a_jump_is_more_than_the_tracking_limit_and_a_step():
    plausible = Plausibility(parse_contract(TEXT, 'c.yaml'))
    start = np.zeros(1)
    assert plausible.jump(start, np.full((9, 1), 0.25)) == ''
    assert plausible.jump(start, np.full((9, 1), -0.26)).startswith('x jumps by 0.26 to action 0')
    assert plausible.jump(start, np.array([[0.1], [0.2], [0.5]]), 4).startswith('x jumps by 0.3 to action 6')
    assert plausible.jump(start, 0.2 * np.arange(1, 40)[:, None]) == '', 'too fast is not a jump'


def test_displacements_and_rotations_and_what_nobody_measures_are_not_judged():
    displacements = Plausibility(delta_contract())
    assert displacements.jump(np.zeros(4), np.full((3, 4), 9.0)) == ''
    pose = Plausibility(parse_contract(AXES_TEXT, 'pose.yaml'))
    turned = np.zeros((2, 9))
    turned[1, 3:] = 1.0
    assert pose.jump(np.zeros(9), turned) == ''
    turned[1, 0] = 0.5
    assert 'x jumps by 0.5' in pose.jump(np.zeros(9), turned)
    assert Plausibility(absolute_contract()).jump(np.full(2, np.nan), np.ones((2, 2))) == ''
