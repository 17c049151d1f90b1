"""A policy's static graph on disk, and what it was made from.

It is kept beside the checkpoint, one folder for each way to sample, as in

    runtimes/onnxruntime/ddim-10/chunk.onnx   the whole chunk (input_shapes), weights included, in float32
    runtimes/onnxruntime/ddim-10/made.json    digests of the weights, the settings and the graph
    runtimes/onnxruntime/goals.npz            mode_ros.policy.known_goals, of a policy that hears goals by CLIP

or, of a checkpoint whose folder cannot be written, as of an installed package, likewise in the user's cache
(graph_folders). A graph that no longer belongs to its checkpoint, or that is damaged, is refused. Neither torch nor
onnx is needed here.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError, in_words
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.folder import WEIGHTS

FORMAT_VERSION = 1
GRAPH, MADE = 'chunk.onnx', 'made.json'
FOLDER = Path('runtimes') / 'onnxruntime'
OUTPUT = 'chunk'

# Numbers in the weights file up to which a graph is made, and taken by auto: beyond, every weight is read from memory
# at every step, and a static graph gains nothing over torch while it keeps a second copy of the weights.
SMALL = 100_000_000


def input_shapes(config: PolicyConfig) -> Mapping[str, tuple[int, ...]]:
    """The graph's inputs in order: one `image_NAME` per camera, uint8, red-green-blue, or int16, codes of depth;
    `goal`, the embedding; `state`, normalised, where there is one; `noise`, standard normal; `target`, `weight` and,
    for a policy that was trained to continue, `clean`, bool, as mode_ros.policy.plans.KnownActions. All
    others are float32, normalised.
    """
    network = config.denoiser
    chunk = 1, network.chunk_length
    shapes: dict[str, tuple[int, ...]] = {f'image_{camera.name}': (1, *camera.shape) for camera in config.cameras}
    shapes['goal'] = 1, network.goal_dim
    if network.state_dim:
        shapes['state'] = 1, network.state_dim
    shapes |= {'noise': (*chunk, network.action_dim), 'target': (*chunk, network.action_dim), 'weight': (*chunk, 1)}
    if network.max_committed:
        shapes['clean'] = chunk
    return shapes


def input_names(config: PolicyConfig) -> tuple[str, ...]:
    """The graph's inputs in order."""
    return tuple(input_shapes(config))


def graph_folders(checkpoint: Path, config: PolicyConfig) -> tuple[Path, ...]:
    """Where the graph of a checkpoint that samples as `config` says may be, the first one if it can be written: beside
    the checkpoint; in the user's cache ($XDG_CACHE_HOME/mode_ros, ~/.cache/mode_ros).
    """
    diffusion = config.diffusion
    inside = FOLDER / f'{diffusion.solver}-{diffusion.steps}'
    try:
        cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    except RuntimeError:  # a service whose user has no home
        return (checkpoint / inside,)
    whole = checkpoint.resolve()
    key = f'{whole.name}-{hashlib.sha256(str(whole).encode()).hexdigest()[:12]}'
    return checkpoint / inside, cache / 'mode_ros' / key / inside


def has_graph(checkpoint: Path, config: PolicyConfig) -> bool:
    """Whether there is one, be it stale or damaged."""
    return any(folder.is_dir() for folder in graph_folders(checkpoint, config))


def export_command(checkpoint: Path, config: PolicyConfig, stored: PolicyConfig) -> str:
    """What to type for it; `stored`: the settings in the checkpoint."""
    changes = ''
    if config.diffusion.steps != stored.diffusion.steps:
        changes += f' --steps {config.diffusion.steps}'
    if config.diffusion.solver != stored.diffusion.solver:
        changes += f' --solver {config.diffusion.solver}'
    return f'mode_ros export --runtime onnxruntime{changes} {checkpoint}'


def describe(checkpoint: Path, config: PolicyConfig, graph: bytes) -> dict[str, Any]:
    """What made.json holds of a graph."""
    return {
        'format_version': FORMAT_VERSION,
        **_origin(checkpoint, config),
        'graph_sha256': hashlib.sha256(graph).hexdigest(),
    }


def find_graph(checkpoint: Path, config: PolicyConfig, command: str) -> Path:
    """The graph's file, which is whole and belongs to the checkpoint as it is now.

    command: what makes it anew, for the message. Raises UserError for a graph that is missing, stale or damaged.
    """
    beside, *others = graph_folders(checkpoint, config)
    found = [folder for folder in (beside, *others) if folder.is_dir()] or [beside]
    wrong: UserError | None = None
    for folder in found:
        try:
            return _check(folder, checkpoint, config, command)
        except UserError as error:
            wrong = wrong or error
    assert wrong is not None
    raise wrong


def _check(folder: Path, checkpoint: Path, config: PolicyConfig, command: str) -> Path:
    if not (folder / MADE).is_file() or not (folder / GRAPH).is_file():
        raise UserError(f'There is no graph of the policy in {folder}: make it with `{command}`.')
    try:
        made = json.loads((folder / MADE).read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f'The graph in {folder} cannot be read ({in_words(error)}): make it anew with `{command}`.'
        ) from error
    if not isinstance(made, dict) or made.get('format_version') != FORMAT_VERSION:
        raise UserError(f'The graph in {folder} is of another version of mode_ros: make it anew with `{command}`.')
    for name, now in _origin(checkpoint, config).items():
        if made.get(name) != now:
            what = name.removesuffix('_sha256').replace('_', ' ')
            raise UserError(
                f'The graph in {folder} is stale, the {what} of the checkpoint having changed since it was made: make '
                f'it anew with `{command}`.'
            )
    if _digest(folder / GRAPH) != made.get('graph_sha256'):
        raise UserError(f'The graph in {folder} is damaged or cut short: make it anew with `{command}`.')
    return folder / GRAPH


def numbers_in(folder: Path) -> int:
    """How many numbers a checkpoint's weights are. Raises UserError for a file that cannot be read."""
    from safetensors import safe_open

    try:
        with safe_open(folder / WEIGHTS, 'np') as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except Exception as error:  # safetensors' own, and the system's
        raise UserError(f'{folder / WEIGHTS} cannot be read as safetensors ({in_words(error)}).') from error


def _origin(checkpoint: Path, config: PolicyConfig) -> dict[str, Any]:
    """What a graph depends on. How a plan is continued is decided by its inputs, and statistics are applied outside."""
    outside = {'action_normalization', 'state_normalization', 'text_encoder'}
    # Without what is usual, so that a setting that a later version adds makes no graph stale.
    settings = config.model_dump(mode='json', exclude=outside, exclude_defaults=True)
    return {
        'weights_sha256': _digest(checkpoint / WEIGHTS),
        'settings_sha256': hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        'number_format': 'float32',
        'steps': config.diffusion.steps,
        'solver': config.diffusion.solver,
        'continuations': ['none', 'hard', 'soft', *(['trained'] if config.denoiser.max_committed else [])],
    }


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open('rb') as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except OSError as error:
        raise UserError(f'{path} cannot be read ({in_words(error)}).') from error
    return digest.hexdigest()
