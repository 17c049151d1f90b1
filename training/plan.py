"""Everything a training needs, checked before the first step: data sets, robot contract, network, text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mode_ros.control.contract import Contract, differences
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo, load_checkpoint, read_info
from mode_ros.policy.config import CameraConfig, DenoiserConfig, PolicyConfig, parse_policy_config
from mode_ros.policy.language import TextEncoder, build_text_encoder
from mode_ros.policy.network import PolicyNetwork
from mode_ros.training.batches import Source
from mode_ros.training.data.dataset import Dataset, open_dataset
from mode_ros.training.data.mixture import open_mixture
from mode_ros.training.settings import PolicySettings, StartSettings, TrainSettings


@dataclass(frozen=True)
class Plan:
    """A training that can begin."""

    settings: TrainSettings
    config: PolicyConfig
    source: Source
    contract: Contract
    contract_text: str

    def info(self, steps: int) -> CheckpointInfo:
        """What a checkpoint after so many steps says of itself. Several data sets: the first one's statistics."""
        return CheckpointInfo(self.config, self.source.datasets[0].statistics, self.contract_text, steps)


def make_plan(settings: TrainSettings, encoder: TextEncoder | None = None) -> Plan:
    """Open and check everything; encoder: instead of the configured one. Raises UserError that names file and key."""
    datasets, weights = _open(settings)
    contract, text = _contract(datasets)
    for data in datasets:
        _check_data(data, settings.policy.chunk_length)
    config = policy_config(settings.policy, contract)
    if settings.start.checkpoint:
        _check_start(settings.start, config)
    encoder = encoder or build_text_encoder(config.text_encoder)
    source = Source(datasets, weights, config, encoder, settings.data, settings.run.seed)
    return Plan(settings, config, source, contract, text)


def policy_config(settings: PolicySettings, contract: Contract) -> PolicyConfig:
    """The network for a robot: its cameras, action and state sizes with the settings' widths and depths."""
    cameras = contract.observation.cameras
    known = {state.name: state for state in contract.observation.states}
    streams = tuple(known) if settings.states == 'all' else settings.states
    unknown = [name for name in streams if name not in known]
    if unknown:
        raise UserError(
            f'policy.states names {unknown[0]!r}, but the robot {contract.robot} has the states {sorted(known)}.'
        )
    if not cameras and not streams:
        raise UserError(
            f'The robot {contract.robot} has no camera, so the policy sees nothing: set policy.states to all, or to '
            f'some of {sorted(known)}.'
        )
    image_encoder = settings.image_encoder if cameras else None
    denoiser = DenoiserConfig(
        action_dim=len(contract.dimensions),
        image_dim=image_encoder.feature_dim if image_encoder else 0,
        goal_dim=settings.text_encoder.dim,
        state_dim=sum(len(known[name].names) for name in streams),
        cameras=len(cameras),
        **settings.model_dump(include=set(DenoiserConfig.model_fields) & set(PolicySettings.model_fields)),
    )
    values = {
        'denoiser': denoiser,
        'image_encoder': image_encoder,
        'text_encoder': settings.text_encoder,
        'diffusion': settings.diffusion,
        'cameras': tuple(CameraConfig(name=c.name, height=c.height, width=c.width) for c in cameras),
        'state_streams': streams,
        'action_normalization': settings.action_normalization,
        'state_normalization': settings.state_normalization,
    }
    return parse_policy_config(values, f'The training for {contract.robot}')


def build_network(plan: Plan) -> PolicyNetwork:
    """The network to train: random by the seed, from a checkpoint, or with ImageNet's image encoders."""
    settings = plan.settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.run.seed)
        network = PolicyNetwork(plan.config)
    if settings.start.checkpoint:
        _, theirs = load_checkpoint(settings.start.checkpoint)
        network.load_state_dict(theirs.state_dict())
    elif settings.policy.imagenet_weights:
        _load_imagenet(network, settings.policy.imagenet_weights)
    if settings.start.freeze_routers:
        for block in network.denoiser.stack:
            block.router.requires_grad_(False)
    return network


