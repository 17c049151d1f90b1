"""What other words mean: a sentence that no demonstration came with, read as one that some did.

A policy hears a few sentences for a task, and whether it follows others is luck. Sentences are cheap where
demonstrations are not: from other ways to say a thing, training.words learns which taught sentence is meant, a linear
reading of the sentence's embedding, and the policy is then told that one. So what it does with other words is what it
does with its own, and can be said beforehand: "read as 'open the drawer'".

    words.safetensors   the reading, beside the checkpoint's weights, which stay as they are

A taught sentence is never read: it reaches the policy as it always did. Nor is one that is not surely any of them, or
surely none ("none of these" is one of the answers): of these the policy makes what it can, and a node warns. Needs no
torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError, in_words
from mode_ros.policy.goals import SentenceEncoder, lost_words, normalize_sentence
from mode_ros.whole_files import write_whole

NAME = 'words.safetensors'
SURE = 0.5
"""The probability from which on a sentence is read as another."""

Floats = NDArray[np.float32]

_MARKS = str.maketrans('', '', '.,;:!?"…')


class Reading(NamedTuple):
    """What a sentence is taken for.

    meaning: a taught sentence, '' where it is none or unsure; sure: how probable that is, 0 to 1, and of '' that it is
    none; taught: it is one itself.
    """

    meaning: str
    sure: float
    taught: bool = False


@dataclass(frozen=True, eq=False)
class Words:
    """Which of its taught sentences a policy takes another one for.

    meanings: n taught sentences, as normalize_sentence gives them; weight: [n + 1, dim] and bias: [n + 1], float32, the
    last row's answer being none of these.
    """

    meanings: tuple[str, ...]
    weight: Floats
    bias: Floats

    def __post_init__(self) -> None:
        rows = len(self.meanings) + 1
        if rows < 3 or len(set(self.meanings)) < len(self.meanings):
            raise UserError(f'Words need two meanings that differ, and have {list(self.meanings)}.')
        if self.weight.ndim != 2 or len(self.weight) != rows or self.bias.shape != (rows,):
            raise UserError(
                f'Words for {len(self.meanings)} meanings need {rows} rows, and have a weight of '
                f'{list(self.weight.shape)} and a bias of {list(self.bias.shape)} numbers.'
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise UserError('The words have numbers that are not finite.')

    def read(self, embeddings: Any) -> list[Reading]:
        """embeddings: [n, dim] of sentences that were not taught → what each is surely taken for, '' where nothing."""
        found = []
        for row in self.probabilities(embeddings):
            best = int(row.argmax())
            taken = best < len(self.meanings) and row[best] >= SURE
            found.append(Reading(self.meanings[best] if taken else '', float(row[best] if taken else row[-1])))
        return found

    def probabilities(self, embeddings: Any) -> NDArray[np.float64]:
        """[n, dim] → [n, meanings + 1]."""
        logits = scaled(embeddings) @ self.weight.T.astype(np.float64) + self.bias
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        return odds / odds.sum(-1, keepdims=True)


def scaled(embeddings: Any) -> NDArray[np.float64]:
    """[n, dim], each to a root mean square of 1: what counts is the direction, in CLIP's embeddings too."""
    x = np.asarray(embeddings, np.float64)
    return x / np.maximum(np.sqrt(np.square(x).mean(-1, keepdims=True)), 1e-12)


def unmarked(sentence: str) -> str:
    """A sentence without its marks, which nobody means anything by, and which move its embedding: 'slide the drawer
    open!' was taken for closing it.
    """
    return ' '.join(sentence.translate(_MARKS).split()) or sentence


