"""Finding a robot contract by name or path."""

from __future__ import annotations

import difflib
from pathlib import Path

from mode_ros.control.contract import Contract, parse_contract, read_contract_text
from mode_ros.errors import UserError
from mode_ros.paths import share_folder


def find_contract(name_or_path: str) -> Path:
    """The file of a contract given as a path, or as a name in config/robots; UserError lists the near names."""
    if not name_or_path:
        raise UserError(f'No robot contract is given: set `contract` to one of {known_robots()} or to a YAML file.')
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    named = share_folder() / 'config' / 'robots' / f'{name_or_path}.yaml'
    if named.is_file():
        return named
    near = difflib.get_close_matches(path.stem, known_robots(), n=1)
    hint = f'did you mean {near[0]!r}?' if near else f'known robots are {known_robots()}.'
    raise UserError(f'The robot contract {name_or_path!r} is neither a file nor a known robot; {hint}')


def load_named_contract(name_or_path: str) -> tuple[Contract, str]:
    """The contract and its text."""
    path = find_contract(name_or_path)
    text = read_contract_text(path)
    return parse_contract(text, str(path)), text


def known_robots() -> list[str]:
    """Names in config/robots."""
    return sorted(path.stem for path in (share_folder() / 'config' / 'robots').glob('*.yaml'))
