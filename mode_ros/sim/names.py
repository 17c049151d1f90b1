"""Errors for names that do not exist, with the nearest that do."""

import difflib
from collections.abc import Sequence

from mode_ros.errors import UserError


def unknown_name(kind: str, name: str, known: Sequence[str]) -> UserError:
    """The error for a `kind` called `name` that is not among `known`; it lists the nearest, or some of all."""
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    near += [each for each in known if name and name in each and each not in near][: 5 - len(near)]
    if near:
        return UserError(f'There is no {kind} {name!r}; the nearest are {", ".join(near)}.')
    few = ', '.join(known[:8]) + (f' and {len(known) - 8} more' if len(known) > 8 else '')
    return UserError(f'There is no {kind} {name!r}; there are {few}.')
