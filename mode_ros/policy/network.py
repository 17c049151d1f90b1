"""Everything that is trained, in one module: what a checkpoint's weights file holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mode_ros.policy.config import FilmBegins, Initialisation, PolicyConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.film_resnet import build_film_resnet


class PolicyNetwork(nn.Module):
    """The denoiser and one image encoder per camera. The frozen text encoder stands outside."""

    def __init__(
        self,
        config: PolicyConfig,
        initialisation: Initialisation = 'published',
        film_begins: FilmBegins | None = None,
    ) -> None:
        """initialisation, film_begins: what it begins with (mode_ros.policy.initialisation, build_film_resnet)."""
        super().__init__()
        self.config = config
        self.denoiser = Denoiser(config.denoiser, initialisation)
        encoder = config.image_encoder
        self.image_encoders = nn.ModuleList(
            build_film_resnet(encoder, config.denoiser.goal_dim, initialisation, film_begins)
            for _ in config.cameras
            if encoder is not None
        )

    def encode_images(self, images: Sequence[Tensor], goal: Tensor) -> Tensor | None:
        """images: one [B, 3, H, W] per camera, normalised, in the configured order; goal: [B, goal_dim].

        Returns [B, C, image_dim], or None for a policy without cameras.
        """
        if len(images) != len(self.image_encoders):
            raise ValueError(f'this network has {len(self.image_encoders)} cameras, and was given {len(images)} images')
        if not images:
            return None
        return torch.stack([encode(x, goal) for encode, x in zip(self.image_encoders, images, strict=True)], dim=1)
