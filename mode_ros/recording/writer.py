"""Writing an episode in a thread of its own, fed by a queue that is bounded in bytes and counts what it must refuse."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mode_ros.recording.bag import Bag
from mode_ros.recording.episode import Episode
from mode_ros.recording.folder import PartialEpisode

MEGABYTE = 1_000_000

# What a kill -9 can lose, in seconds; also how often the free space is looked at.
FLUSH_SECONDS = 1.0


@dataclass(frozen=True)
class Channel:
    """A topic of the bag. topic: full name; type: such as 'sensor_msgs/msg/Image'; publishers: how many there are."""

    topic: str
    type: str
    latched: bool = False
    publishers: int = 1


class EpisodeWriter:
    """One episode being written. `put` may be called from any thread and never waits for the disk."""

    def __init__(
        self,
        partial: PartialEpisode,
        channels: Sequence[Channel],
        describe: Callable[[], Episode],
        queue_bytes: int,
        min_free_bytes: int,
        open_bag: Callable[[Path], Bag] = Bag,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        """describe(): the episode as it stands, asked from the writer's thread whenever it is stored; what the queue
        had to refuse is added to its drops.
        """
        self._partial, self._describe = partial, describe
        self._queue_bytes, self._min_free_bytes = queue_bytes, min_free_bytes
        self._free_bytes = free_bytes
        self._bag = open_bag(partial.bag)
        for channel in channels:
            self._bag.add(channel.topic, channel.type, channel.latched, channel.publishers)
        self._queue: deque[tuple[str, int, bytes]] = deque()
        self._queued = 0
        self._changed = threading.Condition()
        self._ending = self._aborting = False
        self._failure = ''
        self._finished: Path | None = None
        self.written = 0
        self.bytes = 0
        self.refused: Counter[str] = Counter()
        partial.describe(self._description())
        self._thread = threading.Thread(target=self._run, name='episode writer', daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str:
        """Why writing stopped by itself, as a sentence; '' while all is well."""
        return self._failure

    @property
    def queued_bytes(self) -> int:
        return self._queued

    def put(self, topic: str, time_ns: int, data: bytes) -> bool:
        """Queues a serialised message; False when the disk is too far behind (see `refused`) or writing has ended."""
        with self._changed:
            if self._ending or self._failure:
                return False
            if self._queued + len(data) > self._queue_bytes:
                self.refused[topic] += 1
                return False
            self._queue.append((topic, time_ns, data))
            self._queued += len(data)
            self._changed.notify()
        return True

    def finish(self, timeout: float) -> Path | None:
        """Writes what is queued, closes the bag and gives it its final name, which is returned.

        None when that failed (see `failure`) or took longer than `timeout` seconds: then what is written stays under
        its temporary name, and the next start recovers it.
        """
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(timeout)
        return self._finished

    def discard(self, timeout: float) -> None:
        """Stops writing and removes the episode."""
        with self._changed:
            self._ending = self._aborting = True
            self._queue.clear()
            self._queued = 0
            self._changed.notify()
        self._thread.join(timeout)
        self._partial.remove()

    # ---- the writer's thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_until_end()
            if self._aborting:
                self._bag.abort()
                return
            self._bag.close(self._description().to_custom_data())
            self._finished = self._partial.complete()
        except OSError as error:
            self._fail(error)
        except BaseException as error:  # a thread's exception would pass in silence
            self._fail(error)
            raise

    def _write_until_end(self) -> None:
        flushed = time.monotonic()
        while True:
            with self._changed:
                if not self._queue and not self._ending:
                    self._changed.wait(FLUSH_SECONDS)
                if not self._queue and self._ending:
                    return
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), 16))]
            for topic, time_ns, data in batch:
                self._bag.write(topic, time_ns, data)
                self.written += 1
                self.bytes += len(data)
            with self._changed:
                self._queued = max(self._queued - sum(len(data) for _, _, data in batch), 0)
            if time.monotonic() - flushed > FLUSH_SECONDS:
                flushed = time.monotonic()
                self._bag.flush()
                self._partial.describe(self._description())
                self._look_at_space()

    def _description(self) -> Episode:
        episode = self._describe()
        return replace(episode, drops=dict(Counter(episode.drops) + self.refused))

    def _look_at_space(self) -> None:
        free = self._free_bytes(self._partial.bag)
        if free < self._min_free_bytes and not self._ending:
            with self._changed:
                # While there still is room for the index: the episode ends here, whole and readable.
                self._failure = (
                    f'The disk of {self._partial.root} has only {free / MEGABYTE:.0f} MB left (limit '
                    f'{self._min_free_bytes / MEGABYTE:.0f} MB), so recording has stopped and the episode up to here '
                    'is kept; free some space before the next.'
                )
                self._ending = True

    def _fail(self, error: BaseException) -> None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = 'the disk is full' if full else f'{type(error).__name__}: {error}'
        with self._changed:
            self._failure = (
                f'Recording to {self._partial.root} has stopped: {why}. Finished episodes are untouched; what was '
                f'written of this one is in {self._partial.folder.name} and is recovered at the next start'
                f'{" once there is space" if full else ""}.'
            )
            self._queue.clear()
            self._queued = 0
        self._bag.abort()
