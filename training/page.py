"""The shell of a page that stands alone: one file, no scripts, nothing from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem }
h3 { margin: 0 0 .3rem; font-size: 1rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem }
th { text-align: left; color: #5a6b7b; font-weight: 600 } th, td { padding: .25rem .7rem .25rem 0; vertical-align: top }
tr { border-bottom: 1px solid #e4e9ee } td.n, th.n { text-align: right }
.facts, .sub { color: #5a6b7b } .sub { font-size: .9rem } .bad { color: #b3261e; font-weight: 600 }
.good { color: #19723c } .plots { display: flex; gap: 1rem; flex-wrap: wrap; margin-top: .5rem }
.sides { display: flex; gap: 1.5rem } .sides > div { flex: 1; min-width: 0 }
section { border: 1px solid #e4e9ee; border-radius: 8px; padding: .8rem 1rem; margin: 1rem 0; break-inside: avoid }
svg { max-width: 100%; height: auto } svg text { font: 11px system-ui, sans-serif; fill: #5a6b7b }
"""


def page(title: str, body: str, style: str = '') -> str:
    """The whole document; body: HTML; style: CSS for what this page has beside the common things."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<title>{text(title)}</title><style>{_STYLE}{style}</style></head><body>{body}</body></html>\n'
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """heads: plain text; rows: HTML; numbers: the columns that stand to the right."""

    def cell(tag: str, column: int, content: str) -> str:
        return f'<{tag} class="n">{content}</{tag}>' if column in numbers else f'<{tag}>{content}</{tag}>'

    head = ''.join(cell('th', column, text(each)) for column, each in enumerate(heads))
    body = ''.join(
        '<tr>' + ''.join(cell('td', column, each) for column, each in enumerate(row)) + '</tr>' for row in rows
    )
    return f'<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def text(value: object) -> str:
    """Anything as HTML."""
    return html.escape(str(value))
