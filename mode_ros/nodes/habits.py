"""Habits of a process that must be in time: a place in the queue of the processor, a core, no collection of garbage.

Each is refused in a sentence where the system does not allow it, and the process goes on without.
"""

from __future__ import annotations

import gc
import os


def in_time(priority: int, cpu: int) -> list[str]:
    """Gives the calling process SCHED_FIFO with `priority` (1 to 99; 0: as it is) and the core `cpu` (-1: any).

    What was not allowed, a sentence each.
    """
    refused = []
    if priority:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        except (OSError, AttributeError) as error:
            refused.append(
                f'realtime_priority {priority} is not allowed here ({error}): give the user `rtprio {priority}` in '
                '/etc/security/limits.conf, or leave it at 0. Going on without.'
            )
    if cpu >= 0:
        try:
            os.sched_setaffinity(0, {cpu})
        except (OSError, AttributeError) as error:
            cores = os.cpu_count() or 1
            refused.append(f'cpu {cpu} is not to be had here ({error}; 0 to {cores - 1} are). Going on on any.')
    return refused


def freeze_garbage() -> None:
    """Whatever was made so far is not looked at again by the collector until `thaw_garbage`: its pauses stay short."""
    gc.collect()
    gc.freeze()


def thaw_garbage() -> None:
    """All is collected again: else what a node leaves, its context with it, would never go."""
    gc.unfreeze()
