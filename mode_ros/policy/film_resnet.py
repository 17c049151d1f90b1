"""Image encoders: a ResNet conditioned on the goal by FiLM (Perez et al. 2018), in MoDE's two published forms.

Both are built on torchvision's ResNet, whose ImageNet weights load into `backbone` by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from mode_ros.policy.config import FilmBegins, ImageEncoderConfig, Initialisation, Pooling, ResnetArchitecture
from mode_ros.policy.initialisation import begin_as_plain_layers


def mean_over_image(x: Tensor) -> Tensor:
    """[B, C, H, W] → [B, C], as published."""
    return x.mean(dim=(-2, -1))


def mean_and_keypoints(x: Tensor) -> Tensor:
    """[B, C, H, W] → [B, 3·C]: the channels' means, then the columns and the rows, −1 to 1, where they are strongest.

    That place is the mean one under a softmax over the image (Levine et al. 2016, arXiv 1504.00702), so that it moves
    with a thing by less than the map's coarse steps; a mean alone says that a thing is there, and hardly where.
    """
    height, width = x.shape[-2:]
    weights = F.softmax(x.flatten(2).float(), dim=-1).unflatten(2, (height, width))
    columns, rows = (torch.linspace(-1, 1, side, device=x.device) for side in (width, height))
    places = [weights.sum(-2) @ columns, weights.sum(-1) @ rows]
    return torch.cat([mean_over_image(x), *(each.to(x.dtype) for each in places)], dim=-1)


# What pools the last feature map, and how many numbers it makes of a channel.
_POOLINGS: Mapping[Pooling, tuple[Callable[[Tensor], Tensor], int]] = {
    'mean': (mean_over_image, 1),
    'keypoints': (mean_and_keypoints, 3),
}


class FilmResnet(nn.Module):
    """What the two forms share."""

    backbone: ResNet
    film: nn.ModuleList
    pool: Callable[[Tensor], Tensor] = staticmethod(mean_over_image)

    def forward(self, images: Tensor, goal: Tensor) -> Tensor:
        """images: [B, 3, H, W], normalised (mode_ros.policy.images); goal: [B, goal_dim] → [B, feature_dim]."""
        raise NotImplementedError

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Load torchvision's ImageNet weights (a state dict), except for their classifier; strict about the rest."""
        self.backbone.load_state_dict({name: w for name, w in weights.items() if not name.startswith('fc.')})

    def _stem(self, images: Tensor) -> Tensor:
        b = self.backbone
        return cast(Tensor, b.maxpool(b.relu(b.bn1(b.conv1(images)))))

    @property
    def stages(self) -> list[nn.Sequential]:
        """The backbone's four stages of blocks."""
        b = self.backbone
        return [b.layer1, b.layer2, b.layer3, b.layer4]


