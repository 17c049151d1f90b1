"""A grid of evaluations: every cell checked before the first runs, and a table of all."""

import pytest

from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.evaluation.grid import Grid, cells, run_grid
from mode_ros.evaluation.settings import EvaluationSettings
from mode_ros.paths import share_folder
from mode_ros.settings import load_settings

OPTIONS = {'checkpoint': 'policy'}


def result(settings):
    share = 0.0 if settings.execution == 'realtime' else 0.3
    return {
        'mean': {
            'rate': 0.5, 'rollouts': 4, 'low': 0.2, 'high': 0.8, 'seconds_to_success': 2.5, 'share_held': share,
            'seams': 3, 'seam_velocity': 0.01, 'jerk': 12.0, 'chunks_late': 1,
        }
    }  # fmt: skip


def test_the_grid_that_ships_is_valid(tmp_path):
    grid = load_settings(share_folder() / 'config' / 'evaluate' / 'delays.yaml', Grid, 'The grid')
    found = cells(grid, OPTIONS, tmp_path)
    assert len(found) == len(grid.columns) * len(grid.delays)
    assert found['soft', '2-6'].continuation == 'soft'
    assert len({settings.output for settings in found.values()}) == len(found)


def test_every_cell_is_run_and_told(tmp_path):
    path = tmp_path / 'grid.yaml'
    path.write_text("columns: {a: {execution: realtime}, b: {execution: synchronous}}\ndelays: ['1', '2-6']\n")
    ran = []

    def evaluate(settings):
        ran.append((settings.execution, settings.delay, settings.rollouts))
        return result(settings)

    text = run_grid(path, {**OPTIONS, 'rollouts': 7}, tmp_path, evaluate)
    assert ran == [('realtime', '1', 7), ('realtime', '2-6', 7), ('synchronous', '1', 7), ('synchronous', '2-6', 7)]
    assert text == (tmp_path / 'table.md').read_text()
    assert '| b | 2-6 | 50.0 % of 4 | 20.0 % to 80.0 % | 2.50 | 30.0 % | 0.01 | 12 | 1 |' in text


def test_either_way_to_say_how_many_episodes_wins_over_the_file(tmp_path):
    for common, option in (({'rollouts': 20}, {'seeds': (0, 3)}), ({'seeds': (0, 3)}, {'rollouts': 20})):
        grid = Grid(common=common, columns={'a': {}}, delays=('1',))
        (found,) = cells(grid, {**OPTIONS, **option}, tmp_path).values()
        assert (found.rollouts, found.seeds) == (option.get('rollouts'), option.get('seeds', ()))


def test_actions_are_for_the_columns_in_which_they_count(tmp_path):
    columns = {'a': {}, 'b': {'execution': 'realtime'}, 'c': {'execution': 'ensemble'}}
    found = cells(Grid(columns=columns, delays=('1',)), {**OPTIONS, 'actions': 3}, tmp_path)
    assert {column: settings.actions for (column, _), settings in found.items()} == {'a': 0, 'b': 3, 'c': 0}
    with pytest.raises(UserError, match='--actions 3 changes nothing in any column'):
        cells(Grid(columns={'a': {}}, delays=('1',)), {**OPTIONS, 'actions': 3}, tmp_path)
    with pytest.raises(UserError, match=r'The cell a, delay 1.*actions 3 changes nothing'):
        cells(Grid(columns={'a': {'actions': 3}}, delays=('1',)), OPTIONS, tmp_path)


def test_no_delay_of_the_grid_that_ships_is_run_twice(tmp_path):
    grid = load_settings(share_folder() / 'config' / 'evaluate' / 'delays.yaml', Grid, 'The grid')
    spans = [settings.delays for (column, _), settings in cells(grid, OPTIONS, tmp_path).items() if column == 'soft']
    assert len(set(spans)) == len(spans)


def test_a_cell_that_cannot_be_is_told_before_anything_runs(tmp_path):
    path = tmp_path / 'grid.yaml'
    path.write_text("columns: {a: {execution: realtime}, b: {excution: naive}}\ndelays: ['1']\n")
    ran: list[EvaluationSettings] = []
    with pytest.raises(UserError, match=r'The cell b, delay 1, of the grid: .*excution'):
        run_grid(path, OPTIONS, tmp_path, lambda settings: ran.append(settings) or {})
    assert ran == []


def test_what_is_typed_wins_also_where_it_is_the_default(tmp_path, monkeypatch):
    path = tmp_path / 'grid.yaml'
    path.write_text("common: {videos: 0, runtime: onnxruntime}\ncolumns: {a: {execution: realtime}}\ndelays: ['1']\n")
    seen = []
    monkeypatch.setattr('mode_ros.evaluation.grid.run_grid', lambda path, options, *_: seen.append(options) or '')
    words = ['evaluate', 'policy', '--grid', str(path), '--output', str(tmp_path / 'out')]
    with pytest.raises(SystemExit):
        main([*words, '--runtime', 'torch', '--videos', '1', '--execution', 'synchronous'])
    assert {name: str(value) for name, value in seen[0].items()} == {
        'checkpoint': 'policy', 'runtime': 'torch', 'videos': '1', 'execution': 'synchronous'
    }  # fmt: skip
    with pytest.raises(SystemExit):
        main([*words, '--delay', '4'])
    assert len(seen) == 1
