"""The faults, one file per kind; `find` gives all of them, or those with the names that were asked for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from mode_ros.bench_safety.faults import clock, people, policy, process, states
from mode_ros.bench_safety.faults.fault import Fault
from mode_ros.errors import UserError

FAULTS: tuple[Fault, ...] = (*policy.FAULTS, *states.FAULTS, *people.FAULTS, *clock.FAULTS, *process.FAULTS)


def find(names: Sequence[str], faults: tuple[Fault, ...] = FAULTS) -> tuple[Fault, ...]:
    """Those of `faults` with these names, all without names; UserError for one that is not there."""
    if not names:
        return faults
    known = {fault.name: fault for fault in faults}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {near[0]!r}?' if near else f'there are {", ".join(map(repr, known))}.'
            raise UserError(f'There is no fault {name!r}; {hint}')
    return tuple(known[name] for name in dict.fromkeys(names))
