"""The page's own addresses: files, WebSockets for what is shown, requests for what is done.

    GET  /  /static/…      the page
    GET  /about            what does not change until the server starts anew
    WS   /state            what is shown, as JSON: when it has changed, and once a second; says stop, too
    WS   /cameras/NAME     pictures: each after the viewer has said that it has shown the one before
    WS   /drive            what is held down
    POST /stop /release /goal /goals /call/NODE/WORD

and those of the tabs that it is given (tabs.py). Everything else is not found. Nothing that is asked for
names a file, a topic or a piece of code. A browser lets few requests through at once, and the others wait: so stop is
said on a line that is open, too, and what moves the robot is refused where it comes late (press.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import struct
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from mode_ros.page.answers import read_json, said
from mode_ros.page.driving import AHEAD, Malformed, parse_held
from mode_ros.page.goals import check_goal
from mode_ros.page.pictures import Camera
from mode_ros.page.press import PRESS, PRESSED, Stops, too_late
from mode_ros.page.robot import CONTROLLER_CALLS, RECORDER_CALLS, Robot
from mode_ros.page.tabs import STATIC, Tab, page_with

STATE_SECONDS = 0.2
HEARTBEAT_SECONDS = 1.0
# The browser takes the clock from what came fastest: more of it is more of such.
CLOCK_SECONDS = 0.2
# From one picture that a viewer is sent to the next, at least: each costs an encoding.
PICTURE_SECONDS = 1 / 15
MAX_GOALS = 50
MAX_PRESS = 40
NO_GOALS = 'No goal is given: write some with semicolons between them.'

_CALLS = {'controller': CONTROLLER_CALLS, 'recorder': RECORDER_CALLS, 'simulator': ('reset',), 'goals': ('next',)}


class _Shown:
    """The state, made once for all viewers."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._state: Mapping[str, Any] = {}
        self._at = -1.0

    def forget(self) -> None:
        """What is shown next is as it is then."""
        self._at = -1.0

    def state(self) -> Mapping[str, Any]:
        now = asyncio.get_running_loop().time()
        if now - self._at >= STATE_SECONDS / 2:
            self._state, self._at = self._robot.state(), now
        return self._state


def make_application(robot: Robot, tabs: Sequence[Tab] = ()) -> Starlette:
    """The application, without the guard in front of it. tabs: those beside Run and Drive and record."""
    pages = _Pages(robot, page_with(tabs))
    return Starlette(
        routes=[
            Route('/', pages.index),
            Route('/about', pages.about),
            Route('/stop', pages.stop, methods=['POST']),
            Route('/release', _in_time(pages.release), methods=['POST']),
            Route('/goal', _in_time(pages.goal), methods=['POST']),
            Route('/goals', _in_time(pages.goals), methods=['POST']),
            Route('/call/{node}/{word}', _in_time(pages.call), methods=['POST']),
            WebSocketRoute('/state', pages.state),
            WebSocketRoute('/cameras/{name}', pages.camera),
            WebSocketRoute('/drive', pages.drive),
            *(route for tab in tabs for route in tab.routes),
            Mount('/static', _Fresh(directory=STATIC)),
        ]
    )


