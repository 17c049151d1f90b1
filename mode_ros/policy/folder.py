"""Which files a checkpoint has. No torch: what is missing can be told before it is imported, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from mode_ros.errors import UserError, in_words

WEIGHTS, CONFIG, STATISTICS, CONTRACT = 'weights.safetensors', 'config.json', 'statistics.json', 'contract.yaml'
FILES = (WEIGHTS, CONFIG, STATISTICS, CONTRACT)


def require_files(folder: Path) -> None:
    """Raises UserError unless `folder` has every file of a checkpoint."""
    if not folder.is_dir():
        raise UserError(f'There is no checkpoint folder {folder}.')
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        raise UserError(f'The checkpoint {folder} has no {absent[0]}; it needs {", ".join(FILES)}.')


def read_text(path: Path) -> str:
    """The text of a file; UserError where it has none."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path} cannot be read as text ({in_words(error)}).') from error
