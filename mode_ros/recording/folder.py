"""The folder of recordings: numbers, temporary names, and what is left of an episode whose recorder was killed.

recordings/episode_000000/           finished: a rosbag2 folder, never touched again
recordings/.episode_000001.partial/  being recorded: the same folder inside, and what is known about it
recordings/broken/                   what could not be recovered
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from mode_ros.alone import take_lock
from mode_ros.errors import UserError
from mode_ros.recording.bag import Bag
from mode_ros.recording.episode import Episode
from mode_ros.recording.salvage import Unsalvageable, salvaged_messages, salvaged_topics
from mode_ros.recording.topics import recorded_topics

BROKEN = 'broken'
_DESCRIPTION = 'episode.json'
_WHY_RECOVERED = 'the recorder ended without closing the bag; this is what had been written'
_NUMBER = re.compile(r'^\.?episode_(\d{6,})(\.partial)?(_\d+)?$')


class PartialEpisode:
    """An episode under its temporary name."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self.folder = root / f'.{name}.partial'

    @property
    def bag(self) -> Path:
        """Where its bag is written."""
        return self.folder / self.name

    def describe(self, episode: Episode) -> None:
        """Stores what the bag itself will say only when it is closed."""
        text = json.dumps(episode.to_custom_data())
        draft = self.folder / f'{_DESCRIPTION}.new'
        draft.write_text(text, encoding='utf-8')
        draft.replace(self.folder / _DESCRIPTION)

    def description(self) -> Episode | None:
        """What was stored last, None where nothing legible is left."""
        try:
            custom = json.loads((self.folder / _DESCRIPTION).read_text(encoding='utf-8'))
            return Episode.from_custom_data(custom, str(self.folder))
        except (OSError, ValueError, UserError):
            return None

    def complete(self, bag: Path | None = None) -> Path:
        """Gives the finished bag its final name, all at once, and returns it."""
        final = self.root / self.name
        # rename() would replace an empty folder of that name in silence.
        if final.exists():
            raise FileExistsError(errno.EEXIST, 'there is an episode of that name already', str(final))
        (bag or self.bag).rename(final)
        self.remove()
        return final

    def remove(self) -> None:
        """Removes everything under the temporary name."""
        shutil.rmtree(self.folder, ignore_errors=True)


class RecordingFolder:
    """A folder that one recorder at a time writes to."""

    def __init__(self, root: Path) -> None:
        """Makes the folder where it is missing; a UserError says why it cannot be used."""
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._lock: IO[bytes] = (root / '.lock').open('ab')
        except OSError as error:
            raise UserError(
                f'The folder {root} cannot hold recordings: {error.strerror or error}. Give another one as `folder`.'
            ) from error
        if not take_lock(self._lock):
            self._lock.close()
            raise UserError(f'Another recorder is writing to {root}; stop it, or give another folder as `folder`.')

    def close(self) -> None:
        """Lets another recorder in."""
        self._lock.close()

    def new_episode(self) -> PartialEpisode:
        """A name that no episode has had, with its temporary folder made."""
        names = [path.name for path in (*self.root.iterdir(), *self._broken().glob('*'))]
        numbers = [int(match.group(1)) for name in names if (match := _NUMBER.match(name))]
        partial = PartialEpisode(self.root, f'episode_{max(numbers, default=-1) + 1:06d}')
        partial.folder.mkdir()
        return partial

    def finished(self) -> list[Path]:
        """Finished episodes in order."""
        return sorted(path for path in self.root.glob('episode_*') if path.is_dir() and _NUMBER.match(path.name))

    def recover(self) -> Iterator[str]:
        """Saves what killed recorders left, one sentence about each. Finished episodes are not touched."""
        for folder in sorted(self.root.glob('.episode_*.partial')):
            partial = PartialEpisode(self.root, folder.name.removeprefix('.').removesuffix('.partial'))
            try:
                yield self._recover(partial)
            except Unsalvageable as error:
                yield self._set_aside(partial, str(error))
            except OSError as error:
                # Full disk, no permission: nothing is wrong with the recording itself.
                yield (
                    f'{partial.folder.name} is not recovered yet ({error.strerror or error}); it stays as it is and '
                    'is tried again at the next start.'
                )

    def _recover(self, partial: PartialEpisode) -> str:
        if not partial.bag.exists():
            if (self.root / partial.name).exists() or not any(partial.folder.iterdir()):
                partial.remove()
                return f'{partial.folder.name} held nothing more and is removed.'
            raise Unsalvageable('it holds no bag')
        if (partial.bag / 'metadata.yaml').exists():
            final = partial.complete()
            return f'{final.name} was complete and has got its name.'
        episode = partial.description()
        if episode is None:
            raise Unsalvageable('its description, and with it the robot contract, is missing or damaged')
        files = sorted(partial.bag.glob('*.mcap'))
        if not files:
            raise Unsalvageable('its bag holds no MCAP file')
        folder = partial.folder / 'recovered'
        shutil.rmtree(folder, ignore_errors=True)
        count, seconds = _rewrite(files[0], folder / partial.name, episode)
        partial.complete(folder / partial.name)
        return f'{partial.name} was not closed; recovered {count} messages, {seconds:.1f} s.'

    def _set_aside(self, partial: PartialEpisode, why: str) -> str:
        self._broken().mkdir(exist_ok=True)
        target = self._broken() / partial.name
        number = 0
        while target.exists():
            number += 1
            target = self._broken() / f'{partial.name}_{number}'
        partial.folder.rename(target)
        with contextlib.suppress(OSError):
            (target / 'why.txt').write_text(f'{why}\n')
        return f'{partial.name} cannot be recovered: {why}. It is set aside in {os.path.relpath(target, self.root)}.'

    def _broken(self) -> Path:
        return self.root / BROKEN


def _rewrite(source: Path, target: Path, episode: Episode) -> tuple[int, float]:
    """Writes the whole messages of a torn file into a new bag; returns their number and span in seconds."""
    topics = salvaged_topics(source)
    latched = {episode.topic(topic.name) for topic in recorded_topics(episode.contract(str(source))) if topic.latched}
    bag = Bag(target)
    try:
        for topic in topics:
            bag.add(topic.name, topic.type, topic.name in latched)
        count, first, last = 0, None, 0
        for topic_name, time_ns, data in salvaged_messages(source):
            bag.write(topic_name, time_ns, data)
            first, last, count = time_ns if first is None else min(first, time_ns), max(last, time_ns), count + 1
        if first is None:
            raise Unsalvageable('no whole message is in it')
        bag.close(replace(episode, recovered=_WHY_RECOVERED).to_custom_data())
    except BaseException:
        bag.abort()
        raise
    return count, (last - first) / 1e9
