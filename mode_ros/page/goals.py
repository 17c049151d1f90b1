"""The sentences that the page offers: those of the training set, and those that were used before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

# The file of a checkpoint; mode_ros.policy.checkpoint, which writes it, needs torch, and the page does without.
GOALS = 'goals.json'
MAX_LENGTH = 300
KEPT = 20


def training_goals(checkpoint: str) -> tuple[str, ...]:
    """The sentences that a checkpoint was trained with; () where it does not say."""
    path = Path(checkpoint).expanduser() / GOALS
    try:
        found = json.loads(path.read_text(encoding='utf-8')) if checkpoint and path.is_file() else []
    except (OSError, ValueError):
        return ()
    return tuple(goal for goal in found if isinstance(goal, str)) if isinstance(found, list) else ()


def check_goal(text: object) -> tuple[str, str]:
    """(the sentence, '') or ('', why it cannot be one)."""
    if not isinstance(text, str) or not (sentence := ' '.join(text.split())):
        return '', 'The goal is empty: write what the robot is to do, such as "open the drawer".'
    if len(sentence) > MAX_LENGTH:
        return '', f'The goal has {len(sentence)} characters; say it in {MAX_LENGTH} at most.'
    if not sentence.isprintable():
        return '', 'The goal has characters that cannot be printed.'
    return sentence, ''


class UsedGoals:
    """The sentences that were heard, newest first."""

    def __init__(self) -> None:
        self._goals: list[str] = []

    def hear(self, goal: str) -> None:
        if goal.strip():
            self._goals = [goal, *(known for known in self._goals if known != goal)][:KEPT]

    def list(self) -> tuple[str, ...]:
        return tuple(self._goals)


def offered(training: Iterable[str], used: Iterable[str]) -> list[str]:
    """Without repetitions: used ones first."""
    return list(dict.fromkeys([*used, *training]))
