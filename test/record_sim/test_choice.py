"""Which tasks are recorded: names of suites and tasks, and what no expert can show is known before."""

import pytest

from mode_ros.errors import UserError
from mode_ros.record_sim import choice
from mode_ros.record_sim.choice import Choice, choose_tasks
from mode_ros.sim import suites

LIBERO = ('libero_goal/push', 'libero_goal/put', 'libero_goal/rack', 'libero_spatial/a')


@pytest.fixture
def libero(monkeypatch):
    """Four tasks in the benchmark's place, of which two have no expert."""
    tasks = {'libero': LIBERO, 'metaworld': ()}.get
    monkeypatch.setattr(choice, 'list_tasks', tasks)
    monkeypatch.setattr(suites, 'list_tasks', tasks)
    missing = {'libero_goal/push': "no skill for its goal 'on plate'", 'libero_goal/rack': 'no skill'}
    monkeypatch.setattr(choice, 'missing_expert', lambda simulator, task: missing.get(task, ''))
    return missing


def test_names_of_tasks_and_suites():
    pytest.importorskip('metaworld')
    assert choose_tasks(['reach', 'door-open-v3', 'reach']) == Choice('metaworld', ('reach', 'door-open'), {})
    found = choose_tasks(['metaworld-demo', 'push'])
    assert (found.simulator, len(found.tasks), found.tasks[-1]) == ('metaworld', 11, 'push')
    assert found.told() == ''
    with pytest.raises(UserError, match='drawer-open'):
        choose_tasks(['drawer-opne'])
    with pytest.raises(UserError, match='metaworld-demo'):
        choose_tasks(['metaworld-dem'])
    with pytest.raises(UserError, match='of metaworld, not of libero'):
        choose_tasks(['metaworld-demo'], 'libero')
    with pytest.raises(UserError, match='No task'):
        choose_tasks([])


@pytest.mark.parametrize('name', ['libero-spatial/0', 'libero_spatial/0', 'libero_spatial/a', 'libero-spatial/a'])
@pytest.mark.parametrize('simulator', [None, 'libero'])
def test_a_task_of_a_libero_suite_says_which_simulator_it_is(libero, name, simulator):
    assert choose_tasks([name], simulator) == Choice('libero', ('libero_spatial/a',), {})
    with pytest.raises(UserError, match=f"The task '{name}' is of libero, not of metaworld"):
        choose_tasks([name], 'metaworld')
    with pytest.raises(UserError, match=r"no task 'libero_spatial/7'; libero_spatial has 1 tasks, 0 to 0"):
        choose_tasks(['libero-spatial/7'], simulator)


def test_of_a_suite_the_tasks_without_an_expert_are_left_out(libero):
    found = choose_tasks(['libero-goal', 'libero-spatial'])
    assert found == Choice('libero', ('libero_goal/put', 'libero_spatial/a'), libero)
    assert found.told() == (
        "2 of 4 tasks are left out, without a scripted expert: libero_goal/push (no skill for its goal 'on plate'), "
        'libero_goal/rack (no skill)'
    )
    del libero['libero_goal/rack']
    assert choose_tasks(['libero-goal']).told().startswith('1 of 3 tasks is left out')


@pytest.mark.parametrize(
    'names',
    [
        ['libero-goal/0'],
        ['libero_goal/push', 'libero-spatial'],
        ['libero-goal/push', 'libero-goal'],
        ['libero-goal', 'libero-goal/0'],
    ],
)
def test_a_task_that_is_named_itself_is_refused(libero, names):
    with pytest.raises(UserError) as caught:
        choose_tasks(names)
    assert str(caught.value) == (
        "Without a scripted expert nothing can be shown of libero_goal/push (no skill for its goal 'on plate'); leave "
        'out what is named here, or name the whole suite, of which the other tasks are recorded.'
    )


def test_all_that_are_named_themselves_are_told_at_once(libero):
    with pytest.raises(UserError, match=r'libero_goal/push .* libero_goal/rack \(no skill\); leave out'):
        choose_tasks(['libero-goal/push', 'libero-goal/put', 'libero-goal/rack'])


def test_a_suite_of_which_nothing_is_left_is_refused(libero):
    libero['libero_spatial/a'] = 'no skill'
    with pytest.raises(UserError, match=r'No task of libero-spatial has .* libero_spatial/a \(no skill\); name other'):
        choose_tasks(['libero-spatial'])
