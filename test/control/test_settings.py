"""The reader of all settings files: what is refused, and in which words."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mode_ros.errors import UserError
from mode_ros.settings import load_settings, read_settings, read_values


class Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class Optimizer(Section):
    learning_rate: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)


class Constant(Section):
    kind: Literal['constant']
    value: float


class Cosine(Section):
    kind: Literal['cosine']
    warmup: int


class Settings(Section):
    steps: int = Field(ge=1)
    optimizer: Optimizer | None = None
    schedules: tuple[Constant | Cosine, ...] = ()
    heads: dict[str, Optimizer] = {}

    @model_validator(mode='after')
    def _even(self) -> Settings:
        if self.steps % 2:
            raise ValueError(f'steps {self.steps} is odd')
        return self


def refused(text: str) -> str:
    with pytest.raises(UserError) as caught:
        read_settings(text, Settings, 'The settings mine.yaml')
    message = str(caught.value)
    assert message.startswith('The settings mine.yaml ')
    assert '\n' not in message
    return message


def test_what_fits_is_read():
    text = 'steps: 2\noptimizer: {learning_rate: 1e-3}\nschedules: [{kind: cosine, warmup: 5}]'
    settings = read_settings(text, Settings, 'x')
    assert settings.optimizer == Optimizer(learning_rate=0.001)  # though 1e-3 is text to YAML 1.1
    assert settings.schedules == (Cosine(kind='cosine', warmup=5),)


def test_a_part_that_is_written_once_can_be_used_twice():
    text = 'steps: 2\nheads:\n  a: &a {learning_rate: 0.1}\n  b: {<<: *a, learning_rate: 0.2, betas: [0.5, 0.5]}'
    heads = read_settings(text, Settings, 'x').heads
    assert heads == {'a': Optimizer(learning_rate=0.1), 'b': Optimizer(learning_rate=0.2, betas=(0.5, 0.5))}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('steps: 2\noptimizer: {learning_rte: 1}', 'optimizer.learning_rte: unknown key, did you mean learning_rate?'),
        ('steps: 2\noptimiser: {}', 'optimiser: unknown key, did you mean optimizer?'),
        ('steps: 2\nheads: {a: {beta: 1}}', 'heads.a.beta: unknown key, did you mean betas?'),
        ('steps: 2\noptimizer: {x: 1}', 'optimizer.x: unknown key (known here: betas, learning_rate)'),
        # A key of another place is no suggestion.
        ('steps: 2\nlearning_rate: 1', 'learning_rate: unknown key (known here: heads, optimizer, schedules, steps)'),
        ('steps: 2\nschedules: [{kind: cosine, warmups: 1}]', 'warmups: unknown key, did you mean warmup?'),
        ('steps: 0', 'steps: Input should be greater than or equal to 1, not 0'),
        ('steps: two', "not 'two'"),
        ('steps: 3', 'as a whole: steps 3 is odd'),
        ('{}', 'steps: Field required'),
        ('steps: 0\noptimizer: {learning_rate: -1}', 'not 0; optimizer.learning_rate: Input should be greater than 0'),
        ('steps: 2\noptimizer: 7', 'optimizer: Input should be a mapping of keys to values, not 7'),
        ('steps: 2\nsteps: 4', "not valid YAML: the key 'steps' is written twice (line 2, column 1)"),
        ('steps: 2\n[a]: 4', 'not valid YAML'),
        ('steps: [', 'not valid YAML'),
        ('steps: 2024-13-01', 'not valid YAML'),
        ('', "is empty; it must be a YAML mapping with the keys ['steps', 'optimizer', 'schedules', 'heads']"),
        ('- steps', "holds ['steps']; it must be a YAML mapping"),
    ],
)
def test_what_does_not_fit_is_named(text, words):
    assert words in refused(text)


def test_a_whole_section_in_the_place_of_a_number_is_not_printed_in_full():
    assert len(refused(f'steps: {list(range(1000))}')) < 200


def test_values_from_elsewhere_are_refused_in_the_same_words():
    with pytest.raises(UserError, match=r'The command line does not fit: setps: unknown key, did you mean steps\?'):
        read_values({'steps': 2, 'setps': 4}, Settings, 'The command line')


def test_a_file(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('steps: 2')
    assert load_settings(path, Settings, 'The settings').steps == 2
    path.write_bytes(b'\xff\xff')
    with pytest.raises(UserError, match=r'The settings .*mine\.yaml cannot be read'):
        load_settings(path, Settings, 'The settings')
    with pytest.raises(UserError, match=r'The settings .*nowhere\.yaml cannot be read'):
        load_settings(tmp_path / 'nowhere.yaml', Settings, 'The settings')
