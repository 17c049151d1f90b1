"""A file of JSON lines that survives a crash: each is there whole or not at all, and what was finished stays."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mode_ros.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar('Record', bound=DataclassInstance)
else:
    Record = TypeVar('Record')


class JsonLines(Generic[Record]):
    """Records of one dataclass, in `path`."""

    def __init__(self, path: Path, kind: type[Record], name: str) -> None:
        """name: what a record is called in an error, 'an episode'."""
        self._path, self._kind, self._name = path, kind, name

    def append(self, record: Record) -> None:
        """Adds one, and waits until it is on disk."""
        line = json.dumps(dataclasses.asdict(record), ensure_ascii=False) + '\n'
        # One write to a file opened for appending: a reader, or a crash, sees all of the line or at most a torn end.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> list[Record]:
        """All of them, in the order of the file; UserError with the line that is none. A torn end is cut off: the
        machine stopped while it was written, and what it tells of is done again.
        """
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        whole = content.rfind(b'\n') + 1
        if whole < len(content):
            os.truncate(self._path, whole)
        return [self._record(number, line) for number, line in enumerate(content[:whole].splitlines(), start=1)]

    def _record(self, number: int, line: bytes) -> Record:
        try:
            found: Any = json.loads(line.decode(errors='replace'))
            return self._kind(**found)
        except (ValueError, TypeError) as error:
            raise UserError(f'{self._path}, line {number} is not {self._name} ({error}); remove that line.') from error
