"""Names of published MoDE checkpoints and what they are called here.

Published files differ in prefix: `model.inner_model.X`, `inner_model.X`, and, where every `model.` was removed,
`inner_X`. Here a block's query, key and value are one matrix and its experts one stack, so several published tensors
make one of ours.
"""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import (
    PUBLISHED_CLIP,
    CameraConfig,
    DenoiserConfig,
    ImageEncoderConfig,
    PolicyConfig,
    ResnetArchitecture,
    TextEncoderConfig,
    explain,
)
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.weights import meta_device

# Present in published files, and used by nothing in them.
UNUSED = ('gripper_embed.weight',)

_CAMERAS = {'static_resnet': 0, 'gripper_resnet': 1}
_PREFIXES = ('model.inner_model.', 'inner_model.', 'inner_')

_DENOISER = {
    'pos_emb': 'position',
    'sigma_emb.weight': 'noise_embedding.input.weight',
    'sigma_emb.bias': 'noise_embedding.input.bias',
    'sigma_linear.weight': 'noise_embedding.output.weight',
    'tok_emb.weight': 'image_projection.weight',
    'goal_emb.weight': 'goal_projection.weight',
    'action_emb.weight': 'action_projection.weight',
    'ln.g': 'final_norm.gain',
    'out.weight': 'output.weight',
    'out.bias': 'output.bias',
}
_BLOCK = {
    'ln_1.g': 'attention_norm.gain',
    'ln_2.g': 'mixture_norm.gain',
    'attn.q_norm.g': 'attention.query_norm.gain',
    'attn.k_norm.g': 'attention.key_norm.gain',
    'attn.c_proj.weight': 'attention.output.weight',
    'router.router.mlp.0.weight': 'router.input.weight',
    'router.router.mlp.0.bias': 'router.input.bias',
    'router.router.mlp.3.weight': 'router.output.weight',
    'router.router.mlp.3.bias': 'router.output.bias',
}
_EXPERT = {'mlp.0.project.weight': 'up_weight', 'mlp.0.project.bias': 'up_bias', 'mlp.2.weight': 'down_weight'}
_FUSED = ('query', 'key', 'value')

_BLOCK_NAME = re.compile(r'blocks\.(\d+)\.(.+)')
_EXPERT_NAME = re.compile(r'experts\.expert_(\d+)\.(.+)')
_FUSED_NAME = re.compile(r'attn\.(query|key|value)\.(weight|bias)')
_STAGE_FILM = re.compile(r'film([1-4])\.(gamma|beta)\.(weight|bias)')
_BLOCK_FILM = re.compile(r'film_module([1-4])\.modulation\.1\.(weight|bias)')


class Target(NamedTuple):
    """Where a published tensor goes."""

    name: str  # in PolicyNetwork's state dict
    part: int  # which expert, or which of query, key and value; 0 for a tensor of its own


@dataclass(frozen=True)
class Plan:
    """What becomes of every tensor of a published file. Nothing is passed over in silence."""

    sources: Mapping[str, tuple[str, ...]]  # our name → the published ones, in the order they are joined
    unused: tuple[str, ...]  # known to be used by nothing, dropped
    unknown: tuple[str, ...]  # no place for them here
    missing: tuple[str, ...]  # ours that nothing was found for, or not every part: `name (part 3 of 4)`

    def lines(self, brief: bool = False) -> list[str]:
        """The plan in words, a line for each tensor; brief: those that were taken are only counted."""
        taken = [] if brief else [f'took     {", ".join(of)} as {name}' for name, of in self.sources.items()]
        return [
            *taken,
            *(f'unused   {name}, which no published network uses' for name in self.unused),
            *(f'refused  {name}, which has no place here' for name in self.unknown),
            *(f'missing  {name}' for name in self.missing),
            f'{sum(map(len, self.sources.values()))} tensors taken as {len(self.sources)}, {len(self.unused)} unused, '
            f'{len(self.unknown)} refused, {len(self.missing)} missing',
        ]


