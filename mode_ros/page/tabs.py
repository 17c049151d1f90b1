"""Tabs of the page beside Run and Drive and record: each in modules of its own, put together here.

A tab NAME has static/NAME.html (what is inside its panel), static/NAME.js (a module) and static/NAME.css, and the
addresses that it brings, which begin with /NAME/. Its script hears the event `tab` of the window, with its name as
`detail`, when it is opened; at the start its panel may be open already (not `hidden`).
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.routing import BaseRoute

STATIC = Path(__file__).parent / 'static'


@dataclass(frozen=True)
class Tab:
    """name: as in addresses and file names; title: on its button; wide: does without the cameras beside it; close:
    called when the page ends.
    """

    name: str
    title: str
    routes: tuple[BaseRoute, ...]
    wide: bool = True
    close: Callable[[], None] = lambda: None


def page_with(tabs: Sequence[Tab], static: Path = STATIC) -> str:
    """index.html with these tabs. static: where their files are."""
    page = (STATIC / 'index.html').read_text(encoding='utf-8')
    heads = ''.join(
        f'<link rel="stylesheet" href="/static/{tab.name}.css">\n'
        f'<script type="module" src="/static/{tab.name}.js"></script>\n'
        for tab in tabs
    )
    buttons = ''.join(
        f'<button role="tab" id="tab-{tab.name}" aria-controls="{tab.name}" aria-selected="false" tabindex="-1">'
        f'{html.escape(tab.title)}</button>\n'
        for tab in tabs
    )
    panels = ''.join(
        f'<div id="{tab.name}" role="tabpanel" aria-labelledby="tab-{tab.name}"{" data-wide" if tab.wide else ""} '
        f'hidden>\n'
        f'{(static / f"{tab.name}.html").read_text(encoding="utf-8")}</div>\n'
        for tab in tabs
    )
    for what, made in (('heads', heads), ('buttons', buttons), ('panels', panels)):
        page = page.replace(f'<!-- tabs: {what} -->\n', made)
    return page
