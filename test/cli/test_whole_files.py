"""A file is there whole or not at all, and what was there stays where it cannot be written."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.umask import umask

from mode_ros.whole_files import name_aside, write_whole


@pytest.mark.parametrize(('content', 'found'), [(b'\x00\xff', b'\x00\xff'), ('für\n', 'für\n'.encode())])
def test_what_is_written_is_found_and_nothing_beside_it(tmp_path, content, found):
    path = tmp_path / 'table'
    path.write_text('earlier and longer')
    write_whole(path, content)
    assert path.read_bytes() == found
    assert os.listdir(tmp_path) == ['table']


@pytest.mark.parametrize(('mask', 'mode'), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_it_is_the_users_to_say(tmp_path, mask, mode):
    with umask(mask):
        write_whole(tmp_path / 'table', 'mine')
    assert (tmp_path / 'table').stat().st_mode & 0o777 == mode


@pytest.mark.parametrize('fails', ['os.fsync', 'pathlib.Path.replace'])
def test_what_was_there_stays_where_the_disk_fails(tmp_path, monkeypatch, fails):
    def full(*arguments):
        raise OSError(28, 'No space left on device')

    path = tmp_path / 'table'
    path.write_text('earlier')
    monkeypatch.setattr(fails, full)
    with pytest.raises(OSError, match='No space left'):
        write_whole(path, 'later')
    assert path.read_text() == 'earlier'
    assert os.listdir(tmp_path) == ['table']


def test_who_writes_at_once_does_not_mix(tmp_path):
    path = tmp_path / 'table'
    contents = [letter * 100_000 for letter in 'abcd']
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda content: write_whole(path, content), contents * 5))
    assert path.read_text() in contents
    assert os.listdir(tmp_path) == ['table']


def test_a_name_aside_is_hidden_beside_it_and_nobody_elses(tmp_path):
    names = {name_aside(tmp_path / 'table') for _ in range(20)}
    assert len(names) == 20
    assert {name.parent for name in names} == {tmp_path}
    assert all(name.name.startswith('.table.') for name in names)
