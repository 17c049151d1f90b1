"""Making a static graph: aside from the process that asks, wherever it may be written, and said when it cannot be."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from policy_samples import CONTRACT, FakeTextEncoder, denoiser_config, state_policy_config, statistics

from mode_ros.errors import UserError
from mode_ros.policy.policy import Policy
from mode_ros.policy.runtimes import export, making
from mode_ros.policy.runtimes.choose import RunSettings, load_policy
from mode_ros.policy.runtimes.graph_file import graph_folders, has_graph

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

ROOT = Path(__file__).resolve().parents[2]


def saved(folder, trained_steps=1, **changes):
    sizes = {'cameras': 0, 'image_dim': 0, 'state_dim': 4, 'goal_dim': 384, 'embed_dim': 16, 'layers': 1}
    config = state_policy_config(denoiser=denoiser_config(**(sizes | changes)))
    Policy.untrained(config, statistics(), CONTRACT, 0, text_encoder=FakeTextEncoder()).save(folder)
    settings = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps(settings | {'trained_steps': trained_steps}))
    return folder


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return saved(tmp_path / 'policy')


def load(folder, runtime='auto', **settings):
    said = []
    return load_policy(folder, runtime, RunSettings('cpu', **settings), FakeTextEncoder(), said.append), said


ASKING = """
import sys
import numpy as np
from mode_ros.policy.runtimes.choose import RunSettings, load_policy

class Encoder:
    dim = 384

