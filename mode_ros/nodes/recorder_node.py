"""Records episodes: one rosbag2 folder each, written from the messages as they come over the wire.

What is in them, how they are named and what survives a crash: mode_ros/recording and docs/recording.md.
"""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from std_srvs.srv import SetBool, Trigger

from mode_ros.checks.clocks import clock_findings
from mode_ros.checks.two_sources import commander_findings, publisher_findings
from mode_ros.control.contract import Camera, State
from mode_ros.control.observation import Unusable
from mode_ros.errors import UserError
from mode_ros.messages.ingest import check_message
from mode_ros.nodes.managed import Diagnostics
from mode_ros.nodes.parameters import parameter, read_parameters
from mode_ros.nodes.process import run_node
from mode_ros.recording.episode import SUCCESS_TOPIC, Episode, absolute_topic
from mode_ros.recording.folder import RecordingFolder
from mode_ros.recording.heard import Heard
from mode_ros.recording.liveness import stream_problem
from mode_ros.recording.topics import RecordedTopic, recorded_topics
from mode_ros.recording.writer import MEGABYTE, Channel, EpisodeWriter
from mode_ros.robots import load_named_contract

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

# Messages that DDS keeps while this process is not looking: two seconds of a camera, ten of joints at 100 Hz.
IMAGE_DEPTH, OTHER_DEPTH = 60, 1000

# A stop waits for the disk; the end of the process may not (see process.SHUTDOWN_SECONDS).
FINISH_SECONDS, CLOSE_SECONDS = 60.0, 1.8

STATUS_SECONDS = 0.5
RATE_WINDOW_SECONDS = 2.0


@dataclass(frozen=True)
class RecorderParameters:
    contract: str = parameter('', 'Robot contract: a name in config/robots, or the path of a YAML file.')
    folder: str = parameter('recordings', 'Folder of the episodes; it is made where it is missing.')
    require_goal: bool = parameter(True, 'Refuse to start before a goal has been given.')
    queue_megabytes: int = parameter(
        512, 'What may wait for the disk before messages are dropped.', unit='MB', minimum=1, maximum=65536
    )
    min_free_megabytes: int = parameter(
        1000, 'An episode ends, whole, when the disk has less room than this.', unit='MB', minimum=0
    )


