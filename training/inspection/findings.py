"""What can go wrong with a mixture of experts, told from arrays: named findings with thresholds.

Pure functions of numbers, so that `mode_ros inspect` and the training loop judge by the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Kind = Literal['expert collapse', 'router collapse', 'load imbalance', 'routing ignores noise']
When = Literal['in training', 'when it runs', 'always']

# Two experts whose outputs have this cosine are nearly one function: either explains 0.95² = 90 % of the other's
# energy. Experts with random weights have some 0.1 or less, and trained ones that share work stay well below.
SAME_FUNCTION = 0.95

# The k most used experts get this share of all selections: the others together run in one of 50, which is too rare to
# learn anything, so that the mixture is a dense network of k experts.
ALL_SELECTIONS = 0.98

# One expert has this much of the router's mean probability: what is selected beside it has next to no weight.
ALL_PROBABILITY = 0.95

# An expert with less than this part of an even share learns from a tenth of the samples that it could learn from. Not
# larger: experts that specialise in the ends of the noise levels, as the paper's do, see fewer samples by design. Over
# the 10 denoising steps of a chunk, one step is 0.2 of an even share of 4 experts: below is not used at all.
STARVED = 0.1

# The most by which a noise level may move the router's probabilities from their mean over all levels (total variation)
# for the routing to count as fixed: one selection in 50 could change.
UNMOVED = 0.02


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in one layer."""

    kind: Kind
    when: When
    """In training experts are drawn by their probabilities; when it runs the most probable are taken."""
    layer: int
    value: float
    """What was measured."""
    threshold: float
    """What it was held against."""
    text: str
    """A sentence for people."""


def find_in_shares(
    shares: Floats, top_k: int, when: When = 'in training', probabilities: Floats | None = None
) -> list[Finding]:
    """Router collapse and load imbalance, from how often each expert was selected.

    shares: [L, E], of a layer's selections, summing to 1; probabilities: [L, E], the router's mean where it is known.
    In training under the noise levels that are trained on, when it runs over those of a chunk. Nothing is found where
    no expert could be left out.
    """
    found: list[Finding] = []
    layers, experts = shares.shape
    if experts <= top_k:
        return found
    unused, way_out = {
        'in training': ('learn nothing', 'raise loss.balancing'),
        'when it runs': ('are of no use', 'train longer, or with fewer experts'),
        'always': ('are of no use', 'raise loss.balancing'),
    }[when]
    for layer in range(layers):
        share = shares[layer]
        most = np.argsort(-share, kind='stable')[:top_k]
        taken = float(share[most].sum())
        mass = 0.0 if probabilities is None else float(probabilities[layer].max())
        if taken >= ALL_SELECTIONS:
            text = (
                f'layer {layer} selects {_experts(sorted(most))} {taken:.0%} of the time {when}, so that the other '
                f'{experts - top_k} {unused}: {way_out}'
            )
            found.append(Finding('router collapse', when, layer, taken, ALL_SELECTIONS, text))
        elif probabilities is not None and mass >= ALL_PROBABILITY:
            text = (
                f'layer {layer} gives {mass:.0%} of its probability to {_experts([int(probabilities[layer].argmax())])}'
                f', so that the others {unused}: {way_out}'
            )
            found.append(Finding('router collapse', when, layer, mass, ALL_PROBABILITY, text))
        elif share.min() * experts < STARVED:
            least, part = int(share.argmin()), float(share.min() * experts)
            text = f'expert {least} of layer {layer} gets {part:.0%} of an even share {when}: {way_out}'
            found.append(Finding('load imbalance', when, layer, part, STARVED, text))
    return found


def find_in_probabilities(probabilities: Floats) -> list[Finding]:
    """Routing that ignores the noise level. probabilities: [S, L, E], the router's at S levels over the whole range."""
    if probabilities.shape[-1] == 1:
        return []
    return [
        Finding(
            'routing ignores noise',
            'always',
            layer,
            float(moved),
            UNMOVED,
            f'the routing of layer {layer} hardly depends on the noise level (at most {moved:.1%} of its probability '
            'moves): it chooses nothing, and a dense network would do the same',
        )
        for layer, moved in enumerate(movement(probabilities))
        if moved < UNMOVED
    ]


def find_in_similarity(outputs: Floats) -> list[Finding]:
    """Expert collapse. outputs: [L, E, E], the cosine between the outputs of two experts for the same inputs."""
    found = []
    for layer, alike in enumerate(outputs):
        rows, columns = np.triu_indices(len(alike), 1)
        for one, other in zip(rows, columns, strict=True):
            value = float(alike[one, other])
            if value >= SAME_FUNCTION:
                text = (
                    f'experts {one} and {other} of layer {layer} compute nearly the same (cosine {value:.3f}): one of '
                    'them is spare'
                )
                found.append(Finding('expert collapse', 'always', layer, value, SAME_FUNCTION, text))
    return found


def summaries(findings: Sequence[Finding]) -> list[str]:
    """A line for each kind of finding: the first of its layers in full, the others by number."""
    groups: dict[tuple[Kind, When], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.kind, finding.when), []).append(finding)
    lines = []
    for (kind, _), group in groups.items():
        others = sorted({finding.layer for finding in group} - {group[0].layer})
        also = f'; also layer{"s" * (len(others) > 1)} {", ".join(map(str, others))}' if others else ''
        lines.append(f'{kind}: {group[0].text}{also}')
    return lines


def movement(probabilities: Floats) -> Floats:
    """How far a noise level moves each layer's routing, [L] in 0 to 1: the largest total variation from the mean.

    probabilities: [S, L, E].
    """
    return np.abs(probabilities - probabilities.mean(0)).sum(-1).max(0) / 2


class Watch:
    """Findings while a training runs: a line for each kind, once."""

    # At fewer selections per expert chance alone would leave one of many below STARVED.
    SELECTIONS_PER_EXPERT = 50

    def __init__(self, top_k: int) -> None:
        self._top_k = top_k
        self._told: set[Kind] = set()

    def lines(self, step: int, shares: Sequence[Sequence[float]], samples: int) -> list[str]:
        """What to say after `step` steps. shares: [L, E] over the last `samples` samples, the drawn experts'."""
        array = np.asarray(shares)
        if samples * self._top_k < self.SELECTIONS_PER_EXPERT * array.shape[-1]:
            return []
        found = [finding for finding in find_in_shares(array, self._top_k) if finding.kind not in self._told]
        self._told |= {finding.kind for finding in found}
        return [f'warning at step {step}: {line}.' for line in summaries(found)]


def _experts(numbers: Sequence[int]) -> str:
    return f'expert{"s" * (len(numbers) > 1)} {", ".join(map(str, numbers))}'
