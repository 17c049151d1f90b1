"""What the page tells of the plan: the rest of the chunk that plays, and nothing of one that does not."""

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from support.contracts import patient_contract

from mode_ros.control.chunk import make_chunk
from mode_ros.control.request import ChunkRequest
from mode_ros.messages.chunks import encode_chunk, encode_request
from mode_ros.nodes.page_ahead import PageAhead

SECOND = 1_000_000_000


@pytest.fixture
def contract():
    return patient_contract()


@pytest.fixture
def ahead(contract):
    return PageAhead(contract)


def hear(ahead, contract, identity='a', stamp=10 * SECOND, now=10 * SECOND, asked=True):
    count = len(contract.action_names)
    if asked:
        request = ChunkRequest('a', stamp, not_before=stamp, period=contract.period)
        ahead.request(encode_request(request, contract.action_names))
    actions = np.tile(np.arange(4.0)[:, None] / 1000, (1, count))
    ahead.chunk(serialize_message(encode_chunk(make_chunk(contract, stamp, actions, identity))), now)


def test_before_a_chunk_nothing_is_planned(ahead, contract):
    assert ahead.told(0) is None
    assert [each['name'] for each in ahead.dimensions()] == list(contract.action_names)


def test_what_has_been_played_is_no_longer_ahead(ahead, contract):
    hear(ahead, contract)
    whole = ahead.told(10 * SECOND)
    assert whole['values'][0] == [0.0, 0.001, 0.002, 0.003]
    assert (whole['period'], whole['decided']) == (contract.period_seconds, 0)
    later = ahead.told(10 * SECOND + 2 * contract.period)
    assert later['values'][0] == [0.002, 0.003]
    assert ahead.told(20 * SECOND) is None


def test_a_chunk_that_answers_nothing_or_is_none_is_not_shown(ahead, contract):
    hear(ahead, contract, asked=False)
    hear(ahead, contract, identity='another')
    ahead.chunk(b'\x00\x01', 10 * SECOND)
    assert ahead.told(10 * SECOND) is None


def test_at_a_stop_it_goes(ahead, contract):
    hear(ahead, contract)
    ahead.clear()
    assert ahead.told(10 * SECOND) is None
