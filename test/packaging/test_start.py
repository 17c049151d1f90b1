"""Executables that run under the wrong Python say in a sentence what is missing and what to type."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from support.executables import EXECUTABLES

from mode_ros import start
from mode_ros.start import missing_sentence

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('name', sorted(EXECUTABLES))
def test_without_its_environment_an_executable_says_so(name):
    # -I -S: the standard library alone, as under a system's Python without the packages from pip.
    code = f'import sys; sys.path.insert(0, {str(ROOT)!r}); from mode_ros.start import {name}; {name}()'
    arguments = ['check', 'ros2_control_arm'] if name == 'mode_ros' else []

    result = subprocess.run([sys.executable, '-I', '-S', '-c', code, *arguments], capture_output=True, text=True)

    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    assert result.stderr.startswith(f'mode_ros: {sys.executable} has no ')
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(('run', 'status'), [(start.controller_node, 0), (start.mode_ros, 130)])
def test_ctrl_c_while_it_is_being_imported_is_no_traceback(monkeypatch, run, status):
    def interrupted(module):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, 'import_module', interrupted)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == status


def test_what_ros_brings_is_told_apart_from_what_pip_brings():
    assert 'source your ROS 2' in missing_sentence('sensor_msgs', '/usr/bin/python3')
    assert 'activate the virtual environment' in missing_sentence('torch', '/usr/bin/python3')


def test_what_an_extra_brings_is_named_with_it():
    assert "pip install 'mode_ros[training]'" in missing_sentence('av', '/usr/bin/python3')
    assert 'pip install' not in missing_sentence('yaml', '/usr/bin/python3')


def test_every_extra_that_is_named_has_what_it_is_named_for():
    setup = (ROOT / 'setup.py').read_text()
    for package, extra in start._EXTRAS.items():
        # The list that the extra is, up to the ones that several share.
        head = 'TORCH = ' if extra == 'torch' else f"        '{extra}': "
        assert f"'{package}" in setup.split(head)[1].split('],')[0].split('# For')[0], (package, extra)
