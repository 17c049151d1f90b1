"""The network and its losses as one module, which is what several processes share the gradients of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mode_ros.policy.diffusion import scalings
from mode_ros.policy.images import normalize_images
from mode_ros.policy.network import PolicyNetwork
from mode_ros.training.batches import Batch
from mode_ros.training.loss import SHARES, balancing_loss, denoising_error, expert_shares, given
from mode_ros.training.settings import LossSettings


class Losses(NamedTuple):
    """What one part of a batch gives, all without units."""

    total: Tensor  # scalar, to be minimised
    denoising: Tensor  # scalar
    balancing: Tensor  # scalar, k when the experts share evenly
    shares: Tensor  # [L, E], how much each expert was used
    errors: Tensor  # [B], each sample's denoising error, without the actions that were given


class Objective(nn.Module):
    """PolicyNetwork in, Losses out."""

    def __init__(self, network: PolicyNetwork, settings: LossSettings) -> None:
        super().__init__()
        self.network = network
        self._settings = settings
        self._share = SHARES[settings.balancing_by]
        self.over_all: Callable[[Tensor], Tensor] = lambda shares: shares
        """The mean over all processes, of any shape."""

    def forward(self, batch: Batch) -> Losses:
        """batch: on the network's device."""
        config = self.network.config
        images = [normalize_images(each).contiguous(memory_format=torch.channels_last) for each in batch.images]
        features = self.network.encode_images(images, batch.goal)
        sigma, noise = batch.draws.sigma, batch.draws.noise
        noisy = batch.actions + sigma.view(-1, 1, 1) * noise
        sigma_data = config.diffusion.sigma_data
        shown = scalings(sigma.view(-1, 1, 1), sigma_data).into * noisy
        committed = None
        kept = torch.ones_like(batch.padding)
        if config.denoiser.max_committed:
            committed = given(batch.draws.committed, config.denoiser.chunk_length)
            shown = torch.where(committed.unsqueeze(-1), batch.actions / sigma_data, shown)
            kept = ~committed
        draws = batch.draws.experts if self.training else None
        found = self.network.denoiser(shown, sigma, batch.kept_goal, features, batch.state, draws, committed)
        error = denoising_error(found.raw, batch.actions, noisy, sigma, sigma_data)
        errors = (error.detach().mean(-1) * kept).sum(1) / kept.sum(1)
        if self._settings.padding == 'mask':
            kept = kept & ~batch.padding
        if batch.failed is not None:
            kept = kept & ~batch.failed
        if self._settings.padding == 'mask' or committed is not None or batch.failed is not None:
            # By the share that is kept in all processes: the mean of their losses is then that of the whole batch.
            share = self.over_all(kept.float().mean()).clamp_min(1e-9)
            denoising = (error * kept.unsqueeze(-1)).mean() / share
        else:
            denoising = error.mean()
        balancing = balancing_loss(found.routing, self.over_all, self._share)
        shares = torch.stack([expert_shares(routing) for routing in found.routing])
        return Losses(
            denoising + self._settings.balancing * balancing,
            denoising.detach(),
            balancing.detach(),
            shares,
            errors,
        )
