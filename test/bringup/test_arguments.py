"""What the texts of launch arguments mean, and when a node that ends takes the others along."""

import pytest

from mode_ros.bringup.arguments import ends_the_launch, read_boolean, settings_file
from mode_ros.errors import UserError


@pytest.mark.parametrize(
    ('text', 'value'), [('true', True), ('True', True), (' 1 ', True), ('FALSE', False), ('0', False)]
)
def test_what_conditions_of_launch_accept_is_accepted(text, value):
    assert read_boolean('teleop', text) is value


@pytest.mark.parametrize('text', ['no', 'maybe', '', '2', 'truefalse'])
def test_anything_else_is_refused_by_name(text):
    with pytest.raises(UserError, match=rf'^The launch argument teleop is {text!r}; it can be true, false, 1 or 0\.$'):
        read_boolean('teleop', text)


def test_a_settings_file_must_exist(tmp_path):
    there = tmp_path / 'mine.yaml'
    there.touch()
    assert settings_file(str(there)) == str(there)
    for missing in (tmp_path / 'mine.yml', tmp_path):
        with pytest.raises(UserError, match='does not exist: give settings:='):
            settings_file(str(missing))


@pytest.mark.parametrize(
    ('status', 'respawn', 'ends'),
    [(0, False, False), (0, True, False), (1, False, True), (1, True, True), (70, False, True), (-11, True, False)],
)
def test_a_refusal_ends_everything_and_a_crash_may_be_mended(status, respawn, ends):
    assert ends_the_launch(status, respawn) is ends
