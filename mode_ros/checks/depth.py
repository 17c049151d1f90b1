"""Depth cameras that show nothing: no pixel measured, or everything beyond what the contract calls the farthest."""

from __future__ import annotations

from collections.abc import Mapping

from mode_ros.checks.finding import Finding

# Holes are usual: at edges, on glass, where it is too near. Above this share there is little else.
MOST = 0.8


def empty_depth(shares: Mapping[str, tuple[float, float]], where: str) -> list[Finding]:
    """shares: by camera, of its pixels that measured nothing, and that are at the farthest or beyond (0 to 1)."""
    found = []
    for camera, (nothing, beyond) in shares.items():
        if nothing > MOST:
            found.append(
                Finding(
                    'depth',
                    f'{where}: {camera} measured nothing in {nothing:.0%} of its pixels: is it covered, too near to '
                    'everything, or another topic?',
                )
            )
        if beyond > MOST:
            found.append(
                Finding(
                    'depth',
                    f'{where}: {beyond:.0%} of the pixels of {camera} are as far as the contract knows, or farther: '
                    'raise far, or look whether the messages are in millimetres (16UC1) or metres (32FC1) as they say.',
                )
            )
    return found
