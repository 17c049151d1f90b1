"""How large a denoiser is."""

from __future__ import annotations

from mode_ros.policy.config import DenoiserConfig, expert_numbers
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.weights import meta_device


def total_parameters(config: DenoiserConfig) -> int:
    """Numbers in a denoiser."""
    with meta_device():
        return sum(parameter.numel() for parameter in Denoiser(config).parameters())


def active_parameters(config: DenoiserConfig) -> int:
    """Those that a token meets in one step: without the experts that are not selected for it, k of E being so.

    Experts that choose their tokens meet k per token on average.
    """
    if config.routing == 'dense':
        return total_parameters(config)
    left = config.layers * (config.experts - config.top_k) * expert_numbers(config.embed_dim, config.expert_dim)
    return total_parameters(config) - left
