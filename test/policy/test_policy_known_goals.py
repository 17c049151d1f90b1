"""Goals embedded ahead: what a robot without torch understands of a policy that hears by CLIP."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from policy_samples import CONTRACT, FakeTextEncoder, denoiser_config, state_policy_config, statistics

from mode_ros.errors import UserError
from mode_ros.goal_watch import GoalWatch
from mode_ros.policy.config import TextEncoderConfig
from mode_ros.policy.known_goals import KnownGoals, read_known_goals, write_known_goals
from mode_ros.policy.policy import Policy
from mode_ros.policy.runtimes import export
from mode_ros.policy.runtimes.choose import RunSettings, load_policy

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

CLIP = TextEncoderConfig(kind='clip', source='a folder', dim=12)
STATE = np.array([0.5, 1.0, -2.0, 0.03])
COMMAND = 'mode_ros export --runtime onnxruntime P'
AHEAD = 'runtimes/onnxruntime/goals.npz'


@pytest.fixture
def checkpoint(tmp_path):
    sizes = {'cameras': 0, 'image_dim': 0, 'state_dim': 4, 'goal_dim': 12, 'embed_dim': 16, 'layers': 1}
    config = state_policy_config(denoiser=denoiser_config(**sizes), text_encoder=CLIP)
    policy = Policy.untrained(config, statistics(), CONTRACT, 0, text_encoder=FakeTextEncoder(12))
    policy.save(tmp_path / 'policy')
    (tmp_path / 'policy' / 'goals.json').write_text(json.dumps(['Open the drawer', 'close it']))
    export.export_graph(tmp_path / 'policy')
    return tmp_path / 'policy'


def load(folder, encoder=None):
    return load_policy(folder, 'onnxruntime', RunSettings('cpu'), encoder)


def chunk(policy, goal):
    return policy.predict({}, STATE, goal, np.random.default_rng(0))


def test_what_was_embedded_ahead_gives_the_same_chunk_and_nothing_else_is_understood(checkpoint):
    assert export.embed_goals(checkpoint, ['push'], FakeTextEncoder(12)) == 3
    policy = load(checkpoint)
    policy.warm_up()
    for goal in ('open  the DRAWER', 'push'):
        np.testing.assert_array_equal(chunk(policy, goal), chunk(load(checkpoint, FakeTextEncoder(12)), goal))
    with pytest.raises(UserError, match=r"'lift it' is not among the 3 .*'open the drawer'.*--goals 'lift it'"):
        chunk(policy, 'lift it')
    watch = GoalWatch(policy.info.goals, policy.text_encoder)
    assert not watch.among_known()
    assert not watch.hear('lift it')  # which predicting says


def test_torch_is_not_needed_for_it(checkpoint):
    export.embed_goals(checkpoint, [], FakeTextEncoder(12))
    code = (
        'import sys\n'
        'for name in ("torch", "transformers", "tokenizers"): sys.modules[name] = None\n'
        'from mode_ros.policy.runtimes.choose import RunSettings, load_policy\n'
        'load_policy(sys.argv[1], "auto", RunSettings("cpu")).warm_up()\n'
        'from pathlib import Path; (Path(sys.argv[1]) / "runtimes/onnxruntime/goals.npz").unlink()\n'
        'try: load_policy(sys.argv[1], "onnxruntime", RunSettings("cpu"))\n'
        'except Exception as error: print(type(error).__name__, error)\n'
    )
    done = subprocess.run([sys.executable, '-c', code, checkpoint], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('UserError')
    assert f'`mode_ros export --runtime onnxruntime {checkpoint} --goals SENTENCE ...`' in done.stdout


def test_more_are_added_and_each_is_embedded_once(tmp_path):
    path = tmp_path / 'goals.npz'
    assert write_known_goals(path, ['Push', 'pull', 'push '], FakeTextEncoder(12), CLIP) == 2
    again = FakeTextEncoder(12)
    assert write_known_goals(path, ['pull', 'lift'], again, CLIP) == 3
    assert again.asked == ['lift']
    found = read_known_goals(path, CLIP, COMMAND)
    assert found.sentences == ('push', 'pull', 'lift')
    np.testing.assert_array_equal(found.encode(['LIFT', 'push']), FakeTextEncoder(12).encode(['lift', 'push']).numpy())
    assert [each.name for each in tmp_path.iterdir()] == ['goals.npz']


def lone_array(content):
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    'spoil', [lambda content: content[:-30], lambda content: b'', lambda content: b'no zip', lone_array]
)
def test_a_damaged_file_is_refused(tmp_path, spoil):
    path = tmp_path / 'goals.npz'
    write_known_goals(path, ['push'], FakeTextEncoder(12), CLIP)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=f'damaged: remove it, and type `{COMMAND}`'):
        read_known_goals(path, CLIP, COMMAND)


def test_another_encoders_goals_are_refused(tmp_path):
    path = tmp_path / 'goals.npz'
    write_known_goals(path, ['push'], FakeTextEncoder(12), CLIP)
    for other in (TextEncoderConfig(), CLIP.model_copy(update={'dim': 13})):
        with pytest.raises(UserError, match='no goals of this text encoder'):
            read_known_goals(path, other, COMMAND)


def test_none_are_needed_or_there_are_none(checkpoint, tmp_path):
    (checkpoint / 'goals.json').unlink()
    assert export.embed_goals(checkpoint, []) == 0
    assert not (checkpoint / AHEAD).exists()
    minilm = tmp_path / 'minilm'
    Policy.untrained(state_policy_config(), statistics(), CONTRACT, 0, text_encoder=FakeTextEncoder()).save(minilm)
    assert export.embed_goals(minilm, []) == 0
    with pytest.raises(UserError, match='reads any one without torch'):
        export.embed_goals(minilm, ['push'])


def test_a_long_list_is_not_told_whole():
    sentences = [f'goal {number}' for number in range(7)]
    with pytest.raises(UserError, match=r"the 7 .*'goal 4', \.\.\.\)"):
        KnownGoals(sentences, np.zeros((7, 3), np.float32), COMMAND).encode(['other'])
