"""What a running node's buffer holds, beside what conversion makes of the same messages."""

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState
from support.bags import TYPES

from mode_ros.control.observation import ObservationBuffer, ObservationUnavailable
from mode_ros.messages.ingest import ingest
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.frames import Frame, LeftOut
from mode_ros.training.data.recordings import About


def live(contract, items, ticks):
    """What a node's buffer of rclpy messages gives when it is asked at each tick as soon as that has passed."""
    kinds = {'Image': Image, 'CompressedImage': CompressedImage, 'JointState': JointState}
    streams = {'/static/image': contract.observation.cameras[0], '/joint_states': contract.observation.states[0]}
    buffer, seen, left = ObservationBuffer(contract), [], list(ticks)
    for item in items:
        if item.topic not in streams:
            continue
        kind = kinds[item.kind.rpartition('/')[2]]
        message = deserialize_message(bytes(TYPES.serialize_cdr(item.message, item.kind)), kind)
        ingest(buffer, streams[item.topic], message, item.received, item.received)
        while left and (common := buffer.latest_common_stamp()) is not None and left[0] <= common:
            try:
                seen.append(buffer.at(left.pop(0)))
            except ObservationUnavailable:
                seen.append(None)
    return seen


def converted(path, contract):
    found = list(BagRecording(path).read(contract, 'a goal', About(), lambda seconds: None))
    return [item for item in found if isinstance(item, Frame)], [item for item in found if isinstance(item, LeftOut)]


def assert_same(ours, theirs):
    assert ours.stamp == theirs.stamp
    assert ours.images.keys() == theirs.images.keys()
    for name in ours.images:
        assert (ours.images[name] == theirs.images[name]).all()
    assert {name: values.tolist() for name, values in ours.states.items()} == {
        name: values.tolist() for name, values in theirs.states.items()
    }
