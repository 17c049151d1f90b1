"""A draft of a contract as YAML that a person can read and change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mode_ros.control.contract import parse_contract
from mode_ros.drivers.draft import Draft
from mode_ros.errors import UserError
from mode_ros.whole_files import write_whole

HEAD = """\
# Written by `mode_ros contract new` from a running robot. Names, joints and bounds are what the graph told; max_step is
# 0.3 of each joint's own speed. What each key means: docs/contract.md. What the drivers need: docs/drivers.md.
"""


def contract_text(draft: Draft) -> str:
    """The YAML, which has been read back: a UserError names what does not fit, before anything is written."""
    notes = ''.join(f'# Look at: {note}\n' for note in draft.notes)
    text = HEAD + notes + _block(draft.values)
    parse_contract(text, 'that would be written')
    return text


def write_contract(draft: Draft, target: Path) -> None:
    """Writes the file whole or not at all; UserError where that is not possible."""
    text = contract_text(draft)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, text)
    except OSError as error:
        raise UserError(f'{target} cannot be written: {error.strerror or error}. Give another place.') from error


def _block(values: Any) -> str:
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Sections as blocks; what stands on one line in the contracts that come along stands on one here."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        plain = all(not isinstance(value, (dict, list)) for value in dict(mapping).values())
        return super().represent_mapping(tag, mapping, plain)

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        plain = all(not isinstance(value, (dict, list)) for value in sequence)
        return super().represent_sequence(tag, sequence, plain)
