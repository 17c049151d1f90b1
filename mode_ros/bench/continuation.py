"""How well each way to continue a plan does it, on recorded moments: two chunks of one policy, the later of which is to
go on from the earlier one.

The earlier chunk is planned at a moment of a demonstration, and some of its actions are executed; then the later one is
planned from what the demonstration shows at that time, while `delay` more actions of the earlier one are executed. The
robot takes over the later chunk after them. Everything is in normalised actions over their deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import DenoiserConfig, DiffusionConfig
from mode_ros.policy.continuation import GUIDANCE, Known, known_of
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.diffusion import sample_plain
from mode_ros.policy.plans import CONTINUATIONS, Continuation
from mode_ros.policy.rejoin import rejoin

Floats = NDArray[np.float64]

DELAYS = (1, 2, 4, 6, 8)
# Actions executed before the later chunk is asked for: at least two, so that there is a velocity at the seam.
_LEAST_EXECUTED = 2


@dataclass(frozen=True)
class Moments:
    """n moments of demonstrations as the denoiser is given them, and what the demonstrator did."""

    goal: Tensor  # [n, goal_dim]
    images: Tensor | None  # [n, C, image_dim]
    state: Tensor | None  # [n, state_dim]
    actions: Tensor  # [n, A, d], normalised
    padding: Tensor  # [n, A], bool, True after the end of the demonstration
    noise: Tensor  # [n, A, d]


# So many frames after each of the chosen moments, the same moments for every number → Moments.
ReadMoments = Callable[[int], Moments]


@dataclass(frozen=True)
class Seam:
    """What one way does at one delay, over all moments; root mean squares."""

    continuation: Continuation
    delay: int
    prefix: float  # the later chunk's first `delay` actions, from those executed
    jump: float  # the change of velocity where the later chunk takes over
    usual_jump: float  # the same within demonstrations
    distance: float  # the later chunk's other actions, from the demonstrator's


def compare_continuations(
    denoiser: Denoiser, diffusion: DiffusionConfig, read: ReadMoments, delta: Sequence[bool], delays: Sequence[int]
) -> list[Seam]:
    """A Seam for every way that the denoiser has and every delay that its chunks leave room for.

    delta: [d], True for displacements, of which the change is that of velocity; of targets it is the second difference.
    Raises UserError where no delay fits.
    """
    config = denoiser.config
    fitting = [delay for delay in delays if executed(delay) + delay <= config.chunk_length]
    if not fitting:
        raise UserError(f'A chunk of {config.chunk_length} actions has no room for any of the delays {list(delays)}.')
    first = read(0)
    deviation = first.actions[~first.padding].std(0)
    spread = torch.where(deviation > 0, deviation, torch.ones_like(deviation)).numpy()
    earlier = _sample(denoiser, diffusion, first, first.noise).numpy()
    mask = np.asarray(delta, bool)
    found = []
    for delay in fitting:
        after = executed(delay)
        later = read(after)
        plans, noise = earlier[:, after:], later.noise.roll(1, 0)  # another noise than the earlier chunk's
        recorded = later.actions.numpy()
        usual = _velocity_changes(recorded, mask)[~later.padding.numpy()[:, 2:]] / spread
        for how in CONTINUATIONS:
            if how == 'trained' and delay > config.max_committed:
                continue
            known = None if how in ('none', 'rejoin') else _known(plans, delay, how, config)
            chunk = _sample(denoiser, diffusion, later, noise, known, GUIDANCE if how == 'guided' else None).numpy()
            if how == 'rejoin':
                chunk = np.stack([_rejoined(one, plan[:delay], mask) for one, plan in zip(chunk, plans, strict=True)])
            executed_then = np.concatenate([earlier[:, : after + delay], chunk[:, delay:]], axis=1)
            at_seam = _velocity_changes(executed_then, mask)[:, after + delay - 2] / spread
            free = ~later.padding.numpy()[:, delay:]
            found.append(
                Seam(
                    how,
                    delay,
                    _rms((chunk - _padded(plans, chunk))[:, :delay] / spread),
                    _rms(at_seam),
                    _rms(usual),
                    _rms(((chunk - recorded)[:, delay:] / spread)[free]),
                )
            )
    return found


def _rejoined(chunk: NDArray[np.float32], decided: NDArray[np.float32], delta: NDArray[np.bool_]) -> Floats:
    limit = np.ones(chunk.shape[1])  # of normalised actions
    return rejoin(chunk.astype(float), decided.astype(float), delta, -limit, limit)


def executed(delay: int) -> int:
    """Actions that the robot executes before it asks, when it asks as often as thinking allows."""
    return max(delay, _LEAST_EXECUTED)


def table(found: Sequence[Seam]) -> list[str]:
    """Rows in Markdown."""
    lines = [
        '| delay | continuation | prefix | change of velocity at the seam | over the usual | from the demonstration |',
        '|--:|---|--:|--:|--:|--:|',
    ]
    for seam in found:
        numbers = (seam.prefix, seam.jump, seam.jump / max(seam.usual_jump, 1e-12), seam.distance)
        lines.append(f'| {seam.delay} | {seam.continuation} | ' + ' | '.join(f'{x:.3f}' for x in numbers) + ' |')
    return lines


def as_values(found: Sequence[Seam]) -> list[Mapping[str, object]]:
    """For JSON."""
    return [dict(vars(seam)) for seam in found]


def _sample(
    denoiser: Denoiser,
    diffusion: DiffusionConfig,
    at: Moments,
    noise: Tensor,
    known: Known | None = None,
    guidance: float | None = None,
) -> Tensor:
    return sample_plain(
        denoiser, diffusion, noise, at.goal, at.images, at.state, known=known, guidance=guidance
    ).clone()


def _known(plans: Floats, delay: int, how: Continuation, config: DenoiserConfig) -> Known:
    each = [known_of(plan, delay, how, config) for plan in plans]
    target, weight = (torch.cat([getattr(known, name) for known in each]) for name in ('target', 'weight'))
    clean = None if each[0].clean is None else torch.cat([known.clean for known in each if known.clean is not None])
    return Known(target, weight, clean)


def _padded(plans: Floats, like: Floats) -> Floats:
    """Plans with zeros after them, as long as chunks."""
    whole = np.zeros_like(like)
    whole[:, : plans.shape[1]] = plans
    return whole


def _velocity_changes(actions: Floats, delta: NDArray[np.bool_]) -> Floats:
    """[n, T, d] → [n, T − 2, d]: entry i is the change of velocity at action i + 2."""
    return np.where(delta, np.diff(actions, axis=1)[:, 1:], np.diff(actions, 2, axis=1))


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float('nan')
