"""What the tab Episodes makes of what a page asks for: commands, and nothing that is none."""

from pathlib import Path

import pytest

from mode_ros.cli.main import build_parser
from mode_ros.page.episode_commands import NotAsked, convert_command, edit_command, in_ranges, replay_command
from mode_ros.page.shelf import DATA_SET, RECORDINGS, Item, Shelf

SET = Item('a' * 12, DATA_SET, 'drawers', Path('/data/drawers'), 'v')
BAGS = Item('b' * 12, RECORDINGS, 'recordings', Path('/recordings'), 'v')
REVISION = '0123456789abcdef'


def edit(**body):
    return edit_command(SET, {'revision': REVISION, **body})


@pytest.mark.parametrize(
    ('body', 'options'),
    [
        ({'do': 'drop', 'episodes': [7, 3, 8, 9]}, ['--drop', '3,7-9']),
        ({'do': 'success', 'episodes': [0]}, ['--mark-success', '0']),
        ({'do': 'failure', 'episodes': [0, 0]}, ['--mark-failure', '0']),
        ({'do': 'relabel', 'episodes': [2], 'goal': ' close  it '}, ['--relabel', '2', 'close it']),
        ({'do': 'trim'}, ['--trim-idle']),
        ({'do': 'undo'}, ['--undo']),
    ],
)
def test_an_edit_is_the_command_that_a_person_would_type(body, options):
    command = edit(**body)

    assert command == ['edit', '/data/drawers', '--revision', REVISION, *options]
    build_parser().parse_args(command)  # SystemExit where there is no such option


@pytest.mark.parametrize(
    'body',
    [
        {'do': 'drop'},
        {'do': 'drop', 'episodes': []},
        {'do': 'drop', 'episodes': ['--undo']},
        {'do': 'drop', 'episodes': [-1]},
        {'do': 'drop', 'episodes': [True]},
        {'do': 'drop', 'episodes': 3},
        {'do': 'relabel', 'episodes': [3], 'goal': ' '},
        {'do': 'relabel', 'episodes': [3]},
        {'do': 'format', 'episodes': [3]},
        {},
        {'do': 'undo', 'revision': '--list'},
        {'do': 'undo', 'revision': 7},
    ],
)
def test_what_is_no_edit_is_refused(body):
    with pytest.raises(NotAsked):
        edit(**body)


def test_recordings_are_not_edited():
    with pytest.raises(NotAsked, match='stay as they are'):
        edit_command(BAGS, {'revision': REVISION, 'do': 'undo'})


def test_a_goal_cannot_be_an_option():
    arguments = build_parser().parse_args(edit(do='relabel', episodes=[1], goal='open it'))
    assert arguments.relabel == [['1', 'open it']]
    with pytest.raises(NotAsked, match='cannot begin with -'):
        edit(do='relabel', episodes=[1], goal='--undo')


def test_recordings_are_converted_into_a_new_data_set_or_one_that_is_there(tmp_path):
    new = convert_command(BAGS, None, 'drawers_2', tmp_path, '')
    assert new == ['convert', '/recordings', str(tmp_path / 'drawers_2')]
    more = convert_command(BAGS, SET, None, tmp_path, '/arm.yaml', keep_failures=True)
    assert more == ['convert', '/recordings', '/data/drawers', '--contract', '/arm.yaml', '--keep-failures']
    for command in (new, more):
        build_parser().parse_args(command)


@pytest.mark.parametrize(
    'name', ['', '..', '../x', '/x', 'a/b', '-x', '.x', 'a b', 'x' * 65, 'x.original', 'x.part', 7, None]
)
def test_a_name_is_one_part_of_a_path(tmp_path, name):
    with pytest.raises(NotAsked, match='Give the new data set a name'):
        convert_command(BAGS, None, name, tmp_path, '')


