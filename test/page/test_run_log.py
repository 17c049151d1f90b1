"""A training's log, read while it is written."""

import json

import pytest

from mode_ros.page.run_log import RunLog, thin


@pytest.fixture
def log(tmp_path):
    return tmp_path / 'log.jsonl'


def write(log, *entries, end='\n'):
    with log.open('a') as file:
        file.write('\n'.join(json.dumps(entry) for entry in entries) + end)


def step(number, loss=1.0, **more):
    return {'step': number, 'kind': 'step', 'denoising': loss, 'steps_per_second': 2.0, **more}


def validation(number, error, **tasks):
    return {'step': number, 'kind': 'validation', 'error': error, 'by_task': tasks}


def test_where_it_is_and_how_long_it_takes(log):
    write(log, step(5), step(10, 0.5), validation(10, 0.9), validation(20, 0.95))
    seen = RunLog(log)
    seen.read_on()
    assert seen.now(100) == {
        'step': 10,
        'of': 100,
        'loss': 0.5,
        'error': 0.95,
        'best': {'step': 10, 'error': 0.9},
        'rate': 2.0,
        'left': 45.0,
    }


def test_it_goes_on_where_it_was_and_waits_for_whole_lines(log):
    seen = RunLog(log)
    write(log, step(1), end='\n{"step": 2, "kind": "st')
    seen.read_on()
    assert seen.curves()['denoising'] == [(1, 1.0)]
    with log.open('a') as file:
        file.write('ep", "denoising": 0.5}\n')
    seen.read_on()
    assert seen.curves()['denoising'] == [(1, 1.0), (2, 0.5)]


def test_what_a_resumed_training_repeats_counts_once(log):
    write(log, step(1), step(2), step(3, 9.0), validation(3, 9.0), step(2, 0.2))
    seen = RunLog(log)
    seen.read_on()
    assert seen.curves()['denoising'] == [(1, 1.0), (2, 0.2)]
    assert seen.now(None)['step'] == 2
    assert seen.now(None)['error'] is None


def test_another_training_in_its_place_is_read_anew(log):
    write(log, step(1), step(2))
    seen = RunLog(log)
    seen.read_on()
    log.write_text(json.dumps(step(1, 0.7)) + '\n')
    seen.read_on()
    assert seen.curves()['denoising'] == [(1, 0.7)]


def test_what_is_not_finite_or_no_entry_is_left_out(log):
    log.write_text('null\n{"step": 1}\n[]\n{"step": 1, "kind": "step", "denoising": NaN}\n')
    seen = RunLog(log)
    seen.read_on()
    assert seen.curves()['denoising'] == []
    assert json.dumps(seen.now(10), allow_nan=False)


def test_tasks_with_the_error_before_the_worst_first(log):
    write(log, validation(10, 1.0, reach=0.5, push=0.4), validation(20, 1.0, reach=0.3, push=0.6))
    seen = RunLog(log)
    seen.read_on()
    assert seen.by_task() == [('push', 0.6, 0.4), ('reach', 0.3, 0.5)]


def test_a_file_that_is_not_there_is_no_training_yet(log):
    seen = RunLog(log)
    seen.read_on()
    assert seen.now(None)['step'] == 0
    assert seen.by_task() == []


@pytest.mark.parametrize('count', [0, 1, 299, 300, 301, 12_345])
def test_thinned_curves_keep_their_ends_and_their_means(count):
    points = [(step, float(step % 7)) for step in range(1, count + 1)]
    thinned = thin(points, 300)
    assert len(thinned) <= 301
    assert thinned[-1:] == points[-1:]
    steps = [step for step, _ in thinned]
    assert steps == sorted(set(steps))
    if count > 1000:
        assert sum(value for _, value in thinned) / len(thinned) == pytest.approx(3.0, abs=0.1)
