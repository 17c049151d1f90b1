"""One at a time writes to a folder, and a refusal leaves no trace."""

import errno
import threading

import pytest

import mode_ros.alone as module
from mode_ros.alone import alone, take_lock
from mode_ros.errors import UserError
from mode_ros.recording.folder import RecordingFolder


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


def test_a_lock_is_one_process_at_a_time_and_may_be_waited_for(tmp_path):
    first, second = ((tmp_path / 'lock').open('w') for _ in range(2))
    assert take_lock(first)
    assert not take_lock(second)
    waiting = threading.Thread(target=take_lock, args=(second, True), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    first.close()
    waiting.join(20)
    assert not waiting.is_alive()
    second.close()


def test_where_a_file_system_has_no_locks_work_goes_on(tmp_path, monkeypatch):
    def none_here(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(module.fcntl, 'flock', none_here)
    with alone(tmp_path / 'out', 'training'):
        pass
    RecordingFolder(tmp_path / 'recordings').close()