class ReadingEncoder:
    """A sentence encoder (SentenceEncoder) that gives a sentence which it can read the embedding of what it means."""

    def __init__(self, encoder: SentenceEncoder, taught: Sequence[str], words: Words) -> None:
        """taught: the sentences of the training. Raises UserError where the words are of another encoder."""
        if words.weight.shape[1] != encoder.dim:
            raise UserError(
                f'The words are for {words.weight.shape[1]} numbers a sentence, and the text encoder gives '
                f'{encoder.dim}: make them anew, with `mode_ros words`.'
            )
        self._encoder, self._words = encoder, words
        self._taught = frozenset(map(normalize_sentence, taught))
        self.dim: int = encoder.dim
        if hasattr(encoder, 'sentences'):  # one that knows a few alone
            self.sentences = encoder.sentences

    def encode(self, texts: Sequence[str]) -> Any:
        """Sentences → [n, dim], as the encoder that it was made of gives them of their one spelling."""
        heard = [normalize_sentence(text) for text in texts]
        found = self._encoder.encode(heard)
        readings = [self._reading(*each) for each in zip(heard, found, strict=True)]
        if all(each.taught or not each.meaning for each in readings):
            return found
        found = found.clone() if hasattr(found, 'clone') else np.array(found)  # which may be the encoder's own
        for at, reading in enumerate(readings):
            if reading.meaning and not reading.taught:
                # Alone, as the policy's cache asks for a taught one: a batch's padding could change the last bits.
                found[at] = self._encoder.encode([reading.meaning])[0]
        return found

    def reading(self, text: str) -> Reading:
        """What a sentence is taken for: itself, surely, where it was taught."""
        sentence = normalize_sentence(text)
        return self._reading(sentence, self._encoder.encode([sentence])[0])

    def _reading(self, sentence: str, embedding: Any) -> Reading:
        if sentence in self._taught:
            return Reading(sentence, 1.0, taught=True)
        spoken = unmarked(sentence)
        if spoken in self._taught:
            return Reading(spoken, 1.0)
        if spoken != sentence:
            embedding = self._encoder.encode([spoken])[0]
        [reading] = self._words.read(embedding[None])
        # What the encoder does not see may be what it is about.
        return Reading('', 0.0) if reading.meaning and self.lost(sentence) else reading

    def lost(self, text: str) -> list[str]:
        """What the encoder does not see of a sentence."""
        return list(lost_words(self._encoder, text))


def read_sentence(encoder: SentenceEncoder, text: str) -> Reading | None:
    """What an encoder takes a sentence for; None of one that does not read."""
    return encoder.reading(text) if isinstance(encoder, ReadingEncoder) else None


def write_words(folder: Path, words: Words) -> None:
    """Beside a checkpoint's weights, or over earlier words."""
    from safetensors.numpy import save

    metadata = {'meanings': json.dumps(list(words.meanings), ensure_ascii=False)}
    content = save({'weight': words.weight, 'bias': words.bias}, metadata)
    try:
        write_whole(folder / NAME, content)
    except OSError as error:
        raise UserError(f'The words cannot be written to {folder} ({in_words(error)}).') from error


def read_words(folder: Path, taught: Sequence[str]) -> Words | None:
    """A checkpoint's words, None where it has none. Raises UserError for a file that is damaged or of another policy.

    taught: the sentences of the training.
    """
    path = folder / NAME
    if not path.exists() and not path.is_symlink():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, 'np') as file:
            meanings = json.loads((file.metadata() or {}).get('meanings', 'null'))
            if not isinstance(meanings, list) or not all(isinstance(each, str) for each in meanings):
                raise UserError('it does not say what they mean')
            weight, bias = file.get_tensor('weight'), file.get_tensor('bias')
        words = Words(tuple(map(normalize_sentence, meanings)), weight.astype(np.float32), bias.astype(np.float32))
    except UserError as error:
        raise UserError(f'{path} does not hold words ({error}): {_ANEW}.') from error
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = in_words(error) if isinstance(error, OSError) else str(error)
        raise UserError(f'{path} is damaged ({reason}): {_ANEW}.') from error
    known = set(map(normalize_sentence, taught))
    for meaning in words.meanings:
        if meaning not in known:
            raise UserError(f'{path} reads sentences as {meaning!r}, which the policy was not taught: {_ANEW}.')
    return words


_ANEW = f'remove {NAME}, or make it anew with `mode_ros words`'
