"""A checkpoint, and the data sets that it is routed on, measured: as text, as numbers for programs, as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from mode_ros.control.contract import differences, parse_contract
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo, load_checkpoint
from mode_ros.policy.images import normalize_images
from mode_ros.policy.language import TextEncoder, build_text_encoder
from mode_ros.policy.network import PolicyNetwork
from mode_ros.training.batches import Source
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.inspection.findings import UNMOVED, summaries
from mode_ros.training.inspection.measure import Floats, Inputs, Measurement, Routed, measure
from mode_ros.training.inspection.way import initialisation_of, notes_beside
from mode_ros.training.settings import DataSettings, LossSettings
from mode_ros.training.snapshots import SETTINGS

# Moments of a data set that are routed, evenly spread over it.
_MOMENTS = 32


@dataclass(frozen=True)
class Inspection:
    """One checkpoint on one data set, or on none."""

    name: str
    """The checkpoint's folder, with that of the data set."""
    routing: str
    trained_steps: int
    found: Measurement
    initialisation: str = ''
    """What its training began with, in words."""
    way: tuple[Mapping[str, Any], ...] = ()
    """Its training's log, where it lies beside."""

    @property
    def note(self) -> str:
        """What its routing depends on."""
        return {
            'noise': 'Routing depends on the noise level alone, so every data set is routed the same.',
            'observation': 'Routing depends on the observation alone, so data sets are routed differently.',
            'dense': 'A dense network has no routing.',
        }.get(self.routing, 'Routing depends on what the tokens are, so data sets are routed differently.')

    def to_values(self) -> dict[str, Any]:
        """Every number, for JSON."""
        found = self.found
        return {
            'name': self.name,
            'routing': self.routing,
            'trained_steps': self.trained_steps,
            'initialisation': self.initialisation,
            'noise_rms': self.found.noise_rms,
            'noise_spectrum': self.found.noise_spectrum.tolist(),
            'way': [entry for entry in self.way if entry['kind'] == 'mixture'],
            'top_k': found.top_k,
            'over_range': _routed_values(found.over_range),
            'at_steps': _routed_values(found.at_steps),
            'in_training': {
                'shares': found.shares.tolist(),
                'probabilities': found.trained_probabilities.tolist(),
                'entropy': found.trained_entropy.tolist(),
            },
            'moved_by_noise': found.moved.tolist(),
            'weight_cosine': found.weight_cosine.tolist(),
            'output_cosine': found.output_cosine.tolist(),
            'findings': [
                {
                    'kind': finding.kind,
                    'when': finding.when,
                    'layer': finding.layer,
                    'value': finding.value,
                    'threshold': finding.threshold,
                    'text': finding.text,
                }
                for finding in found.findings
            ],
        }


def inspect_all(
    checkpoints: Sequence[Path], data_sets: Sequence[Path], encoder: TextEncoder | None = None
) -> list[Inspection]:
    """Each checkpoint on each data set, or without any; encoder: instead of the configured one.

    Raises UserError for a checkpoint that does not load and a data set from another robot.
    """
    found = []
    for folder in checkpoints:
        info, network = load_checkpoint(folder)
        scale = _sigma_scale(folder)
        choices: Sequence[Path | None] = data_sets or [None]
        for data_set in choices:
            inputs = None if data_set is None else read_inputs(info, network, data_set, encoder)
            on = '' if data_set is None else f' on {data_set}'
            measured = measure(network.denoiser, info.config.diffusion, scale, inputs)
            found.append(
                Inspection(
                    f'{folder}{on}',
                    info.config.denoiser.routing,
                    info.trained_steps,
                    measured,
                    initialisation_of(folder, network.denoiser),
                    tuple(notes_beside(folder)),
                ),
            )
    return found


@torch.inference_mode()
def read_inputs(
    info: CheckpointInfo, network: PolicyNetwork, data_set: Path, encoder: TextEncoder | None = None
) -> Inputs:
    """Moments of a data set as the denoiser is given them, normalised by the data set's own statistics."""
    config = info.config
    sizes = {camera.name: (camera.width, camera.height) for camera in config.cameras}
    data = open_dataset(data_set, config.denoiser.chunk_length, sizes)
    if data.contract is None:
        raise UserError(f'The data set {data_set} does not say which robot it is from, so it cannot be routed.')
    other = differences(parse_contract(info.contract_text, "of the checkpoint's training"), data.contract)
    if other:
        listed = '\n'.join(f'  {line}' for line in other)
        raise UserError(f"The data set {data_set} is from a robot that differs from the checkpoint's:\n{listed}")
    settings = DataSettings(path=str(data_set), validation_share=0.0)
    source = Source([data], [1.0], config, encoder or build_text_encoder(config.text_encoder), settings, seed=0)
    frames = np.unique(np.linspace(0, len(data) - 1, _MOMENTS).round().astype(int))
    batch = source.moments([(0, int(frame)) for frame in frames], LossSettings())
    images: Tensor | None = network.encode_images([normalize_images(each) for each in batch.images], batch.goal)
    return Inputs(batch.actions, batch.draws.noise, batch.goal, images, batch.state)


