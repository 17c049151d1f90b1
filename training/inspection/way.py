"""What a training notes of its mixture on its way, and how a checkpoint finds those notes again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.initialisation import guess
from mode_ros.training.inspection.drawing import Curve, curves
from mode_ros.training.inspection.findings import movement
from mode_ros.training.inspection.measure import random_inputs, route, similarity
from mode_ros.training.progress import LOG, read_log
from mode_ros.training.settings import as_begun
from mode_ros.training.snapshots import SETTINGS

# A part of the policy and what its weights' names have in them; the first that fits.
_PARTS = (
    ('image encoders', 'image_encoders.'),
    ('noise embedding', 'noise_embedding.'),
    ('routers', '.router.'),
    ('experts', '.mixture.'),
    ('experts', '.shared.'),
    ('gains', '.gain'),
    ('attention', '.attention.'),
    ('goal', 'goal_projection.'),
    ('observation', 'image_projection.'),
    ('observation', 'state_projection.'),
    ('actions', 'action_projection.'),
    ('position', 'position'),
    ('read-out', 'denoiser.output.'),
)
# Those that are drawn together, the others being what goes in and out.
_INSIDE = ('noise embedding', 'routers', 'experts', 'attention', 'gains')
_LEVELS, _LEVELS_BY_PASS = 48, 12


def gradient_norms(network: nn.Module) -> dict[str, float]:
    """The norm of each part's gradient, by the part's name; without those that have none."""
    squares: dict[str, list[torch.Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            part = next((part for part, within in _PARTS if within in name), 'other')
            squares.setdefault(part, []).append(parameter.grad.detach().float().square().sum())
    return {part: math.sqrt(float(torch.stack(values).sum())) for part, values in squares.items()}


@torch.inference_mode()
def mixture_notes(denoiser: Denoiser, diffusion: DiffusionConfig) -> dict[str, Any]:
    """How loud the noise embedding is; by layer, how much noise moves the routing and how alike two experts are.

    denoiser: in eval mode. Of a network without choice there is the first alone.
    """
    config = denoiser.config
    by_pass = not config.routes_by_noise_alone
    levels = _LEVELS_BY_PASS if by_pass else _LEVELS
    grid = torch.linspace(math.log(diffusion.sigma_min), math.log(diffusion.sigma_max), levels).exp()
    embedded = denoiser.noise_embedding(grid.to(denoiser.position.device))
    notes: dict[str, Any] = {'noise_rms': float(embedded.square().mean().sqrt())}
    if config.routing == 'dense' or config.experts == 1:
        return notes
    generator = torch.Generator().manual_seed(0)
    inputs = random_inputs(denoiser, 8, diffusion.sigma_data, generator) if by_pass else None
    notes['moved'] = movement(route(denoiser, grid, diffusion.sigma_data, inputs).probabilities).tolist()
    alike = [similarity(block, generator)[1] for block in denoiser.stack]
    notes['alike'] = [max(float(a[i, j]) for i, j in itertools.combinations(range(len(a)), 2)) for a in alike]
    return notes


def initialisation_of(folder: Path, denoiser: Denoiser) -> str:
    """What a checkpoint began with, in words: as its training.yaml says, else as its weights tell."""
    told = f'{guess(denoiser.noise_embedding.input.weight)}, by its noise embedding'
    try:
        values = as_begun(yaml.safe_load((folder / SETTINGS).read_text(encoding='utf-8')))
        if values['start'].get('checkpoint'):
            return f'{told}, and trained on from the checkpoint {values["start"]["checkpoint"]}'
        return str(values['policy']['initialisation'])
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError):  # imported, or not from here
        return told


def notes_beside(folder: Path) -> list[dict[str, Any]]:
    """The log of a checkpoint's training, where it lies above the checkpoint; else nothing."""
    for above in (folder.parent, folder.parent.parent):
        if (above / LOG).is_file():
            return read_log(above)
    return []


def way_curves(entries: Sequence[Mapping[str, Any]]) -> str:
    """One <svg> for each thing that was noted on the way; '' where nothing was."""
    noted = [entry for entry in entries if entry['kind'] == 'mixture']
    normed = [entry for entry in entries if 'gradient_norms' in entry]
    parts = list(dict.fromkeys(part for part, _ in _PARTS if any(part in entry['gradient_norms'] for entry in normed)))
    inside = [part for part in parts if part in _INSIDE]
    outside = [part for part in parts if part not in _INSIDE]
    return ''.join(
        [
            curves('share of the probability that noise moves', _by_layer(noted, 'moved')),
            curves('cosine of the two most alike experts', _by_layer(noted, 'alike')),
            curves('e(σ), root mean square', {'': _line(noted, [entry['noise_rms'] for entry in noted])}),
            _norms('gradient', normed, inside),
            _norms('gradient', normed, outside),
        ]
    )


def _norms(title: str, entries: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> str:
    lines = {part: _line(entries, [entry['gradient_norms'].get(part, 0.0) for entry in entries]) for part in parts}
    return curves(title, lines, logarithmic=True)


def _by_layer(entries: Sequence[Mapping[str, Any]], name: str) -> dict[str, Curve]:
    kept = [entry for entry in entries if name in entry]
    layers = len(kept[0][name]) if kept else 0
    return {f'layer {layer}': _line(kept, [entry[name][layer] for entry in kept]) for layer in range(layers)}


def _line(entries: Sequence[Mapping[str, Any]], values: Sequence[float]) -> Curve:
    return Curve([entry['step'] for entry in entries], values)
