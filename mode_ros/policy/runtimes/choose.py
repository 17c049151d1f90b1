"""Which runtime a checkpoint is run with. Imports torch only where torch is to run it."""

from __future__ import annotations

import importlib.util
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from mode_ros.errors import UserError, in_words
from mode_ros.policy import known_goals
from mode_ros.policy.checkpoint_info import CheckpointInfo, read_info
from mode_ros.policy.config import Solver
from mode_ros.policy.goals import SentenceEncoder
from mode_ros.policy.plans import Continuation
from mode_ros.policy.runtimes.graph_file import (
    FOLDER,
    SMALL,
    export_command,
    find_graph,
    has_graph,
    numbers_in,
)
from mode_ros.policy.runtimes.interface import RunningPolicy, with_sampling
from mode_ros.policy.runtimes.making import Say, lacking, make_graph
from mode_ros.policy.runtimes.names import RUNTIMES

log = logging.getLogger(__name__)


class _GraphRuntime(NamedTuple):
    """name: in words; extra: which brings it; formats: it computes in."""

    name: str
    extra: str
    formats: tuple[str, ...]


# What runs a static graph, by its package.
_GRAPH_RUNTIMES = {
    'onnxruntime': _GraphRuntime('ONNX Runtime', 'onnx', ('float32',)),
    'openvino': _GraphRuntime('OpenVINO', 'openvino', ('float32', 'bfloat16')),
}

_GPUS = ('/dev/nvidiactl', '/dev/nvhost-gpu', '/dev/nvgpu')


@dataclass(frozen=True)
class RunSettings:
    """How a checkpoint is to be run; None: as the checkpoint says.

    number_format: of the large products; threads: of a static graph, torch's being set for its process;
    spinning: whether ONNX Runtime's wait for work busily, which starves what runs beside them; make: whether the
    runtime auto makes the graph of a trained policy where there is none and it would serve.
    """

    device: str = 'auto'
    number_format: str = 'float32'
    steps: int | None = None
    solver: Solver | str | None = None
    continuation: Continuation | None = None
    threads: int = 1
    spinning: bool = False
    make: bool = False


def load_policy(
    folder: Path | str,
    runtime: str,
    settings: RunSettings,
    text_encoder: SentenceEncoder | None = None,
    say: Say = log.info,
) -> RunningPolicy:
    """A checkpoint, ready to predict.

    runtime: 'torch'; 'onnxruntime' or 'openvino', which make the graph where there is none yet; or 'auto': the graph,
    by ONNX Runtime, where there is one that belongs to the checkpoint and serves these settings, else torch, and why
    is said in the device_note; say: told while a graph is made.

    Raises UserError that names what is wrong and what to type.
    """
    folder = Path(folder)
    if runtime not in RUNTIMES:
        raise UserError(f'There is no runtime {runtime!r}: use one of {", ".join(RUNTIMES)}.')
    if runtime == 'torch':
        return _with_torch(folder, settings, text_encoder)
    stored = read_info(folder)
    info = replace(stored, config=with_sampling(stored.config, settings.steps, settings.solver))
    command = export_command(folder, info.config, stored.config)
    graphs = 'onnxruntime' if runtime == 'auto' else runtime
    reason = unfit(info, folder, settings, graphs)
    if runtime != 'auto':
        if reason:
            raise UserError(f'The runtime {runtime} was asked for, but {reason}: use auto or torch.')
        if not has_graph(folder, info.config):
            make_graph(folder, settings.steps, settings.solver, command, say)
        return _with_graph(folder, info, settings, command, text_encoder, f'runtime {runtime} was asked for', runtime)
    if not reason and _prefers_gpu(settings.device):
        reason = 'there is a GPU'
    if not reason and not has_graph(folder, info.config):
        reason = f'there is no graph beside the checkpoint (`{command}` makes it)'
        if settings.make and info.trained_steps and not lacking():
            reason = _made(folder, settings, command, say)
    if not reason:
        try:
            return _with_graph(folder, info, settings, command, text_encoder, 'runtime auto chose onnxruntime')
        except UserError as error:
            log.warning('%s', error)
            reason = str(error)
    reason = _within_a_sentence(reason)
    policy = _with_torch(folder, settings, text_encoder, f' The runtime auto asks for it because {reason}.')
    policy.device_note += f'; runtime auto chose torch, because {reason}'
    return policy


