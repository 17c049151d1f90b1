"""What the demo films: both cameras in the contract's order, whichever was heard first."""

import numpy as np

from mode_ros.demo.monitor import Monitor
from mode_ros.messages.images import encode_image
from mode_ros.robots import load_named_contract


def test_the_cameras_stand_in_the_contracts_order(bench):
    contract = load_named_contract('metaworld_sawyer')[0]
    static, wrist = contract.observation.cameras
    monitor = Monitor(contract)
    bench.under_test.append(monitor)
    monitor.seen.first_chunk = 1
    for camera in (wrist, static):
        picture = np.full((camera.height, camera.width, 3), 200 if camera is wrist else 50, np.uint8)
        monitor._on_image(camera)(encode_image(picture, 1, camera.name))
    (frame,) = monitor.seen.frames
    assert [(name, int(picture[0, 0, 0])) for name, picture in frame.items()] == [('static', 50), ('wrist', 200)]