def _open(settings: TrainSettings) -> tuple[list[Dataset], Sequence[float]]:
    length, data = settings.policy.chunk_length, settings.data
    if data.mixture:
        mixture = open_mixture(data.mixture, length, cache=data.cache)
        return mixture.datasets, mixture.weights.tolist()
    return [open_dataset(data.path, length, cache=data.cache)], [1.0]


def _contract(datasets: Sequence[Dataset]) -> tuple[Contract, str]:
    first = datasets[0]
    text = first.files.contract_text
    if first.contract is None or text is None:
        raise UserError(
            f'The data set {first.files.root} does not say which robot it is from: convert it with '
            '`mode_ros convert --robot`, or put its contract beside the data as meta/contract.yaml.'
        )
    for other in datasets[1:]:
        found = differences(first.contract, other.contract) if other.contract else []
        if found:
            listed = '\n'.join(f'  {line}' for line in found)
            raise UserError(
                f'{first.files.root} and {other.files.root} are from robots that differ:\n{listed}\n'
                'Train on data of one contract, or convert them again with the same.'
            )
    return first.contract, text


def _check_data(data: Dataset, chunk_length: int) -> None:
    root = data.files.root
    for camera in data.contract.observation.cameras if data.contract else ():
        if camera.name not in data.frames:
            raise UserError(
                f'The data set {root} has no camera {camera.name!r} of its contract; it has {data.cameras}.'
            )
        found = data.frames[camera.name].shape[1:3]
        if found != (camera.height, camera.width):
            raise UserError(
                f'The pictures of camera {camera.name!r} in {root} are {found[1]}x{found[0]}, but its contract says '
                f'{camera.width}x{camera.height}: convert the bags again.'
            )
    shortest = min(data.files.episodes, key=lambda episode: episode.length)
    if shortest.length < chunk_length:
        raise UserError(
            f'Episode {shortest.index} of {root} has {shortest.length} frames, fewer than policy.chunk_length '
            f'{chunk_length}: lower that, or leave the episode out.'
        )
    for number, goal in data.files.tasks.items():
        if not goal.strip():
            raise UserError(
                f'Task {number} of {root} has no words, and the policy is told its goal in words: name it in '
                'meta/tasks.parquet, or record with a goal.'
            )


def _check_start(start: StartSettings, config: PolicyConfig) -> None:
    theirs = read_info(start.checkpoint).config
    ours, other = _shapes(config), _shapes(theirs)
    found = [
        f'{name}: {ours.get(name, "absent")} here, {other.get(name, "absent")} there'
        for name in sorted(ours.keys() | other.keys())
        if ours.get(name) != other.get(name)
    ]
    if found:
        listed = '\n'.join(f'  {line}' for line in found[:10])
        more = f'\n  and {len(found) - 10} more' if len(found) > 10 else ''
        raise UserError(
            f'The checkpoint {start.checkpoint} (start.checkpoint) has another shape; set the policy section to its '
            f'config.json. Tensors that differ:\n{listed}{more}'
        )


def _shapes(config: PolicyConfig) -> dict[str, list[int]]:
    with torch.device('meta'):
        return {name: list(tensor.shape) for name, tensor in PolicyNetwork(config).state_dict().items()}


def _load_imagenet(network: PolicyNetwork, path: str) -> None:
    try:
        weights = torch.load(Path(path), map_location='cpu', weights_only=True)
        for encoder in network.image_encoders:
            encoder.load_imagenet(weights)
    except (OSError, RuntimeError, AttributeError, KeyError) as error:
        raise UserError(
            f'The ImageNet weights {path} (policy.imagenet_weights) do not load: {str(error).splitlines()[0]}'
        ) from error
