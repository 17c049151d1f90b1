"""Episodes for rerun: every frame, with numbers under the contract's names, pictures, goal; in the page's colours."""

import re
import types
from pathlib import Path

import numpy as np
import pytest
from support.data_sets import make_data_set

from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.page.tabs import STATIC
from mode_ros.training.data.convert import choose_contract
from mode_ros.training.data.inputs import find_recordings
from mode_ros.training.data.rerun_log import COLOURS, data_set_moments, log, recording_moments

GOALS = ('push the block', 'open the drawer')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """(the data set, the folder of its bags)."""
    folder = tmp_path_factory.mktemp('view')
    return make_data_set(folder, GOALS), folder / 'bags'


def paths(moments):
    return {path for moment in moments for path in moment.values}


def test_a_data_set_has_every_frame_of_every_episode(made):
    moments = list(data_set_moments(made[0], None))
    assert [moment.goal for moment in moments if moment.goal] == list(GOALS)
    seconds = [moment.seconds for moment in moments]
    assert seconds == sorted(seconds)
    assert all(moment.pictures for moment in moments)
    picture = next(iter(moments[0].pictures.values()))
    assert (picture.dtype, picture.ndim) == (np.uint8, 3)
    assert {path.partition('/')[0] for path in paths(moments)} == {'state', 'action', 'by_hand'}
    one = list(data_set_moments(made[0], 1))
    assert [moment.goal for moment in one if moment.goal] == [GOALS[1]]
    assert one[0].seconds == 0.0
    with pytest.raises(UserError, match='has no episode 7'):
        list(data_set_moments(made[0], 7))


def test_a_recording_has_the_same_names(made):
    from mode_ros.control.contract import parse_contract

    recording = find_recordings([made[1]], 'auto')[0]
    contract = parse_contract(choose_contract([recording], None), 'of the recording')
    moments = list(recording_moments(recording, contract))
    assert moments[0].goal == GOALS[0]
    assert paths(moments) == paths(data_set_moments(made[0], 0))


class Rerun(types.SimpleNamespace):
    """Takes down what it is given."""

    def __init__(self):
        self.said, self.now = [], None
        make = lambda kind: lambda *given, **more: (kind, given, more)  # noqa: E731
        super().__init__(
            **{kind: make(kind) for kind in ('SeriesLines', 'Scalars', 'EncodedImage', 'TextLog')},
            set_time=lambda timeline, duration: setattr(self, 'now', duration),
            log=lambda path, what, static=False: self.said.append((path, what[0], static, self.now)),
        )


def test_every_line_has_its_colour_once_and_every_frame_its_number(made):
    rerun = Rerun()
    count = log(rerun, data_set_moments(made[0], 0))
    names = paths(data_set_moments(made[0], 0))
    lines = [path for path, kind, static, _ in rerun.said if kind == 'SeriesLines' and static]
    assert sorted(lines) == sorted(names)
    assert sum(kind == 'Scalars' for _, kind, _, _ in rerun.said) == count * len(names)
    assert sum(kind == 'TextLog' for _, kind, _, _ in rerun.said) == 1


def test_colours_are_the_pages_in_the_dark():
    looks = (Path(STATIC) / 'episodes.css').read_text()
    drawn = re.findall(r'\.line-\d \{ stroke: light-dark\(#[0-9a-f]{6}, (#[0-9a-f]{6})\)', looks)
    assert tuple(drawn) == COLOURS


def test_a_file_for_rerun(made, tmp_path, capsys):
    pytest.importorskip('rerun')
    file = tmp_path / 'new' / 'one.rrd'
    with pytest.raises(SystemExit) as ended:
        main(['view', str(made[0]), '--episode', '0', '--save', str(file)])
    assert ended.value.code == 0
    assert file.stat().st_size > 10_000
    assert 'moments in' in capsys.readouterr().out


def test_what_cannot_be_viewed_is_said(made, tmp_path, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(SystemExit):
        main(['view', str(made[0])])
    assert "rerun is not installed: pip install 'mode_ros[view]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, 'rerun', types.SimpleNamespace())
    with pytest.raises(SystemExit):
        main(['view', str(made[0]), '--save', str(tmp_path / 'a.txt')])
    assert 'let its name end in .rrd' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['view', str(made[1]), '--episode', '9'])
    assert 'has the recordings 0 to 1' in capsys.readouterr().err
