"""A form from a settings class: every key described, and every refusal beside the field it belongs to."""

import pytest

from mode_ros.errors import UserError
from mode_ros.forms import WHOLE, describe, problems, texts
from mode_ros.page.trainings import APART, NAMED
from mode_ros.paths import share_folder
from mode_ros.training.settings import TrainSettings, load_train_settings

FIELDS = {field['key']: field for field in describe(TrainSettings)}
KEYS = frozenset(FIELDS)
SMALL = share_folder() / 'config' / 'train' / 'small.yaml'


def test_every_key_is_there_and_says_what_it_is():
    assert [field['key'] for field in FIELDS.values() if not field['words']] == []
    assert set(texts(load_train_settings(SMALL).model_dump(mode='json'), KEYS)) == KEYS


@pytest.mark.parametrize(
    ('key', 'kind', 'span', 'optional'),
    [
        ('run.steps', 'whole', 'from 1', False),
        ('data.validation_share', 'number', 'from 0 below 1', False),
        ('data.intervention_weight', 'number', 'above 0 to 1000', False),
        ('optimizer.schedule_steps', 'whole', 'from 1', True),
        ('optimizer.betas', 'value', '', False),
        ('policy.image_encoder.shared', 'truth', '', False),
        ('policy.film_begins', 'choice', '', True),
        ('data.path', 'text', '', False),
    ],
)
def test_kinds_and_ranges(key, kind, span, optional):
    field = FIELDS[key]
    assert (field['kind'], field['range'], field['optional']) == (kind, span, optional)


def test_choices_are_the_classs():
    assert FIELDS['policy.film_begins']['choices'] == ['identity', 'random']


def test_what_names_something_on_the_disk_is_never_typed():
    """A new text among the settings must be given a line in one of the two, or a browser could name any file."""
    typed = {key for key, field in FIELDS.items() if field['kind'] == 'text'}
    assert typed == set(NAMED) | APART


def test_texts_give_the_same_settings_back():
    settings = load_train_settings(SMALL)
    said = texts(settings.model_dump(mode='json'), KEYS)
    assert load_train_settings(SMALL, [f'{key}={text}' for key, text in said.items()]) == settings


@pytest.mark.parametrize(
    ('change', 'key', 'words'),
    [
        ('run.steps=0', 'run.steps', 'greater than or equal to 1, not 0'),
        ('optimizer.betas=[2, 0.9]', 'optimizer.betas', 'not 2'),
        ('data.shift={wrist: 0.7}', 'data', 'shift must lie between'),
        ('policy.experts=1', 'policy', 'lower top_k'),
        ('policy.image_encoder.width=0.3', 'policy.image_encoder', 'whole number of channels'),
        ('loss.bias_rate=0.01', WHOLE, 'there is none'),
    ],
)
def test_a_refusal_belongs_to_its_field_or_section(change, key, words):
    with pytest.raises(UserError) as caught:
        load_train_settings(SMALL, [change])
    found = problems(caught.value, TrainSettings, KEYS)
    assert list(found) == [key]
    assert words in found[key]


def test_two_refusals_of_one_field_are_both_said():
    with pytest.raises(UserError) as caught:
        load_train_settings(SMALL, ['policy.states=3'])
    found = problems(caught.value, TrainSettings, KEYS)
    assert list(found) == ['policy.states']
    assert ';' in found['policy.states']
