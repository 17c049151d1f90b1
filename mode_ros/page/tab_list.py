"""Which tabs the page has beside Run and Drive and record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mode_ros.page.episodes_tab import EpisodeFolders, make_episodes_tab
from mode_ros.page.tabs import Tab


def make_tabs(work: Path, folders: Sequence[Path], contract: str) -> list[Tab]:
    """In the order of the page; each is made from page_node's parameters that are given here.

    work: folder with recordings/ and data/, which need not be there; folders: more with recordings and data sets.
    """
    data = work / 'data'
    shelf = [*folders, work / 'recordings', data]
    return [make_episodes_tab(EpisodeFolders(shelf, data, work / '.page' / 'episodes', contract))]
