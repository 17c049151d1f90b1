"""Whether a policy can tell the sentences that it hears from those that it was trained with."""

from __future__ import annotations

import numpy as np

from mode_ros.checks.finding import Finding
from mode_ros.checks.goals import coinciding, unknown_words
from mode_ros.errors import UserError
from mode_ros.policy.goals import SentenceEncoder, lost_words, normalize_sentence


class GoalWatch:
    """The sentences that a policy was trained with, and those that it has heard since."""

    def __init__(self, goals: tuple[str, ...], encoder: SentenceEncoder) -> None:
        """goals: of the training; none where the checkpoint does not say."""
        self._encoder = encoder
        self._known = list(dict.fromkeys(map(normalize_sentence, goals)))
        self._embeddings = list(np.asarray(encoder.encode(self._known))) if self._known else []
        self._found: dict[str, list[Finding]] = {}

    def among_known(self) -> list[Finding]:
        """What cannot be told apart among the sentences of the training."""
        return coinciding(self._known, self._embeddings) if self._known else []

    def hear(self, goal: str) -> list[Finding]:
        """What is wrong with a sentence, said once: words that are not seen, another one that is the same."""
        try:
            sentence = normalize_sentence(goal)
            if sentence in self._known:
                return []
            embedding = np.asarray(self._encoder.encode([sentence])[0])
        except UserError:  # which predicting says
            return []
        self._known.append(sentence)
        self._embeddings.append(embedding)
        lost = unknown_words([sentence], [lost_words(self._encoder, sentence)])
        found = coinciding(self._known, self._embeddings, among=[len(self._known) - 1]) + lost
        self._found[sentence] = found
        return found

    def about(self, goal: str) -> list[Finding]:
        """What `hear` has said of a sentence, however long ago."""
        try:
            return self._found.get(normalize_sentence(goal), [])
        except UserError:
            return []
