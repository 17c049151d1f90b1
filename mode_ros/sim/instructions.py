"""Plain sentences for each Meta-World task: some to train with, and some that training never sees."""

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from mode_ros.errors import UserError
from mode_ros.sim.metaworld_halfway import split_task
from mode_ros.sim.names import unknown_name

FILE_NAME = 'instructions.yaml'
FEWEST_PARAPHRASES = 3
HELD_OUT = 2
"""How many of a task's paraphrases, the last, no training sees."""


_PAIRS = (
    ('drawer-open', 'drawer-close'),
    ('faucet-open', 'faucet-close'),
    ('window-open', 'window-close'),
    ('door-open', 'door-close'),
    ('door-lock', 'door-unlock'),
)
CONTRARY = {**dict(_PAIRS), **{second: first for first, second in _PAIRS}}
"""Tasks of which each undoes the other: the scene of one suggests it, and the sentence of the other contradicts."""


def metaworld_instruction(task: str) -> str:
    """The sentence for a task ('drawer-open', 'drawer-open-halfway'); UserError with the nearest names for another."""
    return _entry(task)[0]


def metaworld_paraphrases(task: str) -> tuple[str, ...]:
    """Other ways to say it, at least three, distinct from all instructions; UserError as above."""
    return _entry(task)[1]


def training_instructions(task: str) -> tuple[str, ...]:
    """What demonstrations are recorded with: the instruction first, then paraphrases; UserError as above."""
    instruction, paraphrases = _entry(task)
    return instruction, *paraphrases[:-HELD_OUT]


def held_out_instructions(task: str) -> tuple[str, ...]:
    """The paraphrases that no demonstration is recorded with, to test whether a policy understands the sentence or has
    learned it by heart; UserError as above.
    """
    return _entry(task)[1][-HELD_OUT:]


def contrary_instruction(task: str) -> str:
    """The sentence of the task that undoes this one, to test whether a policy listens where the scene suggests what to
    do; UserError for a task that none undoes, and as above.
    """
    name = split_task(task)[0]
    if name not in CONTRARY:
        raise UserError(f'No task is the contrary of {task!r}; those that have one are {", ".join(CONTRARY)}.')
    return metaworld_instruction(CONTRARY[name])


def parse_instructions(document: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Task name to (instruction, paraphrases), from the parsed YAML of `instructions.yaml`.

    Raises UserError when an entry lacks its sentence or has fewer than three paraphrases, or when any sentence occurs
    twice.
    """
    if not isinstance(document, Mapping):
        raise UserError(f'{FILE_NAME} must map task names to sentences, but holds {type(document).__name__}.')
    entries = {str(task): _parse_entry(str(task), entry) for task, entry in document.items()}
    owner: dict[str, str] = {}
    for task, (instruction, paraphrases) in entries.items():
        for sentence in (instruction, *paraphrases):
            if sentence in owner:
                raise UserError(
                    f'{FILE_NAME} says {sentence!r} twice, for {owner[sentence]} and for {task}; each must be distinct.'
                )
            owner[sentence] = task
    return entries


def _parse_entry(task: str, entry: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(entry, Mapping) or set(entry) != {'instruction', 'paraphrases'}:
        raise UserError(f'{FILE_NAME}: the entry {task!r} must have exactly the keys instruction and paraphrases.')
    paraphrases = entry['paraphrases']
    if not isinstance(paraphrases, list) or len(paraphrases) < FEWEST_PARAPHRASES:
        raise UserError(f'{FILE_NAME}: the entry {task!r} must list at least {FEWEST_PARAPHRASES} paraphrases.')
    for sentence in (entry['instruction'], *paraphrases):
        if not isinstance(sentence, str) or not sentence.strip():
            raise UserError(f'{FILE_NAME}: {sentence!r} in the entry {task!r} is not a sentence.')
    return entry['instruction'].strip(), tuple(sentence.strip() for sentence in paraphrases)


@functools.cache
def _instructions() -> dict[str, tuple[str, tuple[str, ...]]]:
    text = resources.files('mode_ros.sim').joinpath(FILE_NAME).read_text(encoding='utf-8')
    return parse_instructions(yaml.safe_load(text))


def _entry(task: str) -> tuple[str, tuple[str, ...]]:
    entries = _instructions()
    name = split_task(task)[0]
    if name not in entries:
        raise unknown_name('Meta-World task', task, tuple(entries))
    return entries[name]
