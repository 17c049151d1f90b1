"""An evaluation through the nodes keeps the protocol of one in a single process."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('metaworld')
pytestmark = [pytest.mark.slow, pytest.mark.rendering]


def evaluate(checkpoint, folder, task, *more):
    command = [sys.executable, '-m', 'mode_ros', 'evaluate', str(checkpoint), '--tasks', task, '--seeds', '4', '7']
    command += ['--goals', 'held-out', '--threads', '1', '--output', str(folder), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / 'episodes.jsonl').read_text().splitlines()]


def test_seeds_goals_periods_and_limits_are_the_same(checkpoint, tmp_path):
    here = evaluate(checkpoint, tmp_path / 'here', 'reach', '--latency', '0.2')
    nodes = evaluate(checkpoint, tmp_path / 'nodes', 'reach', '--through-ros')

    for name in ('task', 'seed', 'goal', 'success', 'seconds', 'periods', 'solved', 'of'):
        assert [episode[name] for episode in nodes] == [episode[name] for episode in here], name
    assert [episode['periods'] for episode in nodes] == [125, 125]
    for episode in nodes:
        assert episode['chunks'] > 0
        assert 0 <= episode['held'] <= 125
    results = [json.loads((tmp_path / name / 'results.json').read_text()) for name in ('here', 'nodes')]
    assert results[0].keys() == results[1].keys()
    assert results[1]['settings']['through_ros'] is True
    assert (tmp_path / 'nodes' / 'videos' / 'reach-004.mp4').stat().st_size > 5000


def test_what_succeeds_in_one_process_succeeds_through_the_nodes(pusher, tmp_path):
    here = evaluate(pusher, tmp_path / 'here', 'drawer-close', '--latency', '0.2')
    nodes = evaluate(pusher, tmp_path / 'nodes', 'drawer-close', '--through-ros')

    assert [episode['success'] for episode in here] == [True, True]
    for name in ('task', 'seed', 'goal', 'success', 'solved'):
        assert [episode[name] for episode in nodes] == [episode[name] for episode in here], name
    for episode in nodes:
        # How long the policy takes is the machine's; the benchmark's limit is not.
        assert 0 < episode['seconds'] < 6.25
    assert not list((tmp_path / 'nodes').rglob('*.mp4'))
