"""Recordings that are given twice, or that a data set holds already, whatever they are called: each counts once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from mode_ros.training.data.recordings import Recording


@dataclass(frozen=True)
class Counted:
    """keyed: the recordings by what is in them, each once; notes: what is to be said about those that are there twice;
    refused: 'recording: reason' for those that cannot be taken beside what the data set holds.
    """

    keyed: dict[str, Recording]
    notes: tuple[str, ...]
    refused: tuple[str, ...]


def count_once(recordings: Sequence[Recording], sources: Mapping[str, Any]) -> Counted:
    """sources: what the data set holds, by key."""
    keyed: dict[str, Recording] = {}
    notes, refused = [], []
    wholes = _Wholes(sources.values())
    origins = {source['origin']: (source['key'], source['name']) for source in sources.values() if source.get('origin')}
    # A key is of what is in the bag, so each is read.
    parts = [recording.parts() for recording in tqdm(recordings, desc='reading', unit='recording', delay=2.0)]
    for recording, made_of in zip(recordings, parts, strict=True):
        wholes.add(recording.path, made_of)
    for recording, made_of in zip(recordings, parts, strict=True):
        key = made_of[0] if len(made_of) == 1 else recording.key()
        if sources and key not in sources and recording.former_key() in sources:
            key = recording.former_key()
        if origin := recording.origin():
            own, name = origins.setdefault(origin, (key, recording.name))
            if own != key:
                told = json.loads(origin)
                notes.append(
                    f'{recording.path} is the demonstration of {told["task"]} with the seed {told["seed"]} that '
                    f'{name} holds, and counts once'
                )
                continue
        if whole := wholes.of(made_of):
            notes.append(f'{recording.path} is a part of {whole}, and counts once')
            continue
        if key not in sources and (part := wholes.known_part(made_of)):
            refused.append(
                f'{recording.name}: the data set holds a part of it as a recording of its own ({part}), which would '
                'count twice; make the data set anew'
            )
            continue
        first = keyed.setdefault(key, recording)
        if first.path.absolute() != recording.path.absolute():
            notes.append(f'{recording.path} is the same recording as {first.path}, and counts once')
    return Counted(keyed, tuple(notes), tuple(refused))


class _Wholes:
    """Recordings of several files, to tell where one of these is given on its own, too."""

    def __init__(self, sources: Iterable[Mapping[str, Any]]) -> None:
        """sources: what the data set holds."""
        self._whole: dict[str, tuple[str, int]] = {}
        self._single: dict[str, str] = {}
        for source in sources:
            self.add(source['name'], source.get('parts', ()))
            if len(source.get('parts', ())) == 1:
                self._single[source['parts'][0]] = source['name']

    def add(self, name: object, parts: Sequence[str]) -> None:
        for part in parts:
            if len(parts) > self._whole.get(part, ('', 1))[1]:
                self._whole[part] = str(name), len(parts)

    def of(self, parts: Sequence[str]) -> str:
        """The recording that all these files are of, and others; '' where there is none."""
        found = {self._whole.get(part, ('', 0)) for part in parts}
        name, size = found.pop() if len(found) == 1 else ('', 0)
        return name if size > len(parts) else ''

    def known_part(self, parts: Sequence[str]) -> str:
        """A recording of the data set that is one of several files; '' where none is."""
        return next((self._single[part] for part in parts if part in self._single), '') if len(parts) > 1 else ''
