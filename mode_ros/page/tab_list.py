"""Which tabs the page has beside Run and Drive and record."""

from __future__ import annotations

from mode_ros.page.tabs import Tab


def make_tabs() -> list[Tab]:
    """In the order of the page; each is made from page_node's parameters that are given here."""
    return []
