"""A bag as a Recording: finds the contract's topics in it and feeds the Resampler."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection

from mode_ros.checks.clocks import clock_findings, lateness_findings, step_findings
from mode_ros.checks.two_sources import commander_findings, publisher_findings
from mode_ros.control.contract import NANOSECONDS, ActionGroup, Camera, Contract, State, differences
from mode_ros.control.kinematics import DESCRIPTION_TOPIC
from mode_ros.errors import UserError
from mode_ros.recording.episode import INTERVENTION_TOPIC, SUCCESS_TOPIC, Episode
from mode_ros.recording.topics import recorded_topics
from mode_ros.training.data.bags import Bag, BagProblem, content_key, open_bag, storage_files
from mode_ros.training.data.clocks import in_words
from mode_ros.training.data.description import hear_description
from mode_ros.training.data.frames import Frame, LeftOut
from mode_ros.training.data.recordings import About, Progress, Recording, RecordingProblem
from mode_ros.training.data.resample import Resampler
from mode_ros.training.data.topics import match_topics

# What is said about an episode's success within this time from its beginning (nanoseconds) was latched before it.
BEFORE_THE_EPISODE = NANOSECONDS // 4
# Messages between two reports of progress.
_REPORT_EVERY = 50

Handler = Callable[[Any, int], None]


class BagRecording(Recording):
    """One bag; `path` is its folder or its only file."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def key(self) -> str:
        """As in Recording: of the messages, so that a corrected description makes no other recording."""
        return content_key(self._files)

    def parts(self) -> tuple[str, ...]:
        """As in Recording: of its files."""
        return tuple(content_key([file]) for file in self._files)

    def former_key(self) -> str:
        """As in Recording."""
        metadata = [item for item in [self.path / 'metadata.yaml'] if self.path.is_dir() and item.exists()]
        return content_key([*metadata, *storage_files(self.path)], named=True)

    @property
    def _files(self) -> list[Path]:
        # A folder without files is told from another one by what its metadata says.
        return storage_files(self.path) or [self.path / 'metadata.yaml']

    def described(self) -> str:
        """As in Recording: what the recorder wrote of goal and success."""
        episode = self._facts[1]
        return '' if episode is None else json.dumps([episode.goal, episode.success])

    def origin(self) -> str:
        """As in Recording."""
        episode = self._facts[1]
        return json.dumps(dict(episode.origin), sort_keys=True) if episode is not None and episode.origin else ''

    def unreadable(self) -> str:
        """As in Recording."""
        return self._facts[2]

    def seconds(self) -> float:
        """As in Recording."""
        return self._facts[0]

    def contract(self) -> tuple[Contract, str] | None:
        """As in Recording; UserError where the bag's own contract cannot be read."""
        episode = self._facts[1]
        return None if episode is None else (episode.contract(self.name), episode.contract_text)

    @cached_property
    def _facts(self) -> tuple[float, Episode | None, str]:
        try:
            with open_bag(self.path) as bag:
                return bag.seconds, bag.episode, ''
        except BagProblem as error:
            return 0.0, None, str(error)  # `read` says it, too

    def read(self, contract: Contract, goal: str, about: About, progress: Progress) -> Iterator[Frame | LeftOut]:
        """As in Recording."""
        try:
            with open_bag(self.path) as bag:
                try:
                    yield from _read(bag, contract, goal, about, progress)
                except BagProblem as error:
                    if not bag.torn:
                        raise
                    raise BagProblem(f'{error}; {bag.torn}') from error
                if bag.torn:
                    raise BagProblem(bag.torn)
        except BagProblem as error:
            raise RecordingProblem(str(error)) from error


def _read(bag: Bag, contract: Contract, goal: str, about: About, progress: Progress) -> Iterator[Frame | LeftOut]:
    episode = bag.episode
    _check_contract(episode, contract, bag.path.name)
    if episode is not None:
        about.success, about.drops, about.recovered = episode.success, dict(episode.drops), episode.recovered
        about.judged = episode.success is not None
    # Only a goal that is given counts from the beginning to the end; a recorded one until the next.
    resampler = Resampler(contract, goal or (episode.goal if episode is not None else ''), fixed_goal=bool(goal))
    handlers = _handlers(bag, contract, resampler, about)
    about.start = bag.start
    damage: BagProblem | None = None
    try:
        yield from _replay(bag, handlers, resampler, progress)
    except BagProblem as error:
        damage = error
    resampler.finish()
    yield from resampler.take()
    about.start = bag.start if resampler.first_stamp is None else resampler.first_stamp
    _describe(resampler, contract, about)
    if damage is not None:
        raise damage
    _check_spoken(resampler, contract, about)


