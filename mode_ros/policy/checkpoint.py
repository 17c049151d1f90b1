"""A policy on disk: a folder of weights, settings, statistics and the robot contract. No pickle.

    weights.safetensors   everything trained (PolicyNetwork's names), float32 or bfloat16
    config.json           format version, training steps, PolicyConfig
    statistics.json       Statistics of the training data
    contract.yaml         the robot contract's text, as it was when recording
    goals.json            the sentences it was trained with, where they are known

The frozen text encoder's weights are not stored; its kind and source are, in the configuration. Loading is strict:
whatever is missing, extra or of another shape is an error that names the file and the tensor or key.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mode_ros.errors import UserError
from mode_ros.policy.config import PolicyConfig, parse_policy_config
from mode_ros.policy.folder import CONFIG, CONTRACT, FILES, STATISTICS, WEIGHTS, read_text, require_files
from mode_ros.policy.linear import linear_makers
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.normalization import Statistics
from mode_ros.policy.products import LayerProducts, MakeProducts, UsedExperts, product_names
from mode_ros.policy.weights import load_products, load_weights, meta_device

FORMAT_VERSION = 1
GOALS = 'goals.json'

_CONFIG_KEYS = {'format_version', 'trained_steps', 'policy'}


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint apart from its weights: cheap to read, enough to compare contracts."""

    config: PolicyConfig
    statistics: Statistics
    contract_text: str
    trained_steps: int  # 0: random weights
    goals: tuple[str, ...] = ()  # that it was trained with; empty where that is not known

    def __post_init__(self) -> None:
        action, denoiser = self.statistics.action, self.config.denoiser
        if action.dim != denoiser.action_dim:
            raise UserError(f'The statistics have {action.dim} action numbers, but the policy {denoiser.action_dim}.')
        missing = [name for name in self.config.state_streams if name not in self.statistics.state]
        if missing:
            known = sorted(self.statistics.state)
            raise UserError(f'The statistics lack the state stream {missing[0]!r} the policy uses; they have {known}.')
        state = sum(self.statistics.state[name].dim for name in self.config.state_streams)
        if state != denoiser.state_dim:
            raise UserError(f'The statistics have {state} state numbers, but the policy {denoiser.state_dim}.')
        if self.trained_steps < 0:
            raise UserError(f'trained_steps is {self.trained_steps}, and cannot be negative.')


