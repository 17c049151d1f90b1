"""A line plot as SVG, for pages that must stand alone."""

from __future__ import annotations

import html
from collections.abc import Sequence

_WIDTH, _HEIGHT = 505, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 6, 18, 18
# Okabe and Ito's colours, told apart with any kind of colour vision.
_COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#000000', '#999933')


def line_plot(title: str, names: Sequence[str], times: Sequence[float], rows: Sequence[Sequence[float]]) -> str:
    """An <svg> of the columns `names` of `rows` [n][dim] over `times` [n] in seconds."""
    low = min(min(row) for row in rows)
    high = max(max(row) for row in rows)
    if low == high:
        low, high = low - 1.0, high + 1.0
    end = max(times[-1], 1e-9)

    def x(time: float) -> float:
        return _LEFT + time / end * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    lines = []
    for column in range(len(rows[0])):
        points = ' '.join(f'{x(time):.1f},{y(row[column]):.1f}' for time, row in zip(times, rows, strict=True))
        colour = _COLOURS[column % len(_COLOURS)]
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{points}"/>')
    floor, ceiling = y(low), y(high)
    legend = ' '.join(
        f'<tspan fill="{_COLOURS[column % len(_COLOURS)]}">{html.escape(name)}</tspan>'
        for column, name in enumerate(names)
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f'<text x="{_LEFT}" y="12">{html.escape(title)}: {legend}</text>'
        f'<path d="M{_LEFT} {ceiling:.1f}V{floor:.1f}H{_WIDTH - _RIGHT}" fill="none" stroke="#c5ced6"/>'
        f'<text x="{_LEFT - 4}" y="{ceiling + 4:.1f}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_LEFT - 4}" y="{floor + 4:.1f}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 4}">0</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{times[-1]:.1f} s</text>'
        f'{"".join(lines)}</svg>'
    )
