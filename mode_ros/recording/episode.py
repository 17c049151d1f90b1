"""What a bag says about itself: the words that the recorder writes and the converter reads.

They are the `custom_data` of the metadata (metadata.yaml, and once more inside the MCAP file). A bag recorded with
`ros2 bag record` has none of them; then there is no Episode, and its reader must be told contract and goal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mode_ros.control.contract import Contract, parse_contract
from mode_ros.errors import UserError

# Of this description, not of rosbag2: a reader refuses a newer one.
FORMAT = 1

KEY_FORMAT = 'mode_ros.format'
KEY_CONTRACT = 'mode_ros.contract'
KEY_GOAL = 'mode_ros.goal'
KEY_SUCCESS = 'mode_ros.success'
KEY_DROPS = 'mode_ros.drops'
KEY_TOPICS = 'mode_ros.topics'
KEY_RECOVERED = 'mode_ros.recovered'
KEY_ORIGIN = 'mode_ros.origin'

# std_msgs/Bool, latched: true while a person drives. Part of every recording.
INTERVENTION_TOPIC = 'intervention'
SUCCESS_TOPIC = 'success'
CHUNK_TOPIC = 'action_chunk'

_SUCCESS_WORDS = {True: 'true', False: 'false', None: 'unknown'}


@dataclass(frozen=True)
class Episode:
    """One recorded episode.

    contract_text: the robot contract's YAML; goal: the task in words, '' when none was given; success: None when nobody
    said; drops: messages lost, by topic as recorded (topics without loss may be absent); topics: the contract's topic
    names to those in the bag, where a namespace or a remapping made them differ from '/' + name; recovered: why the
    episode is not as the recorder meant to leave it, as after a crash, else ''; origin: of a simulated demonstration,
    what makes it the same as another one (task, seed), else empty.
    """

    contract_text: str
    goal: str = ''
    success: bool | None = None
    drops: Mapping[str, int] = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)
    recovered: str = ''
    origin: Mapping[str, Any] = field(default_factory=dict)

    def contract(self, source: str) -> Contract:
        """The contract under which the episode was recorded; `source` names the bag in a UserError."""
        return parse_contract(self.contract_text, f'in {source}')

    def topic(self, name: str) -> str:
        """The topic in the bag that holds the contract's topic `name`."""
        return self.topics.get(name, absolute_topic(name))

    def to_custom_data(self) -> dict[str, str]:
        """Texts by key, for rosbags' Writer.set_custom_data."""
        return {
            KEY_FORMAT: str(FORMAT),
            KEY_CONTRACT: self.contract_text,
            KEY_GOAL: self.goal,
            KEY_SUCCESS: _SUCCESS_WORDS[self.success],
            KEY_DROPS: json.dumps(dict(self.drops)),
            KEY_TOPICS: json.dumps(dict(self.topics)),
            KEY_RECOVERED: self.recovered,
            **({KEY_ORIGIN: json.dumps(dict(self.origin), sort_keys=True)} if self.origin else {}),
        }

    @classmethod
    def from_custom_data(cls, custom: Mapping[str, str] | None, source: str) -> Episode | None:
        """The episode that a bag's custom data describe (rosbags: `Reader.storage.metadata.custom`).

        None for a bag that this project did not record. Raises UserError for a newer format and for damaged data;
        `source` names the bag there.
        """
        if not custom or KEY_FORMAT not in custom:
            return None
        number = str(custom[KEY_FORMAT])
        if not number.isdecimal() or int(number) > FORMAT:
            raise UserError(
                f'The bag {source} has the recording format {number!r}, and this mode_ros knows 1 to {FORMAT}; '
                'read it with the release that recorded it.'
            )
        try:
            words = {word: value for value, word in _SUCCESS_WORDS.items()}
            return cls(
                contract_text=str(custom[KEY_CONTRACT]),
                goal=str(custom.get(KEY_GOAL, '')),
                success=words[str(custom.get(KEY_SUCCESS, 'unknown'))],
                drops={str(topic): int(count) for topic, count in json.loads(custom.get(KEY_DROPS, '{}')).items()},
                topics={str(name): str(topic) for name, topic in json.loads(custom.get(KEY_TOPICS, '{}')).items()},
                recovered=str(custom.get(KEY_RECOVERED, '')),
                origin=dict(json.loads(custom.get(KEY_ORIGIN, '{}'))),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f'The description in the bag {source} is damaged ({type(error).__name__}: {error}); '
                'record the episode again, or remove the custom_data from its metadata.yaml and name the contract.'
            ) from error


def absolute_topic(name: str) -> str:
    """A topic's full name in the root namespace."""
    return '/' + name.removeprefix('~').lstrip('/')
