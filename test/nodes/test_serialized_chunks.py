"""Chunks as they arrive in bytes: what is too long, or no chunk at all, is refused before it is decoded."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from support.contracts import delta_contract

from mode_ros.control.chunk import ChunkRejected, make_chunk
from mode_ros.messages.chunks import encode_chunk
from mode_ros.messages.trajectory_header import count_points
from mode_ros.nodes import serialized
from mode_ros.nodes.serialized import decode_serialized_chunk


def data(length, identity='a-1', change=lambda message: None):
    message = encode_chunk(make_chunk(delta_contract(), 7, np.arange(4.0 * length).reshape(length, 4), identity))
    change(message)
    return serialize_message(message)


@pytest.mark.parametrize('identity', ['', 'a', 'ab', 'abc', 'abcd', 'ä' * 9])
@pytest.mark.parametrize('length', [0, 1, 17, 300])
def test_points_are_counted_without_decoding(identity, length):
    assert count_points(data(length, identity)) == length
    assert count_points(data(length, identity, lambda message: message.joint_names.clear())) == length


def test_bytes_become_the_chunk():
    chunk = decode_serialized_chunk(data(3), 3, 4)
    assert (chunk.identity, chunk.stamp) == ('a-1', 7)
    assert chunk.actions.tolist() == np.arange(12.0).reshape(3, 4).tolist()


def test_what_is_too_long_is_never_decoded(monkeypatch):
    def decode(*arguments):
        raise AssertionError('decoded')

    monkeypatch.setattr(serialized, 'deserialize_message', decode)
    for long in (data(4), data(3, 'a' * 100_000), data(3, change=lambda m: m.points[0].effort.extend([0.0] * 9000))):
        with pytest.raises(ChunkRejected, match="more than the contract's max_chunk_length 3") as refused:
            decode_serialized_chunk(long, 3, 4)
        assert refused.value.check == 'length'


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.integers(0, 150).map(lambda n: data(2)[:n])))
def test_bytes_that_are_no_chunk_are_refused(given_bytes):
    with contextlib.suppress(ChunkRejected):
        decode_serialized_chunk(given_bytes, 9, 4)
