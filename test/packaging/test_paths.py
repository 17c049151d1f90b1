"""share_folder() finds what came with the running code; test_install.py tries it on real installs."""

import sys
from pathlib import Path

import pytest

from mode_ros import paths
from mode_ros.errors import UserError


def share(folder: Path) -> Path:
    (folder / 'config').mkdir(parents=True)
    (folder / 'package.xml').touch()
    return folder


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A package that is installed in an otherwise empty prefix."""
    folder = tmp_path / 'prefix' / 'lib' / 'python3.12' / 'site-packages' / 'mode_ros'
    monkeypatch.setattr(paths, '_PACKAGE', folder)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'other'))
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    return folder


def test_the_checkout_comes_first(package, tmp_path):
    share(tmp_path / 'prefix' / 'share' / 'mode_ros')
    assert paths.share_folder() == tmp_path / 'prefix' / 'share' / 'mode_ros'

    checkout = share(package.parent)

    assert paths.share_folder() == checkout


def test_the_ament_index_helps_where_the_prefix_has_nothing(package, tmp_path, monkeypatch):
    pytest.importorskip('ament_index_python')
    index = tmp_path / 'ros' / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    (index / 'mode_ros').touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'ros'))

    expected = share(tmp_path / 'ros' / 'share' / 'mode_ros')

    assert paths.share_folder() == expected


def test_without_the_files_the_error_lists_where_it_looked(package, tmp_path):
    with pytest.raises(UserError) as caught:
        paths.share_folder()

    for place in (
        package.parent,
        tmp_path / 'prefix' / 'share' / 'mode_ros',
        tmp_path / 'other' / 'share' / 'mode_ros',
    ):
        assert str(place) in str(caught.value)
