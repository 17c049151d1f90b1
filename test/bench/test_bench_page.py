"""The page's benchmark: what is judged, and that its parts speak to a real page."""

import asyncio

import numpy as np
import pytest

pytest.importorskip('uvicorn')
pytest.importorskip('starlette')

from support.page_robot import PageRobot

from mode_ros.bench_page import viewer
from mode_ros.bench_page.cameras import scene
from mode_ros.bench_page.measure import Phase, _contract, describe, missed, period_of, write
from mode_ros.cli.main import main
from mode_ros.control.contract import parse_contract
from mode_ros.errors import UserError
from mode_ros.page.server import make_application
from mode_ros.page.serving import Address, Serving

GOOD = {'rate': 12.0, 'arriving': 30.0, 'age p50': 0.03, 'age p95': 0.08, 'age max': 0.1, 'kB': 40.0}


def phases(one=None, slow=None, cpu=20.0, p99=(20.5, 20.6, 21.0)):
    quick = {**GOOD, **(one or {})}
    return [
        Phase('without the page', (20.0, p99[0], 22.0), None, {}),
        Phase('one viewer', (20.0, p99[1], 22.0), cpu, quick),
        Phase('a slow one', (20.0, p99[1], 22.0), 3.0, {**GOOD, 'rate': 1.0, **(slow or {})}),
        Phase('10 viewers', (20.0, p99[2], 22.0), 60.0, GOOD),
    ]


def test_what_is_reached_is_not_missed():
    assert missed(phases()) == []


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'cpu': 25.0}, 'of a core'),
        ({'one': {'rate': 9.9}}, 'pictures a second'),
        ({'one': {'age p95': 0.21}}, 'old'),
        ({'slow': {'rate': 12.0}}, 'as many'),
        ({'slow': {'age p95': 1.0}}, 'slow viewer sees'),
        ({'p99': (20.5, 21.6, 20.5)}, 'with one viewer'),
        ({'p99': (20.5, 20.5, 21.6)}, 'with 10 viewers'),
    ],
)
def test_each_aim_can_be_missed(change, words):
    [found] = missed(phases(**change))
    assert words in found


def test_the_table_tells_all_of_it(tmp_path):
    write(tmp_path, phases(cpu=30.0), {'cores': 2})
    text = (tmp_path / 'table.md').read_text()
    assert describe(phases()[0]) in text
    assert 'missed: the page takes 30 % of a core' in text
    assert 'On cores 2.' in text


def test_periods_are_between_stamps():
    assert period_of(np.array([0, 20, 40, 65]) * 1_000_000) == (20.0, 24.9, 25.0)
    with pytest.raises(UserError, match='has sent nothing'):
        period_of(np.array([5]))


def test_the_contract_has_the_cameras_that_the_viewers_watch():
    contract = parse_contract(_contract(), 'of the benchmark')
    assert tuple(camera.name for camera in contract.observation.cameras) == viewer.CAMERAS


def test_a_scene_is_a_picture_with_edges():
    picture = scene(1)
    assert (picture.shape, picture.dtype) == ((480, 640, 3), np.uint8)
    assert np.abs(np.diff(picture[:, :, 0].astype(int), axis=1)).max() > 60


def test_viewers_get_pictures_with_their_age(monkeypatch):
    monkeypatch.setattr(viewer, 'CAMERAS', ('static',))
    robot = PageRobot()
    robot.cameras['static'].push(b'\x10', 50_000_000)
    serving = Serving(make_application(robot), Address('127.0.0.1', 0))
    try:
        seen = asyncio.run(viewer.watch(serving.url, 2, 4.0, 0.0))
    finally:
        serving.close()
    assert seen['rate'] == 1 / 4.0, 'one picture, for each'
    assert seen['age p50'] == pytest.approx(0.05)
    assert seen['arriving'] == 0.0, 'this page does not tell'


def test_what_arrives_is_counted_of_the_camera_that_has_fewest():
    seen = viewer.Seen()
    for now, numbers in ((1.0, (0, 7)), (2.0, (9, 9)), (5.0, (120, 47))):
        seen.hear(now, {'cameras': {f'camera_{n}': {'number': number} for n, number in enumerate(numbers)}})
    assert seen.told(4.0, 1)['arriving'] == 10.0


def test_a_span_that_is_too_short_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['bench-page', '--seconds', '1'])
    assert ended.value.code == 1
    assert '--seconds 1 is out of range; give 4 to 600.' in capsys.readouterr().err