def _describe(resampler: Resampler, contract: Contract, about: About) -> None:
    offsets: dict[str, tuple[float, float]] = {}
    spans: dict[str, tuple[float, float]] = {}
    for stream in contract.observation.streams:
        about.health[stream.name] = found = resampler.watches[stream.name].summary(about.start)
        found['topic'] = about.topics.get(stream.topic)
        early, lost = resampler.packets_left_out(stream)
        if early:
            about.notes.append(
                f'video: {early} packets of {stream.name} came before its first key frame and were left out; publish '
                'key frames more often (gop_size) where that is much'
            )
        if lost:
            about.notes.append(
                f'video: packets of {stream.name} are missing, and {lost} more until the next key frame show nothing '
                'without them'
            )
        if 'offset_ms' in found and stream.stamps == 'header':  # of reception, there is nothing to compare
            offsets[stream.name] = found['offset_ms'][0] / 1e3, stream.max_age
            low, high = found.get('offset_span_ms', (0.0, 0.0))
            spans[stream.name] = low / 1e3, high / 1e3
    for state in contract.observation.states:
        if state.name in resampler.alternations:
            found_two = resampler.alternations[state.name].findings(about.topics.get(state.topic, state.topic))
            about.notes += [str(finding) for finding in found_two]
    found_odd = [*clock_findings(offsets), *lateness_findings(offsets), *step_findings(spans)]
    about.notes += [str(finding) for finding in found_odd]
    for group in contract.action:
        found = resampler.command_watches[group.name].summary(about.start)
        found['topic'] = None if group.heard_on is None else about.topics.get(group.heard_on[0])
        about.health[f'{group.name} (commands)' if group.name in about.health else group.name] = found
        if found.get('other_clock'):
            count, by = found['other_clock']
            way = 'ahead of when' if by > 0 else 'before'
            about.notes.append(
                f'clocks: {count} commands of {group.name} are stamped by another clock than the streams '
                f'({in_words(abs(round(by * NANOSECONDS)))} {way} they came), and count by their reception'
            )
        if not found['messages'] and group.source == 'command':
            instead = 'its initial action' if group.initial is not None else 'where it was measured'
            about.notes.append(f'commands: {group.name} was never commanded; {instead} stands for it')


def _replay(
    bag: Bag,
    handlers: dict[int, tuple[Connection, list[Handler], list[Handler]]],
    resampler: Resampler,
    report: Progress,
) -> Iterator[Frame | LeftOut]:
    last = bag.start
    for number, (connection, received, data) in enumerate(
        bag.messages([connection for connection, _, _ in handlers.values()])
    ):
        _, usable, unusable = handlers[connection.id]
        try:
            message = bag.decode(data, connection.msgtype)
        except BagProblem as error:
            for handle in unusable:
                handle(str(error), received)
        else:
            for handle in usable:
                handle(message, received)
        yield from resampler.take()
        if number % _REPORT_EVERY == 0:
            report(max(0, received - last) / NANOSECONDS)
            last = max(last, received)


def _handlers(
    bag: Bag, contract: Contract, resampler: Resampler, about: About
) -> dict[int, tuple[Connection, list[Handler], list[Handler]]]:
    """What is to be done with each connection's messages, good and broken ones; BagProblem for a missing topic."""
    found: dict[int, tuple[Connection, list[Handler], list[Handler]]] = {}
    streams: list[Camera | State] = [*contract.observation.cameras, *contract.observation.states]
    # What is in force without a command need not have been commanded.
    heard = [(group, *group.heard_on) for group in contract.action if group.heard_on is not None]
    able = {topic for group, topic, _ in heard if group.initial is not None}
    needed = [*(stream.topic for stream in streams), *(topic for _, topic, _ in heard)]
    needed = [topic for topic in dict.fromkeys(needed) if topic not in able or topic in {s.topic for s in streams}]
    optional = [*sorted(able - set(needed)), contract.goal_topic, INTERVENTION_TOPIC, SUCCESS_TOPIC, DESCRIPTION_TOPIC]
    told = bag.episode.topics if bag.episode is not None else None
    advice = _advice(contract)
    topics = match_topics(needed, optional, {connection.topic for connection in bag.connections}, told, advice)
    about.topics = {name: topic for name, topic in topics.items() if topic is not None}
    counted = [
        (state, topic, bag.publishers(topic)) for state in contract.observation.states if (topic := topics[state.topic])
    ]
    commanders = {
        topic: ([group.name for group, name, _ in heard if topics[name] == topic], bag.publishers(topic))
        for _, name, _ in heard
        if (topic := topics[name]) is not None
    }
    about.notes += [str(finding) for finding in [*publisher_findings(counted), *commander_findings(commanders)]]
    # A group that stands where it is measured may have been left alone, too; but its topic must be there.
    silent = {topic for group, topic, _ in heard if group.feedback is not None and group.leader is None} | able

    def listen(name: str, usable: Handler, unusable: Handler | None = None) -> None:
        way = '' if bag.torn else advice.get(name, '')  # of a torn bag, nobody knows what came later
        for connection in _fitting(bag, contract, name, topics[name], name in needed, name not in silent, way):
            entry = found.setdefault(connection.id, (connection, [], []))
            entry[1].append(usable)
            if unusable is not None:
                entry[2].append(unusable)

    for stream in streams:
        listen(stream.topic, *_stream_handlers(resampler, stream))
    for group, topic, _ in heard:
        listen(topic, *_command_handlers(resampler, group))
    listen(contract.goal_topic, lambda message, at: resampler.goal(message.data, at))
    listen(DESCRIPTION_TOPIC, lambda message, at: hear_description(message, contract, about))
    listen(INTERVENTION_TOPIC, lambda message, at: resampler.intervene(bool(message.data), at))
    if not about.judged:
        listen(SUCCESS_TOPIC, _verdict_handler(resampler, about, bag.start))
    return found