def _in_time(do: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def asked(request: Request) -> Response:
        problem = too_late(request.headers.get(PRESSED), time.monotonic())
        return said(False, problem, late=True) if problem else await do(request)

    return asked


class _Fresh(StaticFiles):
    """Asked for anew at each look, which costs little by their etags: scripts of two versions do not fit together."""

    def file_response(self, *given: Any, **more: Any) -> Response:
        response = super().file_response(*given, **more)
        response.headers['cache-control'] = 'no-cache'
        return response


class _Pages:
    def __init__(self, robot: Robot, page: str) -> None:
        self._robot, self._shown, self._page = robot, _Shown(robot), page
        self._start, self._stops = uuid.uuid4().hex, Stops()
        files = b''.join(path.read_bytes() for path in sorted(STATIC.iterdir()))
        self._version = hashlib.sha256(page.encode() + files).hexdigest()

    async def index(self, request: Request) -> Response:
        # A new version of mode_ros is a new page, at the next look.
        return HTMLResponse(self._page, headers={'cache-control': 'no-cache'})

    async def about(self, request: Request) -> Response:
        about = {**self._robot.about(), 'start': self._start, 'version': self._version}
        return JSONResponse(about, headers={'cache-control': 'no-store'})

    def _stop(self, press: str) -> bool:
        """Whether the press was new."""
        if not self._stops.is_new(press):
            return False
        self._robot.stop()
        self._stops.heard(press)
        self._shown.forget()
        return True

    async def stop(self, request: Request) -> Response:
        new = self._stop(request.headers.get(PRESS, '')[:MAX_PRESS])
        if not new and not self._robot.state()['estop']['own']:
            return said(False, 'That stop was heard, and has been released since: press again.')
        return said(True, 'Stop was said on estop.')

    async def release(self, request: Request) -> Response:
        return said(*await self._robot.release())

    async def goal(self, request: Request) -> Response:
        body = await read_json(request)
        goal, problem = check_goal(body.get('goal') if isinstance(body, dict) else None)
        if problem:
            return said(False, problem)
        self._robot.say_goal(goal)
        return said(True, f'The goal is "{goal}".')

    async def goals(self, request: Request) -> Response:
        body = await read_json(request)
        given = body.get('goals') if isinstance(body, dict) else None
        checked = (
            [check_goal(goal) for goal in given[:MAX_GOALS]] if isinstance(given, list) and given else [('', NO_GOALS)]
        )
        if problem := next((problem for _, problem in checked if problem), ''):
            return said(False, problem)
        self._robot.say_goals([goal for goal, _ in checked])
        return said(True, f'{len(checked)} goal{"s" if len(checked) > 1 else ""}, one after the other.')

    async def call(self, request: Request) -> Response:
        node, word = request.path_params['node'], request.path_params['word']
        if word not in _CALLS.get(node, ()):
            return Response(status_code=404)
        return said(*await self._robot.call(node, word))

    async def state(self, socket: WebSocket) -> None:
        await socket.accept()
        stopped = ''  # the last press that was heard here

        def hear(text: str) -> None:
            nonlocal stopped
            word, _, press = text.partition(' ')
            if word == 'stop':
                stopped = press[:MAX_PRESS]
                self._stop(stopped)

        async def send() -> None:
            last: Mapping[str, Any] = {}
            loop, at = asyncio.get_running_loop(), -HEARTBEAT_SECONDS
            while True:
                told = {'start': self._start, 'stopped': stopped, **self._shown.state()}
                if told != last or loop.time() - at >= HEARTBEAT_SECONDS:
                    # A slow viewer keeps this waiting, and is told the newest when it can hear again.
                    await socket.send_text(json.dumps({'clock': time.monotonic(), **told}, allow_nan=False))
                    last, at = told, loop.time()
                await asyncio.sleep(STATE_SECONDS)

        await _until_gone(socket, send, hear)

    async def camera(self, socket: WebSocket) -> None:
        camera = self._robot.cameras.get(socket.path_params['name'])
        if camera is None:
            await socket.close(1008)
            return
        await socket.accept()
        asked = asyncio.Event()

        async def send() -> None:
            loop, sent, due = asyncio.get_running_loop(), 0, 0.0
            while True:
                # What the viewer does not ask for is never sent, and so never waits on a slow line.
                await asked.wait()
                asked.clear()
                picture = None
                while picture is None:
                    await asyncio.sleep(max(due - loop.time(), 0.0))
                    # Woken by the picture: looking for one now and then would beat with the camera's own rate.
                    await _newer(camera, sent)
                    due = loop.time() + PICTURE_SECONDS
                    # Read before: while this one turns out not to be shown, the next may have come.
                    sent = camera.number
                    picture = await asyncio.to_thread(camera.newest)
                sent = picture.number
                await socket.send_bytes(struct.pack('<d', self._robot.age(picture.stamp)) + picture.data)

        await _until_gone(socket, send, lambda _: asked.set())

    async def drive(self, socket: WebSocket) -> None:
        await socket.accept()
        session, last = uuid.uuid4().hex, ''
        self._robot.come(session, f'a page at {socket.client.host if socket.client else "?"}')
        telling = asyncio.ensure_future(_tell_clock(socket))
        try:
            while True:
                refusal = self._robot.drive(session, parse_held(json.loads(await socket.receive_text())))
                if refusal != last:
                    await socket.send_json({'refused': refusal, 'ahead': refusal == AHEAD})
                    last = refusal
        except (Malformed, ValueError, KeyError, RecursionError):  # KeyError: bytes, where text belongs
            await socket.close(1008)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            self._robot.leave(session)
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await telling


async def _tell_clock(socket: WebSocket) -> None:
    """By it the browser says when it sent something (driving.py)."""
    while True:
        await socket.send_json({'clock': time.monotonic()})
        await asyncio.sleep(CLOCK_SECONDS)


async def _newer(camera: Camera, than: int) -> None:
    """Until the camera has a message with a number over `than`."""
    loop, come = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(come.set)

    camera.tell(than, tell)
    try:
        await come.wait()
    finally:
        camera.forget(tell)


async def _until_gone(socket: WebSocket, send: Callable[[], Awaitable[None]], heard: Callable[[str], object]) -> None:
    """Sends until the viewer has gone; `heard` is called for every word of it."""
    sending = asyncio.ensure_future(send())
    try:
        while True:
            heard(await socket.receive_text())
    except (WebSocketDisconnect, RuntimeError, KeyError):
        pass
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await sending
