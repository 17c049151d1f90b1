"""Commands that only look: what is said of one that gives no answer."""

import asyncio
import sys

from mode_ros.page import lookup


def test_one_that_takes_too_long_is_named_by_its_verb(monkeypatch):
    monkeypatch.setattr(lookup, 'LONGEST_SECONDS', 0.2)

    async def ask():
        asked = lookup.Lookup((sys.executable, '-c', 'import time; time.sleep(60)'))
        return await asked.ask(['episodes', 'drawers', '--json', '--contract', 'my_arm'], 'one')

    assert asyncio.run(ask()).words == 'No answer within 0.2 s; look at it with `mode_ros episodes …`.'
