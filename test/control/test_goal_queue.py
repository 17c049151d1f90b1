"""Goals one after the other."""

from mode_ros.control.goal_queue import SKIPPED, SUCCESS, TIMED_OUT, GoalQueue, parse_goals

SECOND = 1_000_000_000


def filled(seconds=0.0, goals=('a', 'b', 'c')):
    queue = GoalQueue(seconds)
    queue.fill(goals, 100 * SECOND)
    return queue


def test_goals_are_read_from_lines_and_between_semicolons():
    assert parse_goals(' open the drawer ; push\n\n the button ;') == ('open the drawer', 'push', 'the button')
    assert parse_goals(' ; \n') == ()


def test_a_success_that_comes_brings_the_next_goal():
    queue = filled()
    assert not queue.success(True, 101 * SECOND), 'told from before the goal'
    assert not queue.success(False, 102 * SECOND)
    assert queue.success(True, 104 * SECOND)
    assert not queue.success(True, 105 * SECOND), 'the same one, told again'
    assert queue.goal == 'b'
    assert [(one.goal, one.how, one.seconds) for one in queue.ended] == [('a', SUCCESS, 4.0)]


def test_time_and_a_person_bring_the_next_one_too_and_the_last_one_ends():
    queue = filled(seconds=5.0)
    assert not queue.tick(104 * SECOND)
    assert queue.tick(105 * SECOND)
    assert not queue.tick(109 * SECOND), 'its time begins anew'
    assert queue.skip(109 * SECOND)
    assert queue.tick(114 * SECOND)
    assert queue.goal == ''
    assert not queue.skip(115 * SECOND)
    assert not queue.tick(999 * SECOND)
    assert [one.how for one in queue.ended] == [TIMED_OUT, SKIPPED, TIMED_OUT]


def test_what_counts_is_how_many_succeeded_in_a_row():
    queue = filled()
    for how in (True, True, False):
        queue.success(False, 101 * SECOND)
        if how:
            queue.success(True, 102 * SECOND)
        else:
            queue.skip(102 * SECOND)
    told = queue.as_data()
    assert (told['in a row'], told['of'], told['goal']) == (2, 3, '')
    queue.fill(['d'], 103 * SECOND)
    assert (queue.goal, queue.as_data()['ended']) == ('d', [])
