"""Who may speak to the page: a layer around the whole application, through which every request must pass.

On a loopback address the page is for the person at this machine, so no token is asked for; but a browser there also
shows other people's pages. Those can send requests here, hence the checks of Host (a name that an attacker lets point
to 127.0.0.1) and of Origin (of a WebSocket or of anything that changes something).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Nobody guesses 24 random bytes; the pause keeps a wrong guess from being cheap all the same (seconds).
WRONG_TOKEN_SECONDS = 0.5
MAX_FORM_BYTES = 4096

_SECURITY_HEADERS = (
    (
        b'content-security-policy',
        b"default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    # With no-referrer a browser says that its forms come from nowhere (Origin: null), and the login is one.
    (b'referrer-policy', b'same-origin'),
    (b'x-content-type-options', b'nosniff'),
    (b'x-frame-options', b'DENY'),
    (b'cross-origin-opener-policy', b'same-origin'),
)

_LOGIN = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>mode_ros: token</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/static/page.css">
</head><body><main class="login"><h1>mode_ros</h1><p role="alert">{words}</p>
<form method="post" action="/login"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button class="primary">Open the page</button></form></main></body></html>"""

_ENTER = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><a href="/">Go on</a>'


def is_loopback(host: str) -> bool:
    """Whether an address that a server is bound to is reached from this machine alone."""
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class GuardSettings:
    """token: '' where none is asked for, which is right on a loopback address only; hosts: names under which the page
    may be asked for, () for any; secure: whether it is served by TLS; port: of the server, which names its cookie.
    """

    token: str
    hosts: tuple[str, ...]
    secure: bool
    port: int

    @property
    def cookie_name(self) -> str:
        """Cookies do not know ports: two pages on one host need two names."""
        return f'mode_ros_page_{self.port}'

    @property
    def cookie_value(self) -> str:
        """Proves that the token was known, and is not the token."""
        return hmac.new(self.token.encode(), b'mode_ros page cookie', hashlib.sha256).hexdigest()


class Guard:
    """The application, for those who may."""

    def __init__(self, application: Application, settings: GuardSettings) -> None:
        self._application, self._settings = application, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] == 'lifespan':
            await self._application(scope, receive, send)
            return
        if problem := self._foreign(scope):
            await _refuse(scope, receive, send, 403, problem)
            return
        if self._settings.token and not self._known(scope):
            await self._ask(scope, receive, send)
            return
        await self._application(scope, receive, _with_headers(send))

    def _foreign(self, scope: Scope) -> str:
        """Why the request is somebody else's, '' if it is not."""
        host = _header(scope, b'host')
        if self._settings.hosts and _name(host) not in self._settings.hosts:
            return f'This page is not served as {_name(host)!r}; open it as {self._settings.hosts[0]!r}.'
        changes = scope['type'] == 'websocket' or scope.get('method') not in ('GET', 'HEAD')
        origin = _header(scope, b'origin')
        # A program that is no browser sends no Origin; a WebSocket of a browser always has one.
        if changes and origin and _netloc(origin) != host:
            return f'A page of {origin} may not speak to this one.'
        if changes and _header(scope, b'sec-fetch-site') not in ('', 'same-origin', 'none'):
            return 'Another page may not speak to this one.'
        return ''

    def _known(self, scope: Scope) -> bool:
        # By hand: http.cookies forgets all of them where another server of this host has set one that it cannot read.
        pairs = (pair.strip().partition('=') for pair in _header(scope, b'cookie').split(';'))
        return any(
            name == self._settings.cookie_name and _equal(value, self._settings.cookie_value)
            for name, _, value in pairs
        )

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Without the cookie: the token, in the address or from the form, and nothing else."""
        if scope['type'] == 'websocket':
            await _refuse(scope, receive, send, 401, 'a token is needed')
            return
        path, method = scope['path'], scope['method']
        if path == '/static/page.css' and method == 'GET':
            await self._application(scope, receive, _with_headers(send))
            return
        given = ''
        if path == '/login' and method == 'POST':
            given = _first(await _body(receive), 'token')
        elif path == '/' and method == 'GET':
            given = _first(scope.get('query_string', b''), 'token')
        if not given:
            words = 'Give the token that was shown where the page was started.'
            await _answer(send, 401, _LOGIN.format(words=words))
        elif _equal(given, self._settings.token):
            # No redirect: in a chain that began on another page, a Strict cookie would not be sent along.
            await _answer(send, 200, _ENTER, self._set_cookie())
        else:
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            await _answer(send, 401, _LOGIN.format(words='That is not the token. It was shown at the start.'))

    def _set_cookie(self) -> list[tuple[bytes, bytes]]:
        settings = self._settings
        text = f'{settings.cookie_name}={settings.cookie_value}; Path=/; HttpOnly; SameSite=Strict'
        return [(b'set-cookie', (text + ('; Secure' if settings.secure else '')).encode())]


def _equal(given: str, right: str) -> bool:
    """In a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode('utf-8', 'surrogatepass'), right.encode())


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode('latin-1') for key, value in scope.get('headers', ()) if key == name), '')


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # as 'http://['
        return ''


def _name(host: str) -> str:
    """Without the port: '[::1]:80' is '[::1]'."""
    return host[: host.index(']') + 1] if host.startswith('[') and ']' in host else host.partition(':')[0].lower()


def _first(form: bytes, key: str) -> str:
    try:
        return parse_qs(form.decode('ascii'), max_num_fields=8).get(key, [''])[0]
    except ValueError:
        return ''


async def _body(receive: Receive) -> bytes:
    found = b''
    while len(found) <= MAX_FORM_BYTES:
        message = await receive()
        found += message.get('body', b'')
        if not message.get('more_body'):
            return found
    return b''


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message['type'] == 'http.response.start':
            message['headers'] = [*message.get('headers', ()), *_SECURITY_HEADERS]
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
    if scope['type'] == 'websocket':
        await receive()
        await send({'type': 'websocket.close', 'code': 1008, 'reason': words[:120]})
        return
    await _answer(send, status, words, kind=b'text/plain; charset=utf-8')


async def _answer(
    send: Send,
    status: int,
    text: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
    kind: bytes = b'text/html; charset=utf-8',
) -> None:
    fixed = [(b'content-type', kind), (b'cache-control', b'no-store'), *_SECURITY_HEADERS]
    await send({'type': 'http.response.start', 'status': status, 'headers': [*fixed, *headers]})
    await send({'type': 'http.response.body', 'body': text.encode()})
