"""Sentences that the text encoder cannot tell apart: to the policy they are one task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import Finding, listed

# Distance of two embeddings relative to their length, below which a network that was trained on both cannot do
# different things. Paraphrases are at 0.3 and more; another full stop is at 0.1.
SAME = 1e-3
# Characters that fit into any encoder.
_FITS = 200


def are_plain(goals: Sequence[str]) -> bool:
    """Whether nothing can be wrong with them, so that no encoder need be asked: none, or one of plain words."""
    spoken = {' '.join(goal.split()).lower() for goal in goals} - {''}
    return not spoken or (len(spoken) == 1 and all(goal.isascii() and len(goal) < _FITS for goal in spoken))


def coinciding(
    goals: Sequence[str],
    embeddings: NDArray[np.floating] | Sequence[NDArray[np.floating]],
    among: Sequence[int] | None = None,
) -> list[Finding]:
    """goals: different sentences; embeddings: [n, dim]; among: only pairs with one of these, None for all."""
    x = np.asarray(embeddings, np.float64)
    found = []
    for a in range(len(goals)) if among is None else among:
        apart = np.linalg.norm(x - x[a], axis=1) / max(float(np.linalg.norm(x[a])), 1e-12)
        for b in np.flatnonzero(apart < SAME):
            if b > a or (among is not None and b not in among):
                found.append(
                    Finding(
                        'goals',
                        f'{_short(goals[a])} and {_short(goals[b])} are one sentence to the text encoder, so the '
                        'policy cannot do different things: say them in words that it knows (English), or take another '
                        'encoder.',
                    )
                )
    return found


def unknown_words(goals: Sequence[str], lost: Sequence[Sequence[str]]) -> list[Finding]:
    """lost: of each sentence, the parts that the encoder does not know or cuts off."""
    return [
        Finding(
            'goals', f'Of {_short(goal)} the text encoder does not see {listed([repr(part) for part in parts], 4)}.'
        )
        for goal, parts in zip(goals, lost, strict=True)
        if parts
    ]


def unlike_any(goal: str) -> Finding:
    """Of a sentence that is surely like none that a policy was taught."""
    return Finding(
        'goals',
        f'{_short(goal)} is not surely like any sentence that the policy was taught: it may do anything. Say it '
        'in other words.',
    )


def _short(goal: str) -> str:
    # The ends are kept: long sentences that coincide differ there.
    return repr(goal if len(goal) <= 60 else f'{goal[:28]} … {goal[-28:]}')
