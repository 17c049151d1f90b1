"""Viewers of a page, as browsers are: the next picture is asked for when the last one is shown. Prints JSON.

python -m mode_ros.bench_page.viewer URL --viewers 10 --seconds 15 [--pause 1.0]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.asyncio.client import connect

from mode_ros.with_parent import end_with_parent

CAMERAS = ('camera_0', 'camera_1')


class Seen:
    """When pictures came, and how old they were."""

    def __init__(self) -> None:
        self.ages: list[float] = []
        self.sizes: list[int] = []
        self._numbers: list[tuple[float, Mapping[str, Any]]] = []

    def hear(self, now: float, state: Mapping[str, Any]) -> None:
        """What the page tells of its cameras. now: seconds of a steady clock."""
        self._numbers = [*self._numbers[:1], (now, state.get('cameras', {}))]

    def arriving(self) -> float:
        """Messages a second that reach the page, of the camera that has fewest; 0 where it does not tell."""
        if len(self._numbers) < 2:
            return 0.0
        (began, first), (ended, last) = self._numbers
        return min(((last[name]['number'] - first[name]['number']) / (ended - began) for name in first), default=0.0)

    def told(self, seconds: float, viewers: int) -> dict[str, float]:
        """`rate`: pictures a second of a camera at a viewer; `arriving` at the page; age (s), from the stamp to the
        arrival at the viewer: p50, p95, max.
        """
        ages = np.array(self.ages or [float('inf')])
        return {
            'rate': len(self.ages) / seconds / viewers / len(CAMERAS),
            'arriving': self.arriving(),
            'age p50': float(np.percentile(ages, 50)),
            'age p95': float(np.percentile(ages, 95)),
            'age max': float(ages.max()),
            'kB': float(np.mean(self.sizes or [0])) / 1000,
        }


async def _watch_camera(host: str, name: str, until: float, pause: float, seen: Seen) -> None:
    async with connect(f'ws://{host}/cameras/{name}', max_size=None) as socket:
        while time.monotonic() < until:
            await socket.send('next')
            try:
                data = await asyncio.wait_for(socket.recv(), max(until - time.monotonic(), 0.01))
            except asyncio.TimeoutError:
                return
            assert isinstance(data, bytes)
            # On this machine the way takes no time that counts.
            seen.ages.append(struct.unpack_from('<d', data)[0])
            seen.sizes.append(len(data))
            if pause:
                await asyncio.sleep(pause)


async def _watch_state(host: str, until: float, seen: Seen) -> None:
    async with connect(f'ws://{host}/state', max_size=None) as socket:
        while time.monotonic() < until:
            try:
                text = await asyncio.wait_for(socket.recv(), max(until - time.monotonic(), 0.01))
            except asyncio.TimeoutError:
                return
            seen.hear(time.monotonic(), json.loads(text))


async def watch(url: str, viewers: int, seconds: float, pause: float) -> dict[str, float]:
    """What so many viewers see in so long. pause: s for which a slow one shows each picture."""
    host, until, seen = urlsplit(url).netloc, time.monotonic() + seconds, Seen()
    watching = [_watch_camera(host, name, until, pause, seen) for name in CAMERAS for _ in range(viewers)]
    await asyncio.gather(*watching, *(_watch_state(host, until, seen) for _ in range(viewers)))
    return seen.told(seconds, viewers)


def main() -> None:
    """Watches and prints."""
    end_with_parent()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('url')
    parser.add_argument('--viewers', type=int, default=1)
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--pause', type=float, default=0.0)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(watch(given.url, given.viewers, given.seconds, given.pause))))


if __name__ == '__main__':
    main()
