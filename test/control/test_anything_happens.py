"""Whatever happens, in whatever order: no limit is exceeded, what has latched stays, no displacement is done twice."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.happenings import GROUPS, HAPPENINGS, Happening, World, contract_of

CONTRACTS = {
    f'{groups}, {commands} commands{", jerk" if jerk else ""}': contract_of(groups, commands, jerk)
    for groups in GROUPS
    for commands, jerk in ((1, False), (1, True), (5, False), (5, True))
}
ALL = pytest.mark.parametrize('contract', CONTRACTS.values(), ids=CONTRACTS)


def scripts(periods, most):
    happening = st.builds(Happening, st.sampled_from(HAPPENINGS), st.integers(0, periods), st.integers(1, 40))
    return st.lists(happening, max_size=most)


def live(contract, script, seed, mode, periods):
    world = World(contract, script, seed, mode).run(periods)
    if contract.commands_per_action == 1 and 'x' in contract.action_names and contract.dimensions[0].name == 'x':
        assert world.in_order, world.executed
    return world


MODES = st.sampled_from(['realtime', 'realtime', 'synchronous', 'receding'])
# They switch without continuing, so what they leave out is their nature.
LOOSE = st.sampled_from(['naive', 'ensemble'])


@ALL
@pytest.mark.parametrize('number', range(8))
def test_in_any_order(contract, number):
    """The same worlds each time and everywhere; the slow ones search anew."""
    draw = random.Random(number)
    script = [
        Happening(draw.choice(HAPPENINGS), draw.randint(0, 150), draw.randint(1, 40)) for _ in range(draw.randint(0, 6))
    ]
    live(contract, script, number, draw.choice(['realtime', 'realtime', 'synchronous', 'receding']), 150)


@pytest.mark.parametrize('number', range(40))
def test_nothing_starts_from_where_frozen_states_say_that_the_arm_is(number):
    draw = random.Random(number)
    contract = contract_of(draw.choice(['absolute', 'mixed']), draw.choice([1, 5]), draw.choice([False, True]))
    kinds = ['frozen', 'teleop', 'teleop', 'estop', 'release', 'deactivated', 'clock', 'silent', 'pushed', 'paused']
    script = [
        Happening(draw.choice(kinds), draw.randint(0, 200), draw.randint(1, 60)) for _ in range(draw.randint(3, 14))
    ]
    script.append(Happening('frozen', draw.randint(20, 100), draw.randint(60, 120)))
    World(contract, script, number, draw.choice(['realtime', 'synchronous', 'receding'])).run(200)


@pytest.mark.slow
@ALL
@given(script=scripts(500, 25), seed=st.integers(0, 2**32), mode=MODES)
@settings(max_examples=200, deadline=None)
def test_in_any_order_for_long(contract, script, seed, mode):
    live(contract, script, seed, mode, 500)


@pytest.mark.slow
@ALL
@given(script=scripts(500, 25), seed=st.integers(0, 2**32), mode=LOOSE)
@settings(max_examples=50, deadline=None)
def test_ways_that_do_not_continue_keep_the_limits_too(contract, script, seed, mode):
    World(contract, script, seed, mode).run(500)


@ALL
def test_without_a_fault_the_policy_moves_it(contract):
    world = World(contract, [], 1)
    world.wild = 0.0
    world.run(200)
    assert sum(phase.name == 'EXECUTING' for phase in world.phases) > 0.7 * len(world.phases), world.checks


@pytest.mark.parametrize('away', [60, 400])
def test_a_policy_that_starts_anew_is_not_taken_for_a_slow_one(away):
    world = World(contract_of('delta'), [Happening('no policy', 100, away)], 3).run(250 + away)
    told = len(world.phases)
    world.run(300)
    assert sum(phase.name == 'WAITING' for phase in world.phases[told:]) < 5
    assert world.in_order


def test_an_arm_that_moved_since_it_was_measured_is_measured_before_it_starts_again():
    script = [Happening('silent', 39, 14), Happening('deactivated', 40, 29)]
    World(contract_of('absolute', 5, False), script, 1, 'synchronous').run(80)


def test_a_person_who_drives_on_while_the_arm_does_not_follow():
    script = [Happening('estop', 0, 1), Happening('stalled', 0, 8), Happening('teleop', 6, 3)]
    World(contract_of('absolute', 5, False), script, 1, 'realtime').run(40)
