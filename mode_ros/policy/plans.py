"""Plans as a policy continues them: a part of a chunk is known, namely what the robot executes while the policy thinks,
and what it had planned after. In NumPy, for every runtime.

Ways to continue a plan, of which `committed` actions are decided and the rest is only planned:

    none      the plan is not looked at
    hard      the decided actions are put into the denoised estimate at every step
    soft      so are the planned ones, with a weight that falls exponentially (real-time chunking, arXiv 2506.07339)
    guided    the estimate is drawn towards both along its gradient (the same paper): slow, to compare with
    trained   the network sees the decided actions clean, as it learnt to (for a flow model arXiv 2512.05964)
    rejoin    the chunk is planned as if nothing were decided, and led back to from where that ends (`rejoin`)
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.normalization import Normalizer, StreamStatistics
from mode_ros.policy.rejoin import rejoin

Continuation = Literal['none', 'hard', 'soft', 'guided', 'trained', 'rejoin']
CONTINUATIONS: tuple[Continuation, ...] = get_args(Continuation)

BEYOND_TRAINING, WHOLE_CHUNK = 'beyond training', 'whole chunk'


class PlanLike(Protocol):
    """What a chunk begins with, as mode_ros.control.request.Plan has it."""

    @property
    def actions(self) -> NDArray[np.float64]:
        """[m, d], the chunk's first m actions as they are known."""

    @property
    def committed(self) -> int:
        """So many of them are decided; the others are planned and may be changed."""


class KnownActions(NamedTuple):
    """What is known of one chunk of A actions, in normalised actions."""

    target: NDArray[np.float32]  # [A, d], finite; where nothing is known, of no effect
    weight: NDArray[np.float32]  # [A, 1], 0 to 1: how much of the denoised estimate is the target
    clean: NDArray[np.bool_] | None = None  # [A]: shown to the network without noise and marked; trained for it alone


def no_action_known(config: DenoiserConfig) -> KnownActions:
    """What is sampled is what it is without."""
    length = config.chunk_length
    clean = np.zeros(length, bool) if config.max_committed else None
    return KnownActions(np.zeros((length, config.action_dim), np.float32), np.zeros((length, 1), np.float32), clean)


def hard_weights(length: int, committed: int) -> NDArray[np.float64]:
    """1 for the first `committed` of `length` actions, 0 for the others: [length]."""
    return (np.arange(length) < committed).astype(np.float64)


def soft_weights(length: int, committed: int, known: int) -> NDArray[np.float64]:
    """1 for the first `committed` actions, falling from there, 0 from action `known` on: [length].

    Between them c·(e^c − 1)/(e − 1) with c = (known − i)/(known − committed + 1) (arXiv 2506.07339, equation 5).
    """
    share = (known - np.arange(length)) / (known - committed + 1)
    falling = share * np.expm1(share) / math.expm1(1)
    return np.where(np.arange(length) < committed, 1.0, np.where(np.arange(length) < known, falling, 0.0))


def known_actions(
    actions: NDArray[np.floating], committed: int, continuation: Continuation, config: DenoiserConfig
) -> KnownActions:
    """What one chunk continues.

    actions: [m, d], normalised, of which the first `committed` are decided; those beyond the chunk are left out.
    continuation: one that looks at the plan; 'trained' for a denoiser whose max_committed is at least `committed`.
    """
    length = config.chunk_length
    known = no_action_known(config)
    within = min(len(actions), length)
    known.target[:within] = actions[:within]
    falling = continuation in ('soft', 'guided')
    weights = soft_weights(length, committed, len(actions)) if falling else hard_weights(length, committed)
    known.weight[:, 0] = weights
    if continuation == 'trained':
        assert known.clean is not None, 'a denoiser that was not trained to continue'
        known.clean[:committed] = True
    return known


class PlanReader:
    """Brings plans into the form that a sampler continues, and counts those that it cannot continue as configured."""

    def __init__(
        self, continuation: Continuation, config: DenoiserConfig, actions: Normalizer, shown: StreamStatistics
    ) -> None:
        """actions: from the robot's units to the network's; shown: what actions there were in training."""
        self.continuation = continuation
        self.displacement: NDArray[np.bool_] = np.zeros(config.action_dim, bool)
        self._lower, self._upper = np.asarray(shown.min, float), np.asarray(shown.max, float)
        self._config, self._actions = config, actions
        self.fallbacks = {BEYOND_TRAINING: 0, WHOLE_CHUNK: 0}
        """How many plans: more was decided than training ever gave (continued soft), or all of the chunk (it then
        says nothing new)."""

    def read(self, plan: PlanLike | None) -> KnownActions | None:
        """None where there is nothing to continue. Raises UserError for a plan that is none."""
        if plan is None:
            return None
        check_plan(plan, self._config.action_dim)
        if self.continuation == 'none' or not len(plan.actions):
            return None
        how = self.continuation
        if how == 'rejoin' and plan.committed < self._config.chunk_length:
            return None
        if plan.committed >= self._config.chunk_length:
            self.fallbacks[WHOLE_CHUNK] += 1
        if how == 'trained' and plan.committed > self._config.max_committed:
            self.fallbacks[BEYOND_TRAINING] += 1
            how = 'soft'
        committed = min(plan.committed, self._config.chunk_length)
        return known_actions(self._actions.normalize(plan.actions), committed, how, self._config)

    def keep_decided(self, chunk: NDArray[np.float64], plan: PlanLike | None) -> None:
        """Write what is decided into the chunk, [A, d] in the robot's units: to the last bit what was given.

        It differs by rounding alone, but for guidance, which only comes near, and stays as it is, and for `rejoin`,
        which changes the actions that follow, too.
        """
        if plan is not None and self.continuation == 'rejoin':
            decided = np.asarray(plan.actions, float)[: plan.committed]
            chunk[:] = rejoin(chunk, decided, self.displacement, self._lower, self._upper)
        elif plan is not None and plan.committed and self.continuation not in ('none', 'guided'):
            count = min(plan.committed, len(chunk))
            chunk[:count] = plan.actions[:count]


def check_plan(plan: PlanLike, action_dim: int) -> None:
    """Raise UserError for a plan that is none."""
    actions = np.asarray(plan.actions)
    if len(actions) and (actions.ndim != 2 or actions.shape[1] != action_dim):
        raise UserError(f'The plan has actions of shape {list(actions.shape)}, and the policy [m, {action_dim}].')
    if not 0 <= plan.committed <= len(actions):
        raise UserError(f'The plan has {len(actions)} actions, of which {plan.committed} cannot be decided.')
    if not np.isfinite(actions).all():
        raise UserError('The plan has an action that is not finite.')


def choose_continuation(asked: Continuation | None, config: DenoiserConfig) -> Continuation:
    """The way to continue: the one asked for, else 'trained' where the denoiser can, else 'soft'. Raises UserError."""
    if asked is None:
        return 'trained' if config.max_committed else 'soft'
    if asked not in CONTINUATIONS:
        raise UserError(f'There is no continuation {asked!r}: use one of {", ".join(CONTINUATIONS)}.')
    if asked == 'trained' and not config.max_committed:
        raise UserError(
            "The continuation 'trained' was asked for, but the policy was not trained to continue (max_committed is "
            '0): use soft, or train with policy.max_committed.'
        )
    return asked
