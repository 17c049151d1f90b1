"""Tensors from a safetensors file into a network or into packed products: one at a time, strictly.

Apart from mode_ros.policy.checkpoint, so that a denoiser can be loaded without the image encoders' libraries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mode_ros.errors import UserError
from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.linear import LinearMakers
from mode_ros.policy.products import LayerProducts, UsedExperts, build_products

_NAMED_AT_MOST = 5
_RANDOM = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_)


class _WithoutRandom(TorchFunctionMode):
    """Leaves out random initialisation, which on the meta device has no effect but imports 150 MB of torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _RANDOM:
            return kwargs['tensor'] if 'tensor' in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def meta_device() -> Iterator[None]:
    """Modules that are built inside have no weights yet; load_weights fills them."""
    with torch.device('meta'), _WithoutRandom():
        yield


def load_weights(
    network: nn.Module, path: Path, device: torch.device, dtype: torch.dtype, leave: Collection[str] = ()
) -> None:
    """Fill a module that was built on the meta device from a safetensors file.

    leave: names whose tensors must be in the file, and stay on the meta device. Raises UserError that names what is
    missing, extra, of another shape or type, or not finite.
    """
    expected = {name: (list(t.shape), t.is_floating_point()) for name, t in network.state_dict().items()}
    _check_header(path, expected)
    weights: dict[str, Tensor] = {}
    for name, (_, floating) in expected.items():
        if name not in leave:
            stored = _read_part(path, name, slice(None))
            weights[name] = torch.empty_like(stored, dtype=dtype if floating else stored.dtype, device=device)
            weights[name].copy_(stored)
    network.load_state_dict(weights, assign=True, strict=not leave)
    tensors = (*network.named_parameters(), *network.named_buffers())
    left = [name for name, t in tensors if t.is_meta and name not in leave]
    if left:
        raise AssertionError(f'these tensors are not in state_dict, so a checkpoint cannot fill them: {left}')


def load_products(
    config: DenoiserConfig,
    path: Path,
    device: torch.device,
    makers: LinearMakers,
    used: UsedExperts,
    prefix: str = '',
) -> tuple[LayerProducts, ...]:
    """A denoiser's products from a safetensors file whose header load_weights has checked.

    used: the experts to keep, layer by layer; the others' numbers are only checked. prefix: what stands before the
    denoiser's names in the file. Raises UserError that names a tensor that is not finite.
    """

    def read(name: str, part: int | slice) -> Tensor:
        return _read_part(path, prefix + name, part).to(device)

    with torch.no_grad():
        return build_products(config, read, makers, used)


def _read_part(path: Path, name: str, part: int | slice) -> Tensor:
    """A tensor, or what is at an index or in a slice of its first dimension. It may lie in the file's mapping."""
    # Reopened each time: the mapping then never counts more than one part to the process's memory.
    with safe_open(path, framework='pt') as file:
        stored = file.get_tensor(name) if part == slice(None) else file.get_slice(name)[part]
    # The sum is finite if all are, unless it overflows; looking at each number takes memory for as many more.
    if stored.is_floating_point() and not stored.sum().isfinite() and not stored.isfinite().all():
        raise UserError(f'{path}: the tensor {name} has a NaN or an infinite number; train or import again.')
    return stored


def _check_header(path: Path, expected: dict[str, tuple[list[int], bool]]) -> None:
    try:
        with safe_open(path, framework='pt') as file:
            stored = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
            shapes = {name: (list(s.get_shape()), s.get_dtype()) for name, s in stored.items()}
    except (SafetensorError, OSError) as error:
        raise UserError(f'{path} is not a whole safetensors file ({error}): it may have been cut short.') from error
    missing, extra = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    if missing:
        raise UserError(f'{path} lacks {_name_some(missing)}, which config.json asks for.')
    if extra:
        raise UserError(f'{path} has {_name_some(extra)}, which config.json leaves no place for.')
    for name, (shape, floating) in expected.items():
        found, kind = shapes[name]
        if found != shape:
            raise UserError(f'{path}: the tensor {name} has shape {found}, but config.json asks for {shape}.')
        if kind not in (('F32', 'BF16') if floating else ('I64',)):
            raise UserError(f'{path}: the tensor {name} is stored as {kind}; F32, BF16 and (counters) I64 are read.')


def _name_some(names: list[str]) -> str:
    more = f' and {len(names) - _NAMED_AT_MOST} more' if len(names) > _NAMED_AT_MOST else ''
    return f'the tensor{"s" * (len(names) > 1)} {", ".join(names[:_NAMED_AT_MOST])}{more}'
