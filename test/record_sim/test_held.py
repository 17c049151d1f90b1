"""A seed that is there already is recorded no second time, and counts once where it was."""

import json
import shutil

import pytest
from support.toy_simulator import ToySimulator

from mode_ros.errors import UserError
from mode_ros.record_sim import run
from mode_ros.record_sim.held import held_seeds
from mode_ros.record_sim.run import record
from mode_ros.record_sim.task_folder import Terms
from mode_ros.robots import load_named_contract
from mode_ros.training.data import layout
from mode_ros.training.data.convert import Conversion
from mode_ros.training.data.episode_writer import Encoding
from mode_ros.training.data.inputs import find_recordings
from mode_ros.training.data.staging import Settings

TEXT = load_named_contract('metaworld_sawyer')[1]


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setattr(run, 'make_simulator', lambda name, task, period: ToySimulator(task, period))


def terms(task='reach', seed=1000, **more):
    return Terms('metaworld', task, TEXT, seed=seed, **({'noise': 1.0} | more))


def seeds(folder, first=1000):
    return sorted(first + int(path.name[-6:]) for path in folder.glob('episode_*'))


def converted(target, *folders):
    with Conversion(target, Settings(TEXT, encoding=Encoding('png')), 'tester') as conversion:
        return conversion.run(find_recordings(folders, 'auto'), 1, strict=True)


def test_seeds_of_another_folder_are_left_out(tmp_path):
    record(tmp_path / 'one', [terms()], 2, 1)
    record(tmp_path / 'two', [terms(), terms('push')], 2, 1, besides=[tmp_path / 'one'])
    assert seeds(tmp_path / 'one' / 'reach') == [1000, 1001]
    assert seeds(tmp_path / 'two' / 'reach') == [1002, 1003]
    assert seeds(tmp_path / 'two' / 'push') == [1000, 1001]  # another task
    assert held_seeds([tmp_path / 'one' / 'reach'], 'metaworld', 'reach') == {1000, 1001}


def test_seeds_of_a_data_set_are_left_out(tmp_path):
    record(tmp_path / 'one', [terms(seed=1001)], 2, 1)
    converted(tmp_path / 'data', tmp_path / 'one')
    shutil.rmtree(tmp_path / 'one')
    record(tmp_path / 'two', [terms()], 3, 1, besides=[tmp_path / 'data'])
    assert seeds(tmp_path / 'two' / 'reach') == [1000, 1003, 1004]


def test_one_demonstration_under_two_numbers_counts_once(tmp_path):
    record(tmp_path / 'one', [terms()], 3, 1)
    record(tmp_path / 'two', [terms(seed=1002)], 2, 1)  # 1002 is in both, as another number
    record(tmp_path / 'calm', [terms(noise=0.0)], 1, 1)  # the same seed, and another demonstration
    outcome = converted(tmp_path / 'data', tmp_path / 'one', tmp_path / 'two', tmp_path / 'calm')
    assert outcome.new == 5
    (note,) = [note for note in outcome.notes if 'counts once' in note]
    assert 'is the same recording' in note or 'the demonstration of reach with the seed 1002 that' in note


def test_what_was_recorded_otherwise_and_is_the_same_demonstration_counts_once(tmp_path):
    record(tmp_path / 'one', [terms()], 2, 1)
    converted(tmp_path / 'data', tmp_path / 'one')
    record(tmp_path / 'two', [terms()], 3, 1)
    for bag in (tmp_path / 'two' / 'reach').glob('episode_00000[01]/*.mcap'):
        bag.write_bytes(bag.read_bytes()[:-8] + b'\0' * 8)  # another file, as of another release
    outcome = converted(tmp_path / 'data', tmp_path / 'two')
    assert outcome.new == 1
    assert sum('with the seed 100' in note and 'counts once' in note for note in outcome.notes) == 2


def test_what_says_nothing_of_seeds_is_named(tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'--besides .*empty is neither a data set nor a folder that record-sim wrote'):
        record(tmp_path / 'out', [terms()], 1, 1, besides=[tmp_path / 'empty'])
    record(tmp_path / 'one', [terms()], 1, 1)
    converted(tmp_path / 'data', tmp_path / 'one')
    extras = json.loads((tmp_path / 'data' / layout.EXTRAS).read_text())
    for source in extras['sources']:
        del source['origin']
    (tmp_path / 'data' / layout.EXTRAS).write_text(json.dumps(extras))
    with pytest.raises(
        UserError, match=r'data does not say which seeds it holds .* name the folders of its recordings'
    ):
        record(tmp_path / 'two', [terms()], 1, 1, besides=[tmp_path / 'data'])
