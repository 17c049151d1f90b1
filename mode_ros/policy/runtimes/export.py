"""Makes a checkpoint's static graph, with torch and onnx.

By torch's older exporter, which records what a run of WholeChunk does, and not by the newer one on torch.export: of the
shipped policy it takes a fifth of the time (9 s against 50), and the graph is a sixth faster in ONNX Runtime and nearer
to torch's chunk (1e-7 against 4e-6). It is deprecated; WholeChunk goes through both, and a test holds that.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mode_ros.errors import UserError, in_words
from mode_ros.policy.checkpoint import load_checkpoint
from mode_ros.policy.checkpoint_info import read_info
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.goals import SentenceEncoder
from mode_ros.policy.known_goals import NAME, write_known_goals
from mode_ros.policy.language import build_text_encoder
from mode_ros.policy.runtimes.graph_file import (
    FOLDER,
    GRAPH,
    MADE,
    OUTPUT,
    SMALL,
    describe,
    graph_folders,
    input_shapes,
    numbers_in,
)
from mode_ros.policy.runtimes.interface import with_sampling
from mode_ros.policy.runtimes.whole_chunk import WholeChunk
from mode_ros.whole_files import whole_folder

# Of the operators. Old enough for the TensorRT of current Jetsons, and all that the graph needs.
OPSET = 17


def export_graph(checkpoint: Path | str, steps: int | None = None, solver: str | None = None) -> Path:
    """Write a checkpoint's graph beside it, or, where that cannot be written, in the user's cache, aside and then
    renamed; returns its folder.

    steps, solver: instead of the checkpoint's. Raises UserError for a policy of which no graph can be made, and where
    neither can be written.
    """
    checkpoint = Path(checkpoint)
    numbers = numbers_in(checkpoint) if read_info(checkpoint).config.denoiser.has_fast_path else 0
    if numbers > SMALL:
        raise UserError(
            f'The policy in {checkpoint} has {numbers / 1e6:.0f} million numbers, for which a static graph is no '
            'faster than torch: leave the runtime at torch.'
        )
    info, network = load_checkpoint(checkpoint)
    info = replace(info, config=with_sampling(info.config, steps, solver))
    graph = make_graph(WholeChunk(info.config, network.requires_grad_(False)))
    made = json.dumps(describe(checkpoint, info.config, graph), indent=1) + '\n'
    told: list[str] = []
    for folder in graph_folders(checkpoint, info.config):
        try:
            _write(folder, graph, made)
        except OSError as error:
            told.append(f'to {folder} ({in_words(error)})')
        else:
            return folder
    raise UserError(f'The graph cannot be written {" and ".join(told)}: copy the checkpoint to where you may write.')


def embed_goals(checkpoint: Path | str, goals: Sequence[str], text_encoder: SentenceEncoder | None = None) -> int:
    """Embed a checkpoint's own sentences and further ones beside its graphs, for a robot without torch.

    Returns how many are there now; 0 where there are none, or none are needed, since MiniLM reads any without torch.
    text_encoder: instead of the configured one. Raises UserError where that cannot be had.
    """
    checkpoint = Path(checkpoint)
    info = read_info(checkpoint)
    config = info.config.text_encoder
    if config.kind == 'minilm':
        if goals:
            raise UserError(
                '--goals embeds sentences ahead, and this policy reads any one without torch: leave it out.'
            )
        return 0
    if not info.goals and not goals:
        return 0
    encoder = text_encoder or build_text_encoder(config)
    return write_known_goals(checkpoint / FOLDER / NAME, [*info.goals, *goals], encoder, config)


def make_graph(chunk: WholeChunk, dynamo: bool = False) -> bytes:
    """The graph as an ONNX file. dynamo: by the newer exporter. Raises UserError without the package onnx."""
    names = list(input_shapes(chunk.config))
    with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter('ignore')  # the older one's, of its deprecation and of sizes becoming constants: as meant
        path = Path(folder) / GRAPH
        try:
            if dynamo:
                program = torch.onnx.export(
                    chunk, example(chunk.config), dynamo=True, input_names=names, output_names=[OUTPUT], verbose=False
                )
                assert program is not None
                program.save(path)
            else:
                torch.onnx.export(
                    chunk,
                    example(chunk.config),
                    path,
                    dynamo=False,
                    opset_version=OPSET,
                    input_names=names,
                    output_names=[OUTPUT],
                )
        except ImportError as error:
            raise UserError(
                f"Making a static graph needs the package onnx ({in_words(error)}): `pip install 'mode_ros[onnx]'`."
            ) from error
        except torch.onnx.errors.OnnxExporterError as error:
            if 'onnx is not installed' not in str(error):
                raise
            raise UserError("Making a static graph needs the package onnx: `pip install 'mode_ros[onnx]'`.") from error
        return path.read_bytes()


def example(config: PolicyConfig) -> tuple[Tensor, ...]:
    """Inputs of the right shapes."""
    random = torch.Generator().manual_seed(0)

    def one(name: str, shape: tuple[int, ...]) -> Tensor:
        if name.startswith('image_'):
            return torch.zeros(shape, dtype=torch.int16 if shape[-1] == 1 else torch.uint8)
        return torch.zeros(shape, dtype=torch.bool) if name == 'clean' else torch.randn(shape, generator=random)

    return tuple(one(name, shape) for name, shape in input_shapes(config).items())


def _write(folder: Path, graph: bytes, made: str) -> None:
    with whole_folder(folder) as aside:
        (aside / GRAPH).write_bytes(graph)
        (aside / MADE).write_text(made, encoding='utf-8')
