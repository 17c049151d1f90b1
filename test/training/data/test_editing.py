"""Edits of a data set: what is left agrees with itself, and nothing is lost."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.bags import START, Item, changed, demonstration, episode, flag, floats, twist, write_bag
from support.data_sets import make_data_set
from support.training_sets import TextNumbers, camera_set, joints_set, train_settings

from mode_ros.cli.main import build_parser
from mode_ros.errors import UserError
from mode_ros.training.data import layout
from mode_ros.training.data.convert import Conversion
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.data.editing import edit, original_of, undo
from mode_ros.training.data.edits import Command, kept_episodes, parse_numbers, renumbered
from mode_ros.training.data.labels import episode_success
from mode_ros.training.data.statistics import vector_statistics
from mode_ros.training.plan import make_plan

GOALS = ('push the block', 'open the drawer', 'turn the tap')


@pytest.fixture(params=['png', 'h264'])
def data_set(request, tmp_path):
    return make_data_set(tmp_path, GOALS, codec=request.param)


def command(*words):
    arguments = build_parser().parse_args(['edit', *map(str, words)])
    return arguments.run(arguments)


def content(root, cache):
    """Everything that a trainer sees of each episode."""
    data = open_dataset(root, 4, cache=cache)
    return [
        (data.goal(rows.start), data.actions[rows], data.state[rows], data.frames['static'][rows])
        for rows in map(data.episode, range(len(data.files.episodes)))
    ]


def same(a, b):
    return a[0] == b[0] and all(np.array_equal(x, y) for x, y in zip(a[1:], b[1:], strict=True))


def agrees(root):
    """Metadata, rows, statistics and report say the same."""
    files = DataFiles(root)
    info = json.loads((root / layout.INFO).read_text())
    table = pq.read_table(root / layout.EPISODES).to_pylist()
    assert info['total_episodes'] == len(files.episodes) == len(table)
    assert info['total_frames'] == sum(each.length for each in files.episodes) == table[-1]['dataset_to_index']
    assert [row['dataset_from_index'] for row in table[1:]] == [row['dataset_to_index'] for row in table[:-1]]
    rows = [files.rows(each, [layout.ACTION, 'index', 'frame_index', 'timestamp', 'episode_index'])
            for each in files.episodes]  # fmt: skip
    assert np.concatenate([each['index'] for each in rows]).tolist() == list(range(info['total_frames']))
    for number, each in enumerate(rows):
        assert (each['episode_index'] == number).all()
        assert each['frame_index'].tolist() == list(range(len(each['index'])))
        assert each['timestamp'] == pytest.approx(each['frame_index'] / files.rate, abs=1e-6)
    stats = json.loads((root / layout.STATS).read_text())
    expected = vector_statistics(np.concatenate([each[layout.ACTION] for each in rows]))
    for name, values in expected.items():
        assert stats[layout.ACTION][name] == pytest.approx(values), name
    key = layout.IMAGE_PREFIX + 'static'
    counts = [int(row[f'stats/{key}/count'][0]) for row in table]
    assert stats[key]['count'] == [sum(counts)]
    mean = np.average([np.ravel(row[f'stats/{key}/mean']) for row in table], axis=0, weights=counts)
    assert np.ravel(stats[key]['mean']) == pytest.approx(mean)
    assert sorted(path.name for path in (root / 'data').rglob('*.parquet')) == [
        f'file-{k:03d}.parquet' for k in range(len(table))
    ]
    if (root / layout.REPORT_JSON).exists():
        report = json.loads((root / layout.REPORT_JSON).read_text())
        assert [each['length'] for each in report['episodes']] == [each.length for each in files.episodes]
        assert [each['goal'] for each in report['episodes']] == [each.tasks[0] for each in files.episodes]


def test_episodes_are_dropped_and_come_back(data_set, tmp_path):
    before = content(data_set, tmp_path / 'one')
    assert command(data_set, '--drop', '1') == 0
    agrees(data_set)
    after = content(data_set, tmp_path / 'two')
    assert len(after) == 2
    assert same(after[0], before[0])
    assert same(after[1], before[2])
    assert DataFiles(data_set).tasks == {0: GOALS[0], 1: GOALS[2]}
    assert command(data_set, '--undo') == 0
    agrees(data_set)
    assert all(map(same, content(data_set, tmp_path / 'three'), before))
    assert not original_of(data_set).exists()
    assert sorted(path.name for path in data_set.parent.iterdir() if 'data' in path.name) == ['data']


def test_the_cache_of_pictures_follows_and_who_reads_it_sees_what_it_saw(data_set):
    before = content(data_set, None)
    edit(data_set, drop=[0])
    assert all(map(same, content(data_set, None), before[1:]))
    edit(data_set, drop=[0])
    assert all(map(same, content(data_set, None), before[2:]))
    undo(data_set)
    assert all(map(same, content(data_set, None), before[1:]))


def test_a_second_edit_counts_as_the_data_set_is_now(data_set, tmp_path, capsys):
    before = content(data_set, tmp_path / 'one')
    edit(data_set, drop=[0])
    edit(data_set, relabel={0: 'close  the drawer'})  # the second of the original
    agrees(data_set)
    after = content(data_set, tmp_path / 'two')
    assert [each[0] for each in after] == ['close the drawer', GOALS[2]]
    assert same((GOALS[1], *after[0][1:]), before[1])
    assert command(data_set, '--list') == 0
    assert capsys.readouterr().out.splitlines() == ['1. drop 0', "2. relabel 1 'close the drawer'"]
    undo(data_set)
    assert [each[0] for each in content(data_set, tmp_path / 'three')] == list(GOALS[1:])
    undo(data_set)
    assert all(map(same, content(data_set, tmp_path / 'four'), before))
    with pytest.raises(UserError, match='was not edited'):
        undo(data_set)


def still_at_its_ends(tmp_path, codec, *more):
    """A data set of four seconds, of which nothing is commanded in the first and the last."""

    def still(number, item):
        if 1.0 <= (item.received - START) / 1e9 < 3.0:
            return item
        return replace(item, message=twist(item.received, [0, 0, 0]))

    items = changed(demonstration(4.0), '/arm/twist', still)
    items = [replace(item, message=floats([1.0])) if item.topic == '/gripper/command' else item for item in items]
    items = sorted([*items, *more], key=lambda item: item.received)
    write_bag(tmp_path / 'bags' / '0', items, custom=episode())
    arguments = build_parser().parse_args(
        ['convert', str(tmp_path / 'bags'), str(tmp_path / 'data'), '--codec', codec, '--jobs', '1']
    )
    arguments.run(arguments)
    return tmp_path / 'data'


def test_standing_still_is_cut_from_the_ends(tmp_path):
    root = still_at_its_ends(tmp_path, 'h264')
    before = content(root, tmp_path / 'one')
    command_made = edit(root, trim_idle=True)
    (first, last) = command_made.trim[0]
    agrees(root)
    (after,) = content(root, tmp_path / 'two')
    assert first > 5
    assert last - first < len(before[0][1]) - 15
    assert np.array_equal(after[1], before[0][1][first:last])
    assert np.array_equal(after[3], before[0][3][first:last])  # the pictures, too
    edit(root, trim_idle=True)  # nothing more to cut
    assert same(content(root, tmp_path / 'three')[0], after)
    undo(root)
    assert same(content(root, tmp_path / 'four')[0], before[0])


def test_the_report_of_a_cut_episode_is_of_what_is_left(tmp_path):
    driven = [Item('/intervention', flag(on), START + at) for on, at in ((True, 10_000_000), (False, 650_000_000))]
    root = still_at_its_ends(tmp_path, 'png', *driven)

    def told():
        part = json.loads((root / layout.REPORT_PARTS / 'episode-000000.json').read_text())
        (rows,) = (DataFiles(root).rows(each, ['intervention']) for each in DataFiles(root).episodes)
        assert part['intervention'] == pytest.approx(rows['intervention'].mean(), abs=1e-4)
        return part

    before = told()
    assert len(before['sheet']['static']) == 10  # every eighth of 79
    (first, last) = edit(root, trim_idle=True).trim[0]
    after = told()
    assert 0 < after['intervention'] < before['intervention']
    assert after['sheet']['static'] == before['sheet']['static'][-(-first // 8) : -(-last // 8)]
    assert len(after['sheet']['static']) < 9
    undo(root)
    assert told() == before


def test_somebody_elses_data_set_puts_nothing_into_the_report(tmp_path):
    data, evil = make_data_set(tmp_path, GOALS[:1]), '"><script>alert(1)</script>'
    path = data / layout.REPORT_PARTS / 'episode-000000.json'
    part = json.loads(path.read_text())
    good = part['sheet']['static'][0]
    path.write_text(json.dumps({**part, 'sheet': {'static': [evil, good, 7]}}))
    path = data / layout.EXTRAS
    extras = json.loads(path.read_text())
    (source,) = extras['sources']
    source['streams']['joints']['messages'] = evil
    source['unused'] = [['too early', evil]]
    path.write_text(json.dumps(extras))
    edit(data, mark={0: True})
    page = (data / layout.REPORT_PAGE).read_text()
    assert '<script' not in page
    assert page.count('<img') == page.count(f'base64,{good}"') == 1


def test_failures_are_marked_and_left_out_of_training(tmp_path):
    data = camera_set(tmp_path / 'data', episodes=5)
    edit(data, mark={2: False})
    assert episode_success(DataFiles(data)) == [None, None, False, None, None]
    edit(data, drop=[0])
    assert episode_success(DataFiles(data)) == [None, False, None, None]
    found = make_plan(train_settings(data), TextNumbers())
    assert not found.source.selection.usable[0][1]
    assert any('marked as failures' in str(finding) and ': 1.' in str(finding) for finding in found.findings)
    kept = make_plan(train_settings(data, **{'data.keep_failures': True}), TextNumbers())
    assert kept.source.selection.usable[0].all()
    edit(data, mark={0: False, 2: False, 3: False})
    with pytest.raises(UserError, match=r'All episodes of .* are marked as failures; set data.keep_failures'):
        make_plan(train_settings(data), TextNumbers())


def test_recordings_that_come_later_are_edited_too(tmp_path, capsys):
    data = make_data_set(tmp_path, GOALS[:2])
    edit(data, drop=[0])
    write_bag(tmp_path / 'more' / '9', demonstration(3.0, 'wave', START + 9 * 10**12), custom=episode('wave'))
    words = ['convert', str(tmp_path / 'bags'), str(tmp_path / 'more'), str(data), '--codec', 'png', '--jobs', '1']
    arguments = build_parser().parse_args(words)
    capsys.readouterr()
    arguments.run(arguments)
    assert '1 new episodes, 2 in all with its edits (3 without), 2 recordings were there' in capsys.readouterr().out
    agrees(data)
    assert [each.tasks[0] for each in DataFiles(data).episodes] == [GOALS[1], 'wave']
    undo(data)
    assert [each.tasks[0] for each in DataFiles(data).episodes] == [*GOALS[:2], 'wave']


def test_failures_that_are_inside_a_data_set_are_no_demonstrations_unless_told(tmp_path):
    for k, success in enumerate((True, False, None)):
        items = demonstration(2.0, GOALS[k], START + k * 10**12)
        write_bag(tmp_path / 'bags' / f'{k}', items, custom=episode(GOALS[k], success=success))
    convert_again(tmp_path, '--keep-failures')
    data = tmp_path / 'data'
    assert episode_success(DataFiles(data)) == [True, False, None]
    plan = make_plan(train_settings(data), TextNumbers())
    assert plan.source.selection.usable[0].tolist() == [True, False, True]
    assert any('marked as failures' in str(finding) and ': 1.' in str(finding) for finding in plan.findings)
    told = make_plan(train_settings(data, **{'data.keep_failures': True}), TextNumbers())
    assert told.source.selection.usable[0].all()


def convert_again(tmp_path, *more):
    words = ['convert', str(tmp_path / 'bags'), str(tmp_path / 'data'), '--codec', 'png', '--jobs', '1', *more]
    arguments = build_parser().parse_args(words)
    return arguments.run(arguments)


def goals(root):
    return [each.tasks[0] for each in DataFiles(root).episodes]


def test_a_goal_that_is_corrected_after_an_edit_arrives_and_the_edit_stays(tmp_path):
    data = make_data_set(tmp_path, GOALS)
    edit(data, drop=[0], relabel={1: 'pull the drawer'})
    convert_again(tmp_path, '--goal', 'tidy up')
    agrees(data)
    assert goals(data) == ['pull the drawer', 'tidy up']  # what was edited is a person's last word
    assert goals(original_of(data)) == ['tidy up'] * 3
    edit(data, mark={1: False})  # and an edit after that
    assert episode_success(DataFiles(data)) == [None, False]
    undo(data), undo(data)
    assert goals(data) == ['tidy up'] * 3
    agrees(data)


def test_a_corrected_goal_that_an_edit_stands_over_is_said(tmp_path, capsys):
    data = make_data_set(tmp_path, GOALS)
    edit(data, relabel={1: 'pull the drawer'})
    convert_again(tmp_path, '--goal', 'tidy up')
    assert (
        'was corrected for 1 (number in data.original) does not count, since it was edited' in capsys.readouterr().err
    )
    convert_again(tmp_path, '--goal', 'pull the drawer')
    assert 'does not count' not in capsys.readouterr().err


def test_goals_that_the_encoder_cannot_tell_apart_are_named_when_they_are_given(tmp_path, capsys):
    data = make_data_set(tmp_path, GOALS[:2])
    assert command(data, '--relabel', '0', 'push 🟥', '--relabel', '1', 'push 🟦') == 0
    assert 'are one sentence to the text encoder' in capsys.readouterr().err


def interrupted_before_the_edits(tmp_path, *more):
    """A conversion that ends as by Ctrl-C when its recordings are in, and the edits are not yet applied to them."""

    def interrupted(root):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mode_ros.training.data.editing.catch_up', interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert_again(tmp_path, *more)


def test_a_conversion_that_was_interrupted_before_the_edits_is_caught_up_with(tmp_path):
    data = make_data_set(tmp_path, GOALS[:2])
    edit(data, drop=[0])
    interrupted_before_the_edits(tmp_path, '--goal', 'tidy up')
    assert goals(data) == [GOALS[1]]
    convert_again(tmp_path, '--goal', 'tidy up')
    assert goals(data) == ['tidy up']


def judge(tmp_path, number, success):
    """Corrects what the recorder said of a recording."""
    path = tmp_path / 'bags' / f'{number}' / 'metadata.yaml'
    text = path.read_text()
    words = [f"mode_ros.success: '{word}'" for word in ('false', 'true')]
    path.write_text(text.replace(words[not success], words[success]))


def judged_set(tmp_path, count):
    """Episodes of different lengths, all successful."""
    for k in range(count):
        items = demonstration(1.0 + 0.5 * k, f'task {k}', START + k * 10**12)
        write_bag(tmp_path / 'bags' / f'{k}', items, custom=episode(f'task {k}', success=True))
    convert_again(tmp_path)
    return tmp_path / 'data'


def test_what_is_typed_after_a_conversion_that_was_interrupted_is_about_no_other_episodes(tmp_path):
    data = judged_set(tmp_path, 4)
    edit(data, drop=[3])
    edit(data, mark={2: False})
    judge(tmp_path, 0, False)
    interrupted_before_the_edits(tmp_path)  # the original has lost its first
    with pytest.raises(UserError, match=r'ended before its edits were applied again; now they are.*look again'):
        edit(data, relabel={1: 'wave'})
    agrees(data)
    assert goals(data) == ['task 1', 'task 2']
    assert episode_success(DataFiles(data)) == [True, False]
    edit(data, relabel={1: 'wave'})
    assert goals(data) == ['task 1', 'wave']
    assert convert_again(tmp_path) == 0
    assert goals(data) == ['task 1', 'wave']


def test_the_last_edit_is_taken_back_after_a_conversion_that_was_interrupted(tmp_path):
    data = judged_set(tmp_path, 4)
    edit(data, drop=[3])
    edit(data, mark={2: False})
    judge(tmp_path, 0, False)
    interrupted_before_the_edits(tmp_path)
    assert undo(data) == (Command(mark={2: False}), '')
    agrees(data)
    assert goals(data) == ['task 1', 'task 2']
    assert episode_success(DataFiles(data)) == [True, True]


def test_edits_that_leave_nothing_of_what_was_converted_are_taken_back(tmp_path):
    data = judged_set(tmp_path, 3)
    edit(data, drop=[1, 2])
    judge(tmp_path, 0, False)
    with pytest.raises(UserError, match=r'Nothing of .* would be left; take the last edit back with .* --undo'):
        convert_again(tmp_path)
    undo(data)
    assert goals(data) == ['task 1', 'task 2']
    assert not original_of(data).exists()


def test_edits_before_the_last_that_leave_nothing_are_taken_back_with_it(tmp_path):
    data = judged_set(tmp_path, 3)
    edit(data, drop=[1, 2])
    edit(data, relabel={0: 'wave'})
    judge(tmp_path, 0, False)
    with pytest.raises(UserError, match='take the last edit back'):
        convert_again(tmp_path)
    command, said = undo(data)
    assert list(command.relabel.values()) == ['wave']
    assert said.endswith('1 before it, which left nothing of the data set, too')
    assert goals(data) == ['task 1', 'task 2']


@pytest.mark.parametrize('edited', [False, True])
def test_a_data_set_of_which_all_recordings_are_failures_by_now_stays_as_it_is(tmp_path, edited):
    data = judged_set(tmp_path, 2)
    if edited:
        edit(data, drop=[1])
    before = goals(data)
    for number in range(2):
        judge(tmp_path, number, False)
    with pytest.raises(UserError, match=r'Nothing of .*/data would be left.*marked as failures \(keep .* Remove the'):
        convert_again(tmp_path)
    assert goals(data) == before
    assert not list(tmp_path.glob('*.part'))
    judge(tmp_path, 1, True)
    convert_again(tmp_path, '--keep-failures')
    assert goals(data) == before


def test_a_data_set_is_not_edited_while_recordings_are_converted_into_it(tmp_path, monkeypatch):
    data = make_data_set(tmp_path, GOALS)
    real, refused = Conversion.run, []

    def run(conversion, *words):
        with pytest.raises(UserError, match='is being converted or edited; wait for that to end'):
            edit(data, drop=[0])
        refused.append(original_of(data).exists())
        return real(conversion, *words)

    monkeypatch.setattr(Conversion, 'run', run)
    convert_again(tmp_path)
    edit(data, drop=[2])
    convert_again(tmp_path)
    assert refused == [False, True]
    assert goals(data) == list(GOALS[:2])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bags', 'data', 'data.original']


def test_edits_follow_their_recordings_when_another_gives_more_episodes():
    one = {'episodes': [['x', 30]], 'success': None}
    told = {'a': {**one, 'numbers': [0]}, 'b': {**one, 'numbers': [1]}, 'c': {**one, 'numbers': [2]}}
    two = {'numbers': [0, 1], 'episodes': [['x', 14], ['x', 16]], 'success': None}
    now = {'a': two, 'b': {**one, 'numbers': [2]}, 'c': {**one, 'numbers': [3]}}
    commands = [Command(drop=(0,), mark={2: False}), Command(relabel={1: 'y'})]
    # The drop was about one episode, and there are two.
    assert renumbered(commands, told, now) == ([Command(mark={3: False}), Command(relabel={2: 'y'})], 1)
    assert renumbered(commands, told, told) == (commands, 0)


def test_rows_that_were_cut_are_kept_only_where_the_episode_is_as_long():
    told = {'a': {'numbers': [0], 'episodes': [['x', 30]]}, 'b': {'numbers': [1], 'episodes': [['x', 30]]}}
    longer = {**told, 'b': {'numbers': [1], 'episodes': [['x', 40]]}}
    commands = [Command(trim={0: (3, 20), 1: (3, 20)}, relabel={1: 'y'})]
    assert renumbered(commands, told, longer) == ([Command(trim={0: (3, 20)}, relabel={1: 'y'})], 1)
    assert renumbered(commands, told, {'a': told['a']}) == ([Command(trim={0: (3, 20)})], 2)


def test_other_peoples_data_are_edited_too(tmp_path):
    data = camera_set(tmp_path / 'data', contract=None)
    before = content(data, tmp_path / 'one')
    edit(data, drop=[1], relabel={2: 'wave'})
    after = content(data, tmp_path / 'two')
    assert [each[0] for each in after] == [before[0][0], 'wave', before[3][0]]
    assert same((before[2][0], *after[1][1:]), before[2])
    assert np.array_equal(after[2][3], before[3][3])


def test_an_episode_is_the_one_of_that_number_where_numbers_are_missing(tmp_path, capsys):
    data = joints_set(tmp_path / 'data', episodes=3)
    for path in [*data.rglob('meta/episodes/**/*.parquet'), *data.rglob('data/**/*.parquet')]:
        table = pq.read_table(path)
        column = table.schema.get_field_index('episode_index')
        numbers = pa.array(table['episode_index'].to_numpy() + 1)
        pq.write_table(table.set_column(column, table.schema.field(column), numbers), path)
    assert [each.index for each in DataFiles(data).episodes] == [1, 2, 3]
    with pytest.raises(UserError, match='has the episodes 1 to 3'):
        edit(data, drop=[0])
    assert edit(data, drop=[1], relabel={3: 'wave'}) == Command((0,), {2: 'wave'}, {}, {})


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        (['--drop', '3'], r'--drop 3: the data set .* has the episodes 0 to 2'),
        (['--drop', 'a'], r"--drop 'a' are no episodes"),
        (['--drop', '2-1'], r"--drop '2-1': 2-1 runs backwards and names none; write 1-2"),
        (['--mark-success', '0-1', '--mark-failure', '1'], '--mark-failure and --mark-success both name episode 1'),
        (['--relabel', '1', 'a', '--relabel', '0-1', 'b'], "gives episode 1 two goals, 'a' and 'b'"),
        (['--drop', '0-2'], 'Nothing of .* would be left'),
        (['--relabel', '1', ' '], 'The new goal of episode 1 has no words'),
        (['--mark-failure', '7'], '--mark-failure 7: the data set'),
        (['--undo'], 'was not edited'),
        ([], 'Say what to edit, or --undo, or --list'),
        (['--undo', '--drop', '1'], 'one of them'),
    ],
)
def test_what_cannot_be_edited_changes_nothing(tmp_path, words, expected):
    data = joints_set(tmp_path / 'data', episodes=3)
    before = sorted((path, path.stat().st_mtime_ns) for path in data.rglob('*') if path.is_file())
    with pytest.raises(UserError, match=expected):
        command(data, *words)
    assert sorted((path, path.stat().st_mtime_ns) for path in data.rglob('*') if path.is_file()) == before
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_what_is_no_data_set_has_no_list_of_edits(tmp_path):
    with pytest.raises(UserError, match='is no LeRobot data set'):
        command(tmp_path, '--list')


def test_the_way_back_is_named_as_long_as_there_is_one(tmp_path, capsys):
    data = joints_set(tmp_path / 'data', episodes=3)

    def said(*words):
        assert command(data, *words) == 0
        return capsys.readouterr().out

    assert '--undo' in said('--drop', '0')
    assert '--undo' in said('--mark-failure', '1')
    assert '--undo' in said('--undo')
    assert 'nothing left to undo' in said('--undo')


def test_an_edit_that_is_killed_half_way_leaves_the_data_set(tmp_path, monkeypatch):
    data = make_data_set(tmp_path, GOALS)
    before = content(data, tmp_path / 'one')

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr('mode_ros.training.data.editing.swap', killed)
        with pytest.raises(KeyboardInterrupt):
            edit(data, drop=[0])
    assert all(map(same, content(data, tmp_path / 'two'), before))
    edit(data, drop=[0])  # typed again, it goes on
    agrees(data)
    assert all(map(same, content(data, tmp_path / 'three'), before[1:]))
    undo(data)
    assert all(map(same, content(data, tmp_path / 'four'), before))


def killed(act):
    """Runs it in a process of its own, which must end at once in the middle (9)."""
    process = os.fork()
    if process == 0:
        act()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


def test_what_others_put_there_outlives_a_kill_while_the_new_one_takes_its_place(tmp_path, monkeypatch):
    data = joints_set(tmp_path / 'data', episodes=3)
    (data / 'NOTES.md').write_text('mine')
    real = Path.rename

    def rename(path, target):
        real(path, target)
        if path.name == 'tree':
            os._exit(9)

    with monkeypatch.context() as patched:
        patched.setattr(Path, 'rename', rename)
        killed(lambda: edit(data, drop=[0]))
    assert not (data / 'NOTES.md').exists()
    edit(data, drop=[0])
    assert (data / 'NOTES.md').read_text() == 'mine'
    assert len(DataFiles(data).episodes) == 1
    assert not (tmp_path / 'data.part').exists()


def test_an_undo_that_is_killed_while_it_removes_the_original_blocks_no_edit(tmp_path, monkeypatch):
    data = joints_set(tmp_path / 'data', episodes=3)
    edit(data, drop=[0])
    real = shutil.rmtree

    def rmtree(path, *words, **more):
        if path.name.endswith('original') and path.exists():
            (path / layout.INFO).unlink()
            os._exit(9)
        real(path, *words, **more)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, 'rmtree', rmtree)
        killed(lambda: undo(data))
    edit(data, drop=[1])
    assert len(DataFiles(data).episodes) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ['data', 'data.original']


def test_later_commands_win():
    kept = kept_episodes(3, [Command(relabel={1: 'a'}, mark={2: False}), Command(drop=(0,), relabel={1: 'b'})])
    assert [(each.number, each.goal, each.success) for each in kept] == [(1, 'b', None), (2, None, False)]
    assert parse_numbers('3,7-9, 7', '--drop') == [3, 7, 8, 9]
