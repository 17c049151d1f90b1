"""Which tabs the page has beside Run and Drive and record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mode_ros.page.episodes_tab import EpisodeFolders, make_episodes_tab
from mode_ros.page.places import Places
from mode_ros.page.tabs import Tab
from mode_ros.page.train_tab import LoadPolicy, make_train_tab


def make_tabs(work: Path, folders: Sequence[Path], contract: str, share: Path, load: LoadPolicy) -> list[Tab]:
    """In the order of the page; each is made from page_node's parameters that are given here.

    work: folder with recordings/, data/, runs/ and evaluations/, which need not be there; folders: more with recordings
    and data sets; share: of mode_ros; load: puts a policy on the robot.
    """
    data = work / 'data'
    shelf = [*folders, work / 'recordings', data]
    return [
        make_episodes_tab(EpisodeFolders(shelf, data, work / '.page' / 'episodes', contract)),
        make_train_tab(Places.under(work, share), share, load),
    ]
