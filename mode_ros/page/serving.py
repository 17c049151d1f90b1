"""The web server in a thread of its own: bound, guarded, ended within a bound."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import uvicorn

from mode_ros.errors import UserError
from mode_ros.page.guard import Application, Guard, GuardSettings, is_loopback

START_SECONDS = 10.0
END_SECONDS = 1.5
LOOPBACK_NAMES = ('127.0.0.1', 'localhost', '[::1]')


@dataclass(frozen=True)
class Address:
    """Where the page is. port: 0 for any; token: '' for a new one, where one is needed; certificate, key: of TLS, ''
    for none.
    """

    host: str
    port: int
    token: str = ''
    certificate: str = ''
    key: str = ''


class Serving:
    """A running server."""

    def __init__(self, application: Application, address: Address) -> None:
        """Raises UserError where the address cannot be had, or nothing is served on it within START_SECONDS."""
        _check_tls(address)
        self._socket = _bind(address)
        port = int(self._socket.getsockname()[1])
        local = is_loopback(address.host)
        token = '' if local else address.token or secrets.token_urlsafe(24)
        secure = bool(address.certificate)
        shown = address.host if address.host not in ('0.0.0.0', '::') else socket.gethostname()
        shown = f'[{shown}]' if ':' in shown else shown
        self.url = f'http{"s" if secure else ""}://{shown}:{port}/' + (
            f'?token={quote(token, safe="")}' if token else ''
        )
        settings = GuardSettings(token, (*LOOPBACK_NAMES, shown) if local else (), secure, port)
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(application, settings),
                log_level='warning',
                access_log=False,  # an address may hold the token
                server_header=False,
                proxy_headers=False,  # what a client claims of its own address is not believed
                ws='websockets-sansio',
                ws_max_size=4096,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=1,
                ssl_certfile=address.certificate or None,
                ssl_keyfile=address.key or None,
            )
        )
        # Signals are the main thread's; uvicorn leaves them alone in any other.
        self._thread = threading.Thread(target=self._run, name='page', daemon=True)
        self._thread.start()
        self._await_start()

    def _await_start(self) -> None:
        latest = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > latest:
                self.close()
                raise UserError("The page's server did not start: see what it said before this.")
            time.sleep(0.01)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def close(self) -> None:
        """Ends the server; connections are cut."""
        self._server.should_exit = True
        self._thread.join(timeout=END_SECONDS)
        self._socket.close()


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ':' in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        raise UserError(
            f'The page cannot be served on {address.host}:{address.port}: {getattr(error, "strerror", None) or error}. '
            'Give another port, or end what has this one.'
        ) from error
    return listening


def _check_tls(address: Address) -> None:
    if bool(address.certificate) != bool(address.key):
        raise UserError('TLS needs both: give certificate and key, or neither.')
    for name, path in (('certificate', address.certificate), ('key', address.key)):
        if path and not Path(path).is_file():
            raise UserError(f'The {name} {path!r} does not exist.')
    if not address.certificate:
        return
    try:
        # Without a password it would ask for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(address.certificate, address.key, password='')
    except (ssl.SSLError, OSError) as error:
        raise UserError(
            f'The certificate {address.certificate!r} and the key {address.key!r} cannot be used: '
            f'{getattr(error, "reason", None) or error}. Both are PEM files, the key without a password.'
        ) from error
