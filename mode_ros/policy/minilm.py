"""all-MiniLM-L6-v2 in NumPy, for a robot without torch: what mode_ros.policy.language.MiniLmTextEncoder computes.

A sentence is read once per goal and not once per chunk, so that its 22 million numbers are not kept: each matrix is
taken from the installed wheel's file when it is needed. The tokenizer is the one in the wheel, by the tokenizers
package, which transformers uses as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.policy.config import MINILM_DIM
from mode_ros.policy.goals import MINILM_TOKENS, minilm_folder

Floats = NDArray[np.float32]

_UNKNOWN = '[UNK]'


class NumpyMiniLm:
    """A sentence encoder (SentenceEncoder)."""

    dim = MINILM_DIM

    def __init__(self) -> None:
        """Raises UserError where the wheel or the tokenizers package is missing."""
        folder = minilm_folder()
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise UserError('The sentence encoder needs the package tokenizers: `pip install tokenizers`.') from error
        self._weights = folder / 'model.safetensors'
        config = json.loads((folder / 'config.json').read_text(encoding='utf-8'))
        self._layers, self._heads = int(config['num_hidden_layers']), int(config['num_attention_heads'])
        self._eps = float(config['layer_norm_eps'])
        self._tokenizer: Any = Tokenizer.from_file(str(folder / 'tokenizer.json'))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def lost(self, text: str) -> list[str]:
        """Words that are unknown, and what is cut off."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        room = MINILM_TOKENS - self._tokenizer.num_special_tokens_to_add(False)
        named = zip(found.tokens[:room], found.offsets[:room], strict=True)
        lost = [text[begin:end] for token, (begin, end) in named if token == _UNKNOWN]
        return list(dict.fromkeys(lost)) + ([text[found.offsets[room][0] :]] if len(found.offsets) > room else [])

    def encode(self, texts: Sequence[str]) -> Floats:
        """Sentences → [n, 384]; what goes beyond 256 tokens is cut off, as in the model's training."""
        return np.stack([self._encode(text) for text in texts])

    def _encode(self, text: str) -> Floats:
        from safetensors import safe_open

        self._tokenizer.enable_truncation(MINILM_TOKENS)
        ids = self._tokenizer.encode(text).ids
        self._tokenizer.no_truncation()
        with safe_open(self._weights, 'np') as file:
            words = file.get_slice('embeddings.word_embeddings.weight')  # 47 MB, of which a few rows are read
            x = np.concatenate([words[number : number + 1] for number in ids])
            x = x + file.get_slice('embeddings.position_embeddings.weight')[: len(ids)]
            x = x + file.get_slice('embeddings.token_type_embeddings.weight')[:1]
            x = self._norm(file, 'embeddings.LayerNorm', x)
            for layer in range(self._layers):
                x = self._block(file, f'encoder.layer.{layer}', x)
        mean = x.mean(0)
        return mean / np.sqrt(np.square(mean).mean())

    def _block(self, file: Any, name: str, x: Floats) -> Floats:
        """[T, 384] → [T, 384]."""
        query, key, value = (
            _linear(file, f'{name}.attention.self.{part}', x).reshape(len(x), self._heads, -1).transpose(1, 0, 2)
            for part in ('query', 'key', 'value')
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(x.shape)
        attended = _linear(file, f'{name}.attention.output.dense', mixed)
        x = self._norm(file, f'{name}.attention.output.LayerNorm', x + attended)
        hidden = _gelu(_linear(file, f'{name}.intermediate.dense', x))
        return self._norm(file, f'{name}.output.LayerNorm', x + _linear(file, f'{name}.output.dense', hidden))

    def _norm(self, file: Any, name: str, x: Floats) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + np.float32(self._eps))
        return scaled * file.get_tensor(f'{name}.weight') + file.get_tensor(f'{name}.bias')


def _linear(file: Any, name: str, x: Floats) -> Floats:
    return x @ file.get_tensor(f'{name}.weight').T + file.get_tensor(f'{name}.bias')


_erf = np.frompyfunc(math.erf, 1, 1)  # NumPy has none


def _gelu(x: Floats) -> Floats:
    return x * np.float32(0.5) * (1 + _erf(x / math.sqrt(2)).astype(np.float32))
