"""The doctor's page of each kind of thing, and its exit status."""

import json

import numpy as np
import pytest
from support.bags import START, changed, demonstration, episode, floats, write_bag
from support.contracts import DELTA_TEXT
from support.data_sets import make_data_set
from support.training_sets import joints_set

from mode_ros.checks.finding import Finding
from mode_ros.cli.main import build_parser
from mode_ros.doctor.examine import examine
from mode_ros.doctor.page import Page
from mode_ros.errors import UserError


def command(*words):
    arguments = build_parser().parse_args(['doctor', *map(str, words)])
    return arguments.run(arguments)


def test_a_contract(capsys):
    assert command('metaworld_sawyer') == 0
    assert 'Nothing suspicious was found.' in capsys.readouterr().out


def test_a_contract_with_a_slip(tmp_path, capsys):
    (tmp_path / 'arm.yaml').write_text(DELTA_TEXT.replace('max_age: 0.3', 'max_age: 0.06'))
    assert command(tmp_path / 'arm.yaml') == 3
    assert 'static counts as dead after 0.06 s' in capsys.readouterr().out


def test_a_data_set_that_was_converted(tmp_path, capsys):
    data = make_data_set(tmp_path, ('push the block', 'open the drawer'))
    command(data)
    out = capsys.readouterr().out
    assert 'tester' in out
    assert '2 (' in out
    assert 'static 32x32' in out
    assert 'y, z never changed' in out  # the demonstration never moves sideways


def test_what_the_conversion_found_already_is_said_once(tmp_path, capsys):
    def far(number, item):
        item.message = floats([50.0])
        return item

    usual, odd = demonstration(), changed(demonstration(start=START + 10**12), '/gripper/command', far)
    for name, items in (('usual', usual), ('odd', odd)):
        write_bag(tmp_path / 'bags' / name, items, custom=episode())
    arguments = ['convert', str(tmp_path / 'bags'), str(tmp_path / 'data'), '--codec', 'png', '--jobs', '1']
    arguments = build_parser().parse_args(arguments)
    arguments.run(arguments)
    assert 'odd: bounds: action grip: 100% of the frames in the recording' in capsys.readouterr().err
    assert command(tmp_path / 'data') == 3
    out = capsys.readouterr().out
    assert out.count('are beyond') == 1
    assert 'action grip: 50% of the frames' in out
    assert 'note: bounds: the conversion found the same in odd.' in out


def test_a_data_set_of_somebody_else(tmp_path, capsys):
    data = joints_set(tmp_path / 'data', contract=None)
    command(data)
    assert 'unknown: name its contract with --contract' in capsys.readouterr().out


def test_bags_are_looked_at_without_being_converted(tmp_path, capsys):
    def far(number, item):
        item.message = floats([50.0])
        return item

    items = changed(demonstration(), '/gripper/command', far)
    write_bag(tmp_path / 'bags' / '0', items, custom=episode())
    before = sorted(tmp_path.rglob('*'))
    assert command(tmp_path / 'bags') == 3
    out = capsys.readouterr().out
    assert 'action grip: 100% of the frames' in out
    assert 'the farthest is 50 (per cent for a share?)' in out
    assert 'group gripper is told the same' in out
    assert sorted(tmp_path.rglob('*')) == before


def test_a_bag_without_a_contract_needs_one(tmp_path):
    write_bag(tmp_path / 'bags' / '0', demonstration())
    with pytest.raises(UserError, match='--contract'):
        examine(str(tmp_path / 'bags'))
    (tmp_path / 'arm.yaml').write_text(DELTA_TEXT)
    page = examine(str(tmp_path / 'bags'), str(tmp_path / 'arm.yaml'))
    assert ('robot', 'tester') in page.facts


def test_a_checkpoint(tmp_path, capsys):
    from support.contracts import delta_contract

    from mode_ros.pairing import make_untrained
    from mode_ros.policy.language import MiniLmTextEncoder

    try:
        MiniLmTextEncoder()
    except UserError as error:
        pytest.skip(str(error))
    make_untrained(delta_contract(), DELTA_TEXT, 0).save(tmp_path / 'policy')
    assert command(tmp_path / 'policy') == 3
    out = capsys.readouterr().out
    assert 'tester at 20 Hz' in out
    assert 'untrained' in out


def test_what_is_nothing(tmp_path):
    with pytest.raises(UserError, match='There is no data set, recording or checkpoint at nowhere'):
        examine('nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='There is no recording'):
        examine(str(tmp_path / 'empty'))


def test_a_sentence_of_no_check_is_about_the_recording(tmp_path):
    from mode_ros.training.data import layout

    data = make_data_set(tmp_path, ('push the block',))
    report = json.loads((data / layout.REPORT_JSON).read_text())
    report['recordings'][0]['notes'] = ['The lid was open', 'clocks: half a second apart']
    (data / layout.REPORT_JSON).write_text(json.dumps(report))
    name = report['recordings'][0]['name']
    said = {str(finding) for finding in examine(str(data)).findings}
    assert {f'recording: {name}: The lid was open', f'clocks: {name}: half a second apart'} <= said


@pytest.mark.parametrize(
    ('name', 'content', 'expected'),
    [
        ('notes.txt', b'hello\n', 'notes.txt is no data set, recording, checkpoint or contract'),
        ('noise.bin', bytes(range(256)) * 9, 'noise.bin is no data set, recording'),
        ('empty', b'', 'empty is no data set, recording'),
        ('noise.mcap', bytes(range(256)) * 9, 'noise.mcap cannot be read: the bag cannot be opened'),
        ('notes.yaml', b'hello\n', "notes.yaml holds 'hello'; it must be a YAML mapping"),
    ],
)
def test_a_file_of_another_kind_gets_a_sentence(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=expected) as caught:
        examine(str(tmp_path / name))
    assert '\n' not in str(caught.value)


def test_a_page_with_notes_alone_finds_nothing(capsys):
    page = Page('Something')
    page.add([Finding('spread', 'z never changed.', note=True)])
    assert not page.findings
    assert 'note: spread: z never changed.' in page.text()
    assert 'Nothing suspicious' in page.text()


def test_copies_and_failures_are_named(tmp_path):
    from mode_ros.training.data import layout

    data = joints_set(tmp_path / 'data', episodes=4)
    source = data / layout.DATA_PATH.format(**layout.place(1))
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    at = table.column_names.index('episode_index')
    same = table.set_column(at, 'episode_index', pa.array(np.full(len(table), 3)))
    pq.write_table(same, data / layout.DATA_PATH.format(**layout.place(3)))
    page = examine(str(data))
    assert any('3 is 1' in str(finding) for finding in page.findings)
