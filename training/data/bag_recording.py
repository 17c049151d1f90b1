"""A bag as a Recording: finds the contract's topics in it and feeds the Resampler."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection

from mode_ros.control.contract import NANOSECONDS, ActionGroup, Camera, Contract, State, differences
from mode_ros.errors import UserError
from mode_ros.recording.episode import INTERVENTION_TOPIC, SUCCESS_TOPIC, Episode
from mode_ros.recording.topics import recorded_topics
from mode_ros.training.data.bags import Bag, BagProblem, content_key, open_bag, storage_files
from mode_ros.training.data.recordings import About, Progress, Recording, RecordingProblem
from mode_ros.training.data.resample import Frame, LeftOut, Resampler

# Messages between two reports of progress.
_REPORT_EVERY = 50

Handler = Callable[[Any, int], None]


class BagRecording(Recording):
    """One bag; `path` is its folder or its only file."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def key(self) -> str:
        """As in Recording; metadata counts, since the recorder keeps contract and goal there."""
        metadata = [item for item in [self.path / 'metadata.yaml'] if self.path.is_dir() and item.exists()]
        return content_key([*metadata, *storage_files(self.path)])

    def seconds(self) -> float:
        """As in Recording."""
        return self._facts[0]

    def contract(self) -> tuple[Contract, str] | None:
        """As in Recording; UserError where the bag's own contract cannot be read."""
        episode = self._facts[1]
        return None if episode is None else (episode.contract(self.name), episode.contract_text)

    @cached_property
    def _facts(self) -> tuple[float, Episode | None]:
        try:
            with open_bag(self.path) as bag:
                return bag.seconds, bag.episode
        except BagProblem:
            return 0.0, None  # `read` says why

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
        goal = goal or episode.goal
    resampler = Resampler(contract, goal, fixed_goal=bool(goal))
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
    about.health = {name: watch.summary(about.start) for name, watch in resampler.watches.items()}
    if damage is not None:
        raise damage
    _check_spoken(resampler, about)


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

    def listen(topic: str, usable: Handler, unusable: Handler | None = None, needed: bool = True) -> None:
        for connection in _find(bag, contract, topic, needed):
            entry = found.setdefault(connection.id, (connection, [], []))
            entry[1].append(usable)
            if unusable is not None:
                entry[2].append(unusable)

    streams: list[Camera | State] = [*contract.observation.cameras, *contract.observation.states]
    for stream in streams:
        listen(stream.topic, *_stream_handlers(resampler, stream))
    for group in contract.action:
        listen(group.output.topic, _command_handler(resampler, group))
    listen(contract.goal_topic, lambda message, at: resampler.goal(message.data, at), needed=False)
    listen(INTERVENTION_TOPIC, lambda message, at: resampler.intervene(bool(message.data), at), needed=False)
    if about.success is None:
        listen(SUCCESS_TOPIC, lambda message, _: setattr(about, 'success', bool(message.data)), needed=False)
    return found


def _stream_handlers(resampler: Resampler, stream: Camera | State) -> tuple[Handler, Handler]:
    return (
        lambda message, received: resampler.observe(stream, message, received),
        lambda reason, received: resampler.observe_unusable(stream, reason, received),
    )


def _command_handler(resampler: Resampler, group: ActionGroup) -> Handler:
    return lambda message, received: resampler.command(group, message, received)


def _find(bag: Bag, contract: Contract, topic: str, needed: bool) -> list[Connection]:
    """The connections that hold the contract's `topic`, of the right type.

    A bag of this project says which they are; else a topic of that name, or the only one that ends in it.
    """
    kinds = {item.type for item in recorded_topics(contract) if item.name == topic}
    names = sorted({connection.topic for connection in bag.connections})
    wanted = bag.episode.topic(topic) if bag.episode is not None else '/' + topic.lstrip('~/')
    matches = [wanted] if wanted in names else [name for name in names if name.endswith(wanted)]
    if len(matches) > 1:
        raise BagProblem(f'the topic {topic!r} could be any of {matches}; name it in full in the contract')
    if not matches:
        if not needed:
            return []
        near = difflib.get_close_matches(wanted, names, n=1)
        hint = f'; did you mean {near[0]!r}?' if near else f'; it has {names}'
        raise BagProblem(f'the topic {topic!r} is missing{hint}')
    connections = [connection for connection in bag.connections if connection.topic == matches[0]]
    fitting = [connection for connection in connections if connection.msgtype in kinds]
    if needed and not fitting:
        have = sorted({connection.msgtype for connection in connections})
        raise BagProblem(f'the topic {matches[0]!r} holds {", ".join(have)}, expected {", ".join(sorted(kinds))}')
    if needed and not sum(connection.msgcount for connection in fitting):
        raise BagProblem(f'the topic {matches[0]!r} holds no message')
    return fitting


def _check_contract(episode: Episode | None, contract: Contract, name: str) -> None:
    if episode is None:
        return
    try:
        found = differences(contract, episode.contract(name))
    except UserError as error:
        raise BagProblem(str(error)) from error
    if found:
        raise BagProblem(f'it was recorded under another contract. Here, and in the bag: {"; ".join(found)}')


def _check_spoken(resampler: Resampler, about: About) -> None:
    for name in resampler.silent:
        if about.health[name]['zero_stamps']:
            raise BagProblem(f'{name}: all its stamps are zero; its driver must fill header.stamp')
        raise BagProblem(f'{name}: none of its messages can be used')
