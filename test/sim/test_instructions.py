import copy

import pytest

from mode_ros.errors import UserError
from mode_ros.sim.instructions import (
    held_out_instructions,
    metaworld_instruction,
    metaworld_paraphrases,
    parse_instructions,
    training_instructions,
)

VALID = {
    'a': {'instruction': 'do a', 'paraphrases': ['a 1', 'a 2', 'a 3']},
    'b': {'instruction': 'do b', 'paraphrases': ['b 1', 'b 2', 'b 3']},
}


def test_packaged_sentences():
    assert metaworld_instruction('drawer-open') == 'open the drawer'
    assert len(set(metaworld_paraphrases('drawer-open'))) >= 3


def test_sentences_are_either_trained_with_or_held_out():
    for task in ('drawer-open', 'reach'):
        trained, held_out = training_instructions(task), held_out_instructions(task)
        assert trained[0] == metaworld_instruction(task)
        assert trained + held_out == (metaworld_instruction(task), *metaworld_paraphrases(task))
        assert len(held_out) == 2


def test_halfway_tasks_have_the_sentences_of_their_task():
    assert metaworld_instruction('drawer-open-halfway') == metaworld_instruction('drawer-open')
    assert held_out_instructions('drawer-open-halfway') == held_out_instructions('drawer-open')
    with pytest.raises(UserError, match='reach-halfway'):
        metaworld_instruction('reach-halfway')


def test_unknown_task_names_the_nearest():
    with pytest.raises(UserError, match='drawer-open'):
        metaworld_instruction('open-drawer')


def broken(change):
    document = copy.deepcopy(VALID)
    change(document)
    return document


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda d: d['a']['paraphrases'].pop(), "'a' must list at least 3"),
        (lambda d: d['a'].pop('instruction'), "'a' must have exactly"),
        (lambda d: d['a'].update(instruction=''), 'not a sentence'),
        (lambda d: d['b'].update(instruction='a 2'), "'a 2' twice"),
        (lambda d: d['b']['paraphrases'].__setitem__(0, 'do b'), "'do b' twice"),
        (lambda d: d['b'].update(more=1), "'b' must have exactly"),
    ],
)
def test_broken_documents_are_refused(change, message):
    assert set(parse_instructions(VALID)) == {'a', 'b'}
    with pytest.raises(UserError, match=message):
        parse_instructions(broken(change))


def test_document_must_be_a_mapping():
    with pytest.raises(UserError, match='list'):
        parse_instructions(['a'])
