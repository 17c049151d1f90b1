"""The learning rate over a training: warm-up, hold, cosine (the shape of the published tri-stage schedule)."""

from __future__ import annotations

import math

from mode_ros.training.settings import OptimizerSettings


def learning_rate_factor(step: int, steps: int, settings: OptimizerSettings) -> float:
    """What the learning rate is multiplied with at `step`, from 0 to steps - 1 of the schedule's `steps`.

    Rises in a straight line from warmup_from to 1, stays, and falls as half a cosine to final.
    """
    warmup, hold = settings.warmup * steps, settings.hold * steps
    if step < warmup:
        return settings.warmup_from + (1 - settings.warmup_from) * step / warmup
    if step < warmup + hold:
        return 1.0
    progress = min((step - warmup - hold) / max(steps - 1 - warmup - hold, 1e-9), 1.0)
    return settings.final + (1 - settings.final) * (1 + math.cos(math.pi * progress)) / 2