class RecorderNode(Node):
    """Node `recorder_node`."""

    def __init__(self, open_writer: Callable[..., EpisodeWriter] = EpisodeWriter, **options: Any) -> None:
        """open_writer: makes the writer of an episode; tests give one with a full disk."""
        super().__init__('recorder_node', automatically_declare_parameters_from_overrides=True, **options)
        self.parameters = read_parameters(self, RecorderParameters)
        self._contract, self._contract_text = load_named_contract(self.parameters.contract)
        self._folder = RecordingFolder(Path(self.parameters.folder).expanduser())
        for sentence in self._folder.recover():
            self.get_logger().warning(sentence)
        self._open_writer = open_writer
        self._writer: EpisodeWriter | None = None
        # Topics of the bag that is written.
        self._declared: set[str] = set()
        self._name = ''
        self._began = 0
        self._goal = ''
        self._success: bool | None = None
        self._failure = ''
        self._topics = [_Topic(self, topic) for topic in recorded_topics(self._contract)]
        self._by_name = {topic.spec.name: topic for topic in self._topics}
        # Wall time, as in Diagnostics: publishers come and go while a simulated clock stands.
        self._match_timer = self.create_timer(0.5, self._match, clock=Clock(clock_type=ClockType.STEADY_TIME))
        for name, kind, callback in (
            ('start', Trigger, self._on_start),
            ('stop', Trigger, self._on_stop),
            ('discard', Trigger, self._on_discard),
            ('success', SetBool, self._on_success),
        ):
            self.create_service(kind, f'~/{name}', callback)
        self._diagnostics = Diagnostics(self, self._report, STATUS_SECONDS, topic='~/status')
        self.get_logger().info(
            f'{self._contract.robot}: {len(self._folder.finished())} episodes in {self._folder.root.resolve()}; '
            f'call ~/start to record the next'
        )

    def close(self) -> None:
        """The end of the process: an episode that is being recorded is finished first."""
        if self._writer is not None:
            self.get_logger().info(self._finish(CLOSE_SECONDS)[1])
        self._folder.close()

    def now(self) -> int:
        """Nanoseconds of the ROS clock."""
        return int(self.get_clock().now().nanoseconds)

    def take(self, topic: _Topic, data: bytes) -> None:
        """A message has come."""
        if self._writer is not None and topic.full_name in self._declared:
            self._writer.put(topic.full_name, self.now(), data)
            if not self._goal and topic.spec.name == self._contract.goal_topic:
                self._goal = self._latched_goal()  # the first one counts, not what is pursued at the end

    # ---- services ---------------------------------------------------------------------------------------------

    def _on_start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._start()
        return self._said(response)

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._writer is None:
            response.success, response.message = False, self._not_recording()
        else:
            response.success, response.message = self._finish(FINISH_SECONDS)
        return self._said(response)

    def _on_discard(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._writer is None:
            response.success, response.message = False, self._not_recording()
        else:
            writer, self._writer = self._writer, None
            writer.discard(FINISH_SECONDS)
            response.success, response.message = True, f'{self._name} is discarded.'
        return self._said(response)

    def _on_success(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._writer is None:
            response.success, response.message = False, self._not_recording()
        else:
            self._success = bool(request.data)
            word = 'a success' if self._success else 'a failure'
            response.success, response.message = True, f'{self._name} is marked as {word}.'
        return self._said(response)

    def _said(self, response: Any) -> Any:
        # rclpy gives each line of code one severity.
        if response.success:
            self.get_logger().info(response.message)
        else:
            self.get_logger().warning(response.message)
        return response

    def _not_recording(self) -> str:
        return self._failure or 'Nothing is being recorded; call ~/start first.'

    def _start(self) -> tuple[bool, str]:
        if self._writer is not None:
            return False, f'{self._name} is being recorded already; call ~/stop or ~/discard first.'
        problems = self._problems()
        if problems:
            return False, f'Not started: {"; ".join(problems)}.'
        self._goal, self._success, self._failure = self._latched_goal(), None, ''
        try:
            partial = self._folder.new_episode()
        except OSError as error:
            return False, f'Not started: no folder can be made in {self._folder.root}: {error.strerror or error}.'
        for topic in self._topics:
            topic.begin()
        channels = [
            Channel(topic.full_name, topic.spec.type, topic.spec.latched, len(topic.publishers()))
            for topic in self._topics
            if not topic.spec.if_told or topic.heard.last is not None
        ]
        self._declared = {channel.topic for channel in channels}
        self._name, self._began = partial.name, self.now()
        try:
            writer = self._open_writer(
                partial,
                channels,
                self._episode,
                self.parameters.queue_megabytes * MEGABYTE,
                self.parameters.min_free_megabytes * MEGABYTE,
            )
        except OSError as error:
            partial.remove()
            return False, f'Not started: {partial.folder} cannot be written: {error.strerror or error}.'
        # What was said before the episode and still holds is its first content.
        for topic in self._topics:
            if topic.spec.latched and topic.heard.last is not None:
                writer.put(topic.full_name, self._began, topic.heard.last.data)
        self._writer = writer
        goal = f', goal "{self._goal}".' if self._goal else ', without a goal.'
        notes = ''.join(f' Note: {note}.' for note in [*self._clock_notes(), *self._source_notes()])
        return True, f'Recording {self._name}{goal}{notes}'

    def _finish(self, timeout: float) -> tuple[bool, str]:
        assert self._writer is not None
        writer, self._writer = self._writer, None
        path = writer.finish(timeout)
        seconds = (self.now() - self._began) / 1e9
        told = f'{seconds:.1f} s, {writer.written} messages, {writer.bytes / MEGABYTE:.1f} MB'
        drops = self._drops(writer)
        lost = f'LOST {", ".join(f"{count} of {topic}" for topic, count in drops.items())}' if drops else 'nothing lost'
        self._failure = writer.failure
        if path is None:
            return False, writer.failure or (
                f'{self._name} could not be written to its end within {timeout:g} s; it is recovered at the next start.'
            )
        # A disk that ran full has ended the episode before its time.
        return not writer.failure, f'{self._name}: {told}, {lost}.' + (f' {writer.failure}' if writer.failure else '')

    def _problems(self) -> list[str]:
        """Why no episode can be started, in words; empty when one can."""
        now = self.now()
        if now == 0:
            return ['the clock stands at 0: use_sim_time is set and nobody publishes /clock']
        problems = []
        for stream in self._streams():
            problem = self._stream_problem(stream, now)
            if problem:
                problems.append(problem)
        if self.parameters.require_goal and not self._latched_goal():
            goal = self._by_name[self._contract.goal_topic].full_name
            problems.append(f'no goal: publish one on {goal}, or set require_goal to false')
        return problems

    def _stream_problem(self, stream: Camera | State, now: int) -> str:
        topic = next(topic for topic in self._topics if stream.name in topic.spec.streams)
        published = [kind for info in topic.publishers() for kind in [info.topic_type]]
        last = topic.heard.of(stream)
        if last is None:
            return stream_problem(stream.name, topic.full_name, topic.spec.type, None, now, stream.max_age, published)
        # One message of each stream is decoded before an episode, none during it.
        try:
            message = deserialize_message(last.data, topic.message_class)
        except Exception as error:  # noqa: BLE001 - whatever the middleware says of bytes that are no message
            return f'{stream.name}: the last message on {topic.full_name} is no {topic.spec.type} ({error})'
        problem = stream_problem(
            stream.name, topic.full_name, topic.spec.type, last.stamp(stream), now, stream.max_age, published
        )
        if problem:
            return problem
        try:
            check_message(stream, message)
        except Unusable as error:
            return f'{stream.name}: {error}'
        return ''

    def _clock_notes(self) -> list[str]:
        """What is odd about the stamps, and no reason not to record."""
        offsets = {}
        for stream in self._streams():
            topic = next(topic for topic in self._topics if stream.name in topic.spec.streams)
            if stream.stamps == 'header' and topic.heard.offset is not None:
                offsets[stream.name] = topic.heard.offset, stream.max_age
        return [str(finding) for finding in clock_findings(offsets)]

    def _source_notes(self) -> list[str]:
        """Who else publishes what must come from one."""

        def counted(name: str) -> tuple[str, int]:
            topic = self._by_name[name]
            return topic.full_name, len(topic.publishers())

        states = [(state, *counted(state.topic)) for state in self._contract.observation.states]
        commands = {}
        for name, groups in self._contract.outputs.items():
            full_name, count = counted(name)
            commands[full_name] = [group.name for group in groups], count
        return [str(each) for each in [*publisher_findings(states), *commander_findings(commands)]]

    def _latched_goal(self) -> str:
        topic = self._by_name[self._contract.goal_topic]
        message = None if topic.heard.last is None else _decoded(topic.heard.last.data, topic.message_class)
        return '' if message is None else str(message.data).strip()

    # ---- what is stored and shown -----------------------------------------------------------------------------

    def _episode(self) -> Episode:
        """As it stands; called from the writer's thread."""
        names = {topic.spec.name: topic.full_name for topic in self._topics}
        return Episode(
            contract_text=self._contract_text,
            goal=self._goal,
            success=self._success if self._success is not None else self._announced_success(),
            drops=self._drops(None),  # the writer adds its own
            topics={name: full for name, full in names.items() if full != absolute_topic(name)},
        )

    def _announced_success(self) -> bool | None:
        """What a simulator or another judge said on the topic `success` since the episode began."""
        topic = self._by_name[SUCCESS_TOPIC]
        message = None if topic.said is None else _decoded(topic.said, topic.message_class)
        return None if message is None else bool(message.data)

    def _drops(self, writer: EpisodeWriter | None) -> dict[str, int]:
        refused = writer.refused if writer is not None else {}
        counts = {topic.full_name: topic.lost + refused.get(topic.full_name, 0) for topic in self._topics}
        return {name: count for name, count in counts.items() if count}

    def _match(self) -> None:
        for topic in self._topics:
            topic.match_publishers(recording=self._writer is not None)
        if self._writer is not None and self._writer.failure:
            message = self._finish(FINISH_SECONDS)[1]
            self.get_logger().error(message)

    def _report(self) -> tuple[bytes, str, Mapping[str, Any]]:
        writer = self._writer
        values: dict[str, Any] = {'episode': self._name if writer is not None else ''}
        streams = [topic for topic in self._topics if topic.spec.streams]
        for topic in self._topics:
            topic.measure_rate()
        values |= {f'rate {topic.full_name} (Hz)': f'{topic.rate:.1f}' for topic in streams}
        values['episodes'] = len(self._folder.finished())
        if writer is None:
            problems = self._problems()
            if self._failure:
                return DiagnosticStatus.ERROR, self._failure, values
            if problems:
                return DiagnosticStatus.WARN, f'cannot start: {"; ".join(problems)}', values
            return DiagnosticStatus.OK, 'ready', values
        drops = self._drops(writer)
        values |= {
            'seconds': f'{(self.now() - self._began) / 1e9:.1f}',
            'MB': f'{writer.bytes / MEGABYTE:.1f}',
            'messages': writer.written,
            'waiting for the disk (MB)': f'{writer.queued_bytes / MEGABYTE:.1f}',
            'dropped': sum(drops.values()),
            **{f'dropped {topic.full_name}': drops.get(topic.full_name, 0) for topic in streams},
        }
        silent = [problem for stream in self._streams() if (problem := self._age_problem(stream))]
        told = ([f'{sum(drops.values())} messages dropped'] if drops else []) + silent + self._clock_notes()
        if told:
            return DiagnosticStatus.WARN, f'recording; {"; ".join(told)}', values
        return DiagnosticStatus.OK, 'recording', values

    def _streams(self) -> tuple[Camera | State, ...]:
        return (*self._contract.observation.cameras, *self._contract.observation.states)

    def _age_problem(self, stream: Camera | State) -> str:
        topic = next(topic for topic in self._topics if stream.name in topic.spec.streams)
        last = topic.heard.of(stream)
        stamp = None if last is None else last.stamp(stream)
        return stream_problem(
            stream.name, topic.full_name, topic.spec.type, stamp, self.now(), stream.max_age, [topic.spec.type]
        )


class _Topic:
    """The subscription of one recorded topic, and what is known about it."""

    def __init__(self, node: RecorderNode, spec: RecordedTopic) -> None:
        self.spec = spec
        self.full_name = node.resolve_topic_name(spec.name)
        self.message_class = _message_class(spec.type)
        self.heard = Heard(spec.type)
        # The last message since the episode began; what was latched before is about the one before.
        self.said: bytes | None = None
        self.lost = 0
        self.rate = 0.0
        self._node = node
        self._received = 0
        self._history: deque[tuple[float, int]] = deque()
        self._last_number: int | None = None
        self._before: tuple[bytes, int] | None = None
        self._readers: list[Any] = []
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        if spec.latched:
            # As qos.subscribe_latched: one reader for latched publishers, one for `ros2 topic pub`.
            self._readers = [self._subscribe(ReliabilityPolicy.RELIABLE, latched) for latched in (True, False)]
        else:
            # Hears every publisher; match_publishers asks for more where it is offered.
            self._readers = [self._subscribe(self._reliability)]

    def begin(self) -> None:
        """A new episode: nothing has been said or lost."""
        self.lost, self.said = 0, None

    def publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self.full_name))

    def match_publishers(self, recording: bool) -> None:
        """Listens reliably where every publisher is reliable, so that DDS repeats what was lost on the way."""
        if self.spec.latched:
            return
        offered = {info.qos_profile.reliability for info in self.publishers()}
        if not offered:
            return
        reliable = offered == {ReliabilityPolicy.RELIABLE}
        wanted = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        # During an episode the change itself could lose messages; it is made only when a publisher is not heard at all.
        if wanted == self._reliability or (recording and reliable):
            return
        self._reliability = wanted
        for reader in self._readers:
            self._node.destroy_subscription(reader)
        self._last_number = None
        self._readers = [self._subscribe(wanted)]

    def _subscribe(self, reliability: Any, latched: bool = False) -> Any:
        depth = IMAGE_DEPTH if 'Image' in self.spec.type else OTHER_DEPTH
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=depth, reliability=reliability, durability=durability)
        arguments = (self.message_class, self.full_name, self._callback(), qos)
        try:
            # Of a latched topic's two readers one never hears an ordinary publisher, which rclpy would warn of.
            events = SubscriptionEventCallbacks(message_lost=self._on_lost, use_default_callbacks=not latched)
            return self._node.create_subscription(*arguments, raw=True, event_callbacks=events)
        except UnsupportedEventTypeError:  # not every middleware tells about losses
            return self._node.create_subscription(*arguments, raw=True)

    def _callback(self) -> Callable[..., None]:
        if self.spec.latched:
            return self._on_latched
        return self._on_message if _tells_numbers() else self._on_unnumbered

    def _on_message(self, data: bytes, info: Mapping[str, Any]) -> None:
        self._count_gap(int(info['publication_sequence_number']))
        self._on_unnumbered(data)

    def _on_unnumbered(self, data: bytes) -> None:
        self._received += 1
        self.heard.add(data, self._node.now())
        self.said = data
        self._node.take(self, data)

    def _on_latched(self, data: bytes) -> None:
        # A latched message comes through both readers.
        now = time.monotonic_ns()
        twice = self._before is not None and self._before[0] == data and now - self._before[1] < 500_000_000
        self._before = None if twice else (data, now)
        if not twice:
            self._on_unnumbered(data)

    def _count_gap(self, number: int) -> None:
        """Publishers number their messages: what is missing was lost, wherever that happened."""
        if self._last_number is not None and number > self._last_number + 1 and len(self.publishers()) == 1:
            self.lost += number - self._last_number - 1
        self._last_number = number

    def _on_lost(self, event: Any) -> None:
        # Where messages carry numbers, the gap tells it already, and without counting a late repetition as a loss.
        if not _tells_numbers() or self.spec.latched or len(self.publishers()) > 1:
            self.lost += int(event.total_count_change)

    def measure_rate(self) -> None:
        """Messages per second of the last two seconds, in wall time."""
        now = time.monotonic()
        self._history.append((now, self._received))
        while now - self._history[0][0] > RATE_WINDOW_SECONDS + STATUS_SECONDS / 2:
            self._history.popleft()
        since, count = self._history[0]
        self.rate = (self._received - count) / (now - since) if now > since else 0.0


def _decoded(data: bytes, message_class: Any) -> Any:
    """The message, None for bytes that are none."""
    try:
        return deserialize_message(data, message_class)
    except Exception:  # noqa: BLE001 - whatever the middleware says of them
        return None


def _tells_numbers() -> bool:
    """Whether rclpy hands over the publisher's numbers (Iron and later)."""
    from rclpy.subscription import Subscription

    return hasattr(Subscription, 'CallbackType')


def _message_class(message_type: str) -> Any:
    package, _, name = message_type.split('/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except ImportError as error:
        raise UserError(
            f'The contract names messages of the type {message_type}, and their package is not there ({error}): '
            f'install ros-DISTRO-{package.replace("_", "-")} and source the ROS installation.'
        ) from error


def main() -> None:
    """Entry point of the executable `recorder_node`."""
    run_node(RecorderNode)


if __name__ == '__main__':
    main()
