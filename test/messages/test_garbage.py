"""Nothing that arrives ends a node or a conversion: it is Unusable, or what the contract promises."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from support import garbage
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT

from mode_ros.control.contract import Camera, parse_contract
from mode_ros.control.observation import ObservationBuffer, ObservationUnavailable, Unusable
from mode_ros.messages.commands import decode_command
from mode_ros.messages.images import decode_image
from mode_ros.messages.ingest import ingest
from mode_ros.messages.setpoints import decode_setpoint, names_any
from mode_ros.messages.states import concerns, decode_state
from mode_ros.recording.heard import Heard
from mode_ros.training.data.resample import Resampler

DELTA, ABSOLUTE = parse_contract(DELTA_TEXT, 'delta'), parse_contract(ABSOLUTE_TEXT, 'absolute')
RAW = DELTA.observation.cameras[0]
COMPRESSED = RAW.model_copy(update={'transport': 'compressed'})
JOINTS = ABSOLUTE.state('joints')
POSE = parse_contract(
    DELTA_TEXT.replace(
        'action:',
        '    - {name: hand, topic: pose, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 0.2}\naction:',
    ),
    'pose',
).state('hand')

# Each message is one example; together 500 in the normal run and 10 000 in the slow one.
NORMAL, SLOW = 50, 1000
QUICK = {'suppress_health_check': list(HealthCheck), 'deadline': None, 'database': None}


def many(count):
    return settings(max_examples=count, derandomize=count == NORMAL, **QUICK)


def words(error):
    assert len(str(error)) > 5


def image(message, camera: Camera):
    try:
        decoded = decode_image(message, camera)
    except Unusable as error:
        words(error)
        return
    assert decoded.shape == (32, 32, 3)
    assert decoded.dtype == np.uint8


def state(message, wanted):
    if not concerns(message, wanted):
        return
    try:
        values = decode_state(message, wanted)
    except Unusable as error:
        words(error)
        return
    assert values.shape == (len(wanted.names),)
    assert np.isfinite(values).all()


def command(message, group):
    for decode in (decode_command, decode_setpoint):
        try:
            found = decode(message, group, 0.05)
        except Unusable as error:
            words(error)
            continue
        values = found if isinstance(found, np.ndarray) else found.in_period(10**8, 5 * 10**7, None)
        assert values.shape == (len(group.names),)
    names_any(message, group)


KINDS = {
    'raw images': (garbage.images(), lambda m: image(m, RAW)),
    'compressed images': (garbage.compressed_images(), lambda m: image(m, COMPRESSED)),
    'joint states': (garbage.joint_states(), lambda m: state(m, JOINTS)),
    'poses': (garbage.poses(), lambda m: state(m, POSE)),
    'trajectories': (garbage.trajectories(), lambda m: command(m, ABSOLUTE.action[0])),
    'twists': (garbage.twists(), lambda m: command(m, DELTA.action[0])),
    'arrays': (garbage.arrays(), lambda m: command(m, DELTA.action[1])),
    'another type': (
        st.one_of(garbage.texts(), garbage.twists(), garbage.images()),
        lambda m: (image(m, COMPRESSED), state(m, POSE), command(m, ABSOLUTE.action[0])),
    ),
}


def check(kind, count):
    strategy, look = KINDS[kind]

    @many(count)
    @given(strategy)
    def run(message):
        look(message)

    run()


@pytest.mark.parametrize('kind', KINDS)
def test_decoders(kind):
    check(kind, NORMAL)


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_decoders_of_many(kind):
    check(kind, SLOW)


arrivals = st.lists(
    st.one_of(
        st.tuples(st.just('static'), garbage.images()),
        st.tuples(st.just('joints'), garbage.joint_states()),
        st.tuples(st.just('arm'), garbage.twists()),
        st.tuples(st.just('gripper'), garbage.arrays()),
        st.tuples(st.just('goal'), garbage.texts()),
        st.tuples(st.just('broken'), st.just(None)),
    ),
    max_size=12,
)


def replay(messages):
    """The same messages live and recorded: a buffer that is asked after each, and a resampler."""
    buffer, resampler = ObservationBuffer(DELTA), Resampler(DELTA)
    camera, joints = DELTA.observation.cameras[0], DELTA.observation.states[0]
    groups = {group.name: group for group in DELTA.action}
    for number, (kind, message) in enumerate(messages):
        received = 10**9 + number * 10**7
        if kind in ('static', 'joints'):
            stream = camera if kind == 'static' else joints
            ingest(buffer, stream, message, received, received)
            resampler.observe(stream, message, received)
        elif kind in groups:
            resampler.command(groups[kind], message, received)
        elif kind == 'goal':
            resampler.goal(message.data, received)
        else:
            resampler.observe_unusable(joints, 'a message is none', received)
            resampler.command_unusable(groups['arm'], 'a message is none', received)
        try:
            buffer.latest(received)
        except ObservationUnavailable as error:
            words(error)
    resampler.finish()
    for item in resampler.take():
        assert item is not None


@many(NORMAL)
@given(arrivals)
def test_buffer_and_resampler(messages):
    replay(messages)


@pytest.mark.slow
@many(SLOW)
@given(arrivals)
def test_buffer_and_resampler_of_many(messages):
    replay(messages)


@many(NORMAL)
@given(st.binary(max_size=64))
def test_bytes_that_are_no_message(data):
    heard = Heard('sensor_msgs/msg/JointState')
    heard.add(data, 5)
    heard.of(JOINTS).stamp(JOINTS)


@pytest.mark.slow
@many(SLOW)
@given(st.binary(max_size=256))
def test_many_bytes_that_are_no_message(data):
    heard = Heard('sensor_msgs/msg/JointState')
    heard.add(data, 5)
    heard.of(JOINTS).stamp(JOINTS)


def test_the_garbage_is_not_all_refused():
    """What only ever raised at the first check would prove nothing of the later ones."""
    usable = 0

    @seed(4)  # how many of 200 are pictures is chance, and now and then no more than five
    @many(200)
    @given(garbage.compressed_images())
    def run(message):
        nonlocal usable
        try:
            decode_image(message, COMPRESSED)
            usable += 1
        except Unusable:
            pass

    run()
    assert usable > 5
