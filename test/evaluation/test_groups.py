"""Meta-World's groups: whole, each task in one, and their mean no mean over tasks."""

import pytest

from mode_ros.evaluation.episodes import Episode
from mode_ros.evaluation.report import write_report
from mode_ros.evaluation.results import summarise, table
from mode_ros.evaluation.statistics import mean_of_rates_interval, wilson_interval
from mode_ros.sim.instructions import metaworld_instruction
from mode_ros.sim.suites import METAWORLD_GROUPS

EVERY = [task for tasks in METAWORLD_GROUPS.values() for task in tasks]
ABOUT = {
    'settings': {},
    'checkpoint': {'folder': 'policy', 'trained_steps': 1, 'digest': ''},
    'latency_periods': 1,
}


def episodes(tasks, solved):
    return [Episode(task, 0, 'go', task in solved, 2.0, 40, 4, 4, 0, 0, int(task in solved)) for task in tasks]


def test_every_task_is_in_one_group():
    assert [len(tasks) for tasks in METAWORLD_GROUPS.values()] == [28, 11, 6, 5]
    assert len(set(EVERY)) == 50
    for task in EVERY:
        metaworld_instruction(task)  # raises for one that does not exist


def test_the_mean_over_groups_counts_each_group_once(tmp_path):
    found = summarise('metaworld-50', ABOUT, episodes(EVERY, METAWORLD_GROUPS['easy']))

    assert found['mean']['rate'] == pytest.approx(28 / 50)
    assert found['mean_over_groups']['rate'] == pytest.approx(1 / 4)
    assert found['mean_over_groups']['low'] < 0.25 < found['mean_over_groups']['high']
    assert found['groups']['very hard']['rollouts'] == 5
    for text in ('easy (28 tasks)', 'very hard (5 tasks)', 'mean over the four groups'):
        assert text in table(found)
    write_report(tmp_path, found, [])
    assert 'mean over the four groups' in (tmp_path / 'report.html').read_text()


def test_no_groups_without_all_of_their_tasks():
    found = summarise('metaworld-50', ABOUT, episodes(EVERY[1:], []))
    assert 'groups' not in found
    assert 'four groups' not in table(found)


def test_the_interval_of_one_rate_is_its_own_and_of_four_narrower():
    assert mean_of_rates_interval([(7, 10)]) == pytest.approx(wilson_interval(7, 10))
    low, high = mean_of_rates_interval([(7, 10)] * 4)
    one = wilson_interval(7, 10)
    assert (high - low) == pytest.approx((one[1] - one[0]) / 2)
