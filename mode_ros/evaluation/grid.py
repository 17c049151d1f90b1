"""Evaluations of one checkpoint under every delay and every way of execution, and the table of what came of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mode_ros.errors import UserError
from mode_ros.evaluation.results import percent
from mode_ros.evaluation.settings import WHOLE, EvaluationSettings, make_settings
from mode_ros.settings import load_settings
from mode_ros.whole_files import write_whole

TABLE = 'table.md'


class Grid(BaseModel):
    """A grid file."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    common: dict[str, Any] = Field(default={}, description='options of every cell')
    columns: dict[str, dict[str, Any]] = Field(min_length=1, description='name to the options of a way of execution')
    delays: tuple[str, ...] = Field(min_length=1, description='control periods, as --delay')


def cells(grid: Grid, options: Mapping[str, Any], output: Path) -> dict[tuple[str, str], EvaluationSettings]:
    """(column, delay) to the settings of its evaluation, all checked before the first begins.

    options: given on the command line, which win. Raises UserError for a cell that cannot be evaluated.
    """
    # Both say how many episodes there are: what is typed wins here, too.
    hidden = {other for name, other in (('seeds', 'rollouts'), ('rollouts', 'seeds')) if name in options}
    ways = {{**grid.common, **own, **options}.get('execution', 'synchronous') for own in grid.columns.values()}
    if options.get('actions') and ways <= set(WHOLE):
        raise UserError(f'--actions {options["actions"]} changes nothing in any column of the grid: leave it out.')
    found = {}
    for column, own in grid.columns.items():
        for delay in grid.delays:
            written = {name: value for name, value in {**grid.common, **own}.items() if name not in hidden}
            values = {**written, **options, 'delay': delay, 'output': output / f'{column}-{delay}'}
            if values.get('execution', 'synchronous') in WHOLE and 'actions' not in own:
                values.pop('actions', None)  # of those columns in which they count
            try:
                found[column, delay] = make_settings(**values)
            except UserError as error:
                raise UserError(f'The cell {column}, delay {delay}, of the grid: {error}') from error
    return found


def run_grid(
    path: Path,
    options: Mapping[str, Any],
    output: Path,
    evaluate: Callable[[EvaluationSettings], Mapping[str, Any]],
) -> str:
    """Runs what is missing, cell by cell, and writes and returns the table. Typed again, it goes on."""
    grid = load_settings(path, Grid, 'The grid')
    results: dict[tuple[str, str], Mapping[str, Any]] = {}
    text = ''
    for (column, delay), settings in cells(grid, options, output).items():
        print(f'{column}, delay {delay}', file=sys.stderr)
        results[column, delay] = evaluate(settings)
        text = as_table(results)
        write_whole(output / TABLE, text)  # after each cell, so that a grid of hours can be looked at
    return text


def as_table(results: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """Markdown, a row for each cell. Seams and jerk are in the units of docs/execution.md."""
    head = ('execution', 'delay', 'success', '95 % interval', 's to success', 'held', 'seam velocity', 'jerk', 'late')
    lines = [f'| {" | ".join(head)} |', f'|{"---|" * len(head)}']
    for (column, delay), result in results.items():
        mean = result['mean']
        seconds = mean['seconds_to_success']
        row = (
            column,
            delay,
            f'{percent(mean["rate"])} of {mean["rollouts"]}',
            f'{percent(mean["low"])} to {percent(mean["high"])}',
            '' if seconds is None else f'{seconds:.2f}',
            percent(mean['share_held']),
            f'{mean["seam_velocity"]:.3g}' if mean['seams'] else '',
            f'{mean["jerk"]:.3g}',
            f'{mean["chunks_late"]}',
        )
        lines.append(f'| {" | ".join(row)} |')
    return '\n'.join(lines) + '\n'
