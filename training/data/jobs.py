"""How many processes or threads work at once where nobody says."""

import os


def default_jobs() -> int:
    """One per core that this process may run on."""
    return len(os.sched_getaffinity(0))
