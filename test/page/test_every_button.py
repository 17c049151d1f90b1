"""Every button of the page's HTML is found by a test in a browser: none is added without one."""

import functools
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / 'mode_ros' / 'page' / 'static'
TESTS = Path(__file__).resolve().parent
BUTTON = re.compile(r'<button\b([^>]*)>')
# What a button is found by, the first that it has.
NAMES = ('id', 'data-call', 'data-edit', 'data-flag')


def buttons():
    for page in sorted(STATIC.glob('*.html')):
        for attributes in BUTTON.findall(page.read_text()):
            named = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
            name = next((key for key in NAMES if key in named), None)
            yield page.name, name, named[name] if name else None


def found_by(name, value):
    """How a test finds it; a word alone may be of anything."""
    value = re.escape(value)
    if name == 'id':
        return re.compile(rf"#{value}(?![\w-])|press\(\w+, '{value}'")
    return re.compile(rf'\[{name}="?{value}"?\]')


@functools.cache
def pressed():
    files = [*TESTS.glob('*_browser.py'), *TESTS.glob('*_with_nodes.py')]
    return '\n'.join(path.read_text() for path in files)


# A form's own button has no name: Enter in its field presses it.
@pytest.mark.parametrize(('page', 'name', 'value'), [each for each in buttons() if each[1] is not None])
def test_a_button_is_found_in_a_test_with_a_browser(page, name, value):
    assert found_by(name, value).search(pressed()), f'{name} {value} of {page}'


def test_words_are_no_buttons():
    text = "wait_for(lambda: 'stop' in robot.done, 'success'); find(page, '#stop-all'); '[data-edit=undo-all]'"
    for name, value in (('id', 'stop'), ('data-call', 'recorder/success'), ('data-edit', 'undo')):
        assert not found_by(name, value).search(text)


def test_there_are_buttons_to_be_looked_for():
    assert len([*buttons()]) > 30
