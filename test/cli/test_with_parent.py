"""Who is killed leaves nobody behind: neither the commands that it started, nor the workers of its pools."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from mode_ros.paths import share_folder
from mode_ros.with_parent import end_with_parent, ending_with_us

CHILD = """
import os, signal, sys, time
from mode_ros.with_parent import end_with_parent
end_with_parent(getattr(signal, sys.argv[2]))
open(sys.argv[1] + '.new', 'w').write(str(os.getpid()))
os.rename(sys.argv[1] + '.new', sys.argv[1])
try:
    time.sleep(300)
except KeyboardInterrupt:
    open(sys.argv[1] + '.interrupted', 'w').close()
"""
PARENT = """
import os, subprocess, sys
from mode_ros.with_parent import ending_with_us
environment = ending_with_us(os.environ) if sys.argv[4] == 'asked' else os.environ
subprocess.run([sys.executable, sys.argv[1], *sys.argv[2:4]], env=environment, start_new_session=True)
"""
POOL = """
import concurrent.futures, multiprocessing, os, sys, time
from {module} import {begin} as begin

def work(path):
    open(path + '.new', 'w').write(str(os.getpid()))
    os.rename(path + '.new', path)

if __name__ == '__main__':
    pool = concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context('spawn'), begin, {arguments}
    )
    pool.submit(work, sys.argv[1]).result()
    time.sleep(300)
"""


def begun(command, told):
    """The process of a command, and the id of the one that writes it into `told`."""
    environment = {**os.environ, 'PYTHONPATH': str(share_folder()), 'OMP_NUM_THREADS': '1'}
    parent = subprocess.Popen([sys.executable, *map(str, command)], env=environment)
    deadline = time.monotonic() + 120
    while not told.exists():
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return parent, int(told.read_text())


def ends(process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError), open(f'/proc/{process}/stat') as stat:
            if stat.read().rpartition(')')[2].split()[0] != 'Z':
                time.sleep(0.05)
                continue
        return True
    os.kill(process, signal.SIGKILL)
    return False


@pytest.mark.parametrize('way', ['SIGKILL', 'SIGINT'])
def test_a_command_ends_with_the_one_that_started_it(tmp_path, way):
    (tmp_path / 'child.py').write_text(CHILD)
    (tmp_path / 'parent.py').write_text(PARENT)
    told = tmp_path / 'told'
    parent, child = begun([tmp_path / 'parent.py', tmp_path / 'child.py', told, way, 'asked'], told)
    parent.kill()
    parent.wait()
    assert ends(child)
    assert told.with_suffix('.interrupted').exists() == (way == 'SIGINT'), 'a node stops its robot first'


def test_it_goes_on_where_nobody_asked_for_that(tmp_path):
    (tmp_path / 'child.py').write_text(CHILD)
    (tmp_path / 'parent.py').write_text(PARENT)
    told = tmp_path / 'told'
    parent, child = begun([tmp_path / 'parent.py', tmp_path / 'child.py', told, 'SIGKILL', 'not'], told)
    parent.kill()
    parent.wait()
    assert not ends(child, 1.0), 'as a training that was started by a shell'


def test_what_a_child_starts_is_not_told_whose_child_it_is(monkeypatch):
    monkeypatch.setattr(os, 'environ', ending_with_us({}))
    assert os.environ
    end_with_parent(0)
    assert not os.environ


@pytest.mark.parametrize(
    ('module', 'begin', 'arguments'),
    [
        ('mode_ros.record_sim.run', '_begin_worker', '()'),
        ('mode_ros.evaluation.workers', '_begin', '(__import__("types").SimpleNamespace(settings=None), 0, 0)'),
        ('mode_ros.training.data.convert', '_begin_worker', '(None, None)'),
    ],
)
def test_workers_end_with_the_command(tmp_path, module, begin, arguments):
    if 'evaluation' in module:
        arguments = arguments.replace('settings=None', 'settings=__import__("types").SimpleNamespace(threads=1)')
    script = tmp_path / 'pool.py'
    script.write_text(POOL.format(module=module, begin=begin, arguments=arguments))
    told = tmp_path / 'told'
    parent, worker = begun([script, told], told)
    parent.kill()
    parent.wait()
    assert ends(worker)
