"""Several speak on the emergency stop's topic, and nobody signs: a stop that is not taken back counts."""

import pytest

from mode_ros.control.estop import ASK_SECONDS, COPIES_KEPT, STEP_SECONDS, Copies, StopSaid

STEP = round(STEP_SECONDS * 1e9)
ENOUGH = round(ASK_SECONDS / STEP_SECONDS) + 2


class Topic:
    """Publishers whose last words are latched, and who hears them. `asked`: how often they were asked."""

    def __init__(self, **words):
        self.said, self.words = StopSaid(), dict(words)
        self.wall = self.asked = 0
        for word in words.values():
            self.said.hear(word, alone=len(words) == 1)

    def say(self, name, stop):
        self.words[name] = stop
        return self.said.hear(stop, alone=len(self.words) == 1)

    def step(self, times=1, answers=True):
        """answers: of those who are asked, the others' first."""
        for _ in range(times):
            self.wall += STEP
            if self.said.step(self.wall):
                self.asked += 1
                for stop in sorted(self.words.values(), reverse=True) if answers else ():
                    self.said.hear(stop, alone=len(self.words) == 1, live=False)
        return self.said.engaged


@pytest.mark.parametrize('words', [{'a': True, 'b': False}, {'b': False, 'a': True}])
def test_in_whatever_order_latched_words_come_a_stop_counts(words):
    topic = Topic(**words)
    assert topic.said.engaged
    assert topic.step(5 * ENOUGH)
    topic.say('a', False)
    topic.step(3 * ENOUGH)
    assert not topic.said.engaged


def test_who_speaks_alone_takes_its_stop_back_at_once():
    topic = Topic(a=True)
    topic.say('a', False)
    assert not topic.said.engaged
    topic.step(ENOUGH)
    assert topic.asked == 0


def test_one_of_several_takes_its_own_back_and_is_asked():
    topic = Topic(a=False, b=False)
    assert not topic.said.engaged
    topic.say('b', True)
    topic.say('b', False)
    assert topic.said.engaged, 'whose word it was is not known yet'
    assert topic.step(ENOUGH - 3), 'the answers may be on their way'
    assert not topic.step(3)
    assert topic.asked == 1


def test_somebody_elses_word_takes_nothing_back():
    topic = Topic(a=True)
    topic.say('b', False)
    assert topic.step(60 * ENOUGH)
    assert 5 <= topic.asked <= 15, 'more and more rarely'
    topic.say('a', False)
    assert not topic.step(2 * ENOUGH), 'and at once when somebody speaks'


def test_an_answer_that_a_newer_word_has_overtaken_holds_nothing_for_ever():
    said = StopSaid()
    said.hear(False, alone=False)  # live, by the one whose latched stop comes only now, with what it said after it
    said.hear(True, alone=False, live=False)
    said.hear(False, alone=False, live=False)
    for number in range(1, 2 * ENOUGH):
        said.step(number * STEP)
    assert not said.engaged


def test_a_stop_among_the_answers_is_told_as_one():
    said = StopSaid()
    assert not said.hear(True, alone=True)
    said.hear(False, alone=False)
    assert said.step(STEP)
    assert said.hear(True, alone=False)
    assert not said.hear(True, alone=False)


def test_words_that_are_repeated_do_not_ask_all_the_time():
    topic = Topic(a=True)
    for _ in range(50):
        topic.say('b', False)
        assert topic.step()
    assert 4 <= topic.asked <= 6, '5 s'
    topic.words['a'] = False
    for _ in range(2 * ENOUGH):
        topic.say('b', False)
        topic.step()
    assert not topic.said.engaged


def test_a_stop_that_is_not_latched_counts_while_it_is_repeated():
    topic = Topic(b=False, c=False)
    for _ in range(40):
        topic.said.hear(True, alone=False)
        topic.say('b', False)
        assert topic.step(5, answers=False)
    topic.say('b', False)
    assert not topic.step(2 * ENOUGH, answers=False)


def test_time_in_which_the_process_did_not_run_is_no_time_for_answers():
    topic = Topic(a=True, b=False)
    topic.say('b', False)
    topic.step(answers=False)
    assert topic.asked == 1
    topic.wall += 100 * STEP
    assert topic.step(), 'the answers may lie unread'
    topic.said.hear(True, alone=False)
    assert topic.step(5 * ENOUGH)


def test_a_word_that_two_readers_hear_is_new_once():
    copies = Copies()
    assert [copies.is_new(reader, 7, True) for reader in ('reliable', 'best effort')] == [True, False]
    assert [copies.is_new(reader, 8, True) for reader in ('best effort', 'reliable')] == [True, False], 'in any order'
    assert copies.is_new('best effort', 8, False), 'another word'


def test_two_who_speak_in_one_moment_are_two():
    copies = Copies()
    assert [copies.is_new('reliable', 7, True) for _ in range(2)] == [True, True]
    assert [copies.is_new('best effort', 7, True) for _ in range(3)] == [False, False, True], 'one is heard here alone'


@pytest.mark.parametrize('sent', [None, 0])
def test_a_word_of_which_nobody_tells_when_it_was_sent_always_counts(sent):
    """Rather is a stop of one's own taken for another's."""
    copies = Copies()
    assert all(copies.is_new(reader, sent, True) for reader in ('reliable', 'best effort') * 2)


def test_what_is_long_past_is_forgotten_and_counts_as_new():
    copies = Copies()
    for sent in range(1, 3 * COPIES_KEPT):
        copies.is_new('reliable', sent, False)
    assert not copies.is_new('best effort', 2 * COPIES_KEPT, False)
    assert copies.is_new('best effort', 1, False)
    assert len(copies._brought) <= COPIES_KEPT
