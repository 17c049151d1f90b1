"""Who else speaks on a topic that must have one voice: counted by a node, judged here.

Two controllers of one arm, two drivers of one state, two policies or two clocks each make an arm follow first one and
then the other. DDS delivers both without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mode_ros.control.contract import Contract

CLOCK_TOPIC = '/clock'
CHUNK_TOPIC = 'action_chunk'


@dataclass(frozen=True)
class Voice:
    """A topic and how many may publish on it.

    allowed: publishers, ours included; what: begins the sentence, such as 'commands on'; way_out: ends it; commands:
    whether it is what moves the robot.
    """

    topic: str
    allowed: int
    what: str
    way_out: str
    commands: bool = False


def voices(contract: Contract, simulated: bool) -> tuple[Voice, ...]:
    """What a controller of this contract counts. simulated: whether it runs on /clock."""
    found = [
        Voice(
            topic,
            1,
            'commands on',
            'end the other controller or tool (one that was killed is remembered for up to 20 s)',
            commands=True,
        )
        for topic in contract.outputs
    ]
    allowed: dict[str, int] = {}
    for state in contract.observation.states:
        allowed[state.topic] = max(allowed.get(state.topic, 1), state.publishers)
    found += [
        Voice(
            topic,
            number,
            'states on',
            'end what should not be there, or, where each publishes other joints, give their number as `publishers` of '
            'the state in the contract',
        )
        for topic, number in allowed.items()
    ]
    found.append(Voice(CHUNK_TOPIC, 1, 'chunks on', 'end the other policy'))
    if simulated:
        found.append(Voice(CLOCK_TOPIC, 1, 'the time on', 'end the other simulator or bag player'))
    return tuple(found)


def too_many(watched: Iterable[Voice], publishers: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong, a sentence for each topic. publishers: topic as in `watched` to the publishing nodes' names, one
    entry per publisher, a node's name twice where it has two; empty when all is well.

    A topic on which nobody publishes is no finding: what is missing is told by its age.
    """
    found = []
    for voice in watched:
        names = list(publishers.get(voice.topic, ()))
        if len(names) > voice.allowed:
            found.append(
                f'{len(names)} publishers of {voice.what} {voice.topic} ({", ".join(sorted(names))}), expected '
                f'{"one" if voice.allowed == 1 else voice.allowed}; {voice.way_out}'
            )
    return found
