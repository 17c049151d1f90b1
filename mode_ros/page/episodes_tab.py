"""The tab Episodes: recordings and data sets to look at, to edit, to convert and to replay.

    WS   /episodes/state                         what there is, and what runs, when it changes
    GET  /episodes/of/KEY                        its episodes
    GET  /episodes/of/KEY/NUMBER                 one: numbers over time, pictures
    GET  /episodes/of/KEY/NUMBER/video/CAMERA    its video, also in parts (Range)
    GET  /episodes/of/KEY/doctor                 what is suspicious
    POST /episodes/of/KEY/edit, /convert, /replay
    POST /episodes/cancel

Everything is a command that a person could type (episode_commands.py); what it says is what the page shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mode_ros.errors import UserError
from mode_ros.page.answers import NO_STORE, read_json, said
from mode_ros.page.episode_commands import RUN, NotAsked, convert_command, edit_command, replay_command
from mode_ros.page.episode_job import EpisodeJob
from mode_ros.page.lookup import Lookup
from mode_ros.page.shelf import Item, Shelf
from mode_ros.page.tabs import Tab

STATE_SECONDS = 1.0
HEARTBEAT_SECONDS = 5.0
# Enough for the numbers of some ten thousand chosen episodes.
MAX_EDIT_BYTES = 200_000
GONE = 'It is not there any more: it was moved, renamed or removed.'


@dataclass(frozen=True)
class EpisodeFolders:
    """shelf: what is shown; data: where new data sets are made; jobs: where a job is kept; contract: for what names
    none; run: what a command begins with.
    """

    shelf: Sequence[Path]
    data: Path
    jobs: Path
    contract: str = ''
    run: Sequence[str] = RUN


def make_episodes_tab(folders: EpisodeFolders) -> Tab:
    """The tab with its addresses."""
    served = _Episodes(folders)
    return Tab(
        'episodes',
        'Episodes',
        (
            WebSocketRoute('/episodes/state', served.state),
            Route('/episodes/cancel', served.cancel, methods=['POST']),
            Route('/episodes/of/{key}', served.listing),
            Route('/episodes/of/{key}/doctor', served.doctor),
            Route('/episodes/of/{key}/edit', served.edit, methods=['POST']),
            Route('/episodes/of/{key}/convert', served.convert, methods=['POST']),
            Route('/episodes/of/{key}/replay', served.replay, methods=['POST']),
            Route('/episodes/of/{key}/{number:int}', served.episode),
            Route('/episodes/of/{key}/{number:int}/video/{camera}', served.video),
        ),
    )


class _Episodes:
    def __init__(self, folders: EpisodeFolders) -> None:
        self._folders = folders
        self._shelf = Shelf(folders.shelf)
        self._job = EpisodeJob(folders.jobs, folders.run)
        self._lookup: Lookup | None = None
        self._text, self._at = '', -1.0
        self._looking = asyncio.Lock()

    # ---- what is told -----------------------------------------------------------------------------------------

    async def state(self, socket: WebSocket) -> None:
        await socket.accept()

        async def send() -> None:
            last, at = '', -HEARTBEAT_SECONDS
            while True:
                text = await self._told()
                if text != last or time.monotonic() - at >= HEARTBEAT_SECONDS:
                    await socket.send_text(text)
                    last, at = text, time.monotonic()
                await asyncio.sleep(STATE_SECONDS / 2)

        sending = asyncio.ensure_future(send())
        try:
            while True:
                await socket.receive_text()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sending

    async def _told(self) -> str:
        """Made once for all viewers, and only while there are any."""
        async with self._looking:
            if time.monotonic() - self._at >= STATE_SECONDS / 2:
                self._text = await asyncio.to_thread(self._look)
                self._at = time.monotonic()
            return self._text

    def _look(self) -> str:
        items = [
            {'key': item.key, 'kind': item.kind, 'name': item.name, 'version': item.version}
            for item in self._shelf.items()
        ]
        folders = [str(folder) for folder in self._shelf.folders]
        return json.dumps({'items': items, 'job': self._job.told(), 'folders': folders}, allow_nan=False)

    async def listing(self, request: Request) -> Response:
        item = await self._item(request)
        if item is None:
            return _problem(GONE)
        told = await self._list(item)
        return _problem(told) if isinstance(told, str) else _json({**told, 'name': item.name, 'version': item.version})

    async def episode(self, request: Request) -> Response:
        item = await self._item(request)
        if item is None:
            return _problem(GONE)
        told = await self._episode(item, request.path_params['number'])
        if isinstance(told, str):
            return _problem(told)
        # Where the files are is the server's business.
        videos = {
            camera: {'start': video['start'], 'seconds': video['seconds']} for camera, video in told['videos'].items()
        }
        return _json({**told, 'videos': videos})

    async def video(self, request: Request) -> Response:
        item = await self._item(request)
        told = None if item is None else await self._episode(item, request.path_params['number'])
        if item is None or told is None or isinstance(told, str):
            return Response(status_code=404)
        found = told['videos'].get(request.path_params['camera'])
        # A data set from elsewhere says itself where its videos are: none but its own are shown.
        if found is None or not _own_video(Path(found['path']), item.path):
            return Response(status_code=404)
        return FileResponse(found['path'], media_type='video/mp4', headers=NO_STORE)

    async def doctor(self, request: Request) -> Response:
        item = await self._item(request)
        if item is None:
            return _problem(GONE)
        answer = await self._looked(['doctor', str(item.path), *await self._named(item)], item.version)
        if answer.status not in (0, 3):
            return _problem(answer.words)
        return _json({'suspicious': answer.status == 3, 'lines': answer.output.splitlines()})

    # ---- what is done -----------------------------------------------------------------------------------------

    async def edit(self, request: Request) -> Response:
        item, body = await self._item(request), await _body(request)
        if item is None:
            return said(False, GONE)
        return await self._start(request, lambda: edit_command(item, body), 'edit', item)

    async def convert(self, request: Request) -> Response:
        item, body = await self._item(request), await _body(request)
        if item is None:
            return said(False, GONE)
        into = body.get('into')
        target = await asyncio.to_thread(self._shelf.find, into) if isinstance(into, str) and into else None
        if into and target is None:
            return said(False, GONE)
        named = await self._named(item)
        contract = named[1] if named else ''
        keep = body.get('keep_failures') is True
        return await self._start(
            request,
            lambda: convert_command(item, target, body.get('name'), self._folders.data, contract, keep),
            'convert',
            item,
        )

    async def replay(self, request: Request) -> Response:
        item, body = await self._item(request), await _body(request)
        if item is None:
            return said(False, GONE)
        return await self._start(
            request, lambda: replay_command(item, body.get('episode'), body.get('revision')), 'replay', item
        )

    async def cancel(self, request: Request) -> Response:
        return said(*await asyncio.to_thread(self._job.cancel))

    async def _start(self, request: Request, command: Any, kind: str, item: Item) -> Response:
        who = f'a page at {request.client.host if request.client else "?"}'
        try:
            words = await asyncio.to_thread(self._job.start, command(), who, {'kind': kind, 'item': item.key})
        except (NotAsked, UserError) as error:
            return said(False, str(error))
        self._at = -1.0
        return said(True, f'{words} has been started.')

    # ---- looking ----------------------------------------------------------------------------------------------

    async def _item(self, request: Request) -> Item | None:
        return await asyncio.to_thread(self._shelf.find, request.path_params['key'])

    async def _looked(self, command: Sequence[str], version: str) -> Any:
        if self._lookup is None:  # belongs to the loop that it is asked in
            self._lookup = Lookup(self._folders.run)
        return await self._lookup.ask(command, version)

    async def _ask(self, item: Item, command: Sequence[str]) -> dict[str, Any] | str:
        """What a command told as JSON, or why it did not."""
        answer = await self._looked(command, item.version)
        if answer.status:
            return str(answer.words) or f'The command ended with {answer.status}.'
        try:
            told: dict[str, Any] = json.loads(answer.output)
        except ValueError as error:
            return f'What the command told cannot be read: {error}.'
        return told

    async def _episode(self, item: Item, number: int) -> dict[str, Any] | str:
        named = await self._named(item)
        return await self._ask(item, ['episodes', str(item.path), '--show', str(number), '--json', *named])

    async def _list(self, item: Item) -> dict[str, Any] | str:
        return await self._ask(item, ['episodes', str(item.path), '--json'])

    async def _named(self, item: Item) -> list[str]:
        """The page's contract, for what names none."""
        told = await self._list(item)
        unknown = isinstance(told, dict) and told.get('robot') is None
        return ['--contract', self._folders.contract] if unknown and self._folders.contract else []


async def _body(request: Request) -> dict[str, Any]:
    found = await read_json(request, MAX_EDIT_BYTES)
    return found if isinstance(found, dict) else {}


def _own_video(path: Path, root: Path) -> bool:
    found = path.resolve()
    return found.suffix == '.mp4' and found.is_relative_to(root.resolve()) and found.is_file()


def _json(told: Any) -> Response:
    return JSONResponse(told, headers=NO_STORE)


def _problem(words: str) -> Response:
    return _json({'problem': words})