def test_a_name_that_is_taken_is_said(tmp_path):
    (tmp_path / 'drawers').mkdir()
    with pytest.raises(NotAsked, match='There is a drawers already'):
        convert_command(BAGS, None, 'drawers', tmp_path, '')


def test_data_sets_are_replayed_and_recordings_are_not():
    command = replay_command(SET, 3, REVISION)
    assert command == ['replay', '/data/drawers', '3', '--revision', REVISION]
    assert build_parser().parse_args(command).real_robot == '', 'on no real robot'
    for item, number, revision in ((BAGS, 3, REVISION), (SET, '3', REVISION), (SET, -1, REVISION), (SET, 3, '--stay')):
        with pytest.raises(NotAsked):
            replay_command(item, number, revision)


def test_ranges():
    assert in_ranges([5, 1, 2, 3, 9, 10]) == '1-3,5,9-10'


# ---- what there is ------------------------------------------------------------------------------------------------


def bag(folder):
    folder.mkdir(parents=True)
    (folder / 'metadata.yaml').touch()


def data_set(folder):
    (folder / 'meta').mkdir(parents=True)
    (folder / 'meta' / 'info.json').write_text('{}')


@pytest.fixture
def folder(tmp_path):
    bag(tmp_path / 'recordings' / 'episode_000000')
    bag(tmp_path / 'recordings' / 'monday' / 'episode_000000')
    data_set(tmp_path / 'data' / 'drawers')
    data_set(tmp_path / 'data' / 'drawers.original')
    data_set(tmp_path / 'data' / '.hidden')
    data_set(tmp_path / 'elsewhere' / 'secret')
    return tmp_path


def names(shelf):
    return [(item.kind, item.name) for item in shelf.items()]


def test_recordings_and_data_sets_are_found(folder):
    shelf = Shelf([folder / 'recordings', folder / 'data', folder / 'missing', folder / 'data'])

    assert names(shelf) == [
        (RECORDINGS, 'recordings'),
        (RECORDINGS, 'recordings/monday'),
        (DATA_SET, 'data/drawers'),
    ]
    assert names(Shelf([folder / 'data' / 'drawers'])) == [(DATA_SET, 'drawers')]


@pytest.mark.parametrize(
    ('name', 'found'),
    [('a.mcap', True), ('a.db3', True), ('a.mcap.zstd', True), ('a.db3.zst', True), ('a.zst', False), ('a.md', False)],
)
def test_loose_files_are_recordings_packed_or_not(tmp_path, name, found):
    (tmp_path / 'downloads').mkdir()
    (tmp_path / 'downloads' / name).touch()

    assert names(Shelf([tmp_path])) == ([(RECORDINGS, f'{tmp_path.name}/downloads')] if found else [])


def test_only_what_was_told_is_found_again(folder):
    shelf = Shelf([folder / 'data'])
    (item,) = shelf.items()

    assert shelf.find(item.key) == item
    assert item.path == folder / 'data' / 'drawers'
    for key in ('', str(item.path), '../elsewhere/secret', Shelf([folder / 'elsewhere']).items()[0].key):
        assert shelf.find(key) is None


def test_a_link_out_of_the_folders_leads_nowhere(folder):
    (folder / 'data' / 'link').symlink_to(folder / 'elsewhere' / 'secret')
    (folder / 'data' / 'inner').symlink_to(folder / 'data' / 'drawers')

    assert [name for _, name in names(Shelf([folder / 'data']))] == ['data/drawers', 'data/inner']


def test_a_change_is_seen(folder):
    shelf = Shelf([folder])
    before = {item.name: item.version for item in shelf.items()}
    (folder / 'data' / 'drawers' / 'meta' / 'edits.json').write_text('[]')
    bag(folder / 'recordings' / 'episode_000001')
    after = {item.name: item.version for item in shelf.items()}

    changed = {name for name in before if before[name] != after[name]}
    assert {name.partition('/')[2] for name in changed} == {'data/drawers', 'recordings'}
