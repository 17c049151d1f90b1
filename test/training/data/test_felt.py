"""Force, touch and single numbers on their way from a bag into training."""

import numpy as np
import pytest
from support.bags import SECOND, START, TYPES, Item, demonstration, floats, header, write_bag
from support.contracts import DELTA_TEXT
from support.training_sets import TextNumbers, train_settings

from mode_ros.training.data.convert import Conversion, choose_contract
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.data.episode_writer import Encoding
from mode_ros.training.data.inputs import find_recordings
from mode_ros.training.data.staging import Settings
from mode_ros.training.plan import make_plan

FELT = DELTA_TEXT.replace(
    'action:\n',
    """    - {name: wrist, topic: wrench, type: wrench, unit: N, max_age: 0.2,
       names: [force_x, force_y, force_z, torque_x, torque_y, torque_z]}
    - {name: pad, topic: pad, type: array, names: [near, far], unit: '1', stamps: reception, max_age: 0.2}
    - {name: load, topic: load, type: number, names: [kg], unit: kg, scale: 0.001, stamps: reception, max_age: 0.2}
action:
""",
)


def wrench(stamp, force, torque):
    vector = TYPES.types['geometry_msgs/msg/Vector3']
    body = TYPES.types['geometry_msgs/msg/Wrench'](vector(*map(float, force)), vector(*map(float, torque)))
    return TYPES.types['geometry_msgs/msg/WrenchStamped'](header=header(stamp), wrench=body)


def touching(seconds=2.0):
    items = demonstration(seconds)
    for k in range(round(seconds * 100)):
        at = START + k * SECOND // 100
        items.append(Item('/wrench', wrench(at, [k, -k, 1], [0.1 * k, 0, 0]), at + 1_000_000))
        items.append(Item('/pad', floats([k / 100, 1 - k / 100]), at))
        items.append(Item('/load', TYPES.types['std_msgs/msg/Float64'](data=500.0 + k), at))
    return sorted(items, key=lambda item: item.received)


def test_what_is_felt_is_recorded_converted_and_normalised(tmp_path):
    write_bag(tmp_path / 'bags' / '0', touching())
    recordings = find_recordings([tmp_path / 'bags'], 'auto')
    settings = Settings(choose_contract(recordings, FELT), encoding=Encoding('png'))
    with Conversion(tmp_path / 'data', settings, 'tester') as conversion:
        assert conversion.run(recordings, 1, strict=True).new == 1
    data = open_dataset(tmp_path / 'data', 4)
    assert data.streams == {'joints': 2, 'wrist': 6, 'pad': 2, 'load': 1}
    force = data.state[:, data.columns('wrist')]
    steps = np.diff(force[:, 0])
    assert steps.mean() == pytest.approx(5.0, abs=0.1)  # 100 messages a second, 20 frames
    assert (force[:, 1] == -force[:, 0]).all()
    assert force[:, 3] == pytest.approx(0.1 * force[:, 0], rel=1e-5)
    pad = data.state[:, data.columns('pad')]
    assert pad.sum(1) == pytest.approx(np.ones(len(pad)), rel=1e-5)
    assert data.state[:, data.columns('load')].min() == pytest.approx(0.5, abs=0.06)
    plan = make_plan(train_settings(tmp_path / 'data', **{'policy.states': ['wrist', 'pad']}), TextNumbers())
    assert plan.config.denoiser.state_dim == 8
    batch = plan.source.moments([(0, frame) for frame in range(len(data))], plan.settings.loss)
    assert batch.state[:, 0].mean() == pytest.approx(0, abs=1e-4)
    assert batch.state[:, 0].std(correction=0) == pytest.approx(1, abs=1e-4)
    assert any('force_z, torque_y, torque_z never changed' in str(finding) for finding in plan.findings)
