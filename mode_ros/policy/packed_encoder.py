"""The image encoders as inference runs them on a CPU: the same features in fewer and faster calls.

Batch norms are folded into the convolutions before them (Jacob et al. 2018, section 3.2), which are packed for oneDNN
and take the activation along. Channels lie last, as they do in a camera's image. And FiLM's factors, which depend on
the goal alone, are computed once per goal. Left as they are, convolutions of one image fall into torch's slow path, and
max pooling with channels first takes as long as five convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.film_resnet import BlockFilmResnet, FilmResnet, StageFilm
from mode_ros.policy.images import DEPTH_FARTHEST, IMAGE_MEAN, IMAGE_STD, to_tensor
from mode_ros.policy.network import PolicyNetwork


class _Factors(NamedTuple):
    """One FiLM: scale·x + shift; each [B, channels, 1, 1]."""

    scale: Tensor
    shift: Tensor

    def repeat(self, batch: int) -> _Factors:
        """For as many images."""
        return _Factors(self.scale.expand(batch, -1, -1, -1), self.shift.expand(batch, -1, -1, -1))


# Of one encoder, and of each camera's.
Modulation = Sequence[_Factors]
Modulations = Sequence[Modulation]


class PackedEncoders:
    """What PolicyNetwork.encode_images computes, for one observation. Keeps copies of the weights."""

    def __init__(self, config: PolicyConfig, network: PolicyNetwork) -> None:
        """network: on the CPU, in float32; what it computes in eval mode."""
        self._cameras = len(config.cameras)
        self._shared = len(network.image_encoders) < self._cameras
        encoders = [cast(FilmResnet, encoder) for encoder in network.image_encoders]
        images = self._cameras if self._shared else 1
        self._normalize = [_Normalize(camera.width, camera.depth) for camera in config.cameras]
        with torch.no_grad():
            self._encoders = [
                PackedResnet(encoder, (images, 3, camera.height, camera.width))
                for encoder, camera in zip(encoders, config.cameras, strict=not self._shared)
            ]

    def release(self, network: PolicyNetwork) -> None:
        """Let go of the weights in the network that were copied here."""
        for encoder in network.image_encoders:
            cast(FilmResnet, encoder).backbone.to('meta')

    def modulations(self, goal: Tensor) -> Modulations:
        """What a goal does to the features; goal: [1, goal_dim]."""
        found = [encoder.modulation(goal) for encoder in self._encoders]
        return [[factors.repeat(self._cameras) for factors in found[0]]] if self._shared else found

    def __call__(self, images: Sequence[NDArray[Any]], modulations: Modulations) -> Tensor | None:
        """images: [H, W, 3], or [H, W, 1] of depth, in the configured order; modulations: of the goal.

        Returns [1, C, image_dim], or None without cameras.
        """
        if not images:
            return None
        tensors = [normalize(image) for normalize, image in zip(self._normalize, images, strict=True)]
        if self._shared:
            return self._encoders[0](torch.cat(tensors), modulations[0]).unsqueeze(0)
        pairs = zip(self._encoders, tensors, modulations, strict=True)
        return torch.stack([encode(image, modulation) for encode, image, modulation in pairs], dim=1)


class _Convolution:
    """A convolution, its batch norm folded into it, and where it is asked for a ReLU."""

    def __init__(self, layer: nn.Conv2d, norm: nn.BatchNorm2d, size: Sequence[int], relu: bool) -> None:
        """size: [B, C, H, W] of what it is given."""
        weight, self._bias = fold(layer, norm)
        weight = weight.to(memory_format=torch.channels_last)
        self._relu = relu
        self._padding, self._stride, self._dilation = (
            list(cast('tuple[int, ...]', each)) for each in (layer.padding, layer.stride, layer.dilation)
        )
        self._groups = layer.groups
        self.size = [size[0], len(weight), *self._sides(layer.kernel_size, size[2:])]
        self._packed = torch.backends.mkldnn.is_available()
        if self._packed:
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                weight, self._padding, self._stride, self._dilation, self._groups, list(size)
            )
        self._weight = weight

    def _sides(self, kernel: Sequence[int], sides: Sequence[int]) -> list[int]:
        numbers = zip(sides, self._padding, self._dilation, kernel, self._stride, strict=True)
        return [
            (side + 2 * pad - dilation * (width - 1) - 1) // stride + 1
            for side, pad, dilation, width, stride in numbers
        ]

    def __call__(self, x: Tensor) -> Tensor:
        """[B, in, H, W] → [B, out, H', W']."""
        if self._packed:
            return cast(
                Tensor,
                torch.ops.mkldnn._convolution_pointwise.default(
                    x, self._weight, self._bias, self._padding, self._stride, self._dilation, self._groups,
                    'relu' if self._relu else 'none', [], '',
                ),
            )  # fmt: skip
        y = F.conv2d(x, self._weight, self._bias, self._stride, self._padding, self._dilation, self._groups)
        return y.relu_() if self._relu else y


class _Block:
    """A residual block, up to the addition."""

    def __init__(self, block: BasicBlock | Bottleneck, size: Sequence[int]) -> None:
        pairs = [(block.conv1, block.bn1), (block.conv2, block.bn2)]
        if isinstance(block, Bottleneck):
            pairs.append((block.conv3, block.bn3))
        self._way = []
        inner = list(size)
        for index, (layer, norm) in enumerate(pairs):
            self._way.append(_Convolution(layer, norm, inner, relu=index < len(pairs) - 1))
            inner = self._way[-1].size
        self._shortcut = None
        if block.downsample is not None:
            layer, norm = block.downsample
            self._shortcut = _Convolution(cast(nn.Conv2d, layer), cast(nn.BatchNorm2d, norm), size, relu=False)
        self.size = inner

    def __call__(self, x: Tensor, film: _Factors | None) -> Tensor:
        """film: of what is added to the shortcut."""
        y = x
        for convolution in self._way:
            y = convolution(y)
        if self._shortcut is not None:
            x = self._shortcut(x)
        return (y.add_(x) if film is None else torch.addcmul(x, y, film.scale).add_(film.shift)).relu_()


class PackedResnet:
    """One encoder, of either published form."""

    def __init__(self, encoder: FilmResnet, size: Sequence[int]) -> None:
        """size: [B, 3, H, W] of the images."""
        stem = encoder.backbone
        self._film = encoder.film
        self._inside = isinstance(encoder, BlockFilmResnet)
        self._pool = encoder.pool
        self._output = encoder.output if isinstance(encoder, BlockFilmResnet) else None
        self._stem = _Convolution(stem.conv1, stem.bn1, size, relu=True)
        size = [*self._stem.size[:2], *((side - 1) // 2 + 1 for side in self._stem.size[2:])]
        self._stages: list[list[_Block]] = []
        for stage in encoder.stages:
            self._stages.append([])
            for block in stage:
                self._stages[-1].append(_Block(cast('BasicBlock | Bottleneck', block), size))
                size = self._stages[-1][-1].size

    def modulation(self, goal: Tensor) -> Modulation:
        """In the order of use: per block, or per stage."""
        found = []
        for film in cast('list[nn.Linear | StageFilm]', list(self._film)):
            if isinstance(film, StageFilm):
                found.append(_Factors(_over_image(1 + film.scale(goal)), _over_image(film.shift(goal))))
            else:
                for both in film(F.silu(goal)).chunk(2, dim=-1):
                    found.append(_Factors(*map(_over_image, both.chunk(2, dim=-1))))
        return found

    def __call__(self, images: Tensor, modulation: Modulation) -> Tensor:
        """[B, 3, H, W], normalised, channels last in memory → [B, feature_dim]."""
        x = F.max_pool2d(self._stem(images), kernel_size=3, stride=2, padding=1)
        factors = iter(modulation)
        for stage in self._stages:
            for block in stage:
                x = block(x, next(factors) if self._inside else None)
            if not self._inside:
                film = next(factors)
                x = torch.addcmul(film.shift, x, film.scale)
        x = self._pool(x)
        return x if self._output is None else cast(Tensor, self._output(x))


def fold(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that does what `layer` and then `norm`, in eval mode, do."""
    mean, variance = cast(Tensor, norm.running_mean).double(), cast(Tensor, norm.running_var).double()
    factor = norm.weight.detach().double() / (variance + norm.eps).sqrt()
    before = 0.0 if layer.bias is None else layer.bias.detach().double()
    weight = layer.weight.detach().double() * factor.view(-1, 1, 1, 1)
    return weight.float(), (norm.bias.detach().double() + (before - mean) * factor).float()


class _Normalize:
    """What normalize_images does, for a picture as it lies in memory."""

    def __init__(self, width: int, depth: bool) -> None:
        scale = DEPTH_FARTHEST if depth else 255
        # Whole rows of it: with three numbers in the innermost dimension it takes three times as long.
        self._mean, self._std = (torch.tensor(each).repeat(width) * scale for each in (IMAGE_MEAN, IMAGE_STD))

    def __call__(self, image: NDArray[Any]) -> Tensor:
        """uint8 [H, W, 3], or codes of depth [H, W, 1] → float32 [1, 3, H, W], channels last in memory."""
        height, width, channels = image.shape
        # A copy, because a ROS message's buffer is read-only and torch takes only writable ones.
        rows = to_tensor(np.repeat(image, 3, axis=2) if channels == 1 else image.copy())
        rows = rows.flatten(1).float().sub_(self._mean).div_(self._std)
        return rows.view(1, height, width, 3).permute(0, 3, 1, 2)


def _over_image(factors: Tensor) -> Tensor:
    return factors[:, :, None, None].contiguous(memory_format=torch.channels_last)
