"""Everything that is trained, in one module: what a checkpoint's weights file holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mode_ros.policy.config import FilmBegins, Initialisation, PolicyConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.film_resnet import build_film_resnet


class PolicyNetwork(nn.Module):
    """The denoiser and one image encoder per camera, or one for all of them. The frozen text encoder stands outside."""

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
            for _ in (config.cameras[:1] if encoder is not None and encoder.shared else config.cameras)
            if encoder is not None
        )

    def encode_images(self, images: Sequence[Tensor], goal: Tensor) -> Tensor | None:
        """images: one [B, 3, H, W] per camera, normalised, in the configured order; goal: [B, goal_dim].

        Returns [B, C, image_dim], or None for a policy without cameras.
        """
        if len(images) != len(self.config.cameras):
            raise ValueError(f'this network has {len(self.config.cameras)} cameras, and was given {len(images)} images')
        if not images:
            return None
        if len(self.image_encoders) < len(images):
            # In one batch: what it learns of means and deviations is then that of all cameras, as it runs.
            encoded = self.image_encoders[0](torch.cat(list(images)), goal.repeat(len(images), 1))
            return torch.stack(encoded.chunk(len(images)), dim=1)
        return torch.stack([encode(x, goal) for encode, x in zip(self.image_encoders, images, strict=True)], dim=1)
