"""Files of JSON lines: whole or not at all."""

from dataclasses import dataclass

import pytest

from mode_ros.errors import UserError
from mode_ros.json_lines import JsonLines


@dataclass(frozen=True)
class Fact:
    name: str
    value: float


@pytest.fixture
def lines(tmp_path):
    made = JsonLines(tmp_path / 'facts.jsonl', Fact, 'a fact')
    made.append(Fact('eins\u2028zwei', 1.0))
    made.append(Fact('drei', 3.0))
    return made


def test_what_was_added_is_read(lines, tmp_path):
    assert lines.read() == [Fact('eins\u2028zwei', 1.0), Fact('drei', 3.0)]
    assert JsonLines(tmp_path / 'none.jsonl', Fact, 'a fact').read() == []


@pytest.mark.parametrize('kept', [1, 20, 34])
def test_a_torn_end_is_cut_off_and_the_next_one_begins_a_line(lines, tmp_path, kept):
    path = tmp_path / 'facts.jsonl'
    first = path.read_bytes().index(b'\n') + 1
    path.write_bytes(path.read_bytes()[: first + min(kept, path.stat().st_size - first - 1)])
    assert lines.read() == [Fact('eins\u2028zwei', 1.0)]
    lines.append(Fact('vier', 4.0))
    assert [fact.name for fact in lines.read()] == ['eins\u2028zwei', 'vier']


@pytest.mark.parametrize('line', [b'{"name": "x"}\n', b'7\n', b'{"name": \xff}\n', b'\n'])
def test_a_foreign_line_is_named(lines, tmp_path, line):
    with (tmp_path / 'facts.jsonl').open('ab') as file:
        file.write(line)
    with pytest.raises(UserError, match=r'line 3 is not a fact .*; remove that line'):
        lines.read()
