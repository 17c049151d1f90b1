"""Which sizes are varied to see how the cost grows."""

from __future__ import annotations

from dataclasses import dataclass

from mode_ros.policy.config import DenoiserConfig, DiffusionConfig


@dataclass(frozen=True)
class Sweep:
    """One size, varied around a configuration."""

    name: str
    values: tuple[int, ...]

    def apply(self, config: DenoiserConfig, value: int) -> tuple[DenoiserConfig, DiffusionConfig]:
        """The configuration with this size changed."""
        if self.name == 'steps':
            return config, DiffusionConfig(steps=value)
        changes: dict[str, int] = {_FIELDS[self.name]: value}
        return DenoiserConfig(**(config.model_dump() | changes)), DiffusionConfig()


@dataclass(frozen=True)
class Point:
    """One measured point; seconds."""

    sweep: str
    value: int
    variant: str
    median: float
    fastest: float


_FIELDS = {'layers': 'layers', 'width': 'embed_dim', 'experts': 'experts', 'cameras': 'cameras'}
SWEEPS = (
    Sweep('steps', (2, 5, 10, 20)),
    Sweep('layers', (2, 4, 6, 12)),
    Sweep('width', (128, 256, 512)),
    Sweep('experts', (2, 4, 8)),
    Sweep('cameras', (1, 2, 4)),
)
