"""Requests as JSON and the answer to them: whether it was done, and the words that the page shows."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MAX_BODY_BYTES = 4096
NO_STORE = {'cache-control': 'no-store'}


async def read_json(request: Request, most: int = MAX_BODY_BYTES) -> Any:
    """The request's body; None for what is none or longer than `most` bytes."""
    body = b''
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # the latter: a thousand brackets
        return None


def said(done: bool, words: str, **more: Any) -> Response:
    """What dom.js shows in the line at the top."""
    return JSONResponse({'done': done, 'words': words, **more}, headers=NO_STORE)
