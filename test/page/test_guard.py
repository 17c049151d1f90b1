"""Who may speak to the page: hosts, origins, the token and its cookie, before anything of the page is reached."""

import asyncio
import hmac

import pytest

from mode_ros.page import guard
from mode_ros.page.guard import Guard, GuardSettings, is_loopback

LOCAL = GuardSettings('', ('127.0.0.1', 'localhost', '[::1]'), False, 8080)
OPEN = GuardSettings('right-token', (), False, 8080)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(guard, 'WRONG_TOKEN_SECONDS', 0.0)


def ask(settings, path='/', method='GET', kind='http', query='', body=b'', **headers):
    """(status or close code, headers, body, whether the application was reached)."""
    reached, sent = [], []

    async def application(scope, receive, send):
        reached.append(scope['path'])
        if scope['type'] == 'websocket':
            await send({'type': 'websocket.accept'})
        else:
            await send({'type': 'http.response.start', 'status': 200, 'headers': []})
            await send({'type': 'http.response.body', 'body': b'the page'})

    async def receive():
        return {'type': 'http.request', 'body': body, 'more_body': False}

    async def send(message):
        sent.append(message)

    names = {key.replace('_', '-'): value for key, value in ({'host': 'localhost:8080'} | headers).items()}
    scope = {
        'type': kind,
        'path': path,
        'method': method,
        'query_string': query.encode(),
        'headers': [(key.encode(), value.encode()) for key, value in names.items()],
    }
    asyncio.run(Guard(application, settings)(scope, receive, send))
    first = sent[0]
    given = {key.decode(): value.decode() for key, value in first.get('headers', ())}
    return first.get('status', first.get('code')), given, sent[-1].get('body', b'').decode(), bool(reached)


def cookie(settings):
    return f'{settings.cookie_name}={settings.cookie_value}'


def test_this_machine_needs_no_token():
    status, headers, body, _ = ask(LOCAL)

    assert (status, body) == (200, 'the page')
    assert "script-src 'self'" in headers['content-security-policy']
    assert headers['x-frame-options'] == 'DENY'


@pytest.mark.parametrize('host', ['localhost:8080', '127.0.0.1:8080', 'LOCALHOST', '[::1]:8080'])
def test_its_names_are_let_through(host):
    assert ask(LOCAL, host=host)[0] == 200


@pytest.mark.parametrize('host', ['evil.com', 'evil.com:8080', '', '127.0.0.1.evil.com'])
def test_a_name_that_somebody_lets_point_here_is_not(host):
    status, _, words, reached = ask(LOCAL, host=host)

    assert (status, reached) == (403, False)
    assert '127.0.0.1' in words


@pytest.mark.parametrize(
    'headers',
    [
        {'origin': 'http://evil.com'},
        {'origin': 'http://localhost:9999'},
        {'origin': 'null'},
        {'origin': 'http://['},
        {'sec_fetch_site': 'cross-site'},
        {'sec_fetch_site': 'same-site'},
    ],
)
def test_another_page_can_neither_change_anything_nor_listen(headers):
    status, _, _, reached = ask(LOCAL, '/stop', 'POST', **headers)
    assert (status, reached) == (403, False)
    code, _, _, reached = ask(LOCAL, '/drive', kind='websocket', **headers)
    assert (code, reached) == (1008, False)


def test_the_page_itself_may():
    assert ask(LOCAL, '/stop', 'POST', origin='http://localhost:8080', sec_fetch_site='same-origin')[3]
    assert ask(LOCAL, '/drive', kind='websocket', origin='http://localhost:8080')[3]


@pytest.mark.parametrize('path', ['/', '/about', '/static/page.js', '/anything'])
def test_elsewhere_nothing_is_reached_without_the_token(path):
    status, _, words, reached = ask(OPEN, path, host='robot:8080')

    assert (status, reached) == (401, False)
    assert 'token' in words
    assert ask(OPEN, '/state', kind='websocket', host='robot:8080')[0] == 1008
    assert ask(OPEN, '/stop', 'POST', host='robot:8080')[3] is False


@pytest.mark.parametrize('query', ['token=wrong', 'token=', 'token=right-toke', 'token=%ff', 'token=right-token1'])
def test_a_wrong_token_opens_nothing(query):
    status, headers, _, reached = ask(OPEN, query=query)

    assert (status, reached) == (401, False)
    assert 'set-cookie' not in headers


def test_the_token_gives_a_cookie_and_the_cookie_opens_the_page():
    for status, headers, _, reached in (
        ask(OPEN, query='token=right-token'),
        ask(OPEN, '/login', 'POST', body=b'token=right-token'),
    ):
        assert (status, reached) == (200, False)
        assert 'HttpOnly' in headers['set-cookie']
        assert 'SameSite=Strict' in headers['set-cookie']
        assert 'Secure' not in headers['set-cookie']
        assert 'right-token' not in headers['set-cookie'], 'the cookie proves that the token was known'
        assert ask(OPEN, cookie=headers['set-cookie'].partition(';')[0])[2] == 'the page'


def test_over_tls_the_cookie_is_for_tls_alone():
    settings = GuardSettings('right-token', (), True, 8080)

    assert 'Secure' in ask(settings, query='token=right-token')[1]['set-cookie']


@pytest.mark.parametrize(
    'given', ['', 'mode_ros_page_8080=', 'mode_ros_page_8080=x', 'a=b;;;=', 'mode_ros_page_8080="\\']
)
def test_a_cookie_that_is_none_opens_nothing(given):
    assert ask(OPEN, cookie=given)[3] is False


def test_a_cookie_of_another_server_of_this_host_keeps_nobody_out():
    assert ask(OPEN, cookie=f'other={{"a": 1}}; b c=d; {cookie(OPEN)}')[2] == 'the page'


def test_a_cookie_does_not_make_another_page_this_one():
    assert ask(OPEN, '/stop', 'POST', cookie=cookie(OPEN), host='robot:8080', origin='http://evil.com')[0] == 403
    assert ask(OPEN, '/stop', 'POST', cookie=cookie(OPEN), host='robot:8080', origin='http://robot:8080')[3]


def test_token_and_cookie_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(hmac, 'compare_digest', lambda *given: compared.append(given) or False)

    assert ask(OPEN, query='token=right-token')[0] == 401
    assert ask(OPEN, cookie=cookie(OPEN))[0] == 401
    assert compared == [(b'right-token', b'right-token'), (OPEN.cookie_value.encode(),) * 2]


@pytest.mark.parametrize(
    ('host', 'local'),
    [('127.0.0.1', True), ('127.1.2.3', True), ('::1', True), ('localhost', True), ('0.0.0.0', False), ('::', False)],
)
def test_what_is_of_this_machine_alone(host, local):
    assert is_loopback(host) is local
