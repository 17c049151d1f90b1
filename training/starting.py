"""Weights to begin a training with, from a checkpoint of the same network, perhaps of shorter chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import load_checkpoint, read_info
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.normalization import StreamStatistics

_POSITION, _MARK = 'denoiser.position', 'denoiser.committed_mark'
# What weights were made for beyond their shapes.
_MADE_FOR: Mapping[str, Callable[[PolicyConfig], object]] = {
    'the cameras': lambda config: [camera.name for camera in config.cameras],
    'policy.image_encoder': lambda config: config.image_encoder,
    'policy.text_encoder.kind': lambda config: config.text_encoder.kind,
    'policy.text_encoder.dim': lambda config: config.text_encoder.dim,
    'policy.states': lambda config: list(config.state_streams),
    'policy.diffusion.sigma_data': lambda config: config.diffusion.sigma_data,
}
# Of these, what image encoders are made for, and what a policy: another robot may call its cameras otherwise.
_ENCODERS = ('the cameras', 'policy.image_encoder', 'policy.text_encoder.kind', 'policy.text_encoder.dim')
_POLICY = tuple(name for name in _MADE_FOR if name != 'the cameras')
# What may grow: the rest of the network does not depend on them.
_MAY_GROW = ('chunk_length', 'max_committed')


def check_start(checkpoint: str, config: PolicyConfig) -> None:
    """Raise UserError unless start_weights can fill a network of `config` from the checkpoint.

    Its chunks may be shorter and it may know nothing of committed actions; all else must be the same.
    """
    theirs = read_info(checkpoint).config
    there, here = theirs.denoiser.model_dump(), config.denoiser.model_dump()
    shrinks = [name for name in _MAY_GROW if there[name] > here[name]]
    grown = {name: here[name] for name in _MAY_GROW if name not in shrinks}
    as_grown = theirs.model_copy(update={'denoiser': theirs.denoiser.model_copy(update=grown)})
    ours, other = _shapes(config), _shapes(as_grown)
    found = [
        f'{name}: {ours.get(name, "absent")} here, {other.get(name, "absent")} there'
        for name in sorted(ours.keys() | other.keys())
        if ours.get(name) != other.get(name)
    ]
    if found:
        listed = '\n'.join(f'  {line}' for line in found[:10])
        more = f'\n  and {len(found) - 10} more' if len(found) > 10 else ''
        raise UserError(
            f'The checkpoint {checkpoint} (start.checkpoint) has another shape; set the policy section to its '
            f'config.json. Tensors that differ:\n{listed}{more}'
        )
    # What the weights mean beyond their shapes, such as top_k; dropout may be chosen anew.
    differing = [
        f'policy.{name} is {value!r} here and {there[name]!r} there'
        for name, value in here.items()
        if there[name] != value and name not in grown and not name.endswith('dropout')
    ]
    differing += _misplaced(config, theirs) + _made_otherwise(config, theirs, _POLICY)
    if differing:
        raise UserError(
            f'The checkpoint {checkpoint} (start.checkpoint) was trained otherwise: {"; ".join(differing)}. Set '
            'the policy section to its config.json, and the cameras in the contract in its order.'
        )


def check_encoders(checkpoint: str, config: PolicyConfig) -> None:
    """Raise UserError unless the checkpoint's image encoders were made for the cameras and sentences of `config`.

    What the robot does with them may differ.
    """
    differing = _made_otherwise(config, read_info(checkpoint).config, _ENCODERS)
    if differing:
        raise UserError(
            f'The image encoders of {checkpoint} (start.encoders) do not fit: {"; ".join(differing)}. Name another '
            'checkpoint, or leave start.encoders out.'
        )


def _misplaced(here: PolicyConfig, there: PolicyConfig) -> list[str]:
    """Each camera's encoder goes by its place: those that are called alike must stand at the same one."""
    ours, theirs = ([camera.name for camera in config.cameras] for config in (here, there))
    wrong = [name for name in ours if name in theirs and ours.index(name) != theirs.index(name)]
    return [f'the cameras are {ours!r} here and {theirs!r} there'] if wrong else []


def _made_otherwise(here: PolicyConfig, there: PolicyConfig, names: Sequence[str]) -> list[str]:
    pairs = {name: (_MADE_FOR[name](here), _MADE_FOR[name](there)) for name in names}
    return [
        f'{name} {"are" if name.endswith("s") else "is"} {ours!r} here and {theirs!r} there'
        for name, (ours, theirs) in pairs.items()
        if ours != theirs
    ]


def check_statistics(checkpoint: str, config: PolicyConfig, limits: StreamStatistics | None = None) -> None:
    """Raise UserError unless the checkpoint's statistics scale the numbers of `config`, and in the same way.

    limits: what actions are to be scaled by, where that is not the data's.
    """
    theirs = read_info(checkpoint)
    for name in ('action_normalization', 'state_normalization', 'state_streams'):
        here, there = getattr(config, name), getattr(theirs.config, name)
        if here != there:
            raise UserError(
                f'{name} is {here!r} here and {there!r} in the checkpoint {checkpoint}, whose statistics are to be '
                'kept (start.statistics): set the policy section to its config.json, or start.statistics to data.'
            )
    if limits is None:
        return
    kept = theirs.statistics.action
    bounds = zip(limits.min, limits.max, kept.min, kept.max, strict=True)
    for number, (lower, upper, least, most) in enumerate(bounds):
        if not np.allclose((lower, upper), (least, most)):
            raise UserError(
                f"policy.action_normalization limits scales number {number} of the actions by the contract's "
                f'{lower:g} to {upper:g}, and the checkpoint {checkpoint}, whose statistics are to be kept '
                f'(start.statistics), by {least:g} to {most:g}: set policy.action_normalization to min_max, or '
                'start.statistics to data.'
            )


def start_weights(checkpoint: str, fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for a network whose own, `fresh`, are given: all of the checkpoint's that check_start allows.

    Positions beyond its chunks begin as its last one, and a mark that it lacks as the fresh one.
    """
    _, network = load_checkpoint(checkpoint)
    weights = dict(network.state_dict())
    position = weights[_POSITION]
    further = len(fresh[_POSITION]) - len(position)
    weights[_POSITION] = torch.cat([position, position[-1:].expand(further, -1)])
    if _MARK in fresh:
        weights.setdefault(_MARK, fresh[_MARK])
    return weights


def _shapes(config: PolicyConfig) -> dict[str, list[int]]:
    with torch.device('meta'):
        return {name: list(tensor.shape) for name, tensor in PolicyNetwork(config).state_dict().items()}
