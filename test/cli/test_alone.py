"""One at a time writes to a folder, and a refusal leaves no trace."""

import pytest

from mode_ros.alone import alone
from mode_ros.errors import UserError


def test_a_second_one_is_refused_until_the_first_has_ended(tmp_path):
    folder = tmp_path / 'out'
    with alone(folder, 'training'):
        (folder / 'log').touch()
        with pytest.raises(UserError, match=f'Another training is running in {folder}'), alone(folder, 'training'):
            pytest.fail('not alone')
        with alone(tmp_path / 'other', 'training'):
            pass
    with alone(folder, 'training'):
        pass
    assert [path.name for path in tmp_path.rglob('*')] == ['out', 'log'], 'no lock lies about, and no empty folder'


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'file/out cannot be written'), alone(tmp_path / 'file' / 'out', 'training'):
        pytest.fail('where?')


def test_what_was_there_before_stays(tmp_path):
    with alone(tmp_path, 'training'):
        pass
    assert tmp_path.exists()
