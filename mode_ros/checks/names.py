"""Names of a data set's numbers against the contract's: the same in another order, or others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Endings that say what is measured, which lerobot's names have and joint names have not.
_ENDINGS = re.compile(r'[._/](pos|position|target|goal)$')
# Names that only count say nothing.
_COUNTED = re.compile(r'^(?:(?:action|actions|state|dim|motor|joint|x|obs|q)[ _]?)?\d+$')


@dataclass(frozen=True)
class NameMatch:
    """order: where each of ours is among theirs, None to leave the columns as they are; note: what to say, or ''."""

    order: tuple[int, ...] | None
    note: str


def match_names(theirs: Sequence[str], ours: Sequence[str], what: str) -> NameMatch:
    """Lines up the columns of a foreign vector with ours by name; what: names the vector in the note.

    Names may have a prefix (`left.elbow`) or an ending (`elbow.pos`) that ours have not, or the other way round.
    theirs: none, where the data set names nothing.
    """
    if len(ours) < 2 and not theirs:
        return NameMatch(None, '')  # a single number has no order
    if not theirs or len(theirs) != len(ours) or all(_COUNTED.match(name) for name in theirs):
        said = 'have no names' if not theirs else f'are called {list(theirs)}'
        return NameMatch(
            None,
            f"{what}: its numbers {said}, so that their order cannot be compared with the contract's {list(ours)}, as "
            'which they are taken. Make sure that it is that.',
        )
    for simplify in (str, _without_ending, _last):
        there, here = [simplify(name) for name in theirs], [simplify(name) for name in ours]
        if len(set(there)) < len(there) or set(there) != set(here):
            continue
        order = tuple(there.index(name) for name in here)
        if order == tuple(range(len(order))):
            return NameMatch(None, '')
        return NameMatch(order, f"{what}: its numbers {list(theirs)} are put in the contract's order {list(ours)}.")
    return NameMatch(
        None,
        f"{what}: its numbers are called {list(theirs)}, the contract's {list(ours)}; they are taken in that order. "
        'Make sure that they mean the same.',
    )


def _without_ending(name: str) -> str:
    return _ENDINGS.sub('', name)


def _last(name: str) -> str:
    return re.split(r'[./]', _without_ending(name))[-1]
