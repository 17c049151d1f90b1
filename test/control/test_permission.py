"""Whether people and others let the robot move, and the latch."""

import pytest

from mode_ros.control.permission import ESTOP, Permission
from mode_ros.control.safety import Problem, SafetySettings

STALE, PAUSE = Problem('stale', 'joints: no message'), Problem('paused', 'paused', latches=False)


def permission(**settings):
    made = Permission(SafetySettings(**settings))
    made.begin(0, keep_breach=False)
    return made


def names(problems):
    return [problem.name for problem in problems]


def test_the_first_that_latches_is_kept_until_it_is_taken_away():
    it = permission()
    assert it.latch([PAUSE, STALE, ESTOP], 5, 7, moved=True)
    assert (it.breach.problem, it.breach.since, it.breach.since_wall) == (STALE, 5, 7)
    assert not it.latch([ESTOP], 6, 8, moved=True), 'it is stopped already'
    it.begin(9, keep_breach=True)
    assert it.breach.problem is STALE
    it.begin(9, keep_breach=False)
    assert it.breach is None


@pytest.mark.parametrize(('problem', 'latches'), [(STALE, False), (ESTOP, True), (PAUSE, False)])
def test_before_anything_has_moved_only_what_a_person_must_see_latches(problem, latches):
    assert permission().latch([problem], 0, 0, moved=False) is latches


def test_everything_that_forbids_is_told_and_what_passes_by_itself_apart():
    it = permission(deadman_seconds=0.5, heartbeat_seconds=0.5)
    it.estop = it.paused = True
    it.set_crowd('two speak', 'two command')
    it.set_listening('listening')
    assert names(it.forbidden(0)) == ['estop', 'heartbeat', 'other publisher', 'publishers', 'listening']
    assert names(it.unasked(0)) == ['paused', 'deadman']
    it.estop = it.paused = False
    it.set_crowd('')
    it.set_listening('')
    it.signs.heartbeat(0)
    it.signs.deadman(True, 0)
    assert it.forbidden(0) == it.unasked(0) == []


def test_it_is_silent_until_it_knows_that_it_is_alone_and_nothing_is_to_be_released():
    it = permission()
    assert not it.mute, 'who need not listen may speak'
    it.set_listening('listening')
    it.begin(0, keep_breach=False)
    it.set_crowd('', 'two command')
    assert it.latch(it.forbidden(0), 0, 0, moved=False)
    it.set_listening('')
    it.set_crowd('')
    it.speak(driven=False)
    assert it.mute, 'it has refused to begin'
    it.begin(0, keep_breach=True)
    it.speak(driven=True)
    assert not it.mute, 'a person may drive it'
