"""A bag gives, tick by tick, exactly what the policy would have seen: pixels, numbers and refusals."""

import numpy as np
import pytest
from support.bags import START, compressed, demonstration, image, picture, write_bag
from support.parity import assert_same, converted, live

from support.bags import changed, delta, without  # isort: skip

from mode_ros.control.contract import NANOSECONDS


def shaken(items, generator):
    """Cameras and joints as they come over a busy network: late by up to 60 ms, and so in another order."""
    for item in items:
        if item.topic in ('/static/image', '/joint_states'):
            item.received += int(generator.integers(0, 60_000_000))
    return sorted(items, key=lambda item: item.received)


def delayed(seconds):
    """The contract, with a camera whose stamps are so many seconds after what it shows."""
    camera = delta().observation.cameras[0].model_copy(update={'delay': seconds})
    observation = delta().observation.model_copy(update={'cameras': (camera,)})
    return delta().model_copy(update={'observation': observation})


@pytest.mark.parametrize('kind', ['raw', 'larger', 'jpeg', 'odd rates', 'shaken', 'gap', 'delayed'])
def test_frames_are_those_of_the_live_path(tmp_path, kind):
    contract = delta()
    items = demonstration(3.0, rates=(17, 93)) if kind == 'odd rates' else demonstration(3.0)
    if kind == 'larger':
        items = demonstration(3.0, size=(64, 48))
    if kind == 'jpeg':
        camera = contract.observation.cameras[0].model_copy(update={'transport': 'compressed'})
        observation = contract.observation.model_copy(update={'cameras': (camera,)})
        contract = contract.model_copy(update={'observation': observation})

        def jpeg(k, item):
            stamp = item.message.header.stamp
            item.message = compressed(stamp.sec * NANOSECONDS + stamp.nanosec, picture(k, (80, 60)))
            return item

        items = changed(items, '/static/image', jpeg)
    if kind == 'delayed':
        contract = delayed(0.5)
    if kind == 'shaken':
        items = shaken(items, np.random.default_rng(3))
    if kind == 'gap':
        items = without(items, '/joint_states', 1.0, 1.15)  # within the limit: no end of the segment
    frames, _ = converted(write_bag(tmp_path / 'bag', items), contract)
    assert len(frames) > (45 if kind == 'delayed' else 50)
    seen = live(contract, items, [frame.observation.stamp for frame in frames])
    for frame, theirs in zip(frames, seen, strict=True):
        assert_same(frame.observation, theirs)


def test_ticks_are_one_period_apart_from_the_first_time_at_which_all_streams_have_spoken(tmp_path):
    items = without(demonstration(2.0), '/static/image', 0.0, 0.21)
    frames, _ = converted(write_bag(tmp_path / 'bag', items), delta())
    stamps = [frame.observation.stamp for frame in frames]
    assert stamps[0] == START + 250_000_000
    assert np.diff(stamps).tolist() == [50_000_000] * (len(stamps) - 1)


@pytest.mark.parametrize('delay', [0.1, 0.5])
def test_a_frame_pairs_the_newest_picture_of_its_time_with_the_state_of_that_time(tmp_path, delay):
    frames, spans = converted(write_bag(tmp_path / 'bag', demonstration(3.0)), delayed(delay))
    assert not any(span.fault for span in spans)
    assert len(frames) == pytest.approx(20 * (3.0 - delay), abs=2)
    for frame in frames:
        tick = (frame.observation.stamp - START) / NANOSECONDS
        shown = round((tick + delay) * 20)  # pictures come at 20 Hz, ticks too
        assert (frame.observation.images['static'] == picture(shown)).all()
        assert frame.observation.states['joints'][1] == pytest.approx(tick / 2, abs=0.011)
        assert frame.action[0] == pytest.approx(0.001 * (round(tick * 20) % 20))


def test_a_gap_of_a_delayed_camera_is_where_its_pictures_are_missing(tmp_path):
    items = without(demonstration(4.0), '/static/image', 1.5, 2.2)
    frames, spans = converted(write_bag(tmp_path / 'bag', items), delayed(0.5))
    gap = next(span for span in spans if 'silent' in span.reason)
    assert (gap.start - START) / NANOSECONDS == pytest.approx(0.95)
    ticks = {round((frame.observation.stamp - START) / NANOSECONDS, 3) for frame in frames}
    assert not any(0.96 < tick < 1.69 for tick in ticks)
    assert {0.95, 1.7} <= ticks


@pytest.mark.parametrize(
    ('topic', 'first', 'last', 'fault'),
    [
        ('/static/image', 0.4, 9, None),  # it shows what was before the joints began
        ('/static/image', 1.0, 9, (0.0, 0.5)),
        ('/static/image', 0, 2.7, (2.15, 2.48)),
        ('/joint_states', 0.4, 9, (0.0, 0.4)),
        ('/joint_states', 0, 2.7, None),  # the camera has not shown that time yet
        ('/joint_states', 0, 2.0, (1.98, 2.45)),
    ],
)
def test_of_a_delayed_camera_only_what_costs_frames_is_a_fault(tmp_path, topic, first, last, fault):
    items = without(without(demonstration(3.0), topic, 0, first), topic, last, 9)
    frames, spans = converted(write_bag(tmp_path / 'bag', items), delayed(0.5))
    assert frames
    found = [((span.start - START) / NANOSECONDS, (span.stop - START) / NANOSECONDS) for span in spans if span.fault]
    assert found == ([] if fault is None else [pytest.approx(fault)])


def test_what_cannot_be_seen_live_is_no_frame_either(tmp_path):
    def break_some(k, item):
        if k in (20, 21):
            item.message.encoding = 'mono16'
        return item

    items = changed(demonstration(3.0), '/static/image', break_some)
    contract = delta()
    frames, spans = converted(write_bag(tmp_path / 'bag', items), contract)
    ticks = [START + k * contract.period for k in range(59)]
    seen = live(contract, items, ticks)
    assert [frame.observation.stamp for frame in frames] == [
        tick for tick, found in zip(ticks, seen, strict=True) if found is not None
    ]
    assert 'mono16' in spans[0].reason


def test_an_action_is_what_was_commanded_in_the_period_that_begins_at_the_observation(tmp_path):
    frames, _ = converted(write_bag(tmp_path / 'bag', demonstration(2.0)), delta())
    assert len(frames) == 39  # of the 40th period the recording has not seen the end
    for k, frame in enumerate(frames):
        assert frame.action == pytest.approx([0.001 * (k % 20), 0, -0.01, 1.0 if k % 40 < 20 else -1.0])


def test_a_bag_on_another_clock_gives_the_same_frames(tmp_path):
    ours, _ = converted(write_bag(tmp_path / 'a', demonstration(2.0)), delta())
    # Simulated time from one second on, recorded on the wall clock.
    theirs, _ = converted(write_bag(tmp_path / 'b', demonstration(2.0, start=10**9, offset=START)), delta())
    assert abs(len(ours) - len(theirs)) <= 1
    for a, b in zip(ours, theirs, strict=False):
        assert a.observation.stamp - START == b.observation.stamp - 10**9
        assert a.action == pytest.approx(b.action)


def test_the_source_image_is_not_needed_in_the_contracts_size(tmp_path):
    frame = converted(write_bag(tmp_path / 'bag', demonstration(1.0, size=(320, 240))), delta())[0][0]
    assert frame.observation.images['static'].shape == (32, 32, 3)
    assert image(START, picture(0)).width == 32
