"""Plots as SVG, for pages that must stand alone: tables as colours, and curves over training steps."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# Okabe and Ito's colours, told apart with any kind of colour vision.
COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#000000', '#999933')

# From nothing to all; darker is more, also where colours are not seen.
_LIGHT, _DARK = (244, 248, 251), (8, 48, 107)


class Curve(NamedTuple):
    """Points (x, y) of one line."""

    x: Sequence[float]
    y: Sequence[float]


def heatmap(
    title: str, values: Floats, rows: Sequence[str], columns: Sequence[str], low: float = 0.0, high: float = 1.0
) -> str:
    """An <svg> of `values` [R, C], each cell's colour between low and high, its number shown when pointed at.

    rows: R labels; columns: C labels, of which the first, the middle and the last are written where cells are narrow.
    """
    cell_width, cell_height, left, top = max(6.0, 288.0 / len(columns)), 16.0, 62.0, 20.0
    width, height = left + cell_width * len(columns) + 34, top + cell_height * len(rows) + 18
    cells = [
        f'<rect x="{left + c * cell_width:.1f}" y="{top + r * cell_height:.1f}" width="{cell_width + 0.2:.1f}" '
        f'height="{cell_height - 1:.1f}" fill="{_shade((float(value) - low) / (high - low))}">'
        f'<title>{html.escape(f"{rows[r]}, {columns[c]}: {value:.3f}")}</title></rect>'
        for r, row in enumerate(values)
        for c, value in enumerate(row)
    ]
    names = [
        f'<text x="{left - 5}" y="{top + (r + 0.72) * cell_height:.1f}" text-anchor="end">{html.escape(name)}</text>'
        for r, name in enumerate(rows)
    ]
    marks = [
        f'<text x="{left + (c + 0.5) * cell_width:.1f}" y="{height - 5:.1f}" text-anchor="middle">'
        f'{html.escape(columns[c])}</text>'
        for c in (range(len(columns)) if cell_width > 50 else sorted({0, (len(columns) - 1) // 2, len(columns) - 1}))
    ]
    return _svg(title, width, height, left, [*cells, *names, *marks])


def curves(title: str, lines: Mapping[str, Curve], logarithmic: bool = False) -> str:
    """An <svg> of named lines over training steps; what is not finite is left out, and so is 0 where logarithmic."""
    width, height, left, right, top, bottom = 505.0, 150.0, 58.0, 8.0, 20.0, 18.0

    def shown(value: float) -> bool:
        return math.isfinite(value) and (value > 0 or not logarithmic)

    scaled: Callable[[float], float] = math.log10 if logarithmic else float
    kept = {
        name: [(x, scaled(y)) for x, y in zip(line.x, line.y, strict=True) if shown(y)] for name, line in lines.items()
    }
    points = [point for line in kept.values() for point in line]
    if not points:
        return ''
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    if low == high:
        low, high = low - 0.5, high + 0.5
    across, up = max(last - first, 1e-9), high - low

    def place(x: float, y: float) -> str:
        return (
            f'{left + (x - first) / across * (width - left - right):.1f},'
            f'{top + (high - y) / up * (height - top - bottom):.1f}'
        )

    drawn = [
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.3" points="{" ".join(place(*p) for p in line)}"/>'
        if len(line) > 1
        else ''.join(f'<circle r="2.5" fill="{colour}" cx="{x}" cy="{y}"/>' for x, y in [place(*line[0]).split(',')])
        for colour, line in zip(_cycle(len(kept)), kept.values(), strict=True)
        if line
    ]
    floor, ceiling = height - bottom, top
    bounds = [10**value if logarithmic else value for value in (low, high)]
    frame = [
        f'<path d="M{left} {ceiling}V{floor}H{width - right}" fill="none" stroke="#c5ced6"/>',
        f'<text x="{left - 4}" y="{ceiling + 4}" text-anchor="end">{bounds[1]:.3g}</text>',
        f'<text x="{left - 4}" y="{floor + 4}" text-anchor="end">{bounds[0]:.3g}</text>',
        f'<text x="{left}" y="{height - 4}">{first:g}</text>',
        f'<text x="{width - right}" y="{height - 4}" text-anchor="end">step {last:g}</text>',
    ]
    legend = ' '.join(
        f'<tspan style="fill: {colour}">{html.escape(name)}</tspan>'
        for colour, name in zip(_cycle(len(kept)), kept, strict=True)
    )
    return _svg(title, width, height, left, [*frame, *drawn], legend if len(kept) > 1 else '')


def _svg(title: str, width: float, height: float, left: float, parts: Sequence[str], legend: str = '') -> str:
    # viewBox, so that a page may scale it and other programs can read it.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{html.escape(title)}">'
        f'<text x="{left}" y="12">{html.escape(title)}{": " + legend if legend else ""}</text>{"".join(parts)}</svg>'
    )


def _shade(share: float) -> str:
    share = min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    return '#' + ''.join(
        f'{round(light + (dark - light) * share):02x}' for light, dark in zip(_LIGHT, _DARK, strict=True)
    )


def _cycle(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]
