"""What of a contract goes into a bag: topics, message types, and which of them must be alive."""

from __future__ import annotations

from dataclasses import dataclass

from mode_ros.control.contract import Contract
from mode_ros.control.kinematics import DESCRIPTION_TOPIC
from mode_ros.recording.episode import CHUNK_TOPIC, INTERVENTION_TOPIC, SUCCESS_TOPIC


@dataclass(frozen=True)
class RecordedTopic:
    """One topic of a recording.

    name: as in the contract; type: such as 'sensor_msgs/msg/Image'; max_age: seconds after which it counts as dead,
    None where silence is no fault; streams: the contract's streams that it carries; latched: its last message is still
    true when a recording begins; if_told: it is in a bag only where somebody had said something when that began.
    """

    name: str
    type: str
    max_age: float | None = None
    streams: tuple[str, ...] = ()
    latched: bool = False
    if_told: bool = False


def recorded_topics(contract: Contract) -> tuple[RecordedTopic, ...]:
    """Streams first, then commands, then what tells the episode's story. Streams that share a topic share an entry."""
    topics: dict[tuple[str, str], RecordedTopic] = {}

    def add(name: str, kind: str, max_age: float, stream: str) -> None:
        before = topics.get((name, kind))
        ages = [max_age] if before is None or before.max_age is None else [max_age, before.max_age]
        streams = (stream,) if before is None else (*before.streams, stream)
        topics[name, kind] = RecordedTopic(name, kind, min(ages), streams)

    for camera in contract.observation.cameras:
        add(camera.topic, camera.message_type, camera.max_age, camera.name)
    for state in contract.observation.states:
        add(state.topic, state.message_type, state.max_age, state.name)
    others = [
        *(RecordedTopic(group.output.topic, group.output.message_type) for group in contract.action),
        *(RecordedTopic(g.leader.topic, g.leader.message_type) for g in contract.action if g.leader is not None),
        RecordedTopic(contract.goal_topic, 'std_msgs/msg/String', latched=True),
        RecordedTopic(INTERVENTION_TOPIC, 'std_msgs/msg/Bool', latched=True),
        RecordedTopic(SUCCESS_TOPIC, 'std_msgs/msg/Bool', latched=True),
        RecordedTopic(DESCRIPTION_TOPIC, 'std_msgs/msg/String', latched=True, if_told=True),
        RecordedTopic(CHUNK_TOPIC, 'trajectory_msgs/msg/JointTrajectory'),
    ]
    for topic in others:
        topics.setdefault((topic.name, topic.type), topic)
    return tuple(topics.values())
