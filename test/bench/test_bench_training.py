"""The comparison of training steps: two networks of as many active numbers, in turns, and what is written of it."""

import json

import pytest

from mode_ros.bench.run import BenchSettings, run_training
from mode_ros.bench.training import KINDS, PARTS, TrainingCost, compare_training, dense_counterpart, ratios
from mode_ros.policy.config import DenoiserConfig, PolicyConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.size import active_parameters

SIZES = {'action_dim': 3, 'image_dim': 12, 'goal_dim': 10, 'embed_dim': 32, 'layers': 2, 'heads': 4, 'chunk_length': 5}
CONFIG = DenoiserConfig(**SIZES)


def test_the_dense_counterpart_has_as_many_active_numbers():
    dense = sum(parameter.numel() for parameter in Denoiser(dense_counterpart(CONFIG)).parameters())
    assert dense == pytest.approx(active_parameters(CONFIG), rel=0.01)


@pytest.mark.parametrize('kind', KINDS)
def test_both_take_every_round(kind):
    costs = compare_training(CONFIG, 3, 2, 'cpu', kind)
    assert list(costs) == ['mixture', 'dense']
    for cost in costs.values():
        assert list(cost.parts) == list(PARTS)
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in cost.parts.values())
    assert costs['mixture'].parameters > costs['dense'].parameters


def test_a_ratio_is_the_median_over_rounds():
    mixture = TrainingCost({PARTS[0]: (1.0, 2.0, 9.0), PARTS[1]: (1.0, 1.0, 1.0)}, 10)
    dense = TrainingCost({PARTS[0]: (1.0, 1.0, 1.0), PARTS[1]: (1.0, 1.0, 1.0)}, 5)
    found = ratios({'mixture': mixture, 'dense': dense})
    assert found == {PARTS[0]: 2.0, PARTS[1]: 1.0, 'step': 1.5}


def test_the_command_writes_what_it_found(tmp_path, monkeypatch, capsys):
    small = PolicyConfig.small(7)
    tiny = small.model_copy(
        update={'denoiser': small.denoiser.model_copy(update={'embed_dim': 32, 'heads': 4, 'layers': 2})}
    )
    monkeypatch.setattr(BenchSettings, 'policy', property(lambda self: tiny))
    run_training(BenchSettings(batches=(2, 4), rounds=2, threads=1, output=tmp_path / 'out'))
    written = json.loads((tmp_path / 'out' / 'training.json').read_text())
    assert [(row['batch'], row['products']) for row in written['rows']] == [(b, k) for b in (2, 4) for k in KINDS]
    assert set(written['rows'][0]['ratios']) == {*PARTS, 'step'}
    printed = capsys.readouterr().out
    assert '| 4 | float32 | mixture |' in printed
    assert '| 4 | bfloat16 | dense |' in printed
