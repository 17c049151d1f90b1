"""Whether a policy can tell the sentences that it hears from those that it was trained with."""

from __future__ import annotations

import numpy as np

from mode_ros.checks.finding import Finding
from mode_ros.checks.goals import coinciding, unknown_words, unlike_any
from mode_ros.errors import UserError
from mode_ros.policy.goals import SentenceEncoder, lost_words, normalize_sentence
from mode_ros.policy.words import read_sentence


class GoalWatch:
    """The sentences that a policy was trained with, and those that it has heard since."""

    def __init__(self, goals: tuple[str, ...], encoder: SentenceEncoder) -> None:
        """goals: of the training; none where the checkpoint does not say."""
        self._encoder = encoder
        self._known = list(dict.fromkeys(map(normalize_sentence, goals)))
        self._embeddings = list(np.asarray(encoder.encode(self._known))) if self._known else []
        self._found: dict[str, list[Finding]] = {}
        self._read: dict[str, str] = {}

    def among_known(self) -> list[Finding]:
        """What cannot be told apart among the sentences of the training."""
        return coinciding(self._known, self._embeddings) if self._known else []

    def hear(self, goal: str) -> list[Finding]:
        """What is wrong with a sentence, said once: words that are not seen, another one that is the same, that it is
        not like any that was taught.
        """
        try:
            sentence = normalize_sentence(goal)
            if sentence in self._known or sentence in self._read:
                return []
            reading = read_sentence(self._encoder, sentence)
            if reading is not None and reading.meaning:
                self._read[sentence] = reading.meaning
                return []  # it is meant to be the same, and of one that the encoder does not see whole nothing is read
            embedding = np.asarray(self._encoder.encode([sentence])[0])
        except UserError:  # which predicting says
            return []
        unread = [] if reading is None else [unlike_any(sentence)]
        self._known.append(sentence)
        self._embeddings.append(embedding)
        lost = unknown_words([sentence], [lost_words(self._encoder, sentence)])
        found = coinciding(self._known, self._embeddings, among=[len(self._known) - 1]) + lost + unread
        self._found[sentence] = found
        return found

    def about(self, goal: str) -> list[Finding]:
        """What `hear` has said of a sentence, however long ago."""
        try:
            return self._found.get(normalize_sentence(goal), [])
        except UserError:
            return []

    def read_as(self, goal: str) -> str:
        """The taught sentence that one which was heard is read as; '' where it is told to the policy as it is."""
        try:
            return self._read.get(normalize_sentence(goal), '')
        except UserError:
            return ''
