"""Every button of the page's HTML is named by a test in a browser: none is added without one."""

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
            yield page.name, named[name] if name else None


@functools.cache
def pressed():
    files = [*TESTS.glob('*_browser.py'), *TESTS.glob('*_with_nodes.py')]
    return '\n'.join(path.read_text() for path in files)


# A form's own button has no name: Enter in its field presses it.
@pytest.mark.parametrize(('page', 'name'), [each for each in buttons() if each[1] is not None])
def test_a_button_is_named_in_a_test_with_a_browser(page, name):
    assert re.search(rf'(?<![\w-]){re.escape(name)}(?![\w-])', pressed()), f'{name} of {page}'


def test_there_are_buttons_to_be_looked_for():
    assert len([*buttons()]) > 30
