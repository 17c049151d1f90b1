"""The benchmark: every variant computes the same chunk, takes turns, and what it writes can be read."""

from __future__ import annotations

import json

import pytest
import torch

from mode_ros.bench.limit import Rates, bytes_read
from mode_ros.bench.measure import compare, estimate_memory, groups
from mode_ros.bench.run import BenchSettings, run_comparison
from mode_ros.bench.solvers import STEPS, errors_of, format_errors
from mode_ros.bench.variants import Setting, build_variant, make_inputs, measure_once
from mode_ros.bench.weights import make_weights
from mode_ros.bench.worker import Worker
from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.policy.config import DenoiserConfig, DiffusionConfig, PolicyConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.size import active_parameters, total_parameters

SIZES = {'action_dim': 3, 'image_dim': 12, 'goal_dim': 10, 'embed_dim': 32, 'layers': 2, 'heads': 4, 'chunk_length': 5}
CONFIG = DenoiserConfig(**SIZES)


@pytest.fixture(scope='module')
def setting(tmp_path_factory):
    path = tmp_path_factory.mktemp('bench') / 'weights.safetensors'
    make_weights(CONFIG, path)
    return Setting(CONFIG, DiffusionConfig(), path, threads=1)


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize(
    ('variant', 'within'), [('fused copies', 1e-5), ('float32', 1e-5), ('bfloat16', 0.05), ('int8', 0.1)]
)
def test_variants_give_the_same_chunk(setting, variant, within, batch):
    inputs = make_inputs(CONFIG, batch, 'cpu')
    expected = measure_once(build_variant('mixture', setting, batch), inputs).chunk
    found = measure_once(build_variant(variant, setting, batch), inputs).chunk
    assert ((found - expected).pow(2).mean().sqrt() / expected.std()) < within


def test_the_dense_network_uses_every_expert(setting):
    inputs = make_inputs(CONFIG, 1, 'cpu')
    dense = measure_once(build_variant('dense', setting, 1), inputs).chunk
    mixture = measure_once(build_variant('mixture', setting, 1), inputs).chunk
    assert dense.shape == mixture.shape
    assert (dense - mixture).abs().max() > 1e-3


def test_parameters_of_the_large_configuration():
    large = PolicyConfig.published_large().denoiser
    assert total_parameters(large) == pytest.approx(685.9e6, rel=0.01)  # which counts an unused 2.1 M
    assert active_parameters(large) == pytest.approx(383.7e6, rel=0.01)
    assert total_parameters(CONFIG) == sum(p.numel() for p in Denoiser(CONFIG).parameters())


def test_variants_that_do_not_fit_together_are_measured_in_groups(setting):
    need = [estimate_memory(name, setting) for name in ('float32', 'bfloat16', 'int8')]
    assert groups(['float32', 'bfloat16', 'int8'], setting, sum(need)) == [['float32', 'bfloat16', 'int8']]
    assert groups(['float32', 'bfloat16', 'int8'], setting, need[0] + need[1]) == [['float32', 'bfloat16'], ['int8']]
    assert groups(['float32', 'bfloat16'], setting, 1) == [['float32'], ['bfloat16']]
    assert groups([], setting, 1) == []


def test_a_comparison_in_processes(setting):
    results = compare(['mixture', 'float32'], setting, 1, 3, lambda _: None)
    assert [result.variant for result in results] == ['mixture', 'float32']
    for result in results:
        assert len(result.totals) == 3
        assert result.percentile(50) > 0
        assert 1e8 < result.peak_bytes < 2e9
    assert results[0].ratio == 1
    assert results[1].error < 1e-5


def test_a_variant_that_fails_says_so(setting):
    broken = Setting(CONFIG.model_copy(update={'layers': 3}), DiffusionConfig(), setting.weights)
    with Worker('float32', broken, 1) as worker, pytest.raises(UserError, match='lacks'):
        worker.wait()


def test_the_command_writes_what_it_found(tmp_path, monkeypatch, capsys):
    small = PolicyConfig.small(7)
    tiny = small.model_copy(
        update={'denoiser': small.denoiser.model_copy(update={'embed_dim': 32, 'heads': 4, 'layers': 2})}
    )
    monkeypatch.setattr(BenchSettings, 'policy', property(lambda self: tiny))
    rates = Rates(bytes_per_second=1e9, flops=1e15, flops_bfloat16=2e15, flops_int8=4e15)
    monkeypatch.setattr('mode_ros.bench.run.measure_rates', lambda device: rates)
    settings = BenchSettings(variants=('fused copies', 'int8'), rounds=2, threads=1, output=tmp_path / 'out')
    run_comparison(settings)
    written = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert [row['variant'] for row in written['rows']] == ['fused copies, as published', 'this project, int8']
    assert written['machine']['processor']
    published, ours = written['rows']
    assert 0 < ours['flops'] < published['flops']
    assert ours['limit'] == bytes_read('int8', tiny.denoiser, 10) / 1e9
    assert ours['times_limit'] == ours['p50'] / ours['limit']
    assert 'fused copies, as published' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('changes', 'words'),
    [({'rounds': 0}, '--rounds is 0'), ({'batches': (1, -2)}, '--batches is -2'), ({'layers': 0}, '--layers is 0')],
)
def test_settings_that_make_no_sense(changes, words):
    with pytest.raises(UserError, match=words):
        BenchSettings(**changes)


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match='CUDA is not available'):
        BenchSettings(device='cuda')


def test_errors_of_solvers_fall_with_the_steps():
    torch.manual_seed(0)
    network = Denoiser(CONFIG).eval()
    found = errors_of(network, DiffusionConfig(), make_inputs(CONFIG, 2, 'cpu'))
    assert len(found) == 4 * len(STEPS)
    by = {(e.solver, e.schedule, e.steps): e.error for e in found}
    assert by['ddim', 'exponential', 20] < by['ddim', 'exponential', 4]
    assert by['dpmpp_2m', 'exponential', 20] < by['ddim', 'exponential', 20]


def test_errors_of_number_formats_are_small_and_not_nothing():
    torch.manual_seed(0)
    network = Denoiser(CONFIG).eval()
    found = format_errors(network, DiffusionConfig(), make_inputs(CONFIG, 2, 'cpu'))
    assert 'float32' not in found
    assert all(0 < error < 0.1 for error in found.values())


def test_a_data_set_is_for_the_comparison_of_solvers(capsys):
    with pytest.raises(SystemExit):
        main(['bench', '--dataset', 'data/drawers'])
    assert '--dataset gives the observations for --solvers' in capsys.readouterr().err
