"""Other words are read as what was taught, what was taught is left alone, and nothing else changes."""

import numpy as np
import pytest
from policy_samples import CONTRACT, FakeTextEncoder, denoiser_config, state_policy_config, statistics

from mode_ros.errors import UserError
from mode_ros.evaluation.episodes import digest
from mode_ros.goal_watch import GoalWatch
from mode_ros.policy.checkpoint_info import read_info
from mode_ros.policy.known_goals import KnownGoals
from mode_ros.policy.policy import Policy
from mode_ros.policy.runtimes.choose import RunSettings, load_policy
from mode_ros.policy.words import NAME, Reading, ReadingEncoder, Words, read_words, scaled, write_words

TAUGHT = ('open the drawer', 'Close  the drawer', 'pull it open')
STATE = np.array([0.5, 1.0, -2.0, 0.03])


def words(encoder, dim=384, **rows):
    """By hand: each row answers to the sentence that is given for it, and to no other."""
    sentences = rows or {'open the drawer': 'slide it open', 'close the drawer': 'slide it shut', '': 'sing'}
    weight = scaled(encoder.encode(list(sentences.values()))).astype(np.float32) * 8 / dim
    return Words(tuple(each for each in sentences if each), weight, np.zeros(len(sentences), np.float32))


@pytest.fixture
def encoder():
    return FakeTextEncoder()


@pytest.fixture
def reading(encoder):
    return ReadingEncoder(encoder, TAUGHT, words(encoder))


@pytest.fixture
def saved(tmp_path, encoder):
    sizes = {'cameras': 0, 'image_dim': 0, 'state_dim': 4, 'goal_dim': 384, 'embed_dim': 16, 'layers': 1}
    config = state_policy_config(denoiser=denoiser_config(**sizes))
    Policy.untrained(config, statistics(), CONTRACT, 0, text_encoder=encoder).save(tmp_path / 'policy')
    (tmp_path / 'policy' / 'goals.json').write_text('["open the drawer", "Close  the drawer", "pull it open"]')
    return tmp_path / 'policy'


def same(a, b):
    return np.array_equal(np.asarray(a), np.asarray(b))


def test_other_words_get_the_numbers_of_what_they_mean(reading, encoder):
    assert same(reading.encode(['slide it  OPEN'])[0], encoder.encode(['open the drawer'])[0])
    assert reading.reading('slide it shut').meaning == 'close the drawer'


@pytest.mark.parametrize('sentence', TAUGHT)
def test_what_was_taught_is_never_read(encoder, sentence):
    """Not even where the words would take it for something else."""
    mistaken = words(
        encoder, **{'open the drawer': 'close the drawer', 'close the drawer': 'open the drawer', '': 'sing'}
    )
    reading = ReadingEncoder(encoder, TAUGHT, mistaken)
    spoken = ' '.join(sentence.lower().split())
    assert same(reading.encode([sentence])[0], encoder.encode([spoken])[0])
    assert reading.reading(sentence) == Reading(spoken, 1.0, taught=True)


def test_what_is_none_of_these_or_unsure_reaches_the_policy_as_it_is(reading, encoder):
    for sentence in ('sing', 'a sentence that nobody has thought of'):
        assert reading.reading(sentence).meaning == ''
        assert same(reading.encode([sentence])[0], encoder.encode([sentence])[0])
    assert reading.reading('sing').sure > 0.5


@pytest.mark.parametrize(
    ('sentence', 'meaning'),
    [
        ('slide it open!', 'open the drawer'),
        ('Slide it, open...', 'open the drawer'),
        ('pull it open!', 'pull it open'),
        ('sing?', ''),
        ('!', ''),
    ],
)
def test_marks_mean_nothing(reading, encoder, sentence, meaning):
    assert reading.reading(sentence).meaning == meaning
    told = encoder.encode([meaning or sentence.lower()])[0]
    assert same(reading.encode([sentence])[0], told)


def test_several_at_once_are_read_each_by_itself(reading, encoder):
    many = reading.encode(['sing', 'slide it open', 'open the drawer'])
    for ours, said in zip(many, ('sing', 'open the drawer', 'open the drawer'), strict=True):
        assert same(ours, encoder.encode([said])[0])


def test_a_policy_does_with_other_words_what_it_does_with_its_own(saved, encoder):
    def chunk(goal):
        policy = load_policy(saved, 'torch', RunSettings('cpu'), FakeTextEncoder())
        return policy.predict({}, STATE, goal, np.random.default_rng(0))

    before = {goal: chunk(goal) for goal in ('slide it open', 'open the drawer', 'sing')}
    write_words(saved, words(encoder))
    assert same(chunk('slide it open'), before['open the drawer'])
    assert not same(before['slide it open'], before['open the drawer'])
    assert same(chunk('open the drawer'), before['open the drawer'])
    assert same(chunk('sing'), before['sing'])


