"""How far a conversion is: also where no recording is long enough to say so."""

import pytest
from support.bags import START, demonstration, episode, write_bag

from mode_ros.training.data.convert import Conversion, choose_contract
from mode_ros.training.data.episode_writer import Encoding
from mode_ros.training.data.inputs import find_recordings
from mode_ros.training.data.staging import Settings


@pytest.mark.parametrize('jobs', [1, 2])
def test_the_bar_moves_for_recordings_of_few_messages(tmp_path, monkeypatch, jobs):
    """Each tells less than what a report of progress is made for."""
    from mode_ros.training.data import convert

    for k in range(3):
        write_bag(tmp_path / 'bags' / f'{k}', demonstration(0.3, 'reach', START + k * 10**11), custom=episode('reach'))
    moved = []
    plain = convert._advance
    monkeypatch.setattr(convert, '_advance', lambda bar, seconds: (moved.append(seconds), plain(bar, seconds)))
    recordings = find_recordings([tmp_path / 'bags'], 'auto')
    settings = Settings(choose_contract(recordings, None), min_frames=2, encoding=Encoding('png'))
    with Conversion(tmp_path / 'data', settings, 'tester') as conversion:
        conversion.run(recordings, jobs, strict=True)
    assert sum(moved) == pytest.approx(sum(recording.seconds() for recording in recordings), rel=0.01)
