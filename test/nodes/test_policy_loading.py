"""Another checkpoint for a running policy_node: what ros2 lifecycle and ros2 param do, and the page."""

import asyncio
import threading
from pathlib import Path

import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from support.bench import wait_for
from support.contracts import PATIENT_TEXT, patient_contract

from mode_ros.nodes.policy_loader import PolicyLoader
from mode_ros.nodes.policy_node import PolicyNode


@pytest.fixture(scope='session')
def other(tmp_path_factory):
    from mode_ros.pairing import make_untrained

    folder = tmp_path_factory.mktemp('checkpoint') / 'other'
    make_untrained(patient_contract(), PATIENT_TEXT, seed=2, chunk_length=4).save(folder)
    return folder


@pytest.fixture
def policy(bench, contract_file, checkpoint):
    return bench.start(PolicyNode, contract=contract_file, checkpoint=checkpoint, device='cpu', seed=7)


@pytest.fixture
def paused():
    return []


@pytest.fixture
def loader(bench, policy, paused):
    async def pause():
        paused.append(True)
        return True, 'paused'

    made = PolicyLoader(bench.node, 'policy_node', pause)
    wait_for(lambda: made._change.service_is_ready() and made._set.service_is_ready(), 'the services')
    return made


def load(loader, folder):
    """On an event loop of its own thread, as the page has."""
    found = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(loader.load(Path(folder), patient_contract()))))
    thread.start()
    thread.join(120)
    return found[0]


def set_checkpoint(bench, folder):
    client = bench.node.create_client(SetParameters, 'policy_node/set_parameters')
    wait_for(client.service_is_ready, 'the service')
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(folder))
    future = client.call_async(SetParameters.Request(parameters=[Parameter(name='checkpoint', value=value)]))
    wait_for(future.done, 'the answer')
    return future.result().results[0]


def test_while_a_policy_is_loaded_the_parameter_is_refused_in_words(bench, policy, other):
    refused = set_checkpoint(bench, other)
    assert not refused.successful
    assert refused.reason.endswith('is loaded: deactivate the node and clean it up before')
    assert bench.transition(policy, 'deactivate')
    assert not set_checkpoint(bench, other).successful, 'inactive it is loaded, too'


def test_from_one_to_another_by_the_lifecycle(bench, policy, other):
    assert bench.transition(policy, 'deactivate')
    assert bench.transition(policy, 'cleanup')
    assert set_checkpoint(bench, other).successful
    assert bench.transition(policy, 'configure')
    assert bench.transition(policy, 'activate')
    assert policy.parameters.checkpoint == str(other)
    assert policy.active


def test_the_page_pauses_the_controller_and_changes_the_policy(loader, policy, other, paused):
    done, words = load(loader, other)
    assert done, words
    assert words.endswith('The controller is paused: Start lets the robot move.')
    assert paused == [True]
    assert policy.parameters.checkpoint == str(other)
    assert policy.active


def test_what_is_not_made_for_this_robot_is_refused_before_anything_is_given_up(loader, policy, checkpoint, tmp_path):
    done, words = load(loader, tmp_path)
    assert not done
    assert 'has no' in words
    assert policy.active
    assert policy.parameters.checkpoint == checkpoint


def test_where_the_new_one_cannot_be_loaded_the_old_one_is_back_and_the_reason_told(loader, policy, checkpoint, other):
    weights = other / 'weights.safetensors'
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[: len(whole) // 2])
        done, words = load(loader, other)
    finally:
        weights.write_bytes(whole)
    assert not done
    assert 'weights.safetensors' in words
    assert f'The one before, {checkpoint}, is back.' in words
    assert policy.active
    assert policy.parameters.checkpoint == checkpoint


def test_a_controller_that_does_not_pause_keeps_the_policy(bench, policy, checkpoint, other):
    async def pause():
        return False, 'controller_node is not running.'

    made = PolicyLoader(bench.node, 'policy_node', pause)
    wait_for(lambda: made._change.service_is_ready() and made._set.service_is_ready(), 'the services')
    done, words = load(made, other)
    assert (done, words.endswith('controller_node is not running.')) == (False, True)
    assert policy.active
    assert policy.parameters.checkpoint == checkpoint


def test_without_a_policy_node_that_is_said(bench, other):
    async def pause():
        raise AssertionError('nobody is asked')

    made = PolicyLoader(bench.node, 'policy_node', pause)
    done, words = load(made, other)
    assert (done, words.startswith('policy_node is not running')) == (False, True)
