"""Work in processes of its own: it outlives who started it, is stopped once, and its end is told."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.bench import wait_for

from mode_ros.alone import take_lock
from mode_ros.errors import UserError
from mode_ros.page import jobs

WAIT = """
import time
try:
    print("begun", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("saved")
    raise SystemExit(130)
"""
# As a training with its workers: they inherit the lock, and outlive who is killed.
FORK = """
import os, time
if os.fork():
    print("begun", flush=True)
time.sleep(60)
"""
STARTER = """
from pathlib import Path
from mode_ros.page import jobs
jobs.start(Path({folder!r}), {command!r}, {{}})
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / 'work_1'
    yield made
    if jobs.lives(made):
        os.kill(int((made / jobs.PID).read_text()), signal.SIGKILL)


def python(text):
    return [sys.executable, '-c', text]


def test_an_end_is_told_with_the_last_words(folder):
    jobs.start(folder, python('print("one"); print("two")'), {'label': 'mine'})
    wait_for(lambda: not jobs.lives(folder), 'the end')
    told = jobs.tell(folder)
    assert (told.state, told.words, told.about) == ('done', 'two', {'label': 'mine'})


def test_a_failure_is_told_in_its_words(folder):
    jobs.start(folder, python('import sys; sys.exit("mode_ros: no such thing")'), {})
    wait_for(lambda: not jobs.lives(folder), 'the end')
    assert (jobs.tell(folder).state, jobs.tell(folder).words) == ('failed', 'mode_ros: no such thing')


def test_one_that_is_stopped_saves_and_is_asked_once(folder):
    jobs.start(folder, python(WAIT), {})
    wait_for(lambda: jobs.tell(folder).words == 'begun', 'the beginning')
    assert jobs.tell(folder).state == 'running'
    with pytest.raises(UserError, match='work_1 still runs'):
        jobs.start(folder, python(WAIT), {})
    done, words = jobs.stop(folder)
    assert done, words
    assert jobs.stop(folder)[0] is False, 'a second Ctrl-C would break off the saving'
    wait_for(lambda: not jobs.lives(folder), 'the end')
    assert (jobs.tell(folder).state, jobs.tell(folder).words) == ('stopped', 'saved')
    assert jobs.stop(folder) == (False, 'work_1 does not run.')


def test_it_outlives_who_started_it_and_is_found_again(folder):
    starter = STARTER.format(folder=str(folder), command=python(WAIT))
    subprocess.run(python(starter), check=True, timeout=60)
    wait_for(lambda: jobs.tell(folder).words == 'begun', 'the beginning')
    assert jobs.tell(folder).state == 'running'
    wait_for(lambda: jobs.stop(folder)[0], 'that it can be stopped')
    wait_for(lambda: jobs.tell(folder).state == 'stopped', 'the end')


def test_one_that_was_killed_is_told_dead(folder):
    jobs.start(folder, python(WAIT), {})
    wait_for(lambda: jobs.tell(folder).words == 'begun', 'the beginning')
    number = int((folder / jobs.PID).read_text())
    os.killpg(os.getpgid(number), signal.SIGKILL)
    wait_for(lambda: not jobs.lives(folder), 'the end')
    assert jobs.tell(folder).state == 'dead'


def test_a_helper_that_was_killed_does_not_hide_work_that_goes_on(folder):
    jobs.start(folder, python(WAIT), {})
    wait_for(lambda: jobs.tell(folder).words == 'begun', 'the beginning')
    number = int((folder / jobs.PID).read_text())
    os.kill(os.getpgid(number), signal.SIGKILL)  # the leader of the session: what writes the end
    time.sleep(0.2)
    assert jobs.tell(folder).state == 'running'
    assert jobs.stop(folder)[0]
    wait_for(lambda: not jobs.lives(folder), 'the end')


@pytest.mark.parametrize('asked_before', [False, True])
def test_what_a_killed_one_left_behind_is_ended(folder, asked_before):
    jobs.start(folder, python(FORK), {})
    wait_for(lambda: jobs.tell(folder).words == 'begun', 'the beginning')
    if asked_before:  # killed while it saves
        (folder / jobs.STOPPING).touch()
    os.kill(int((folder / jobs.PID).read_text()), signal.SIGKILL)
    wait_for(lambda: (folder / jobs.ENDED).exists(), 'that its end is seen')
    assert jobs.lives(folder)
    assert jobs.stop(folder) == (True, 'work_1 had ended; what it left behind is ended, too.')
    wait_for(lambda: not jobs.lives(folder), 'the end')
    assert jobs.tell(folder).state == 'failed'


def test_one_of_which_no_process_can_be_found_is_said_to_be_none(folder):
    folder.mkdir()
    ended = subprocess.Popen(['true'])
    ended.wait()
    with (folder / jobs.LOCK).open('w') as lock:
        assert take_lock(lock.fileno())
        for name in (jobs.PID, jobs.GROUP):
            (folder / name).write_text(str(ended.pid))
        for _ in range(2):
            assert jobs.stop(folder) == (
                False,
                'work_1 had ended, and what it left behind cannot be found: end it by hand.',
            )
    (folder / jobs.LOCK).unlink()


def test_the_pages_token_is_not_handed_on(folder, monkeypatch):
    monkeypatch.setenv('MODE_ROS_PAGE_TOKEN', 'secret')
    jobs.start(folder, python('import os; print(os.environ.get("MODE_ROS_PAGE_TOKEN"))'), {})
    wait_for(lambda: not jobs.lives(folder), 'the end')
    assert jobs.tell(folder).words == 'None'


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot be written'):
        jobs.start(tmp_path / 'file' / 'work', python('pass'), {})