def describe(sides: Sequence[Inspection]) -> str:
    """A short table for each, what is wrong, and how far apart they are; of several what they have together."""
    parts = [_describe_one(side) for side in sides]
    if len(sides) > 1 and sides[0].found.shares.shape == sides[1].found.shares.shape:
        parts.append(_describe_two(*sides[:2]))
    if len(sides) > 2:
        parts.append(
            '\n'.join([f'these {len(sides)} together', *(f'  {what}: {said}' for what, said in together(sides))])
        )
    return '\n\n'.join(parts)


def together(sides: Sequence[Inspection]) -> list[tuple[str, str]]:
    """What is measured and its range over several checkpoints, such as a training's seeds, and all their layers."""
    found = [side.found for side in sides]
    first = [
        entry['noise_rms'] for side in sides for entry in side.way if (entry['kind'], entry['step']) == ('mixture', 0)
    ]
    moved = np.concatenate([each.moved for each in found])
    alike = [value for each in found for value in each.alike]
    rows = [
        ('e(σ), root mean square before the first step', _range(first, '.2g')),
        ('e(σ), root mean square at the end', _range([each.noise_rms for each in found], '.2g')),
        ('its energy in one direction', _range([each.noise_spectrum[0] for each in found], '.1%')),
        ('probability moved by noise', f'{_range(moved, ".1%")}, median {np.median(moved):.1%}'),
        (f'layers below {UNMOVED:.0%}', f'{(moved < UNMOVED).sum()} of {len(moved)}'),
        ('entropy of the routing', _range(np.concatenate([each.trained_entropy for each in found]), '.3f')),
        ('cosine of the two most alike experts of a layer', _range(alike, '.2f')),
    ]
    return [(what, said) for what, said in rows if said]


def largest_difference(one: Measurement, other: Measurement) -> Floats:
    """[L] the largest difference of an expert's use at a level, over the whole range of noise levels."""
    first, second = one.over_range, other.over_range
    if len(first.sigmas) != len(second.sigmas):  # one of them with a data set
        first, second = one.at_steps, other.at_steps
    if first.use.shape != second.use.shape:
        return np.full(one.shares.shape[0], np.nan)
    return np.abs(first.use - second.use).max((0, 2))


def _range(values: Sequence[float] | Floats, form: str) -> str:
    """'' of none."""
    return f'{min(values):{form}} to {max(values):{form}}' if len(values) else ''


def _describe_one(side: Inspection) -> str:
    found = side.found
    layers, experts = found.shares.shape
    trained = f'trained {side.trained_steps} steps' if side.trained_steps else 'untrained'
    lines = [
        f'{side.name}: {layers} layers, {experts} experts, {found.top_k} per token, routing by {side.routing}, '
        f'{trained}',
        f'initialisation {side.initialisation}; the noise embedding has a root mean square of {found.noise_rms:.2g}, '
        f'{found.noise_spectrum[0]:.1%} of it in one direction',
        side.note,
    ]
    heads = ['layer', 'entropy', 'moved by noise', 'share of the draws in training', 'changes', 'closest experts']
    rows = [heads, *([str(layer), *_row(found, layer)] for layer in range(layers))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ['  '.join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f'finding: {line}' for line in summaries(found.findings)] or ['no findings']
    return '\n'.join(lines)


def _row(found: Measurement, layer: int) -> list[str]:
    selected = found.at_steps.use[:, layer] > 0.5
    changes = int((selected[1:] != selected[:-1]).any(1).sum())
    alike = found.output_cosine[layer]
    pairs = [(float(alike[a, b]), a, b) for a in range(len(alike)) for b in range(a + 1, len(alike))]
    closest = max(pairs, default=None)
    return [
        f'{found.trained_entropy[layer]:.3f}',
        f'{found.moved[layer]:.1%}',
        ' '.join(f'{share:.2f}' for share in found.shares[layer]),
        f'{changes} of {len(selected) - 1} steps',
        '' if closest is None else f'{closest[1]} and {closest[2]}: {closest[0]:.2f}',
    ]


def _describe_two(one: Inspection, other: Inspection) -> str:
    apart = largest_difference(one.found, other.found)
    listed = ', '.join(f'{layer}: {value:.2f}' for layer, value in enumerate(apart))
    kinds = [{finding.kind for finding in side.found.findings} for side in (one, other)]
    new = ', '.join(sorted(kinds[1] - kinds[0])) or 'nothing'
    gone = ', '.join(sorted(kinds[0] - kinds[1])) or 'nothing'
    return (
        f"largest difference of an expert's use at a noise level, by layer: {listed}\n"
        f'found in the second only: {new}; in the first only: {gone}'
    )


def _routed_values(routed: Routed) -> dict[str, Any]:
    return {name: getattr(routed, name).tolist() for name in ('sigmas', 'probabilities', 'use', 'weights', 'entropy')}


def _sigma_scale(folder: Path) -> float:
    """The spread of the noise levels of a checkpoint's training, which lies beside it; else the published one."""
    default = LossSettings().sigma_scale
    try:
        values = yaml.safe_load((folder / SETTINGS).read_text(encoding='utf-8'))
        return float(values['loss']['sigma_scale'])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):  # imported, or not from here
        return default