class StageFilm(nn.Module):
    """x ← (1 + γ(g))·x + β(g); starts as the identity."""

    def __init__(self, goal_dim: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Linear(goal_dim, channels)
        self.shift = nn.Linear(goal_dim, channels)
        for layer in (self.scale, self.shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, goal: Tensor) -> Tensor:
        """x: [B, channels, H, W], goal: [B, goal_dim] → as x."""
        return (1 + _over_image(self.scale(goal))) * x + _over_image(self.shift(goal))


class StageFilmResnet(FilmResnet):
    """Published form (a), ResNet-34 and ResNet-50: FiLM after each of the four stages."""

    def __init__(self, architecture: ResnetArchitecture, goal_dim: int) -> None:
        super().__init__()
        self.backbone = _backbone(architecture)
        width = ImageEncoderConfig(architecture=architecture).feature_dim
        self.film = nn.ModuleList(StageFilm(goal_dim, width // 2 ** (3 - stage)) for stage in range(4))

    def forward(self, images: Tensor, goal: Tensor) -> Tensor:
        """images: [B, 3, H, W], goal: [B, goal_dim] → [B, 512 or 2048]."""
        x = self._stem(images)
        for stage, film in zip(self.stages, self.film, strict=True):
            x = film(stage(x), goal)
        return self.pool(x)


class BlockFilmResnet(FilmResnet):
    """Published form (b), ResNet-18: FiLM inside each block after its second batch norm, then Linear(512→512)."""

    def __init__(
        self, goal_dim: int, width: float = 1.0, film_begins: FilmBegins = 'random', pooling: Pooling = 'mean'
    ) -> None:
        """width: share of the published channels; film_begins: as a linear layer does, as published, or as identity."""
        super().__init__()
        self.backbone = _backbone('resnet18') if width == 1.0 else _NarrowResnet18(width)
        # Per stage 4·channels: two blocks, each with its γ and its β.
        begin = {'random': _random_film, 'identity': _identity_film}[film_begins]
        self.film = nn.ModuleList(begin(goal_dim, round(width * 64) * 2**stage) for stage in range(4))
        feature_dim = ImageEncoderConfig(architecture='resnet18', width=width).feature_dim
        self.pool, numbers = _POOLINGS[pooling]
        self.output = nn.Linear(numbers * feature_dim, feature_dim)

    def forward(self, images: Tensor, goal: Tensor) -> Tensor:
        """images: [B, 3, H, W], goal: [B, goal_dim] → [B, 512·width]."""
        x = self._stem(images)
        modulation = F.silu(goal)
        for stage, film in zip(self.stages, self.film, strict=True):
            for block, factors in zip(stage, film(modulation).chunk(2, dim=-1), strict=True):
                scale, shift = factors.chunk(2, dim=-1)
                x = _film_block(cast(BasicBlock, block), x, _over_image(scale), _over_image(shift))
        return cast(Tensor, self.output(self.pool(x)))


def build_film_resnet(
    config: ImageEncoderConfig,
    goal_dim: int,
    initialisation: Initialisation = 'published',
    film_begins: FilmBegins | None = None,
) -> FilmResnet:
    """The published form that belongs to the architecture, with random weights.

    film_begins: of form (b), None for what belongs to the initialisation; form (a) is the identity. The published
    ResNet-34 and -50 begin with ImageNet's weights, which load_imagenet loads.
    """
    if config.architecture != 'resnet18':
        return StageFilmResnet(config.architecture, goal_dim)
    encoder = BlockFilmResnet(goal_dim, config.width, film_begins or _FILM_BEGINS[initialisation], config.pooling)
    if initialisation == 'published':
        # The published one makes its blocks anew, and takes the stem alone from torchvision's.
        for stage in encoder.stages:
            begin_as_plain_layers(stage)
    return encoder


_FILM_BEGINS: Mapping[Initialisation, FilmBegins] = {'published': 'random', 'small': 'identity'}


class _NarrowResnet18(ResNet):
    """torchvision's ResNet-18 with a share of its channels, which torchvision offers for bottleneck blocks alone."""

    def __init__(self, width: float) -> None:
        self._width = width
        super().__init__(BasicBlock, [2, 2, 2, 2])
        self.fc = nn.Identity()

    def _make_layer(self, block: Any, planes: int, blocks: int, stride: int = 1, dilate: bool = False) -> nn.Sequential:
        channels = round(self._width * planes)
        if planes == 64:  # the first of the four, to be fed by a stem as narrow
            self.inplanes = channels
            self.conv1 = nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
        return super()._make_layer(block, channels, blocks, stride, dilate)


def _backbone(architecture: ResnetArchitecture) -> ResNet:
    backbone = cast(ResNet, getattr(torchvision.models, architecture)(weights=None))
    backbone.fc = nn.Identity()  # the ImageNet classifier is never used
    return backbone


def _random_film(goal_dim: int, channels: int) -> nn.Linear:
    return nn.Linear(goal_dim, 4 * channels)


def _identity_film(goal_dim: int, channels: int) -> nn.Linear:
    layer = nn.Linear(goal_dim, 4 * channels)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        one_zero = torch.cat([torch.ones(channels), torch.zeros(channels)])
        layer.bias.copy_(one_zero.repeat(2))
    return layer


def _film_block(block: BasicBlock, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """As torchvision's BasicBlock.forward with FiLM between the second batch norm and the shortcut's addition."""
    y = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x)))))
    shortcut = x if block.downsample is None else block.downsample(x)
    return cast(Tensor, block.relu(scale * y + shift + shortcut))


def _over_image(factors: Tensor) -> Tensor:
    """[B, channels] → [B, channels, 1, 1]."""
    return factors[:, :, None, None]
