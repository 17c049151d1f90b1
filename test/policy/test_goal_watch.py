"""Sentences that a running policy cannot tell from others."""

import json

import pytest
from support.training_sets import TextNumbers

from mode_ros.errors import UserError
from mode_ros.goal_watch import GoalWatch
from mode_ros.policy.checkpoint import GOALS, read_info


class Deaf(TextNumbers):
    """Hears nothing but ASCII."""

    def encode(self, texts):
        return super().encode([''.join(c for c in text if c.isascii()) or '?' for text in texts])

    def lost(self, text):
        return [c for c in text if not c.isascii()]


def said(findings):
    return [str(finding) for finding in findings]


def test_the_sentences_of_the_training_are_compared():
    assert GoalWatch(('open', 'close'), Deaf()).among_known() == []
    (only,) = said(GoalWatch(('打开', '关上', 'close'), Deaf()).among_known())
    assert "'打开' and '关上' are one sentence" in only
    assert GoalWatch((), Deaf()).among_known() == []


def test_a_sentence_that_is_heard_is_judged_once():
    watch = GoalWatch(('打开', 'close'), Deaf())
    lines = said(watch.hear('关上'))
    assert any('are one sentence' in line for line in lines)
    assert any('does not see' in line for line in lines)
    assert watch.hear('关上') == []
    assert said(watch.about('关上')) == lines, 'and can be asked for as long as it is the goal'
    assert watch.about('close') == watch.about('never heard') == watch.about(' ') == []
    assert watch.hear('  CLOSE ') == []  # as it was trained
    assert watch.hear('push') == []
    assert watch.hear(' ') == []


def test_a_checkpoint_keeps_its_goals(tmp_path, saved):
    assert read_info(saved).goals == ()
    (saved / GOALS).write_text(json.dumps(['open', '打开']))
    assert read_info(saved).goals == ('open', '打开')
    (saved / GOALS).write_text('{"a": 1}')
    with pytest.raises(UserError, match=r'goals\.json must be a list of sentences'):
        read_info(saved)


@pytest.fixture
def saved(tmp_path):
    from support.contracts import DELTA_TEXT, delta_contract

    from mode_ros.pairing import limit_statistics, small_config
    from mode_ros.policy.policy import Policy

    config = small_config(delta_contract())
    policy = Policy.untrained(config, limit_statistics(delta_contract()), DELTA_TEXT, 0, text_encoder=TextNumbers())
    policy.save(tmp_path / 'policy')
    return tmp_path / 'policy'
