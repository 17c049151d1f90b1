"""Keys of the contract that say where the robot may be: a box per group, a distance from itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Box(BaseModel):
    """Where a point of the robot may be, in metres."""

    model_config = ConfigDict(extra='forbid', frozen=True)

    frame: str | None = Field(None, description='Of joints: the link whose origin must stay inside.')
    base: str = Field('', description="Of joints: the link that the box belongs to (default: the description's root).")
    state: str | None = Field(None, description='Of a twist: the pose stream whose position must stay inside.')
    lower: tuple[Finite, Finite, Finite]
    upper: tuple[Finite, Finite, Finite]

    @model_validator(mode='after')
    def _ordered(self) -> Box:
        if not all(low < high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f'lower {list(self.lower)} must be below upper {list(self.upper)}')
        return self

    def check_fits(self, adapter: str, units: Collection[str]) -> None:
        """Raises ValueError where an output of this adapter, with dimensions in `units`, cannot have this box."""
        if adapter in ('joint_trajectory', 'forward_command'):
            if self.frame is None or self.state is not None:
                raise ValueError("the box of a group of joints needs frame, a link such as 'tool0', and no state")
            if not set(units) <= {'rad', 'm'}:
                raise ValueError(f'the box of a group of joints needs its dimensions in rad or m, not {sorted(units)}')
        elif adapter == 'twist':
            if self.state is None or self.frame is not None or self.base:
                raise ValueError('the box of a twist needs state, a stream that measures the pose, and no frame')
        else:
            raise ValueError(f'the adapter {adapter!r} has no box: lower and upper of its dimensions are it')


class SelfCollision(BaseModel):
    """How near the robot may come to itself."""

    model_config = ConfigDict(extra='forbid', frozen=True)

    distance: float = Field(0.01, ge=0, le=0.5, allow_inf_nan=False, description='Metres between two links at least.')
    disabled: tuple[tuple[str, str], ...] = Field((), description='Pairs of links that may touch, as in an SRDF.')
