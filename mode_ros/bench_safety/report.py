"""The stop table: one row per fault, as text, markdown and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.bench_safety.faults.fault import Fault
from mode_ros.bench_safety.journal import Try

COLUMNS = (
    'fault',
    'tries',
    'first stopping command (p50 / p99 / max)',
    'at rest (p50 / p99 / max)',
    'stated',
    'largest excess',
    'cause named',
    'what it says',
    'released by',
)


@dataclass(frozen=True)
class Row:
    """A fault's tries together.

    first, rest: control periods as (p50, p99, max), empty where none stopped; stopped: tries that came to rest;
    reached: whether every try kept what is stated: the time, the limits, the cause and the release.
    """

    fault: str
    tries: int
    stopped: int
    first: tuple[float, ...]
    rest: tuple[float, ...]
    stated: float | None
    excess: float
    named: int
    cause: str
    released: str
    reached: bool


def summarise(fault: Fault, tries: Sequence[Try], period: float) -> Row:
    """The row of one fault's tries (at least one). period: seconds, of a control period."""
    firsts = [made.first for made in tries if made.first is not None]
    rests = [made.rest for made in tries if made.rest is not None]
    stated = fault.stated_periods(period)
    worst = max(made.worst for made in tries)
    named = sum(made.named for made in tries)
    released = Counter(made.released for made in tries).most_common()
    in_time = stated is None or (len(rests) == len(tries) and max(firsts, default=np.inf) <= stated)
    return Row(
        fault=fault.name,
        tries=len(tries),
        stopped=len(rests),
        first=_percentiles(firsts),
        rest=_percentiles(rests),
        stated=stated,
        excess=worst,
        named=named,
        cause=Counter(made.cause for made in tries).most_common(1)[0][0],
        released=', '.join(name if count == len(tries) else f'{name} ({count})' for name, count in released),
        reached=bool(
            in_time and worst == 0.0 and named == len(tries) and all(made.released in fault.release for made in tries)
        ),
    )


def write(folder: Path, rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """Writes table.txt, table.md and table.json into `folder`; returns the text."""
    cells = [_cells(row) for row in rows]
    machine = ', '.join(f'{key} {value}' for key, value in about.items())
    missed = [row.fault for row in rows if not row.reached]
    end = f'Not as stated: {", ".join(missed)}.' if missed else 'All as stated.'
    widths = [max(len(line[column]) for line in [COLUMNS, *cells]) for column in range(len(COLUMNS))]
    lines = [
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [COLUMNS, *cells]
    ]
    text = '\n'.join([f'Times in control periods. On {machine}.', '', *(line.rstrip() for line in lines), '', end])
    table = [COLUMNS, tuple('---' for _ in COLUMNS), *cells]
    markdown = '\n'.join('| ' + ' | '.join(cell.replace('|', '\\|') for cell in line) + ' |' for line in table)
    (folder / 'table.txt').write_text(text + '\n', encoding='utf-8')
    (folder / 'table.md').write_text(f'{markdown}\n\nTimes in control periods. On {machine}. {end}\n', encoding='utf-8')
    numbers = {'machine': dict(about), 'faults': [vars(row) for row in rows], 'reached': not missed}
    (folder / 'table.json').write_text(json.dumps(numbers, indent=1) + '\n', encoding='utf-8')
    return text


def _cells(row: Row) -> tuple[str, ...]:
    lost = '' if row.stopped in (0, row.tries) else f' ({row.tries - row.stopped} never)'
    return (
        row.fault,
        str(row.tries),
        _spread(row.first),
        _spread(row.rest) + lost,
        'no stop' if row.stated is None else f'{row.stated:.1f}',
        '0' if row.excess == 0.0 else f'{100 * row.excess:.1f} %',
        f'{row.named} of {row.tries}',
        row.cause if len(row.cause) <= 100 else row.cause[:97] + '...',
        row.released,
    )


def _percentiles(values: Sequence[float]) -> tuple[float, ...]:
    if not values:
        return ()
    return tuple(round(float(np.percentile(values, share)), 2) for share in (50, 99, 100))


def _spread(values: Sequence[float]) -> str:
    return ' / '.join(f'{value:.1f}' for value in values) if values else 'none'
