"""What the controller's execution comes to, in the words and units of /diagnostics and of the demo."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mode_ros.control.controller import Controller


def describe_motion(controller: Controller) -> Mapping[str, str | int]:
    """Counts, and figures over the recent past; '' where there are none yet."""
    execution = controller.execution
    seams = list(execution.seams)
    position = float(np.median([seam.position for seam in seams])) if seams else None
    velocity = float(np.median([seam.velocity for seam in seams])) if seams else None
    stopped = controller.breach.problem if controller.breach is not None else None
    return {
        'mode': execution.mode + (' (the policy does not continue)' if execution.unkept else ''),
        'chunks': controller.chunks,
        'chunks late': execution.late,
        'underruns': controller.underruns,
        'held share (%)': f'{100 * controller.held / controller.periods:.1f}' if controller.periods else '',
        'delay p50 (periods)': _told(execution.delays.of(50)),
        'delay p95 (periods)': _told(execution.delays.of(95)),
        'reserved (periods)': _told(execution.delays.reserve),
        'prefix (actions)': execution.prefix,
        'seams': len(seams),
        'seam position p50': _told(position),
        'seam velocity p50 (1/s)': _told(velocity),
        'stopped by': '' if stopped is None else f'{stopped.name}: {stopped.reason}',
    }


def _told(value: float | None) -> str:
    return '' if value is None else f'{value:.4g}'
