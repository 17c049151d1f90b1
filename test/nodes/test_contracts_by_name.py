"""Every contract of a real robot that ships, against mocks of the drivers that it names: they move."""

import numpy as np
import pytest
import rclpy
from std_srvs.srv import SetBool
from support.driver_bench import DriverBench
from support.mock_robot import Broadcaster, middle, mock_driver

from mode_ros.cli.main import main
from mode_ros.control.poses import pose_vector
from mode_ros.drivers import gripper, servo
from mode_ros.robots import known_robots, load_named_contract

ROBOTS = [name for name in known_robots() if not name.startswith(('metaworld', 'libero'))]


class StandInGripper:
    """Remembers what it was told; the action itself is tested in test/drivers."""

    def __init__(self, group):
        self.group, self.targets, self.well = group, [], True
        self.positions = middle(group)

    def command(self, target, moving):
        self.positions = np.array([target])
        if moving:
            self.targets.append(target)

    def stop(self):
        pass

    def close(self):
        pass

    def report(self):
        return {}


@pytest.fixture
def bench():
    rclpy.init()
    made = DriverBench()
    yield made
    made.close()
    rclpy.shutdown()


def test_the_robots_that_laboratories_have_are_there():
    expected = {'ur5e', 'franka_fr3_crisp', 'franka_fr3_servo', 'so101', 'aloha_vx300s', 'xarm6', 'husky_kinova'}
    assert expected <= set(ROBOTS)


@pytest.mark.parametrize('robot', ROBOTS)
def test_commands_follow_the_namespace_and_sources_are_named(robot):
    contract, text = load_named_contract(robot)
    assert contract.robot == robot
    for group in contract.action:
        assert not group.output.topic.startswith('/'), 'a second robot would be commanded too'
        assert not (group.output.action or '').startswith('/')
    assert robot == 'ros2_control_arm' or 'ource' in text, 'whose documentation says so'


@pytest.mark.parametrize('robot', known_robots())
def test_check_tells_what_each_contract_sees_and_commands(robot, capsys):
    contract, _ = load_named_contract(robot)
    with pytest.raises(SystemExit) as ended:
        main(['check', robot])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for camera in contract.observation.cameras:
        assert f'sees {camera.name}: {camera.width}x{camera.height} from {camera.topic}' in told
    for group in contract.action:
        where = f'action {group.output.action}' if group.output.action else group.output.topic
        assert f'commands {group.name}: {", ".join(group.names)} ({group.kind}) on {where}' in told


@pytest.mark.slow
@pytest.mark.parametrize('robot', ROBOTS)
def test_the_robot_of_a_contract_moves(robot, bench, tmp_path, monkeypatch):
    contract, text = load_named_contract(robot)
    # A busy machine may keep a mock waiting, and that is not what is tested here.
    for age in ('0.1', '0.2'):
        text = text.replace(f'max_age: {age}', 'max_age: 1.0')
    grippers = {}
    monkeypatch.setattr(
        gripper, 'open_gripper', lambda node, group, clock: grippers.setdefault(group.name, StandInGripper(group))
    )
    monkeypatch.setattr(servo, 'command_type_request', lambda number: (SetBool, SetBool.Request(data=number == 1)))
    drivers = {group.name: mock_driver(contract, group) for group in contract.action}
    for node in [*(node for node in drivers.values() if node is not None), Broadcaster(contract, drivers, grippers)]:
        bench.add(node)
    _, active = bench.configure(tmp_path, text, wait=1.0)
    assert active
    target = np.concatenate([destination(group) for group in contract.action])

    def arrived():
        return all(there(group, drivers[group.name], grippers) for group in contract.action)

    bench.drive(target, arrived, 'every driver to be where it was sent')
    for driver in drivers.values():
        assert driver is None or driver.rejected == []


def destination(group):
    if group.output.adapter == 'twist':
        return np.array([group.dimensions[0].upper, *[0.0] * (len(group.names) - 1)])
    if group.output.adapter == 'pose':
        return pose_vector(np.array([0.45, 0.05, 0.45]), np.array([1.0, 0.0, 0.0, 0.0]), group)
    return middle(group) + np.array([0.05 * (d.upper - d.lower) for d in group.dimensions])


def there(group, driver, grippers):
    wanted = destination(group)
    if group.output.adapter == 'gripper_command':
        told = grippers[group.name].targets
        return bool(told) and abs(told[-1] - wanted[0]) < 1e-6
    if group.output.adapter == 'twist':
        return driver.model.position[0] > 0.02
    if group.output.adapter == 'pose':
        return np.abs(driver.model.position - wanted[:3]).max() < 0.005
    positions = driver.model.joints.positions if hasattr(driver.model, 'joints') else driver.model.positions
    return np.abs(positions - wanted).max() < 0.01


def test_two_arms_of_one_kind_are_told_apart():
    contract, _ = load_named_contract('aloha_vx300s')
    assert 'left_arm.waist' in contract.action_names
    assert len(set(contract.action_names)) == len(contract.action_names) == 14
