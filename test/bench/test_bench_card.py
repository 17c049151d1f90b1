"""The numbers of one card: each way once, what it is told against, and what is written when a part fails."""

import json

import pytest
import torch

from mode_ros.bench import card
from mode_ros.bench.card import Way, rounding, spread
from mode_ros.bench.card_images import times_of
from mode_ros.bench.limit import Rates
from mode_ros.bench.run import BenchSettings, run_card
from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.mixture import Mixture
from mode_ros.policy.routing import select_experts

RATES = Rates(bytes_per_second=1e9, flops=1e15, flops_bfloat16=2e15, flops_int8=4e15)


@pytest.fixture
def tiny(monkeypatch):
    small = PolicyConfig.small(7, cameras=[('static', 32, 32)])
    sizes = {'embed_dim': 32, 'heads': 4, 'layers': 2}
    config = small.model_copy(update={'denoiser': small.denoiser.model_copy(update=sizes)})
    monkeypatch.setattr(BenchSettings, 'policy', property(lambda self: config))
    monkeypatch.setattr(card, 'measure_rates', lambda device: RATES)
    monkeypatch.setattr(card, 'WAYS', (Way('mixture'), Way('float32'), Way('float32', recorded=True), Way('trained')))


def read(folder, part):
    return json.loads((folder / f'card_{part}.json').read_text())['rows']


def test_every_way_says_what_the_first_says(tiny, tmp_path, capsys):
    run_card(BenchSettings(batches=(1, 2), rounds=2, threads=1, output=tmp_path), ['chunks'], [2])
    _, *rows = read(tmp_path, 'chunks')
    ways = [(row['way'], row['batch']) for row in rows]
    assert ways == [(way, batch) for way in ('mixture', 'float32') for batch in (1, 2)] + [('trained', 1)]
    for row in rows:
        assert row['error'] < 1e-5
        assert 0 < row['least'] <= row['p50']
        assert row['p99'] is None  # of two rounds
        assert row['times'] == row['p50'] / row['limit']
    assert 'way trained, batch 1' in capsys.readouterr().out


def test_images_and_training(tiny, tmp_path):
    run_card(BenchSettings(rounds=2, threads=1, output=tmp_path), ['images', 'training'], [2])
    encoders, *chunks = read(tmp_path, 'images')
    assert encoders['error'] < 1e-5
    assert [row['what'] for row in chunks] == [f'chunk in {n}, launched one by one' for n in ('float32', 'bfloat16')]
    assert [row['kind'] for row in read(tmp_path, 'training')] == 2 * ['dense', 'mixture', 'loop']


def test_a_part_that_fails_does_not_keep_the_next_from_running(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('mode_ros.bench.run.measure_chunks', lambda *_: 1 / 0)
    with pytest.raises(UserError, match='chunks failed on this device'):
        run_card(BenchSettings(rounds=2, threads=1, output=tmp_path), ['chunks', 'training'], [2])
    assert len(read(tmp_path, 'training')) == 6
    assert 'ZeroDivisionError' in capsys.readouterr().err
    nowhere = tmp_path / 'nowhere'
    with pytest.raises(UserError, match='images failed on this device'):
        run_card(BenchSettings(rounds=2, threads=1, output=tmp_path), ['images'], [2], nowhere)
    assert str(nowhere) in capsys.readouterr().out
    assert len(read(tmp_path, 'images')) == 3  # what was measured before


@pytest.mark.parametrize('tokens', [False, True])
def test_the_loop_over_experts_gives_what_the_mixture_gives(tokens):
    torch.manual_seed(0)
    mixture = Mixture(8, 4, 0.0).eval()
    for parameter in mixture.parameters():
        torch.nn.init.normal_(parameter)
    z = torch.randn(6, 3, 8)
    probabilities = torch.rand(6, *([3] if tokens else []), 4).softmax(-1)
    routing = select_experts(probabilities, 2)
    torch.testing.assert_close(mixture.forward_plain(z, routing), mixture(z, routing))


def test_rounding_is_as_before_afterwards():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    for tf32 in (True, False):
        with rounding(tf32):
            assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == tf32
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_a_99th_percentile_needs_a_hundred_rounds():
    assert spread([1.0] * 99)['p99'] is None
    assert spread([1.0] * 99 + [2.0])['p99'] == pytest.approx(1.01)


def test_rounds_end_when_their_time_is_over_but_not_before_ten_are_told():
    called = []
    assert times_of(called.append, 100, 'cpu', 0.0)['rounds'] == 10
    assert len(called) == 15  # with those that warm up
    assert times_of(called.append, 100, 'cpu')['rounds'] == 100
    assert times_of(called.append, 3, 'cpu', 0.0)['rounds'] == 3


def test_a_policy_without_images_to_be_measured(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(['bench', '--card', 'chunks', '--policy', str(tmp_path)])
    assert '--policy is measured by --card images' in capsys.readouterr().err
