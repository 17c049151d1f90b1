"""Who may speak where: counted publishers to words."""

import pytest
from support.contracts import absolute_contract, delta_contract

from mode_ros.control.contract import parse_contract
from mode_ros.control.publishers import too_many, voices


def everyone(contract, simulated=False):
    return {voice.topic: ['/node'] for voice in voices(contract, simulated)}


def test_one_voice_each_is_well_and_nobody_is_no_finding():
    for contract in (absolute_contract(), delta_contract()):
        watched = voices(contract, simulated=True)
        assert too_many(watched, everyone(contract, True)) == []
        assert too_many(watched, {}) == []


@pytest.mark.parametrize(
    ('topic', 'told'),
    [
        ('arm/twist', '2 publishers of commands on arm/twist (/a, /b), expected one; end the other controller'),
        ('gripper/command', 'commands on gripper/command'),
        ('joint_states', 'states on joint_states (/a, /b), expected one; end what should not be there, or'),
        ('action_chunk', 'chunks on action_chunk (/a, /b), expected one; end the other policy'),
        ('/clock', 'the time on /clock'),
    ],
)
def test_a_second_voice_is_told_with_both_names_and_the_way_out(topic, told):
    contract = delta_contract()
    publishers = everyone(contract, True) | {topic: ['/b', '/a']}
    found = too_many(voices(contract, simulated=True), publishers)
    assert len(found) == 1
    assert told in found[0]


def test_two_controllers_of_the_same_name_are_two():
    publishers = {'arm/twist': ['/controller_node', '/controller_node']}
    assert too_many(voices(delta_contract(), False), publishers)


def test_a_clock_counts_only_where_it_is_used():
    assert not too_many(voices(delta_contract(), simulated=False), {'/clock': ['/a', '/b']})


def test_a_state_may_have_as_many_drivers_as_the_contract_says():
    from support.contracts import ABSOLUTE_TEXT

    text = ABSOLUTE_TEXT.replace('unit: rad, max_age', 'unit: rad, publishers: 2, max_age')
    watched = voices(parse_contract(text, 'two.yaml'), False)
    assert not too_many(watched, {'joint_states': ['/arm', '/gripper']})
    assert too_many(watched, {'joint_states': ['/arm', '/gripper', '/arm']})
