"""Ways to continue a plan are compared on the same moments, and measured beside the path without one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support.training_sets import TextNumbers, joints_set, make_trainer, train_settings

from mode_ros.bench.continuation import Moments, as_values, compare_continuations, executed, table
from mode_ros.bench.measure import compare
from mode_ros.bench.variants import Setting, build_variant, make_inputs, measure_once
from mode_ros.bench.weights import make_weights
from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import load_checkpoint
from mode_ros.policy.config import DenoiserConfig, DiffusionConfig
from mode_ros.policy.denoiser import Denoiser

CONFIG = DenoiserConfig(
    action_dim=2, image_dim=0, goal_dim=10, cameras=0, state_dim=2, embed_dim=32, layers=2, heads=4, chunk_length=8,
    max_committed=3,
)  # fmt: skip


@pytest.fixture(scope='module')
def setting(tmp_path_factory):
    path = tmp_path_factory.mktemp('bench') / 'weights.safetensors'
    config = CONFIG.model_copy(update={'max_committed': 0})
    make_weights(config, path)
    return Setting(config, DiffusionConfig(), path, threads=1)


def random_denoiser():
    torch.manual_seed(0)
    network = Denoiser(CONFIG).eval()
    for name, parameter in network.named_parameters():
        if not name.endswith('gain'):
            torch.nn.init.normal_(parameter, std=1.5 / parameter.shape[-1] ** 0.5)
    return network


def straight(later, slope=0.1, moments=6):
    """Demonstrations that go on at one speed: targets on a line, which nothing changes the velocity of."""
    random = torch.Generator().manual_seed(0)
    start = torch.linspace(-1, 1, moments)[:, None, None] + slope * later
    actions = start + slope * torch.arange(8.0)[None, :, None].expand(moments, 8, 2)
    padding = torch.zeros(moments, 8, dtype=torch.bool)
    goal = torch.randn(1, 10, generator=random).expand(moments, 10)
    return Moments(goal, None, actions[:, 0], actions, padding, torch.randn(moments, 8, 2, generator=random))


def test_each_way_at_each_delay_that_fits():
    found = compare_continuations(random_denoiser(), DiffusionConfig(), straight, [False, False], (1, 2, 4, 6))
    assert executed(1) == 2
    ways = {delay: [seam.continuation for seam in found if seam.delay == delay] for delay in (1, 2, 4)}
    assert ways[1] == ways[2] == ['none', 'hard', 'soft', 'guided', 'trained', 'rejoin']
    assert ways[4] == ['none', 'hard', 'soft', 'guided', 'rejoin']  # more than was trained
    assert {seam.delay for seam in found} == {1, 2, 4}  # after 6 actions no 6 are left
    for seam in found:
        exact = seam.continuation in ('hard', 'soft', 'trained', 'rejoin')
        assert (seam.prefix < 1e-6) == exact, seam
        assert seam.usual_jump == pytest.approx(0, abs=1e-5)
        assert seam.jump > 0.01
        assert seam.distance > 0.01
    lines = table(found)
    assert len(lines) == 2 + len(found)
    assert lines[2].startswith('| 1 | none |')
    assert json.loads(json.dumps(as_values(found)))[0]['continuation'] == 'none'


def test_displacements_are_velocities():
    """Demonstrations whose displacement grows evenly: their velocity changes by the slope, targets' not at all."""
    found = compare_continuations(random_denoiser(), DiffusionConfig(), straight, [True, False], (2,))
    spread = straight(0).actions.flatten(0, 1).std(0)[0]
    assert found[0].usual_jump == pytest.approx(float(0.1 / spread) / 2**0.5, rel=1e-3)


def test_a_chunk_without_room_for_any_delay():
    with pytest.raises(UserError, match=r'A chunk of 8 actions has no room for any of the delays \[5, 9\]'):
        compare_continuations(random_denoiser(), DiffusionConfig(), straight, [False, False], (5, 9))


@pytest.mark.parametrize('variant', ['soft', 'trained'])
def test_the_variants_with_a_plan_continue_it(setting, variant):
    inputs = make_inputs(setting.denoiser, 2, 'cpu')
    with torch.inference_mode():
        chunk = measure_once(build_variant(variant, setting, 2), inputs).chunk
        alone = measure_once(build_variant('float32', setting, 2), inputs).chunk
    plan = np.random.default_rng(0).normal(size=(8, 2))
    for row in chunk:
        np.testing.assert_allclose(row[:4], plan[:4], atol=1e-6)
    assert (chunk - alone)[:, 4:].abs().max() > 1e-3


def test_they_are_measured_beside_the_path_without(setting):
    results = compare(['float32', 'soft', 'trained'], setting, 1, 2, lambda _: None)
    assert [result.variant for result in results] == ['float32', 'soft', 'trained']
    assert all(result.ratio > 0 for result in results)
    assert results[0].error == 0
    assert np.isnan([result.error for result in results[1:]]).all()  # another chunk on purpose


def test_it_takes_a_data_set(capsys):
    with pytest.raises(SystemExit):
        main(['bench', '--continuation', 'policy'])
    assert '--continuation compares on recorded moments: name a data set with --dataset' in capsys.readouterr().err


def test_moments_of_a_data_set_and_of_some_frames_later(tmp_path, monkeypatch, capsys):
    data = joints_set(tmp_path / 'data', episodes=12, length=40)
    settings = train_settings(data, **{'run.steps': 1, 'policy.max_committed': 2, 'policy.chunk_length': 8})
    make_trainer(settings, tmp_path / 'out').train()
    from mode_ros.training.inspection.moments import open_moments

    info, network = load_checkpoint(tmp_path / 'out' / 'policy')
    read, delta = open_moments(info, network, data, TextNumbers(), furthest=4)
    assert delta == [False, False]
    now, later = read(0), read(4)
    assert not now.padding.any()
    assert not later.padding.any()
    assert torch.equal(now.actions[:, 4:], later.actions[:, :4])
    assert (now.state != later.state).any()
    assert len(now.goal) == 2 * (40 - 4 - 8)  # one held-out episode of each task, up to where two chunks end
    with pytest.raises(UserError, match=r'No episode of .* is longer than 48 frames'):
        open_moments(info, network, data, TextNumbers(), furthest=40)

    monkeypatch.setattr('mode_ros.training.inspection.moments.build_text_encoder', lambda _: TextNumbers())
    arguments = ['bench', '--continuation', str(tmp_path / 'out' / 'policy'), '--dataset', str(data)]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, '--threads', '1', '--output', str(tmp_path / 'result')])
    assert not ended.value.code
    assert '| 2 | trained |' in capsys.readouterr().out
    written = json.loads((tmp_path / 'result' / 'continuation.json').read_text())
    assert {seam['delay'] for seam in written['seams']} == {1, 2, 4}