def save_checkpoint(folder: Path | str, info: CheckpointInfo, network: PolicyNetwork) -> None:
    """Write the folder aside and rename it into place, so that no half-written checkpoint ever has the name.

    An earlier checkpoint of that name is replaced; a folder that is something else is not touched (UserError).
    """
    folder = Path(folder).absolute()
    if folder.exists() and not _replaceable(folder):
        raise UserError(f'{folder} exists and is not a checkpoint: choose another name, or remove it.')
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f'.{folder.name}.', dir=folder.parent))
    try:
        aside.chmod(0o755)  # mkdtemp's is for its owner alone
        settings = {
            'format_version': FORMAT_VERSION,
            'trained_steps': info.trained_steps,
            'policy': info.config.model_dump(mode='json'),
        }
        weights = {name: tensor.detach().contiguous().cpu() for name, tensor in network.state_dict().items()}
        save_file(weights, aside / WEIGHTS)
        (aside / CONFIG).write_text(json.dumps(settings, indent=1) + '\n', encoding='utf-8')
        (aside / STATISTICS).write_text(info.statistics.to_json(), encoding='utf-8')
        (aside / CONTRACT).write_bytes(info.contract_text.encode())  # bytes: its line ends must come back as they were
        if info.goals:
            (aside / GOALS).write_text(
                json.dumps(list(info.goals), ensure_ascii=False, indent=0) + '\n', encoding='utf-8'
            )
        (aside / WEIGHTS).chmod(0o644)  # safetensors' is for its owner alone, too
        for name in FILES:
            _to_disk(aside / name)
        _put_in_place(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read_info(folder: Path | str) -> CheckpointInfo:
    """Settings, statistics and contract, without the weights. Raises UserError that names the file and the key."""
    folder = Path(folder)
    require_files(folder)
    where = folder / CONFIG
    settings = _read_json(where)
    if not isinstance(settings, dict):
        raise UserError(f'{where} holds {type(settings).__name__} instead of an object.')
    version = settings.get('format_version')
    if version != FORMAT_VERSION:
        raise UserError(f'{where} has format_version {version!r}; this version of mode_ros reads {FORMAT_VERSION}.')
    if settings.keys() != _CONFIG_KEYS:
        wrong = sorted(settings.keys() ^ _CONFIG_KEYS)
        raise UserError(f'{where} must have exactly the keys {sorted(_CONFIG_KEYS)}; unknown or missing: {wrong}.')
    steps = settings['trained_steps']
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise UserError(f'{where}: trained_steps is {steps!r}, and must be a whole number.')
    config = parse_policy_config(settings['policy'], str(where))
    statistics = Statistics.from_values(_read_json(folder / STATISTICS), str(folder / STATISTICS))
    contract_text = read_text(folder / CONTRACT)
    try:
        return CheckpointInfo(config, statistics, contract_text, steps, _read_goals(folder / GOALS))
    except UserError as error:
        raise UserError(f'The files in {folder} do not belong together. {error}') from error


def load_checkpoint(
    folder: Path | str, device: torch.device | str = 'cpu', dtype: torch.dtype = torch.float32
) -> tuple[CheckpointInfo, PolicyNetwork]:
    """The whole checkpoint; the network in eval mode, its floating-point tensors in `dtype` on `device`.

    Each tensor goes from the file to its final place one at a time, so that memory never holds the weights twice.
    Raises UserError that names the file and the tensor or key.
    """
    info = read_info(folder)
    with meta_device():
        network = PolicyNetwork(info.config)
    path = Path(folder) / WEIGHTS
    load_weights(network, path, torch.device(device), dtype)
    return info, network.eval()


def load_packed(
    folder: Path | str, device: torch.device, number_format: str
) -> tuple[CheckpointInfo, PolicyNetwork, MakeProducts]:
    """A checkpoint to run, its large products in a number format (mode_ros.policy.linear).

    Of the network, in eval mode and float32, those tensors stay on the meta device that the products stand for. They
    are read and packed, one by one, when the last value is called, which a ChunkSampler does once the routing is
    decided; the routers are let go of before. So memory never holds more than what is kept and one matrix. Raises
    UserError, as the call does, that names the file and the tensor or key, or the format that the device lacks.
    """
    makers = linear_makers(number_format, device)
    info = read_info(folder)
    with meta_device():
        network = PolicyNetwork(info.config)
    path, config = Path(folder) / WEIGHTS, info.config.denoiser
    load_weights(network, path, device, torch.float32, {f'denoiser.{name}' for name in product_names(config)})

    def make_products(used: UsedExperts) -> tuple[LayerProducts, ...]:
        network.denoiser.release_routers()
        return load_products(config, path, device, makers, used, 'denoiser.')

    return info, network.eval(), make_products


def _read_goals(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    goals = _read_json(path)
    if not isinstance(goals, list) or not all(isinstance(goal, str) and goal.strip() for goal in goals):
        raise UserError(f'{path} must be a list of sentences.')
    return tuple(goals)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f'{path} is not valid JSON ({error}): it may have been cut short.') from error


def _replaceable(folder: Path) -> bool:
    return folder.is_dir() and (not any(folder.iterdir()) or (folder / CONFIG).is_file())


def _put_in_place(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`; an earlier folder is moved away first and removed only after."""
    earlier = aside.with_name(aside.name + '.earlier')
    if folder.exists():
        folder.rename(earlier)
    try:
        aside.rename(folder)
    except OSError:
        if earlier.exists():
            earlier.rename(folder)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
    _to_disk(folder.parent)


def _to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk: a rename may otherwise outlive its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
