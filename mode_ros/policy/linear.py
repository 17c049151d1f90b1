"""Number formats of the large matrix products: the weights packed once, for the machine they run on.

At batch 1 a denoising step reads every selected weight once and does little with it, so the bytes per weight and the
order in which they lie decide the latency. What is used, and why:

- float32 and bfloat16 on a CPU: torch's oneDNN linear on weights reordered ahead, the operators that torch.compile
  emits when it freezes a linear layer. Called directly they need no C++ compiler on the robot, pack one tensor at a
  time, so that loading never holds a model twice, and are ready at once. MKL's packed float32 was a little slower.
- int8 on a CPU: weights in int8 with one scale per output, activations quantised to 8 bits as they come with one scale
  per token, product in integers (VNNI or AMX where the CPU has them). The operator is torch's oneDNN quantised linear,
  which torch.compile emits for models that torchao has quantised. The older quantized::linear_dynamic is as fast but
  has one scale for all tokens, which doubles the error; weight-only kernels (torch._weight_int8pack_mm) spend longer
  on unpacking than they save in reading. The experts are in int8, 86 % of what a step reads. Attention's products stay
  in bfloat16: they lose most by rounding, several times what the experts lose, and weigh little. Of what an expert's
  gate lets through a few numbers are far larger than the rest and would set the scale of all, so its second product is
  taken of rotated inputs and weights (rotation.py), which halves its error.
- on a GPU: float32 where it lies, and bfloat16 through F.linear, which cuBLAS serves well at these sizes.

Only the products change format. What goes into them and comes out is float32 in every format, and so are the router,
the embeddings, the norms, the attention and the output layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.rotation import block_size, hadamard, rotate

NumberFormat = Literal['float32', 'bfloat16', 'int8']
NUMBER_FORMATS: tuple[NumberFormat, ...] = get_args(NumberFormat)

# Rows of a matrix that are rounded at a time, for the sake of memory while loading.
_ROUNDED_TOGETHER = 256
_TINY = 1e-30  # a scale for weights or activations that are all zero
_ZERO_POINT = 128

# Rows (tokens) that oneDNN's float32 and bfloat16 layouts are chosen for: one chunk. Others work, somewhat slower.
_ROWS = 10


class LinearOp(ABC):
    """x: [..., in], float32 → [..., out], float32, in two parts: experts that are given the same x share the first."""

    @abstractmethod
    def encode(self, x: Tensor, /) -> Any:
        """`x` as every product of the same maker takes it."""

    @abstractmethod
    def product(self, encoded: Any, /) -> Tensor:
        """The product of what `encode` gave."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Both."""
        return self.product(self.encode(x))


# (weight [out, in], bias [out] or None) → the product. It keeps no reference to the tensors it was given, except in
# view_linear, so that the caller can let go of them.
MakeLinear = Callable[[Tensor, 'Tensor | None'], LinearOp]


class _PlainLinear(LinearOp):
    """F.linear, in the weights' own type."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias

    def encode(self, x: Tensor, /) -> Tensor:
        return x.to(self._weight.dtype)

    def product(self, encoded: Tensor, /) -> Tensor:
        return F.linear(encoded, self._weight, self._bias).float()


def view_linear(weight: Tensor, bias: Tensor | None) -> LinearOp:
    """F.linear on the weights where they lie."""
    return _PlainLinear(weight.detach(), None if bias is None else bias.detach())


class LinearMakers(NamedTuple):
    """How a layer's products are made."""

    attention: MakeLinear
    experts: MakeLinear  # of what the mixture is given
    gated: MakeLinear  # the experts' second product, of what their gate lets through

    @classmethod
    def same(cls, make: MakeLinear) -> LinearMakers:
        """One way for all."""
        return cls(make, make, make)


def linear_makers(number_format: str, device: torch.device) -> LinearMakers:
    """How products are made in a number format on a device.

    Raises UserError for an unknown format, and for one that the device lacks.
    """
    checked = check_number_format(number_format, device)
    if device.type != 'cpu':
        make: MakeLinear = view_linear if checked == 'float32' else _bfloat16_linear
    elif not torch.backends.mkldnn.is_available():
        make = view_linear  # float32; check_number_format has refused the others
    elif checked == 'int8':
        finest = torch.float32 if _lacks('bfloat16', device) else torch.bfloat16
        return LinearMakers(_Packed(finest), experts=_PackedInt8(), gated=_PackedInt8(rotated=True))
    else:
        make = _Packed(torch.bfloat16 if checked == 'bfloat16' else torch.float32)
    return LinearMakers.same(make)


def check_number_format(number_format: str, device: torch.device) -> NumberFormat:
    """The format, if the device has it; UserError says which to take instead."""
    if number_format not in NUMBER_FORMATS:
        raise UserError(f'There is no number format {number_format!r}: use {", ".join(NUMBER_FORMATS)}.')
    lacking = _lacks(number_format, device)
    if lacking:
        usable = [f for f in NUMBER_FORMATS if is_available(f, device)]
        raise UserError(f'The number format {number_format!r} is not for this device, {lacking}: use {_or(usable)}.')
    return number_format


def is_available(number_format: NumberFormat, device: torch.device) -> bool:
    """Whether the device computes in the format."""
    return not _lacks(number_format, device)


