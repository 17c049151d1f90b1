"""What the rollout reads is what goes through messages in the nodes, and it needs no ROS to read it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from evaluation.stand_in import CONTRACT, TEXT

from mode_ros.control.contract import parse_contract
from mode_ros.evaluation import sensors
from mode_ros.paths import share_folder
from mode_ros.simulated import Joints, Pose, stream_values


def test_states_are_those_of_the_messages():
    pytest.importorskip('sensor_msgs')
    from mode_ros.messages.states import decode_state, encode_joint_state, encode_pose

    generator = np.random.default_rng(0)
    names = (*CONTRACT.state('fingers').names[::-1], 'another', *CONTRACT.state('joints').names)
    joints = Joints(names, generator.normal(size=10), generator.normal(size=10))
    turn = generator.normal(size=4)
    pose = Pose(generator.normal(size=3), turn / np.linalg.norm(turn))
    speeds = parse_contract(TEXT.replace('type: joint_state\n', 'type: joint_state\n      field: velocity\n'), 'test')
    for contract in (CONTRACT, speeds):
        for stream in contract.observation.states:
            if stream.type == 'pose':
                reading, message = pose, encode_pose(pose.position, pose.orientation, 5, 'world')
            else:
                reading, message = joints, encode_joint_state(names, joints.positions, joints.velocities, 5)
            assert stream_values(reading, stream).tolist() == decode_state(message, stream).tolist()


def test_a_compressed_picture_is_that_of_the_messages():
    pytest.importorskip('sensor_msgs')
    from mode_ros.messages.images import decode_image, encode_compressed_image

    camera = CONTRACT.observation.cameras[0].model_copy(update={'transport': 'compressed'})
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8)
    assert np.array_equal(sensors.as_compressed(image), decode_image(encode_compressed_image(image, 0, 'a'), camera))
    assert not np.array_equal(sensors.as_compressed(image), image)


def test_all_but_the_part_through_ros_imports_without_ros():
    folder = share_folder() / 'mode_ros' / 'evaluation'
    names = sorted(path.stem for path in folder.glob('*.py') if path.stem not in ('__init__', 'through_ros'))
    assert len(names) > 10
    block = 'import sys\nfor name in ("rclpy", "cv_bridge", "sensor_msgs", "std_msgs"): sys.modules[name] = None\n'
    load = '\n'.join(f'import mode_ros.evaluation.{name}' for name in names)
    done = subprocess.run(
        [sys.executable, '-c', block + load],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(share_folder())},
        check=False,
    )
    assert done.returncode == 0, done.stderr