class PublishedFile:
    """Tensors by name from a safetensors file, or a .pt or .ckpt file, of which no code is run (weights_only)."""

    def __init__(self, path: Path) -> None:
        """Raises UserError for a file that is absent, cut short, or would need code to be loaded."""
        if not path.is_file():
            raise UserError(f'There is no file {path}: give the published weights, a .safetensors or .pt file.')
        self.path = path
        self._pickled: Mapping[str, Tensor] | None = None
        try:
            if path.suffix == '.safetensors':
                with safe_open(path, framework='pt') as file:
                    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
                    self.shapes = {name: tuple(s.get_shape()) for name, s in slices.items()}
            else:
                self._pickled = _tensors_in(torch.load(path, map_location='cpu', weights_only=True, mmap=True), path)
                self.shapes = {name: tuple(tensor.shape) for name, tensor in self._pickled.items()}
        except (SafetensorError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition('\n')[0]
            raise UserError(
                f'{path} is not a whole .safetensors or .pt file of tensors alone ({reason}): download it again.'
            ) from error

    def read(self, name: str) -> Tensor:
        """A tensor; UserError that names it if it has a number that is not finite."""
        if self._pickled is not None:
            tensor = self._pickled[name]
        else:
            with safe_open(self.path, framework='pt') as file:
                tensor = file.get_tensor(name)
        if tensor.is_floating_point():
            if not tensor.isfinite().all():
                raise UserError(f'{self.path}: the tensor {name} has a NaN or an infinite number; download it again.')
            tensor = tensor.float()
        return tensor


def tell_beginning(file: PublishedFile) -> str:
    """What the published network began with, told by its layer that nothing uses and training leaves alone; '' without.

    It has the deviation of torch's own linear layers, 1/√(3·inputs), or that of all weights set to 0.02, also where
    what is beyond 0.04 was drawn again.
    """
    name = next((each for each in file.shapes if _without_prefix(each) in UNUSED), None)
    if name is None:
        return ''
    weight = file.read(name)
    found, own = float(weight.std()), (3 * weight.shape[-1]) ** -0.5
    # It never has a gradient, so that not even weight decay reaches it. By chance it is off by far less than this.
    words = {
        f"torch's own, {own:.4f}": own,
        '0.02, as if set for all': 0.02,
        '0.02 cut at 0.04, as if set for all': 0.0176,
    }
    near = [word for word, value in words.items() if abs(found - value) < 0.05 * value]
    which = ' or '.join(near) or f"neither torch's own, {own:.4f}, nor 0.02"
    return f'{name} has the deviation {found:.4f} with {weight.shape[-1]} inputs: it began with {which}'


def image_encoder_config(names: Iterable[str]) -> ImageEncoderConfig | None:
    """Which of the published encoders the tensor names belong to; None if there are none among them."""
    inner = {name.partition('resnet.')[2] for name in names if _encoder_target(name) is not None}
    if not inner:
        return None
    if any(name.startswith('film_module') for name in inner):
        return ImageEncoderConfig(architecture='resnet18')
    deep = any('layer1.0.conv3' in name for name in inner)
    return ImageEncoderConfig(architecture='resnet50' if deep else 'resnet34')


def published_config(
    file: PublishedFile,
    cameras: Sequence[tuple[str, int, int]],
    top_k: int = 2,
    clip_source: str = PUBLISHED_CLIP,
    new_encoders: ResnetArchitecture | None = None,
) -> PolicyConfig:
    """The settings that fit a published file. What leaves no trace in it is given.

    cameras: (name, height, width), static first, then wrist; new_encoders: for a file without image encoders. Raises
    UserError for a file that does not hold a policy, and for one without encoders where none are given.
    """
    denoiser = denoiser_config(file.shapes, top_k, len(cameras))
    encoder = image_encoder_config(file.shapes)
    if encoder is None and new_encoders is None:
        raise UserError(
            f'{file.path} has no image encoders: choose untrained ones with --new-encoders, or take the published '
            'file that has them.'
        )
    try:
        return PolicyConfig(
            denoiser=denoiser,
            image_encoder=encoder or ImageEncoderConfig(architecture=cast(ResnetArchitecture, new_encoders)),
            text_encoder=TextEncoderConfig(kind='clip', source=clip_source, dim=denoiser.goal_dim),
            cameras=tuple(CameraConfig(name=name, height=height, width=width) for name, height, width in cameras),
        )
    except ValidationError as error:
        raise UserError(f'{file.path} does not fit this robot: {explain(error)}.') from error


def import_network(file: PublishedFile, config: PolicyConfig) -> tuple[PolicyNetwork, Plan]:
    """The network, filled from a published file as far as the plan has sources; the rest is untrained.

    A file without image encoders leaves those untrained, and the plan says nothing of them. The caller decides what a
    missing tensor means. Raises UserError that names a tensor of another shape or with a number that is not finite.
    """
    encoders = image_encoder_config(file.shapes) is not None
    with torch.random.fork_rng(devices=[]), contextlib.nullcontext() if not encoders else meta_device():
        torch.manual_seed(0)
        network = PolicyNetwork(config)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    wanted = {name: shape for name, shape in shapes.items() if encoders or name.startswith('denoiser.')}
    plan = plan_import(file.shapes, wanted)
    if not plan.missing:
        network.load_state_dict(convert(plan, file.read, wanted), strict=False, assign=True)
    return network.eval(), plan


def target_of(published: str) -> Target | None:
    """Where a published name belongs, whatever its prefix; None for one that is unused or unknown."""
    encoder = _encoder_target(published)
    if encoder is not None:
        return encoder
    name = _without_prefix(published)
    if name is None:
        return None
    if name in _DENOISER:
        return Target(f'denoiser.{_DENOISER[name]}', 0)
    block = _BLOCK_NAME.fullmatch(name)
    return _block_target(f'denoiser.blocks.{int(block[1])}', block[2]) if block else None


def plan_import(published: Iterable[str], wanted: Mapping[str, torch.Size]) -> Plan:
    """Match a file's tensor names with the names of a network.

    wanted: names and shapes of the network's state dict, or of that part of it that the file should fill. Raises
    UserError when two published tensors claim the same place.
    """
    found: dict[str, dict[int, str]] = {}
    unused: list[str] = []
    unknown: list[str] = []
    for name in published:
        target = target_of(name)
        if target is None or target.name not in wanted:
            (unused if _without_prefix(name) in UNUSED else unknown).append(name)
            continue
        parts = found.setdefault(target.name, {})
        if target.part in parts:
            raise UserError(f'The tensors {parts[target.part]} and {name} are both {target.name}: keep one of them.')
        parts[target.part] = name
    sources = {name: tuple(parts[i] for i in sorted(parts)) for name, parts in found.items()}
    missing = [gap for name, shape in wanted.items() for gap in _gaps(name, shape, found.get(name, {}))]
    return Plan(sources, tuple(sorted(unused)), tuple(sorted(unknown)), tuple(missing))


def convert(plan: Plan, read: Callable[[str], Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The network's tensors, in the published precision.

    read: gives a published tensor by name, and is called once for each; shapes: those given to plan_import. Raises
    UserError that names the tensors when one is missing or of another shape.
    """
    if plan.missing:
        raise UserError(
            f'The published weights lack {len(plan.missing)} tensors of the network, the first is {plan.missing[0]}.'
        )
    converted = {}
    for name, sources in plan.sources.items():
        tensor = _join(name, [read(source) for source in sources])
        if tensor.shape != shapes[name]:
            raise UserError(
                f'The published {", ".join(sources)} make {name} of shape {list(tensor.shape)}, but the network has '
                f'{list(shapes[name])}.'
            )
        converted[name] = tensor
    return converted


def denoiser_config(shapes: Mapping[str, tuple[int, ...]], top_k: int = 2, cameras: int = 2) -> DenoiserConfig:
    """The sizes that a published file's tensor shapes tell. top_k and cameras leave no trace in them.

    Raises UserError that names a tensor that is needed and absent.
    """
    by_name = {name: shape for full, shape in shapes.items() if (name := _without_prefix(full)) is not None}
    blocks = {int(m[1]) for name in by_name if (m := _BLOCK_NAME.fullmatch(name))}
    try:
        action_dim, embed_dim = by_name['out.weight']
        return DenoiserConfig(
            action_dim=action_dim,
            image_dim=by_name['tok_emb.weight'][1],
            goal_dim=by_name['goal_emb.weight'][1],
            cameras=cameras,
            embed_dim=embed_dim,
            layers=len(blocks),
            heads=embed_dim // by_name['blocks.0.attn.q_norm.g'][0],
            experts=by_name['blocks.0.router.router.mlp.3.weight'][0],
            top_k=top_k,
            chunk_length=by_name['pos_emb'][1] - 1,
        )
    except KeyError as error:
        raise UserError(f'These are not published MoDE weights: there is no tensor {error}.') from error
    except ValidationError as error:
        raise UserError(f'The published weights do not make a denoiser: {explain(error)}.') from error


def _tensors_in(content: Any, path: Path) -> Mapping[str, Tensor]:
    """The tensors of a .pt file: they are its content, or in it under `state_dict`, as Lightning writes it."""
    found = content.get('state_dict', content) if isinstance(content, Mapping) else content
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f'{path} holds no named tensors, neither as a whole nor under state_dict.')
    return found


def _without_prefix(published: str) -> str | None:
    for prefix in _PREFIXES:
        if published.startswith(prefix):
            return published[len(prefix) :]
    return None


def _block_target(block: str, name: str) -> Target | None:
    if name in _BLOCK:
        return Target(f'{block}.{_BLOCK[name]}', 0)
    fused = _FUSED_NAME.fullmatch(name)
    if fused:
        return Target(f'{block}.attention.query_key_value.{fused[2]}', _FUSED.index(fused[1]))
    expert = _EXPERT_NAME.fullmatch(name)
    if expert and expert[2] in _EXPERT:
        return Target(f'{block}.mixture.{_EXPERT[expert[2]]}', int(expert[1]))
    return None


def _encoder_target(published: str) -> Target | None:
    # Encoders stand beside the denoiser, so their prefix, if any, is one `model.`.
    camera, _, name = published.removeprefix('model.').partition('.')
    if camera not in _CAMERAS:
        return None
    ours = f'image_encoders.{_CAMERAS[camera]}'
    stage = _STAGE_FILM.fullmatch(name)
    if stage:
        part = 'scale' if stage[2] == 'gamma' else 'shift'
        return Target(f'{ours}.film.{int(stage[1]) - 1}.{part}.{stage[3]}', 0)
    block = _BLOCK_FILM.fullmatch(name)
    if block:
        return Target(f'{ours}.film.{int(block[1]) - 1}.{block[2]}', 0)
    if name.startswith('fc.'):
        return Target(f'{ours}.output.{name.removeprefix("fc.")}', 0)
    # Form (a) keeps its ResNet under `resnet.`, form (b) is one.
    return Target(f'{ours}.backbone.{name.removeprefix("resnet.")}', 0)


def _gaps(name: str, shape: torch.Size, parts: Mapping[int, str]) -> list[str]:
    needed = shape[0] if '.mixture.' in name else len(_FUSED) if '.query_key_value.' in name else 1
    if not parts or needed == 1:
        return [] if parts else [name]
    return [f'{name} (part {part + 1} of {needed})' for part in range(needed) if part not in parts]


def _join(name: str, parts: list[Tensor]) -> Tensor:
    if '.mixture.' in name:
        return torch.stack(parts)
    if '.query_key_value.' in name:
        return torch.cat(parts)
    return parts[0].squeeze(0) if name == 'denoiser.position' else parts[0]
