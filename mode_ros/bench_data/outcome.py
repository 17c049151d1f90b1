"""What a benchmark measured, as a table for people and as JSON for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """rows: label and text for the table; numbers: the same for JSON; reached: whether the project's aim was met."""

    rows: tuple[tuple[str, str], ...]
    numbers: Mapping[str, Any]
    reached: bool


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        'processor': _processor(),
        'cores': len(os.sched_getaffinity(0)),
        'load before': round(os.getloadavg()[0], 2),
        'python': platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')), 'unknown')