def test_the_words_are_part_of_what_is_evaluated(saved, encoder):
    before = digest(saved)
    write_words(saved, words(encoder))
    assert digest(saved) != before
    (saved / NAME).unlink()
    assert digest(saved) == before


def test_they_come_back_as_they_were_written(saved, encoder):
    assert read_info(saved).words is None
    write_words(saved, words(encoder))
    back = read_info(saved).words
    assert back.meanings == ('open the drawer', 'close the drawer')
    assert same(back.weight, words(encoder).weight)
    assert [path.name for path in saved.iterdir() if path.name.startswith('.')] == []


def test_a_robot_that_knows_a_few_sentences_alone_still_says_so(encoder):
    known = KnownGoals(['open the drawer'], np.asarray(encoder.encode(['open the drawer'])), 'a command')
    reading = ReadingEncoder(known, TAUGHT, words(encoder))
    assert reading.sentences == ('open the drawer',)
    with pytest.raises(UserError, match='not among the 1 that were embedded ahead'):
        reading.encode(['slide it open'])


def test_a_listener_is_told_what_is_read_and_warned_of_what_is_not(reading):
    watch = GoalWatch(TAUGHT, reading)
    assert watch.hear('slide it open') == []
    assert watch.read_as(' Slide it open') == 'open the drawer'
    assert watch.read_as('open the drawer') == watch.read_as('never heard') == watch.read_as(' ') == ''
    (finding,) = watch.hear('sing')
    assert "'sing' is not surely like any sentence" in str(finding)
    assert watch.about('sing') == [finding]
    assert watch.read_as('sing') == ''


class Cached(FakeTextEncoder):
    """Gives its own arrays, which nobody is to change, and does not see what is not ASCII."""

    def encode(self, texts):
        found = super().encode(texts).numpy()
        found.flags.writeable = False
        return found

    def lost(self, text):
        return [c for c in text if not c.isascii()]


def test_an_encoders_own_array_is_left_alone(encoder):
    reading = ReadingEncoder(Cached(), TAUGHT, words(encoder))
    assert same(reading.encode(['slide it open'])[0], encoder.encode(['open the drawer'])[0])


def test_a_sentence_that_is_not_seen_whole_is_not_read_and_said(encoder):
    made = words(encoder, **{'open the drawer': 'slide it öpen', 'close the drawer': 'slide it shut', '': 'sing'})
    reading = ReadingEncoder(Cached(), TAUGHT, made)
    assert made.read(encoder.encode(['slide it öpen']))[0].meaning == 'open the drawer'
    assert reading.reading('slide it öpen').meaning == ''
    assert 'does not see' in ' '.join(map(str, GoalWatch(TAUGHT, reading).hear('slide it öpen')))


def test_several_who_write_at_once_leave_one_whole_file(saved, encoder):
    from concurrent.futures import ThreadPoolExecutor

    made = words(encoder)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: write_words(saved, made), range(40)))
    assert read_words(saved, TAUGHT).meanings == made.meanings
    assert [path.name for path in saved.iterdir() if path.name.startswith('.')] == []


def test_where_it_cannot_be_written_is_said(saved, encoder):
    with pytest.raises(UserError, match='cannot be written'):
        write_words(saved / 'nowhere', words(encoder))


@pytest.mark.parametrize('content', [b'', b'garbage', b'\x08\0\0\0\0\0\0\0{}      '])
def test_a_damaged_file_is_named(saved, content):
    (saved / NAME).write_bytes(content)
    with pytest.raises(UserError, match=r'words\.safetensors (is damaged|does not hold).*mode_ros words'):
        read_info(saved)


def test_words_of_another_policy_are_refused(saved, encoder):
    write_words(saved, words(encoder))
    with pytest.raises(UserError, match="reads sentences as 'open the drawer', which the policy was not taught"):
        read_words(saved, ['push'])
    with pytest.raises(UserError, match='384 numbers a sentence, and the text encoder gives 10'):
        ReadingEncoder(FakeTextEncoder(10), TAUGHT, words(encoder))


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match='need 3 rows'):
        Words(('open', 'close'), np.zeros((1, 3), np.float32), np.zeros(1, np.float32))
    with pytest.raises(UserError, match='not finite'):
        Words(('open', 'close'), np.full((3, 3), np.nan, np.float32), np.zeros(3, np.float32))
    with pytest.raises(UserError, match='two meanings that differ'):
        Words(('open', 'open'), np.zeros((3, 3), np.float32), np.zeros(3, np.float32))


def test_a_link_to_nowhere_is_not_the_same_as_no_words(saved):
    (saved / NAME).symlink_to(saved / 'gone')
    with pytest.raises(UserError, match='is damaged'):
        read_info(saved)
