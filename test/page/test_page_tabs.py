"""Tabs beside the robot's own: put into the page, with their addresses."""

import urllib.error
import urllib.request

import pytest

pytest.importorskip('uvicorn')
pytest.importorskip('starlette')

from starlette.responses import PlainTextResponse
from starlette.routing import Route
from support.page_robot import PageRobot

from mode_ros.page import server
from mode_ros.page.serving import Address, Serving
from mode_ros.page.tabs import Tab, page_with


@pytest.fixture
def tab(tmp_path):
    async def hello(request):
        return PlainTextResponse('hello')

    (tmp_path / 'extra.html').write_text('<p>inside</p>\n')
    return Tab('extra', 'Extra & more', (Route('/extra/hello', hello),))


def test_a_tab_has_its_button_panel_script_and_looks(tab, tmp_path):
    page = page_with([tab], tmp_path)

    assert '<button role="tab" id="tab-extra" aria-controls="extra"' in page
    assert '>Extra &amp; more</button>' in page
    assert 'aria-labelledby="tab-extra" data-wide hidden>\n<p>inside</p>' in page
    assert '<script type="module" src="/static/extra.js">' in page
    assert 'href="/static/extra.css"' in page
    assert page.index('id="tab-drive"') < page.index('id="tab-extra"')


def test_without_tabs_nothing_is_left_of_their_places():
    assert 'tabs:' not in page_with([])


def test_the_addresses_of_a_tab_are_served(tab, tmp_path, monkeypatch):
    monkeypatch.setattr(server, 'page_with', lambda tabs: page_with(tabs, tmp_path))
    serving = Serving(server.make_application(PageRobot(), [tab]), Address('127.0.0.1', 0))
    try:
        assert urllib.request.urlopen(f'{serving.url}extra/hello', timeout=10).read() == b'hello'
        assert b'tab-extra' in urllib.request.urlopen(serving.url, timeout=10).read()
        with pytest.raises(urllib.error.HTTPError, match='404'):
            urllib.request.urlopen(f'{serving.url}extra/other', timeout=10)
    finally:
        serving.close()
