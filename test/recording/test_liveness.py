"""Whether a stream is alive, from serialised messages: those without a stamp count by when they came."""

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64, Float64MultiArray
from support.contracts import DELTA_TEXT

from mode_ros.control.contract import UNSTAMPED_TYPES, parse_contract
from mode_ros.control.observation import ObservationBuffer, ObservationUnavailable
from mode_ros.messages.images import encode_image
from mode_ros.messages.ingest import ingest
from mode_ros.messages.states import encode_joint_state
from mode_ros.recording.heard import Heard
from mode_ros.recording.liveness import stream_problem

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
PAD, LOAD = Float64MultiArray(data=[0.25, 4e9]), Float64(data=1e300)
TEXT = DELTA_TEXT.replace(
    'action:\n',
    """    - {name: pad, topic: pad, type: array, names: [near, far], unit: '1', stamps: reception, max_age: 0.2}
    - {name: load, topic: load, type: number, names: [kg], unit: kg, stamps: reception, max_age: 0.2}
action:
""",
)
CONTRACT = parse_contract(TEXT, 'here')


def problem(stream, message, after):
    """What the recorder says of a stream whose only message came `after` seconds ago."""
    state = CONTRACT.state(stream)
    heard = Heard(state.message_type)
    heard.add(serialize_message(message), NOW)
    stamp = heard.of(state).stamp(state)
    now = NOW + round(after * SECOND)
    return stream_problem(stream, f'/{stream}', state.message_type, stamp, now, state.max_age, [state.message_type])


@pytest.mark.parametrize(('stream', 'message'), [('pad', PAD), ('load', LOAD)])
def test_a_message_without_a_stamp_counts_by_when_it_came(stream, message):
    assert problem(stream, message, 0.1) == ''
    assert problem(stream, message, 0.5) == f'{stream}: last message 0.50 s ago (limit 0.20 s)'


def test_no_time_is_read_out_of_numbers():
    for kind, message in (('std_msgs/msg/Float64MultiArray', PAD), ('std_msgs/msg/Float64', LOAD)):
        assert kind in UNSTAMPED_TYPES
        heard = Heard(kind)
        heard.add(serialize_message(message), NOW)
        assert heard.offset is None
    stamped = Heard('sensor_msgs/msg/JointState')
    stamped.add(serialize_message(encode_joint_state(['a'], np.zeros(1), np.zeros(1), NOW - SECOND)), NOW)
    assert stamped.offset == 1.0


def test_the_policy_too_counts_them_from_when_they_came():
    buffer = ObservationBuffer(CONTRACT)

    def speak(at, *names):
        camera, joints = CONTRACT.observation.cameras[0], CONTRACT.state('joints')
        ingest(buffer, camera, encode_image(np.zeros((32, 32, 3), np.uint8), at, 'static'), at, at)
        ingest(buffer, joints, encode_joint_state(['a', 'b'], np.zeros(2), np.zeros(2), at), at, at)
        for name in names:
            ingest(buffer, CONTRACT.state(name), PAD if name == 'pad' else LOAD, at, at)

    speak(NOW, 'pad', 'load')
    assert buffer.latest(NOW).states['load'].tolist() == [1e300]
    speak(NOW + SECOND, 'load')
    with pytest.raises(ObservationUnavailable) as caught:
        buffer.latest(NOW + SECOND)
    assert str(caught.value) == 'pad: last message 1.00 s ago (limit 0.20 s)'