def _stream_handlers(resampler: Resampler, stream: Camera | State) -> tuple[Handler, Handler]:
    return (
        lambda message, received: resampler.observe(stream, message, received),
        lambda reason, received: resampler.observe_unusable(stream, reason, received),
    )


def _command_handlers(resampler: Resampler, group: ActionGroup) -> tuple[Handler, Handler]:
    return (
        lambda message, received: resampler.command(group, message, received),
        lambda reason, received: resampler.command_unusable(group, reason, received),
    )


def _verdict_handler(resampler: Resampler, about: About, start: int) -> Handler:
    """Counts what is said about this episode: a latched word from the one before comes first, before any command."""

    def judge(message: Any, received: int) -> None:
        if received - start > BEFORE_THE_EPISODE and resampler.commanded:
            about.success = bool(message.data)

    return judge


def _advice(contract: Contract) -> dict[str, str]:
    """Of the topics of commands: what to do where a group was never commanded."""
    return {
        group.output.topic: f'; if {group.name} was never commanded, say in the contract what was in force '
        f'({group.name}: initial: [...])'
        for group in contract.action
        if group.kind == 'absolute' and group.source == 'command' and group.initial is None
    }


def _fitting(
    bag: Bag, contract: Contract, name: str, topic: str | None, needed: bool, must_speak: bool, way: str
) -> list[Connection]:
    """The connections of a topic that have the type which the contract says; BagProblem where they must and do not."""
    if topic is None:
        return []
    kinds = {item.type for item in recorded_topics(contract) if item.name == name}
    connections = [connection for connection in bag.connections if connection.topic == topic]
    fitting = [connection for connection in connections if connection.msgtype in kinds]
    if needed and not fitting:
        have = sorted({connection.msgtype for connection in connections})
        raise BagProblem(f'the topic {topic!r} holds {", ".join(have)}, expected {", ".join(sorted(kinds))}')
    if needed and must_speak and not sum(connection.msgcount for connection in fitting):
        raise BagProblem(f'the topic {topic!r} holds no message{way}')
    return fitting


def _check_contract(episode: Episode | None, contract: Contract, name: str) -> None:
    if episode is None:
        return
    try:
        found = [line for line in differences(contract, episode.contract(name)) if not _is_reading(line)]
    except UserError as error:
        raise BagProblem(str(error)) from error
    if found:
        raise BagProblem(f'it was recorded under another contract. Here, and in the bag: {"; ".join(found)}')


# Keys that say how messages are read, not which were recorded: they may be written after the recording.
_READING = {'initial', 'message_unit', 'scale', 'offset', 'stamps', 'source', 'leader'}


def _is_reading(line: str) -> bool:
    path = line.partition(':')[0].split('.')
    of_a_state = path[:2] == ['observation', 'states'] and path[-1] in ('lower', 'upper')
    return path[-1] in _READING or 'leader' in path or of_a_state


def _check_spoken(resampler: Resampler, contract: Contract, about: About) -> None:
    for name in resampler.silent:
        if about.health[name]['zero_stamps']:
            raise BagProblem(f'{name}: all its stamps are zero; its driver must fill header.stamp')
        state = next((state for state in contract.observation.states if state.name == name), None)
        if state is not None and state.type == 'joint_state' and not about.health[name]['unusable']:
            raise BagProblem(f'{name}: no message on {about.topics[state.topic]} names any of {list(state.names)}')
        raise BagProblem(f'{name}: none of its messages can be used')