policy = load_policy(sys.argv[1], 'auto', RunSettings('cpu', make=True), Encoder(), print)
print(policy.runtime, 'torch' in sys.modules)
"""


def test_who_asks_for_a_graph_never_loads_torch(checkpoint):
    done = subprocess.run(
        [sys.executable, '-c', ASKING, checkpoint],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    first, *_, before, last = done.stdout.splitlines()
    assert first.startswith(f'making the static graph of {checkpoint}')
    assert before.startswith(f'the static graph of {checkpoint} is made')
    assert last == 'onnxruntime False'


def test_auto_makes_one_where_it_is_told_to_and_of_a_trained_policy_alone(checkpoint, tmp_path):
    policy, said = load(checkpoint)
    assert (policy.runtime, said) == ('torch', [])
    untrained = saved(tmp_path / 'untrained', 0)
    assert load(untrained, make=True)[0].runtime == 'torch'
    policy, said = load(checkpoint, make=True)
    assert policy.runtime == 'onnxruntime'
    assert len(said) == 2
    assert load(checkpoint, make=True)[1] == []


def test_what_fails_leaves_auto_with_torch_and_says_why(checkpoint, monkeypatch):
    def refuse(*_):
        raise UserError('The disk is full.')

    monkeypatch.setattr(export, 'export_graph', refuse)
    policy, _ = load(checkpoint, make=True)
    assert policy.runtime == 'torch'
    assert policy.device_note.endswith('because the disk is full')
    with pytest.raises(UserError, match='The disk is full'):
        load(checkpoint, 'onnxruntime')


@pytest.mark.parametrize('lacking', ['torch', 'onnx'])
def test_without_what_makes_it(checkpoint, monkeypatch, lacking):
    monkeypatch.setattr(making.importlib.util, 'find_spec', lambda name: None if name == lacking else True)
    with pytest.raises(UserError, match=f'no {lacking} here.*`mode_ros export --runtime onnxruntime {checkpoint}`'):
        load(checkpoint, 'onnxruntime')
    assert 'there is no graph beside the checkpoint' in load(checkpoint, make=True)[0].device_note


def test_an_interruption_ends_the_process_that_makes_it(checkpoint, monkeypatch):
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    def interrupt(_):
        monkeypatch.setattr(making.time, 'sleep', sleep)
        raise KeyboardInterrupt

    sleep = making.time.sleep
    monkeypatch.setattr(making.subprocess, 'Popen', Popen)
    monkeypatch.setattr(making.time, 'sleep', interrupt)
    with pytest.raises(KeyboardInterrupt):
        making._make_aside(checkpoint, 4, 'ddim', print)
    [process] = started
    assert process.args[1:4] == ['-m', 'mode_ros.policy.runtimes.making', str(checkpoint)]
    assert process.args[4:] == ['--steps', '4', '--solver', 'ddim']
    assert process.wait()
    assert not (checkpoint / 'runtimes').exists()


def run_main(monkeypatch, *arguments):
    """In this process, which does not end with whoever asked."""
    monkeypatch.setattr(sys, 'argv', ['making', *map(str, arguments)])
    monkeypatch.setattr(making, '_end_with_the_other', lambda descriptor: None)
    return making.main()


def test_the_process_says_in_one_line_what_a_user_can_mend(tmp_path, monkeypatch, capsys):
    assert run_main(monkeypatch, saved(tmp_path / 'token', routing='token')) == making.REFUSED
    said = capsys.readouterr().err
    assert "routing 'token'" in said
    assert said.count('\n') == 1
    assert making._why(making.REFUSED, tmp_path, io.BytesIO(said.encode())) == said.strip()
    defect = making._why(-9, tmp_path, io.BytesIO(b'Traceback:\nKilled.\n'))
    assert defect == f'The static graph of {tmp_path} could not be made (exit status -9): Killed.'


def test_steps_and_solver_reach_the_process(checkpoint, monkeypatch):
    assert run_main(monkeypatch, checkpoint, '--steps', 3, '--solver', 'dpmpp_2m') == 0
    assert [each.name for each in (checkpoint / 'runtimes/onnxruntime').iterdir()] == ['dpmpp_2m-3']


def cannot_be_written(checkpoint):
    """For root as well."""
    (checkpoint / 'runtimes').write_text('')


def test_where_the_folder_cannot_be_written_the_graph_is_in_the_users_cache(checkpoint, tmp_path):
    cannot_be_written(checkpoint)
    policy, _ = load(checkpoint, 'onnxruntime')
    assert f'{tmp_path}/cache/mode_ros/policy-' in policy.device_note
    assert load(checkpoint)[0].runtime == 'onnxruntime'
    other = saved(tmp_path / 'elsewhere' / 'policy')
    assert not has_graph(other, policy.config)
    (tmp_path / 'short').symlink_to(checkpoint)
    assert has_graph(tmp_path / 'short', policy.config)


def test_one_in_the_cache_serves_where_that_beside_the_checkpoint_is_stale(checkpoint):
    beside = export.export_graph(checkpoint)
    (beside / 'made.json').write_text('{}')
    with pytest.raises(UserError, match='another version'):
        load(checkpoint, 'onnxruntime')
    [_, cached] = graph_folders(checkpoint, load(checkpoint, 'torch')[0].config)
    cached.parent.mkdir(parents=True)
    spoiled = (beside / 'made.json').read_text()
    export.export_graph(checkpoint).rename(cached)
    beside.mkdir()
    (beside / 'made.json').write_text(spoiled)
    assert str(cached) in load(checkpoint, 'onnxruntime')[0].device_note


def test_nowhere_to_write(checkpoint, tmp_path, monkeypatch):
    cannot_be_written(checkpoint)
    (tmp_path / 'cache').write_text('')
    with pytest.raises(
        UserError, match=r'cannot be written to .*policy/runtimes/.* and to .*cache/mode_ros/.*copy the'
    ):
        load(checkpoint, 'onnxruntime')
    monkeypatch.delenv('XDG_CACHE_HOME')

    def no_home():
        raise RuntimeError

    monkeypatch.setattr(Path, 'home', no_home)
    with pytest.raises(UserError, match=r'cannot be written to .*policy/runtimes/[^ ]* \('):
        load(checkpoint, 'onnxruntime')
