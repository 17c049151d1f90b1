"""What is known of each episode besides its numbers: whether it succeeded, who drove, where it was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mode_ros.checks.finding import Finding, listed

# From here on the policy's own driving is a part of what is learnt.
_SOME_INTERVENTION = 0.01


def success_labels(labels: Sequence[bool | None], numbers: Sequence[int]) -> list[Finding]:
    """labels: of each episode, None where nobody said."""
    failures = [number for number, label in zip(numbers, labels, strict=True) if label is False]
    unknown = sum(label is None for label in labels)
    found = []
    if failures:
        found.append(Finding('success', f'{len(failures)} episodes are marked as failures: {listed(failures)}.'))
    if unknown and unknown < len(labels):
        found.append(
            Finding('success', f'{unknown} of {len(labels)} episodes are marked neither as success nor as failure.')
        )
    return found


def intervention_share(shares: Sequence[float], numbers: Sequence[int]) -> list[Finding]:
    """shares: of each episode, how much of it a person drove (0 to 1). Nothing is said where that is all or none."""
    mixed = [
        f'{number} ({share:.0%})'
        for number, share in zip(numbers, shares, strict=True)
        if _SOME_INTERVENTION < share < 1 - _SOME_INTERVENTION
    ]
    if not mixed:
        return []
    return [
        Finding(
            'intervention',
            f'A person drove only in parts of {len(mixed)} episodes, the rest is a policy: {listed(mixed)}.',
        )
    ]


def split_recordings(recordings: Sequence[str], held_out: Sequence[bool]) -> list[Finding]:
    """recordings: of each episode, the recording it is from; held_out: whether it is kept for validation."""
    learnt = {name for name, held in zip(recordings, held_out, strict=True) if not held}
    both = [name for name, count in Counter(recordings).items() if count > 1 and name in learnt]
    both = [name for name in both if any(h for r, h in zip(recordings, held_out, strict=True) if r == name)]
    if not both:
        return []
    return [
        Finding(
            'split',
            f'{len(both)} recordings give episodes to learn from and episodes held out ({listed(both, 3)}): the '
            'validation error says little about a new day.',
        )
    ]


def copies(fingerprints: Sequence[str], numbers: Sequence[int]) -> list[Finding]:
    """Episodes with the same content under different names."""
    first: dict[str, int] = {}
    same = []
    for print_, number in zip(fingerprints, numbers, strict=True):
        if print_ in first:
            same.append(f'{number} is {first[print_]}')
        first.setdefault(print_, number)
    if not same:
        return []
    return [Finding('copies', f'{len(same)} episodes are there twice, number by number: {listed(same)}.')]