def _lacks(number_format: str, device: torch.device) -> str:
    """Why the device cannot compute in the format, or ''."""
    if number_format == 'float32':
        return ''
    if device.type == 'cuda':
        if number_format == 'int8':
            return 'a GPU, where 8-bit products are slower at these sizes'
        return '' if torch.cuda.is_bf16_supported() else 'a GPU without bfloat16'
    if not torch.backends.mkldnn.is_available():
        return "a torch built without oneDNN, which the CPU's formats need"
    if number_format == 'int8':
        return '' if hasattr(torch.ops.onednn, 'qlinear_pointwise') else 'a torch without 8-bit oneDNN kernels'
    return '' if torch.ops.mkldnn._is_mkldnn_bf16_supported() else 'a CPU without bfloat16 instructions'


def _or(names: list[NumberFormat]) -> str:
    return ' or '.join(names)


def _bfloat16_linear(weight: Tensor, bias: Tensor | None) -> LinearOp:
    return _PlainLinear(weight.detach().bfloat16(), None if bias is None else bias.detach().bfloat16())


class _Place:
    """Where weights are converted, in turns, before they are packed.

    With a place of its own for each, freed at once, the allocator would be left with holes: some 200 MB for the large
    network.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._numbers = torch.empty(0, dtype=dtype)

    def of(self, shape: torch.Size) -> Tensor:
        """A tensor of this shape that may be written over until the next call."""
        if len(self._numbers) < shape.numel():
            self._numbers = self._numbers.new_empty(shape.numel())
        return self._numbers[: shape.numel()].view(shape)


class _PackedLinear(LinearOp):
    """A product on weights reordered for oneDNN, in float32."""

    def __init__(self, packed: Tensor, bias: Tensor | None) -> None:
        self._packed, self._bias = packed, bias
        self._run = torch.ops.mkldnn._linear_pointwise.default

    def encode(self, x: Tensor, /) -> Tensor:
        return x

    def product(self, encoded: Tensor, /) -> Tensor:
        y: Tensor = self._run(encoded, self._packed, self._bias, 'none', [], '')
        return y

    __call__ = product


class _PackedBfloat16(_PackedLinear):
    """The same in bfloat16."""

    def encode(self, x: Tensor, /) -> Tensor:
        return x.bfloat16()

    def product(self, encoded: Tensor, /) -> Tensor:
        return super().product(encoded).float()

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.product(x.bfloat16())


class _Packed:
    """Makes them."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._place = _Place(dtype)

    def __call__(self, weight: Tensor, bias: Tensor | None) -> LinearOp:
        weight = weight.detach()
        if weight.dtype != self._dtype:
            weight = self._place.of(weight.shape).copy_(weight)
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
        bias = None if bias is None else bias.detach().to(self._dtype, copy=True)
        return (_PackedLinear if self._dtype == torch.float32 else _PackedBfloat16)(packed, bias)


class _Rounded(NamedTuple):
    """Activations in 8 bits: x ≈ (values - 128) · scales."""

    values: Tensor  # [..., in], uint8
    scales: Tensor  # [..., 1]


class _Int8Linear(LinearOp):
    """Weights with one scale per output, activations with one per row (token), both symmetric in [-127, 127].

    block: what both are rotated by before they are rounded.
    """

    def __init__(self, packed: Tensor, scales: Tensor, bias: Tensor | None, block: Tensor | None) -> None:
        self._packed, self._scales, self._bias, self._block = packed, scales, bias, block
        self._zeros = torch.zeros(len(scales), dtype=torch.int32)

    def encode(self, x: Tensor, /) -> _Rounded:
        if self._block is not None:
            x = rotate(x, self._block)
        scales = x.abs().amax(-1, keepdim=True).clamp_min_(_TINY).mul_(1 / 127)
        # The kernels take unsigned numbers around a zero point. They take signed ones, too, but on a processor without
        # AMX through a reference implementation that is thousands of times slower. Adding 128 wraps around.
        values = (x / scales).round_().to(torch.int8).view(torch.uint8).add_(_ZERO_POINT)
        return _Rounded(values, scales)

    def product(self, encoded: _Rounded, /) -> Tensor:
        y = torch.ops.onednn.qlinear_pointwise(
            encoded.values, 1.0, _ZERO_POINT, self._packed, self._scales, self._zeros,
            None, 1.0, 0, torch.float32, 'none', [], '',
        )  # fmt: skip
        return y.mul_(encoded.scales) if self._bias is None else torch.addcmul(self._bias, y, encoded.scales)


class _PackedInt8:
    """Makes them."""

    def __init__(self, rotated: bool = False) -> None:
        self._rotated = rotated
        self._place = _Place(torch.int8)

    def __call__(self, weight: Tensor, bias: Tensor | None) -> LinearOp:
        size = block_size(weight.shape[1]) if self._rotated else 1
        block = hadamard(size) if size > 1 else None
        rounded, scales = self._round(weight.detach(), block)
        packed = torch.ops.onednn.qlinear_prepack(rounded, None)
        return _Int8Linear(packed, scales, None if bias is None else bias.detach().to(torch.float32, copy=True), block)

    def _round(self, weight: Tensor, block: Tensor | None) -> tuple[Tensor, Tensor]:
        rounded, scales = self._place.of(weight.shape), torch.empty(len(weight))
        for start in range(0, len(weight), _ROUNDED_TOGETHER):
            rows = slice(start, start + _ROUNDED_TOGETHER)
            part = weight[rows].float()
            if block is not None:
                part = rotate(part, block)
            scales[rows] = (part.abs().amax(dim=1) / 127).clamp_min_(_TINY)
            rounded[rows] = (part / scales[rows].unsqueeze(1)).round_()
        return rounded, scales