def unfit(info: CheckpointInfo, folder: Path, settings: RunSettings, runtime: str = 'onnxruntime') -> str:
    """Why a static graph cannot serve, a part of a sentence; empty where it can. The graph itself is not looked at.

    runtime: what is to run it.
    """
    if settings.device not in ('auto', 'cpu'):
        return f'a static graph runs on the CPU, and the device is {settings.device!r}'
    name, extra, formats = _GRAPH_RUNTIMES[runtime]
    if settings.number_format not in formats:
        known = ' or '.join(formats)
        return f'a static graph in {name} is in {known}, and the number format {settings.number_format!r}'
    if settings.continuation == 'guided':
        return 'the continuation guided takes gradients, which a static graph has none of'
    if not info.config.denoiser.has_fast_path:
        return f'the policy has routing {info.config.denoiser.routing!r} or another alternative to the published block'
    if (numbers := numbers_in(folder)) > SMALL:
        return f'the policy has {numbers / 1e6:.0f} million numbers, for which a static graph is no faster'
    if importlib.util.find_spec(runtime) is None:
        return f"{name} is not installed (`pip install 'mode_ros[{extra}]'`)"
    return ''


def make_graph_where_it_serves(folder: Path | str, settings: RunSettings, say: Say = log.info) -> str:
    """For auto: make a checkpoint's graph where there is none, and where it serves; returns why not, or ''."""
    folder = Path(folder)
    stored = read_info(folder)
    config = with_sampling(stored.config, settings.steps, settings.solver)
    reason = unfit(replace(stored, config=config), folder, settings)
    if reason or has_graph(folder, config):
        return reason
    return _made(folder, settings, export_command(folder, config, stored.config), say)


def _made(folder: Path, settings: RunSettings, command: str, say: Say) -> str:
    try:
        make_graph(folder, settings.steps, settings.solver, command, say)
    except UserError as error:
        return str(error).rstrip('.')
    return ''


def _prefers_gpu(device: str) -> bool:
    """Whether `auto` leaves the choice to torch. Asking CUDA itself would need torch, which takes seconds to import."""
    return device == 'auto' and any(map(os.path.exists, _GPUS)) and importlib.util.find_spec('torch') is not None


def _within_a_sentence(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip('.')


def _with_torch(
    folder: Path, settings: RunSettings, text_encoder: SentenceEncoder | None, why: str = ''
) -> RunningPolicy:
    try:
        from mode_ros.policy.policy import Policy
    except ImportError as error:
        if (error.name or '').partition('.')[0] not in ('torch', 'torchvision', 'transformers'):
            raise
        raise UserError(
            f"There is no {error.name} here to run {folder} with: install it with `pip install 'mode_ros[torch]'`, or "
            f'make the graph where torch is, with `mode_ros export --runtime onnxruntime`.{why}'
        ) from error
    return Policy.load(
        folder,
        settings.device,
        text_encoder,
        settings.number_format,
        settings.steps,
        settings.solver,
        settings.continuation,
    )


def _with_graph(
    folder: Path,
    info: CheckpointInfo,
    settings: RunSettings,
    command: str,
    text_encoder: SentenceEncoder | None,
    why: str,
    runtime: str = 'onnxruntime',
) -> RunningPolicy:
    graph = find_graph(folder, info.config, command)
    note = f'{why}: {graph}, on the CPU, {settings.threads} threads'
    if not info.trained_steps:
        log.warning('the policy in %s is untrained: its actions are random', folder)
    encoder = text_encoder or _text_encoder(folder, info, command)
    from mode_ros.policy.runtimes import graph_policy, onnx_runtime, openvino_runtime

    try:
        if runtime == 'openvino':
            opened = openvino_runtime.open_graph(graph, settings.threads, settings.number_format)
        else:
            opened = onnx_runtime.open_graph(graph, settings.threads, settings.spinning)
    except ImportError as error:  # it is there, as unfit has seen: a library that it needs is not, or is another one
        raise UserError(
            f'{_GRAPH_RUNTIMES[runtime].name} is installed and cannot be imported ({in_words(error)}): install it '
            f'again with `pip install --force-reinstall {runtime}`.'
        ) from error
    return graph_policy.GraphPolicy(info, opened, encoder, note, settings.continuation)


def _text_encoder(folder: Path, info: CheckpointInfo, command: str) -> SentenceEncoder:
    """MiniLM needs no torch; CLIP does, but for sentences that were embedded ahead."""
    config = info.config.text_encoder
    if config.kind == 'minilm':
        from mode_ros.policy.minilm import NumpyMiniLm

        return NumpyMiniLm()
    ahead = folder / FOLDER / known_goals.NAME
    if ahead.is_file():
        return known_goals.read_known_goals(ahead, config, command)
    try:
        from mode_ros.policy.language import build_text_encoder
    except ImportError as error:
        raise UserError(
            f'The policy hears goals by CLIP, which needs torch and transformers ({error}): embed them ahead where '
            f"these are, with `{command} --goals SENTENCE ...`, or install them with `pip install 'mode_ros[torch]'`."
        ) from error
    return build_text_encoder(config)
