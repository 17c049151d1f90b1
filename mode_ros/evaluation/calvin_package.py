"""CALVIN as it is installed: what it needs, and its environment, oracle, chains and sentences as it makes them."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError

# What the benchmark's own packages import on the way to the environment and the chains, by the names of the imports.
PACKAGES = (
    'calvin_env',
    'calvin_agent',
    'hydra',
    'omegaconf',
    'pybullet',
    'gym',
    'git',
    'quaternion',
    'pytorch_lightning',
)
# Its install.sh would replace torch by a version of 2022.
INSTALL = (
    'clone https://github.com/mees/calvin with its submodules and run, in this environment and not its install.sh,'
    ' `pip install --no-deps -e calvin/calvin_env -e calvin/calvin_models` and'
    ' `pip install hydra-core pybullet gym gitpython numpy-quaternion pytorch-lightning`'
)
CHAINS = 1000
CAMERA_OF = {'static': 'static', 'wrist': 'gripper'}


@dataclass(frozen=True)
class Chain:
    """initial: the robot's and the scene's state, as the environment's reset takes them; tasks: names, in order."""

    initial: Mapping[str, NDArray[np.float64]]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Benchmark:
    """environment: calvin_env's PlayTableSimEnv; oracle: its Tasks; sentences: task name to what a person says."""

    environment: Any
    oracle: Any
    chains: Sequence[Chain]
    sentences: Mapping[str, str]


def check_available(data: Path | None) -> Path:
    """The folder of the data set that describes the scene. data: the data set's, whose `validation` it is.

    Raises UserError that says what to install, or that the folder is missing.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise UserError(f'CALVIN cannot be used because the package {package} is missing; {INSTALL}.')
    if data is None or not (data / 'validation' / '.hydra' / 'merged_config.yaml').is_file():
        given = '--calvin-data is not given' if data is None else f'{data} has no validation/.hydra/merged_config.yaml'
        raise UserError(f'The CALVIN scene is described in a CALVIN data set, and {given}: name its folder.')
    return data / 'validation'


def load_benchmark(data: Path | None) -> Benchmark:
    """The benchmark as it is installed, with the scene of a data set. Takes a minute or two: it draws its chains.

    Raises UserError as `check_available` does, and where nothing can be rendered.
    """
    scene = check_available(data)
    if 'pyhash' not in sys.modules and importlib.util.find_spec('pyhash') is None:
        sys.modules['pyhash'] = _pyhash()
    hydra, omegaconf = import_module('hydra'), import_module('omegaconf')
    agent = import_module('calvin_agent')
    sequences = import_module('calvin_agent.evaluation.multistep_sequences')
    initial = import_module('calvin_agent.evaluation.utils')
    # Spawned, as within the processes of --jobs, the benchmark's own would lack what this one has loaded.
    fork = multiprocessing.get_context('fork')
    sequences.__dict__['ProcessPoolExecutor'] = partial(ProcessPoolExecutor, mp_context=fork)

    settings = Path(str(agent.__file__)).parents[1] / 'conf'
    judged = omegaconf.OmegaConf.load(settings / 'callbacks' / 'rollout' / 'tasks' / 'new_playtable_tasks.yaml')
    said = omegaconf.OmegaConf.load(settings / 'annotations' / 'new_playtable_validation.yaml')
    chains = []
    for condition, tasks in sequences.get_sequences(CHAINS):
        robot, objects = initial.get_env_state_for_initial_condition(condition)
        chains.append(Chain({'robot_obs': robot, 'scene_obs': objects}, tuple(tasks)))
    sentences = {str(name): str(texts[0]) for name, texts in said.items()}
    # Last: the chains are drawn in forked processes, which would close the renderer with their ends.
    return Benchmark(_make_environment(scene), hydra.utils.instantiate(judged), chains, sentences)


def _make_environment(scene: Path) -> Any:
    get_env = import_module('calvin_env.envs.play_table_env').get_env
    # The data sets' scenes have tactile sensors as well, which need a renderer of their own and are not looked at.
    seen = {'rgb_obs': [f'rgb_{name}' for name in CAMERA_OF.values()], 'depth_obs': []}
    try:
        return get_env(scene, obs_space=seen, show_gui=False)
    except SystemExit as error:  # as the environment ends the program, with the status of a success
        raise UserError(
            "CALVIN's renderer (EGL) does not start on this machine; `use_egl: false` under `env` in "
            f'{scene}/.hydra/merged_config.yaml has the processor render, which looks a little different.'
        ) from error


def _pyhash() -> ModuleType:
    """What the benchmark takes from pyhash, which Python 3.11 and later cannot compile: a hash that seeds the blocks'
    places of a chain.
    """
    module = ModuleType('pyhash')
    module.__dict__['fnv1_32'] = lambda: _fnv1_32
    return module


def _fnv1_32(text: str) -> int:
    """The 32-bit FNV-1 of `text` as pyhash has it: of UTF-16, from 0 on."""
    value = 0
    for byte in text.encode('utf-16-le'):
        value = (value * 0x01000193 & 0xFFFFFFFF) ^ byte
    return value
