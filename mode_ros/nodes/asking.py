"""Services asked from the page's event loop, while the answers come in on ROS's thread."""

from __future__ import annotations

import asyncio
from typing import Any

# A service that has nothing to wait for, and does not answer for so long, has a node that does not (seconds).
ANSWER_SECONDS = 5.0


class NotAnswered(Exception):
    """Why there is no answer, in a sentence."""


async def ask(client: Any, request: Any, node: str, word: str, seconds: float = ANSWER_SECONDS) -> Any:
    """The response of a service of `node`; raises NotAnswered. word: what is asked for, to name it."""
    if not client.service_is_ready():
        raise NotAnswered(f'{node} is not running: nobody offers its service {word}.')
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Any] = loop.create_future()

    def give(result: Any) -> None:
        if not answered.done():  # nobody waits any more
            answered.set_result(result)

    def take(done: Any) -> None:
        error = done.exception()
        result = error if error is not None else done.result()
        loop.call_soon_threadsafe(give, result)

    client.call_async(request).add_done_callback(take)
    try:
        result = await asyncio.wait_for(answered, seconds)
    except asyncio.TimeoutError:
        raise NotAnswered(f'{node} has not answered to {word} for {seconds:g} s.') from None
    if isinstance(result, BaseException):
        raise NotAnswered(f'{node} failed: {result}')
    return result
