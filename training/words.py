"""Learns what other words mean, from sentences alone: a linear reading of their embeddings.

How well it reads is estimated by leaving out a fifth of each meaning's sentences at a time. See mode_ros.policy.words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mode_ros.errors import UserError, suggest
from mode_ros.policy.folder import read_text
from mode_ros.policy.goals import SentenceEncoder, normalize_sentence
from mode_ros.policy.words import Words, scaled, unmarked
from mode_ros.settings import read_yaml

NONE = 'none of these'
"""The key of sentences that mean none of what the policy can do."""

FOLDS = 5
_STEPS, _RATE, _DECAY = 300, 1e-2, 1.0
_BATCH = 64


class Examples(NamedTuple):
    """Sentences, as normalize_sentence gives them, and the number of what each means; len(meanings): none of these."""

    meanings: tuple[str, ...]
    sentences: tuple[str, ...]
    means: NDArray[np.int64]


class Estimate(NamedTuple):
    """Of sentences that were left out of the learning: how many were read as what they mean, as another, and not."""

    right: int
    wrong: int
    unread: int

    def __str__(self) -> str:
        return f'{self.right} read as what they mean, {self.wrong} as something else, {self.unread} not at all'


def read_examples(path: Path, taught: Sequence[str]) -> Examples:
    """A YAML file of taught sentences, each with other ways to say it, and under 'none of these' what is none of them.

    What was taught and is not in the file counts as none of these. Raises UserError that names the sentence that cannot
    be meant: one that was not taught, that stands under two meanings, and the like.
    """
    document = read_yaml(read_text(path), str(path))
    return parse_examples(document, taught, str(path))


def parse_examples(document: Any, taught: Sequence[str], where: str) -> Examples:
    """As read_examples, of the parsed YAML."""
    if not isinstance(document, Mapping) or not all(isinstance(each, list) and each for each in document.values()):
        raise UserError(f'{where} must map each taught sentence to a list of other ways to say it.')
    known = set(map(normalize_sentence, taught))
    entries = [(_sentence(key, where), others) for key, others in document.items()]
    keys = [key for key, _ in entries]
    meanings = [key for key in keys if key != NONE]
    for meaning in meanings:
        if keys.count(meaning) > 1:
            raise UserError(f'{where} has {meaning!r} twice: put its sentences into one list.')
        if meaning not in known:
            near = suggest(meaning, sorted(known))
            raise UserError(
                f'{where}: the policy was not taught {meaning!r}{near} (goals.json has what it was taught).'
            )
    if len(meanings) < 2:
        raise UserError(f'{where} has {len(meanings)} meanings, and sentences are told apart from two on.')
    if NONE not in keys:
        raise UserError(
            f'{where} has no {NONE!r}: list there what the policy may be told and cannot do, else everything would be '
            'taken for something that it can.'
        )
    owner: dict[str, str] = {}
    for meaning, others in entries:
        said = [_sentence(each, where) for each in others]
        for sentence in said if meaning == NONE else [meaning, *said]:
            if owner.setdefault(sentence, meaning) != meaning:
                raise UserError(f'{where} has {sentence!r} under {owner[sentence]!r} and under {meaning!r}: which?')
        if meaning == NONE and (both := sorted(known & set(said))):
            raise UserError(f'{where} has {both[0]!r} under {NONE!r}, and the policy was taught it.')
    for sentence in sorted(known):
        owner.setdefault(sentence, NONE)
    numbers = {meaning: number for number, meaning in enumerate([*meanings, NONE])}
    return Examples(tuple(meanings), tuple(owner), np.array([numbers[each] for each in owner.values()]))


def learn(examples: Examples, encoder: SentenceEncoder) -> tuple[Words, Estimate]:
    """The words, and how well sentences are read that are left out of the learning.

    The words are the same for the same examples, whatever random numbers were drawn before.
    """
    spoken = [unmarked(sentence) for sentence in examples.sentences]
    parts = [spoken[at : at + _BATCH] for at in range(0, len(spoken), _BATCH)]
    embeddings = np.concatenate([np.asarray(encoder.encode(part)) for part in parts])
    x, y = torch.from_numpy(scaled(embeddings)).float(), torch.from_numpy(examples.means)
    answers = len(examples.meanings) + 1
    words = Words(examples.meanings, *_fit(x, y, answers))
    return words, _estimate(examples, x, y, answers)


def _estimate(examples: Examples, x: Tensor, y: Tensor, answers: int) -> Estimate:
    """The first of a meaning is itself, and stays in: the policy is never asked what it means."""
    fold = np.full(len(y), -1)
    for answer in range(answers):
        of = np.flatnonzero(examples.means == answer)
        of = of if answer == answers - 1 else of[1:]
        fold[of] = np.arange(len(of)) % FOLDS
    counts = [0, 0, 0]
    for left_out in range(FOLDS):
        test = torch.from_numpy(fold == left_out)
        if not test.any():
            continue
        words = Words(examples.meanings, *_fit(x[~test], y[~test], answers))
        for reading, meant in zip(words.read(x[test].numpy()), y[test].tolist(), strict=True):
            expected = '' if meant == answers - 1 else examples.meanings[meant]
            counts[0 if reading.meaning == expected else 1 if reading.meaning else 2] += 1
    return Estimate(*counts)


def _fit(x: Tensor, y: Tensor, answers: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Multinomial regression from zero, all sentences in every step."""
    weight = torch.zeros(answers, x.shape[1], requires_grad=True)
    bias = torch.zeros(answers, requires_grad=True)
    optimizer = torch.optim.AdamW([weight, bias], lr=_RATE, weight_decay=_DECAY)
    with torch.enable_grad():
        for _ in range(_STEPS):
            optimizer.zero_grad()
            F.cross_entropy(x @ weight.T + bias, y).backward()
            optimizer.step()
    return weight.detach().numpy(), bias.detach().numpy()


def _sentence(text: Any, where: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise UserError(f'{where}: {text!r} is not a sentence.')
    return normalize_sentence(text)
