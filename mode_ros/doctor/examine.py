"""Finds out what was named, and lets the right part look at it."""

from __future__ import annotations

import json
from pathlib import Path

from mode_ros.checks.contract import contract_slips
from mode_ros.checks.finding import Finding
from mode_ros.doctor.page import Page
from mode_ros.errors import UserError
from mode_ros.robots import load_named_contract


def examine(name: str, contract: str = '') -> Page:
    """name: a data set, bags, a checkpoint, or a contract by name or path; contract: for data that carry none.

    Raises UserError for what is none of these.
    """
    path = Path(name)
    if path.is_dir():
        if (path / 'meta' / 'info.json').is_file():
            from mode_ros.doctor.data_set import examine_data_set

            return examine_data_set(path, load_named_contract(contract)[0] if contract else None)
        if _is_checkpoint(path):
            from mode_ros.doctor.checkpoint import examine_checkpoint

            return examine_checkpoint(path)
    if path.exists() and path.suffix not in ('.yaml', '.yml'):
        from mode_ros.doctor.recordings import examine_recordings
        from mode_ros.training.data.inputs import find_recordings, is_recording_file
        from mode_ros.training.data.strays import passed_over

        if path.is_file() and not is_recording_file(path):
            raise UserError(
                f'{name} is no data set, recording, checkpoint or contract: name the folder of one of the first three, '
                'a bag (.mcap, .db3), a LIBERO file, or a contract (.yaml).'
            )
        text = load_named_contract(contract)[1] if contract else None
        recordings = find_recordings([path], 'auto')
        page = examine_recordings(path, recordings, text)
        page.add([Finding('passed over', f'{stray}.') for stray in passed_over([path], recordings)])
        return page
    try:
        return examine_contract(name)
    except UserError as error:
        if path.exists():
            raise
        raise UserError(f'There is no data set, recording or checkpoint at {name}, and no contract: {error}') from error


def examine_contract(name: str) -> Page:
    """A contract by its name in config/robots or its path."""
    found, _ = load_named_contract(name)
    page = Page(
        f'Contract {name}',
        [
            ('robot', f'{found.robot}, {found.rate:g} Hz'),
            ('sees', ', '.join(stream.name for stream in found.observation.streams)),
            ('commands', ', '.join(f'{group.name} ({len(group.names)}, {group.kind})' for group in found.action)),
        ],
    )
    page.add(contract_slips(found))
    return page


def _is_checkpoint(path: Path) -> bool:
    try:
        return 'format_version' in json.loads((path / 'config.json').read_text())
    except (OSError, ValueError, TypeError):
        return False
