"""The report of a training: made at its end, and again from what lies in the folder."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from support.training_sets import joints_set, logged, make_trainer, train_settings

from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.training.inspection.pictures import chunk_picture, routing_picture
from mode_ros.training.training_report import load_samples, save_samples, write_report
from mode_ros.training.validation import Validation


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """(trainer, its folder) of six steps and two validations."""
    folder = tmp_path_factory.mktemp('training')
    data = joints_set(folder / 'data', tasks=('reach', 'push <fast>'))
    settings = train_settings(data, **{'run.steps': 6, 'run.validate_every': 3, 'data.validation_share': 0.4})
    trainer = make_trainer(settings, folder / 'out')
    trainer.train()
    return trainer, folder / 'out'


def test_the_end_of_a_training_leaves_a_report_of_all_parts(trained):
    _, out = trained
    page = (out / 'report.html').read_text()
    for title in ('Curves', 'Validation', 'By task', 'Predicted and recorded chunks', 'Time and memory', 'Experts'):
        assert f'{title}</h' in page, title
    assert '<script' not in page
    assert 'http' not in page.replace('http://www.w3.org/2000/svg', '')
    assert 'push &lt;fast&gt;' in page
    error = logged(out, 'validation')[6]['error']
    assert f'{error:.4f}' in page
    assert 'MB' in page
    for svg in re.findall('<svg.*?</svg>', page, re.DOTALL):
        ElementTree.fromstring(svg)


def test_peak_memory_is_logged(trained):
    entries = logged(trained[1])
    assert entries[6]['peak_memory_mb'] >= entries[1]['peak_memory_mb'] > 50


def test_the_chunks_that_are_shown_are_the_last_validations(trained):
    _, out = trained
    samples = load_samples(out)
    assert samples.step == 6
    assert samples.recorded.shape == samples.predicted.shape == (len(samples.tasks), 4, 2)
    assert set(samples.tasks) == {'reach', 'push <fast>'}
    found = logged(out, 'validation')[6]['by_task']
    # Without padding the errors of the moments make up the task's.
    rows = [row for row, task in enumerate(samples.tasks) if task == 'reach']
    assert min(samples.errors[rows]) <= found['reach'] <= max(samples.errors[rows])


def test_it_is_made_again_by_the_verb_and_before_the_end(trained, capfd):
    _, out = trained
    (out / 'report.html').unlink()
    with pytest.raises(SystemExit) as ended:
        main(['train', '--report', '--output', str(out)])
    assert ended.value.code == 0
    assert 'Experts</h2>' in (out / 'report.html').read_text()
    (out / 'policy').rename(out / 'elsewhere')  # as of a training that still runs
    try:
        assert 'Of step_00000006' in write_report(out).read_text()
    finally:
        (out / 'elsewhere').rename(out / 'policy')


def test_a_log_alone_gives_curves(trained, tmp_path):
    (tmp_path / 'log.jsonl').write_text((trained[1] / 'log.jsonl').read_text())
    page = write_report(tmp_path).read_text()
    assert 'denoising loss' in page
    assert 'Experts' not in page


def test_a_folder_without_a_training_is_named(tmp_path, capfd):
    with pytest.raises(UserError, match=r'has no log\.jsonl'):
        write_report(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(['train', '--output', str(tmp_path / 'out')])
    assert ended.value.code == 1
    assert 'no training file' in capfd.readouterr().err


def validation(errors, padding=None):
    """A moment for each of `errors`, by which its prediction is off."""
    recorded = np.zeros((len(errors), 4, 2))
    predicted = recorded + np.array(errors)[:, None, None] * [1, 2]
    padding = np.zeros((len(errors), 4), bool) if padding is None else padding
    moments = tuple((0, k) for k in range(len(errors)))
    return Validation(moments, recorded, predicted, padding, np.array([1.0, 2.0]), ('reach',) * len(errors))


def test_errors_are_in_units_of_the_spread_and_without_padding(tmp_path):
    padding = np.zeros((3, 4), bool)
    padding[1, 2:] = True
    found = validation([0.5, 1.0, 3.0], padding)
    found.predicted[1, 2:] = 100
    save_samples(tmp_path, 9, found)
    samples = load_samples(tmp_path)
    np.testing.assert_allclose(samples.errors, [0.5, 1.0, 3.0])
    assert not list(tmp_path.glob('.*'))
    assert load_samples(tmp_path / 'nothing') is None


def test_pictures_show_both_lines_and_the_selected_experts(trained):
    trainer, _ = trained
    picture = chunk_picture(validation([0.5, 1.0, 3.0, 0.1, 0.2]), ['a', 'b'])
    assert picture.dtype == np.uint8
    assert picture.shape == (4 * 80, 2 * 130, 3)
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert {(0, 114, 178), (213, 94, 0)} <= colours
    heat = routing_picture(trainer.average)
    assert heat.shape == (2 * (16 + 4 * 12), 48 * 6, 3)
    # Two of four experts run at each level: viridis' ends, yellow and violet, half and half.
    below = heat[16:64].reshape(-1, 3).astype(int)
    assert np.mean(below[:, 0] > 200) == pytest.approx(0.5, abs=0.02)


def test_tensorboard_gets_the_pictures(trained):
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    board = accumulator.EventAccumulator(str(trained[1] / 'tensorboard'), size_guidance={'images': 0})
    board.Reload()
    assert {'validation/chunks', 'routing/use'} <= set(board.Tags()['images'])
    assert [event.step for event in board.Images('routing/use')] == [3, 6]


def test_a_collapse_is_said_while_training_once(tmp_path, capfd):
    data = joints_set(tmp_path / 'data')
    changes = {'run.steps': 4, 'run.batch_size': 128, 'loss.balancing': 0.0, 'data.validation_share': 0.0}
    trainer = make_trainer(train_settings(data, **changes), tmp_path / 'out')
    with torch.no_grad():
        router = trainer._network.denoiser.stack[1].router
        router.output.weight.zero_()
        router.output.bias.copy_(torch.tensor([30.0, 30.0, 0.0, 0.0]))
    trainer.train()
    said = [line for line in capfd.readouterr().out.splitlines() if line.startswith('warning')]
    assert said == [
        'warning at step 1: router collapse: layer 1 selects experts 0, 1 100% of the time in training, so that the '
        'other 2 learn nothing: raise loss.balancing.'
    ]
