"""Everything a training needs, checked before the first step: data sets, robot contract, network, text encoder."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from mode_ros.checks.finding import Finding
from mode_ros.control.contract import Camera, Contract, differences, parse_contract
from mode_ros.errors import UserError, in_words
from mode_ros.pairing import limit_statistics
from mode_ros.policy.checkpoint import CheckpointInfo, load_checkpoint, read_info
from mode_ros.policy.config import CameraConfig, DenoiserConfig, FilmBegins, PolicyConfig, parse_policy_config
from mode_ros.policy.film_resnet import FilmResnet
from mode_ros.policy.language import TextEncoder, build_text_encoder
from mode_ros.policy.network import PolicyNetwork
from mode_ros.robots import load_named_contract
from mode_ros.training.batches import Source
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.dataset import Dataset, Size, open_dataset
from mode_ros.training.data.mixture import MixtureItem, load_mixture_config, open_mixture
from mode_ros.training.data_findings import data_findings
from mode_ros.training.settings import DEFAULT_SHIFTS, PolicySettings, TrainSettings
from mode_ros.training.starting import check_encoders, check_start, check_statistics, start_weights


@dataclass(frozen=True)
class Plan:
    """A training that can begin."""

    settings: TrainSettings
    config: PolicyConfig
    source: Source
    contract: Contract
    contract_text: str
    findings: tuple[Finding, ...] = ()
    """What is suspicious in the data."""

    def info(self, steps: int) -> CheckpointInfo:
        """What a checkpoint after so many steps says of itself, for the robot that it runs."""
        return CheckpointInfo(self.config, self.source.statistics, self.contract_text, steps, tuple(self.source.goals))


def make_plan(settings: TrainSettings, encoder: TextEncoder | None = None) -> Plan:
    """Open and check everything; encoder: instead of the configured one. Raises UserError that names file and key."""
    named = load_named_contract(settings.data.contract) if settings.data.contract else None
    items = listed_data(settings)
    found = [DataFiles(root, item.keys) for root, item in items]
    own = [files for files, (_, item) in zip(found, items, strict=True) if not item.embodiment]
    contract, text = _contract(own, named)
    contracts = [
        _other_contract(files, item, base=Path(settings.data.mixture).parent) if item.embodiment else contract
        for files, (_, item) in zip(found, items, strict=True)
    ]
    same_robot = _embodiments(found, [item.embodiment for _, item in items], contracts)
    config = policy_config(settings.policy, contract)
    _check_cameras(settings, config)
    if settings.start.checkpoint:
        check_start(settings.start.checkpoint, config)
    if settings.start.encoders:
        check_encoders(settings.start.encoders, config)
    for files in found:  # before their pictures are decoded, which takes long
        _check_files(files, settings.policy.chunk_length)
    datasets, weights = _open(settings, contracts, config)
    for data, theirs in zip(datasets, contracts, strict=True):
        _check_data(data, theirs, config)
    encoder = encoder or build_text_encoder(config.text_encoder)
    embodiments = [item.embodiment for _, item in items]
    limits = limit_statistics(contract).action if settings.policy.action_normalization == 'limits' else None
    padded = settings.loss.padding != 'none'
    kept = read_info(settings.start.checkpoint).statistics if settings.start.statistics == 'checkpoint' else None
    if kept is not None:
        check_statistics(settings.start.checkpoint, config, limits)
    source = Source(
        datasets, weights, config, encoder, settings.data, settings.run.seed, embodiments, padded, limits, kept
    )
    return Plan(settings, config, source, contract, text, (*same_robot, *data_findings(source, encoder)))


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
    strange = settings.image_sizes.keys() - {camera.name for camera in cameras}
    if strange:
        raise UserError(
            f'policy.image_sizes names {min(strange)!r}, but the robot {contract.robot} has the cameras '
            f'{sorted(camera.name for camera in cameras)}.'
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
        'cameras': tuple(_camera(camera, settings) for camera in cameras),
        'state_streams': streams,
        # The limits are put into the checkpoint's statistics as its smallest and largest.
        'action_normalization': 'min_max'
        if settings.action_normalization == 'limits'
        else settings.action_normalization,
        'state_normalization': settings.state_normalization,
    }
    return parse_policy_config(values, f'The training for {contract.robot}')


def _check_cameras(settings: TrainSettings, config: PolicyConfig) -> None:
    """Raise UserError for keys about cameras that the robot does not have."""
    names = {camera.name for camera in config.cameras}
    strange = settings.data.shift.keys() - names - DEFAULT_SHIFTS.keys()
    if strange:
        raise UserError(f'data.shift names {min(strange)!r}, but the robot has the cameras {sorted(names)}.')
    if settings.policy.imagenet_weights and not names:
        raise UserError('policy.imagenet_weights are for image encoders, and the robot has no camera: leave them out.')


def _camera(camera: Camera, settings: PolicySettings) -> CameraConfig:
    size = settings.image_sizes.get(camera.name)
    return CameraConfig(
        name=camera.name, height=size or camera.height, width=size or camera.width, depth=camera.is_depth
    )


def build_network(plan: Plan) -> PolicyNetwork:
    """The network to train: random by the seed, from a checkpoint, or with another's image encoders or ImageNet's."""
    settings = plan.settings
    policy = settings.policy
    # ImageNet's features would not come through a FiLM that begins at random.
    film_begins: FilmBegins | None = policy.film_begins or ('identity' if policy.imagenet_weights else None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.run.seed)
        network = PolicyNetwork(plan.config, policy.initialisation, film_begins)
    if settings.start.checkpoint:
        network.load_state_dict(start_weights(settings.start.checkpoint, network.state_dict()))
    elif settings.start.encoders:
        _, theirs = load_checkpoint(settings.start.encoders)
        network.image_encoders.load_state_dict(theirs.image_encoders.state_dict())
    elif policy.imagenet_weights:
        _load_imagenet(network, policy.imagenet_weights)
    if settings.start.freeze_routers:
        for block in network.denoiser.stack:
            block.router.requires_grad_(False)
    return network


def listed_data(settings: TrainSettings) -> list[tuple[Path, MixtureItem]]:
    """The data sets of a training, each with its folder."""
    data = settings.data
    if not data.mixture:
        return [(Path(data.path), MixtureItem(path=data.path))]
    return [(Path(data.mixture).parent / item.path, item) for item in load_mixture_config(data.mixture).datasets]


def _other_contract(files: DataFiles, item: MixtureItem, base: Path) -> Contract:
    """The contract of a data set of another embodiment: its own, or the one that the mixture names."""
    if item.contract:
        beside = base / item.contract
        return load_named_contract(str(beside) if beside.is_file() else item.contract)[0]
    if files.contract_text is None:
        raise UserError(
            f'The data set {files.root} of the embodiment {item.embodiment!r} carries no contract: name it with '
            '`contract` beside its path in the mixture.'
        )
    return parse_contract(files.contract_text, f'of the data set {files.root}')


def _embodiments(
    found: Sequence[DataFiles], embodiments: Sequence[str], contracts: Sequence[Contract]
) -> list[Finding]:
    """Names data sets that have a scale of their own although they are of the robot that the policy runs.

    UserError where those of one other embodiment, which share a scale, are of contracts that differ.
    """
    firsts: dict[str, int] = {}
    for number, name in enumerate(embodiments):
        first = firsts.setdefault(name, number)
        different = differences(contracts[first], contracts[number])
        if different:
            listed = '\n'.join(f'  {line}' for line in different)
            raise UserError(
                f'{found[first].root} and {found[number].root} are both of the embodiment {name!r}, which has one '
                f'scale, but their robots differ:\n{listed}\nConvert them with one contract, or give each its own name.'
            )
    if '' not in firsts:
        return []
    return [
        Finding(
            'embodiment',
            f'{files.root} has the contract of the robot that the policy runs, and yet a scale of its own: what was '
            f'shown there would come out at another size. Leave `embodiment: {name}` out of the mixture.',
        )
        for files, name, theirs in zip(found, embodiments, contracts, strict=True)
        if name and not differences(contracts[firsts['']], theirs)
    ]


def _contract(found: Sequence[DataFiles], named: tuple[Contract, str] | None) -> tuple[Contract, str]:
    """The contract that all data sets agree on; `named`, from the settings, is that of those that carry none."""
    first: tuple[Contract, str, str] | None = None if named is None else (*named, 'data.contract')
    for files in found:
        text = files.contract_text
        if text is None:
            if named is None:
                raise UserError(
                    f'The data set {files.root} does not say which robot it is from: name its contract with '
                    'data.contract, or convert the recordings with `mode_ros convert`.'
                )
            continue
        theirs = parse_contract(text, f'of the data set {files.root}')
        if first is None:
            first = (theirs, text, str(files.root))
        different = differences(first[0], theirs)
        if different:
            listed = '\n'.join(f'  {line}' for line in different)
            raise UserError(
                f'{first[2]} and {files.root} are from robots that differ:\n{listed}\n'
                'Train on data of one contract, convert them again with the same, or name the other robot with '
                '`embodiment` in the mixture.'
            )
    assert first is not None
    return first[0], first[1]


def _check_files(files: DataFiles, chunk_length: int) -> None:
    if files.episodes:
        longest = max(files.episodes, key=lambda episode: episode.length)
        if longest.length < chunk_length:
            raise UserError(
                f'Episode {longest.index} of {files.root} has {longest.length} frames, fewer than '
                f'policy.chunk_length {chunk_length}: lower that, for no episode is longer.'
            )
    for number, goal in files.tasks.items():
        if not goal.strip():
            raise UserError(
                f'Task {number} of {files.root} has no words, and the policy is told its goal in words: name it in '
                'meta/tasks.parquet, or record with a goal.'
            )


def _open(
    settings: TrainSettings, contracts: Sequence[Contract], config: PolicyConfig
) -> tuple[list[Dataset], Sequence[float]]:
    """contracts: of each data set."""
    length, data = settings.policy.chunk_length, settings.data
    size = _picture_size(settings, contracts, config)
    if data.mixture:
        mixture = open_mixture(data.mixture, length, size, cache=data.cache)
        return [
            _of_robot(each, contract) for each, contract in zip(mixture.datasets, contracts, strict=True)
        ], mixture.weights.tolist()
    return [_of_robot(open_dataset(data.path, length, size, cache=data.cache), contracts[0])], [1.0]


def _picture_size(
    settings: TrainSettings, contracts: Sequence[Contract], config: PolicyConfig
) -> Size | dict[str, Size] | None:
    """What pictures are brought to: the network's sizes, one for all or by camera; None for those of our own as they
    are recorded, which have it already.
    """
    is_foreign = bool(settings.data.contract) or any(each != contracts[0] for each in contracts)
    if not (settings.policy.image_sizes or is_foreign):
        return None
    sizes = {camera.name: (camera.width, camera.height) for camera in config.cameras}
    alike = set(sizes.values())
    return alike.pop() if len(alike) == 1 and not settings.policy.image_sizes else sizes


def _of_robot(data: Dataset, contract: Contract) -> Dataset:
    """A data set that carries no contract, as one of this robot: displacements are padded by standing still."""
    if data.contract is not None:
        return data
    return Dataset(data.files, data.chunk_length, data.frames, contract)


def _check_data(data: Dataset, contract: Contract, config: PolicyConfig) -> None:
    root = data.files.root
    if abs(data.rate - contract.rate) > 0.5:  # LeRobot's rates are whole numbers
        raise UserError(
            f'The data set {root} has {data.rate:g} frames per second, but the contract of {contract.robot} says '
            f'{contract.rate:g} Hz: give it a contract of its rate.'
        )
    if data.actions.shape[1] != len(contract.dimensions):
        raise UserError(
            f'The actions of the data set {root} have {data.actions.shape[1]} numbers, but the contract of '
            f'{contract.robot} has {len(contract.dimensions)}: {list(contract.action_names)}.'
        )
    for camera in config.cameras:
        if camera.name not in data.frames:
            raise UserError(
                f'The data set {root} has no camera {camera.name!r} of its contract; it has {data.cameras}. Where they '
                'are called otherwise, say so with `cameras` in a mixture file (data.mixture).'
            )
        depth = data.frames[camera.name].dtype == np.uint16
        if depth != camera.depth:
            kinds = {True: 'depth', False: 'colours'}
            raise UserError(
                f'The pictures of camera {camera.name!r} in {root} are {kinds[depth]}, and its contract says '
                f'{kinds[camera.depth]} (kind): take another camera of it (`cameras` in a mixture file), or convert '
                'the bags again.'
            )
        found = data.frames[camera.name].shape[1:3]
        if found != (camera.height, camera.width):
            raise UserError(
                f'The pictures of camera {camera.name!r} in {root} are {found[1]}x{found[0]}, but its contract says '
                f'{camera.width}x{camera.height}: convert the bags again.'
            )
    for name in config.state_streams:
        size = len(contract.state(name).names)
        if data.streams.get(name) != size:
            raise UserError(
                f'The policy sees the state {name!r} of {size} numbers (policy.states), but the data set {root} has '
                f'{data.streams or "no states"}: leave it out of policy.states, or convert with it.'
            )


def _load_imagenet(network: PolicyNetwork, path: str) -> None:
    try:
        weights = torch.load(Path(path), map_location='cpu', weights_only=True)
        for encoder in network.image_encoders:
            cast(FilmResnet, encoder).load_imagenet(weights)
    except (OSError, RuntimeError, AttributeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f'The ImageNet weights {path} (policy.imagenet_weights) do not load: {in_words(error)}'
        ) from error
