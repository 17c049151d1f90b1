"""A policy on disk: a folder of weights, settings, statistics and the robot contract. No pickle.

    weights.safetensors   everything trained (PolicyNetwork's names), float32 or bfloat16
    config.json           format version, training steps, PolicyConfig
    statistics.json       Statistics of the training data
    contract.yaml         the robot contract's text, as it was when recording
    goals.json            the sentences it was trained with, where they are known
    words.safetensors     what other sentences mean, where that was learned (mode_ros.policy.words)

The frozen text encoder's weights are not stored; its kind and source are, in the configuration. Loading is strict:
whatever is missing, extra or of another shape is an error that names the file and the tensor or key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint_info import FORMAT_VERSION, GOALS, CheckpointInfo, read_info
from mode_ros.policy.folder import CONFIG, CONTRACT, STATISTICS, WEIGHTS
from mode_ros.policy.linear import linear_makers
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.products import LayerProducts, MakeProducts, UsedExperts, product_names
from mode_ros.policy.weights import load_products, load_weights, meta_device
from mode_ros.policy.words import write_words
from mode_ros.whole_files import whole_folder


def save_checkpoint(
    folder: Path | str, info: CheckpointInfo, network: PolicyNetwork, more: Callable[[Path], None] | None = None
) -> None:
    """Write the folder aside and rename it into place, so that no half-written checkpoint ever has the name.

    An earlier checkpoint of that name is replaced; a folder that is something else is not touched (UserError).
    more: writes what else is to lie in it into the folder that it is given.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not _replaceable(folder):
        raise UserError(f'{folder} exists and is not a checkpoint: choose another name, or remove it.')
    with whole_folder(folder) as aside:
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
        if info.words is not None:
            write_words(aside, info.words)
        # safetensors writes for the owner alone, instead of for whom the user's umask says.
        (aside / WEIGHTS).chmod((aside / CONFIG).stat().st_mode & 0o777)
        if more is not None:
            more(aside)


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


def _replaceable(folder: Path) -> bool:
    return folder.is_dir() and (not any(folder.iterdir()) or (folder / CONFIG).is_file())
