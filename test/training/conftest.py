"""Runs `mode_ros convert` in this process."""

import json

import pytest

pytest.importorskip('pyarrow')
pytest.importorskip('rosbags')


@pytest.fixture
def convert(capfd):
    """convert('bag', 'data_set', '--strict') -> (exit status, what was printed)."""
    from mode_ros.cli.main import main

    def run(*arguments, jobs=1):
        with pytest.raises(SystemExit) as ended:
            main(['convert', *map(str, arguments), '--jobs', str(jobs)])
        printed = capfd.readouterr()
        return ended.value.code, printed.out + printed.err

    return run


@pytest.fixture
def report():
    """report(data_set) -> report.json's content."""
    return lambda data_set: json.loads((data_set / 'report.json').read_text())
