"""Goals that were embedded ahead, kept beside the checkpoint: for a robot without the library that its encoder needs.

CLIP reads sentences by torch and transformers. Where they are not to be on the robot, the sentences that it will hear
are embedded where they are, and no other one is understood there. One file serves all static graphs of a checkpoint:

    runtimes/onnxruntime/goals.npz   sentences, their embeddings, and which encoder gave them
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.policy.config import TextEncoderConfig
from mode_ros.policy.goals import SentenceEncoder, normalize_sentence
from mode_ros.whole_files import write_whole

NAME = 'goals.npz'
_TOLD = 5


class KnownGoals:
    """A sentence encoder (SentenceEncoder) of these sentences alone."""

    def __init__(self, sentences: Sequence[str], embeddings: NDArray[np.float32], command: str) -> None:
        """sentences: as normalize_sentence gives them; embeddings: [n, dim]; command: what adds others."""
        self.sentences = tuple(sentences)
        self.dim: int = embeddings.shape[1]
        self._embeddings = dict(zip(sentences, embeddings, strict=True))
        self._command = command

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences → [n, dim]. Raises UserError for one that was not embedded ahead."""
        found = []
        for text in map(normalize_sentence, texts):
            if text not in self._embeddings:
                some = ', '.join(map(repr, self.sentences[:_TOLD])) + (', ...' if len(self.sentences) > _TOLD else '')
                raise UserError(
                    f'The sentence {text!r} is not among the {len(self.sentences)} that were embedded ahead ({some}), '
                    f'and the policy reads others by CLIP, which needs torch: say one of them, or, where torch is, '
                    f'type `{self._command} --goals {text!r}`.'
                )
            found.append(self._embeddings[text])
        return np.stack(found)


def write_known_goals(path: Path, sentences: Sequence[str], encoder: SentenceEncoder, config: TextEncoderConfig) -> int:
    """Embeds sentences, at least one, adds them to those of an earlier file; returns how many there are now."""
    earlier = _read(path, config) if path.is_file() else None
    known = dict(zip(*earlier, strict=True)) if earlier is not None else {}
    fresh = [each for each in dict.fromkeys(map(normalize_sentence, sentences)) if each not in known]
    if fresh:
        known |= dict(zip(fresh, np.asarray(encoder.encode(fresh), np.float32), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, sentences=[*known], embeddings=np.stack([*known.values()]), encoder=_encoder(config))
    write_whole(path, content.getvalue())
    return len(known)


def read_known_goals(path: Path, config: TextEncoderConfig, command: str) -> KnownGoals:
    """command: what makes the file anew. Raises UserError for a file that is damaged or of another encoder."""
    found = _read(path, config)
    if found is None:
        raise UserError(f'{path} holds no goals of this text encoder, or is damaged: remove it, and type `{command}`.')
    return KnownGoals(*found, command)


def _read(path: Path, config: TextEncoderConfig) -> tuple[list[str], NDArray[np.float32]] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            sentences, embeddings, encoder = file['sentences'].tolist(), file['embeddings'], str(file['encoder'])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):  # TypeError: a lone array
        return None
    fits = embeddings.dtype == np.float32 and embeddings.shape == (len(sentences), config.dim)
    return (sentences, embeddings) if fits and encoder == _encoder(config) else None


def _encoder(config: TextEncoderConfig) -> str:
    # Not the source: a folder is another one on the robot.
    return f'{config.kind}-{config.dim}'
