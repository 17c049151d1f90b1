"""sim_node as a process: what a robot's drivers would publish, on a simulated clock."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger
from support.bench import Bench, wait_for

from mode_ros.bringup.nodes import NodeSpec, simulation_nodes
from mode_ros.bringup.processes import Processes
from mode_ros.messages.images import decode_image
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.nodes.qos import LATCHED
from mode_ros.pairing import make_untrained
from mode_ros.paths import share_folder
from mode_ros.robots import load_named_contract

pytest.importorskip('metaworld')
pytestmark = pytest.mark.rendering

SETTINGS = share_folder() / 'config' / 'nodes.yaml'
CONTRACT = load_named_contract('metaworld_sawyer')[0]


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """A bench beside one running simulation of drawer-open."""
    rclpy.init()
    bench = Bench()
    logs = tmp_path_factory.mktemp('logs')
    parameters = {'contract': 'metaworld_sawyer', 'task': 'drawer-open', 'seed': 3}
    with Processes([NodeSpec('sim_node', parameters)], SETTINGS, logs) as processes:
        bench.processes = processes
        bench.clock = bench.listen(Clock, '/clock')
        wait_for(lambda: bench.clock or processes.ended(), 'the clock', timeout=90)
        assert not processes.ended(), processes.log('sim_node').read_text()
        yield bench
    bench.close()
    rclpy.shutdown()


def service(bench, kind, name, request):
    client = bench.node.create_client(kind, name)
    assert client.wait_for_service(10.0)
    future = client.call_async(request)
    wait_for(future.done, name, timeout=60)
    return future.result()


def reset(bench):
    return service(bench, Trigger, '/sim_node/reset', Trigger.Request())


def set_seed(bench, seed):
    future = AsyncParameterClient(bench.node, 'sim_node').set_parameters([Parameter('seed', value=seed)])
    wait_for(future.done, 'the seed')
    assert future.result().results[0].successful


def wait_simulated(bench, seconds):
    """By the simulation's clock, which a busy machine slows down."""
    end = to_nanoseconds(bench.clock[-1].clock) + seconds * 1e9
    wait_for(lambda: to_nanoseconds(bench.clock[-1].clock) > end, f'{seconds} simulated seconds', timeout=60)


def test_cameras_state_and_clock_agree_in_time(world):
    images = {camera.name: world.listen(Image, camera.topic) for camera in CONTRACT.observation.cameras}
    joints = world.listen(JointState, 'joint_states')
    poses = world.listen(PoseStamped, 'end_effector_pose')
    wait_for(lambda: min(map(len, [*images.values(), joints, poses])) > 10, 'ten of each')
    times = [
        [to_nanoseconds(message.header.stamp) for message in stream] for stream in (joints, poses, *images.values())
    ]
    begin, end = max(stamps[0] for stamps in times), min(stamps[-1] for stamps in times)
    common = [[stamp for stamp in stamps if begin <= stamp <= end] for stamps in times]
    assert common[1:] == common[:1] * 3, 'every stream at the same instants'
    assert set(np.diff(common[0])) == {CONTRACT.period}
    assert set(CONTRACT.state('joints').names) <= set(joints[0].name)
    assert to_nanoseconds(world.clock[-1].clock) >= end
    views = [decode_image(images[camera.name][0], camera) for camera in CONTRACT.observation.cameras]
    assert all(view.std() > 10 for view in views), 'a picture, not one colour'
    assert np.abs(views[0].astype(int) - views[1]).mean() > 10, 'two cameras, two views'


def test_compressed_images_are_there_for_who_asks(world):
    static = CONTRACT.camera('static')
    compressed = world.listen(CompressedImage, f'{static.topic}/compressed')
    raw = world.listen(Image, static.topic)
    wait_for(lambda: compressed and raw, 'both')
    wanted = static.model_copy(update={'transport': 'compressed'})
    pairs = wait_for(lambda: [(a, b) for a in compressed for b in raw if a.header.stamp == b.header.stamp], 'a pair')
    a, b = (decode_image(pairs[0][0], wanted), decode_image(pairs[0][1], static))
    assert np.abs(a.astype(int) - b).mean() < 6


def test_the_instruction_is_the_latched_goal(world):
    goals = world.listen(String, 'goal', LATCHED)
    wait_for(lambda: goals, 'the goal')
    assert 'drawer' in goals[0].data


def test_a_command_moves_the_arm_and_ends_when_commands_end(world):
    reset(world)
    poses = world.listen(PoseStamped, 'end_effector_pose')
    wait_for(lambda: len(poses) > 2, 'poses')
    begin = poses[-1].pose.position.x
    command = TwistStamped()
    command.twist.linear.x = 0.2

    def moved():
        world.publish(command, 'arm/twist_command')
        time.sleep(0.04)
        return poses[-1].pose.position.x - begin > 0.05

    wait_for(moved, 'motion')
    wait_simulated(world, 0.6)
    stopped = poses[-1].pose.position.x
    assert stopped - begin > 0.04
    wait_simulated(world, 0.6)
    assert abs(poses[-1].pose.position.x - stopped) < 0.01, 'a silent controller must not leave the arm moving'


def test_reset_with_a_seed_repeats_the_start(world):
    images = world.listen(Image, CONTRACT.camera('static').topic)

    def view_after(seed):
        set_seed(world, seed)
        answer = reset(world)
        assert answer.success
        assert answer.message == f'reset with seed {seed}'
        settled = to_nanoseconds(world.clock[-1].clock) + 1_000_000_000
        found = wait_for(lambda: [image for image in images if to_nanoseconds(image.header.stamp) > settled], 'a view')
        return decode_image(found[0], CONTRACT.camera('static')).astype(int)

    first, other, again = view_after(11), view_after(12), view_after(11)
    # A busy machine looks at another moment, when the arm may sag by a hair.
    assert np.abs(first - again).mean() < 0.1 * np.abs(first - other).mean()
    assert np.abs(first - other).max() > 30


def test_success_and_the_real_time_factor_are_told(world):
    success = world.listen(Bool, 'success', LATCHED)
    diagnostics = world.listen(DiagnosticArray, '/diagnostics')
    wait_for(lambda: success, 'success')
    assert success[0].data is False
    wait_for(
        lambda: [
            float(item.value)
            for array in diagnostics
            for status in array.status
            for item in status.values
            if item.key == 'real-time factor' and item.value != 'nan'
        ],
        'the factor',
    )


def test_time_does_not_go_back_at_a_reset(world):
    reset(world)
    stamps = [to_nanoseconds(message.clock) for message in world.clock]
    assert (np.diff(stamps) > 0).all()


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'task': 'drawer-opn'}, 'drawer-open'),
        ({'contract': 'libero_panda'}, 'take what was made for this robot'),
        ({'taks': 'reach'}, "no parameter 'taks'; did you mean 'task'?"),
        ({'simulator': 'gazebo'}, "it can be ['metaworld', 'libero']"),
        ({'real_time_factor': -1.0}, 'goes from 0.0 to 100.0'),
    ],
)
def test_what_it_cannot_simulate_is_one_sentence(tmp_path, parameters, words):
    with Processes([NodeSpec('sim_node', parameters)], SETTINGS, tmp_path) as processes:
        wait_for(processes.ended, 'the end', timeout=60)
        assert processes.ended() == {'sim_node': 1}
        log = processes.log('sim_node').read_text()
    assert words in log
    assert 'Traceback' not in log


def test_ctrl_c_ends_every_process_in_time(tmp_path, monkeypatch):
    # A clock of the tests before may still be known in their domain, and a second one is refused.
    monkeypatch.setenv('ROS_DOMAIN_ID', str(1 + (int(os.environ['ROS_DOMAIN_ID']) + 36) % 100))
    contract, text = load_named_contract('metaworld_sawyer')
    make_untrained(contract, text, seed=0).save(tmp_path / 'policy')
    specs = simulation_nodes('metaworld_sawyer', str(tmp_path / 'policy'), task='reach')
    with Processes(specs, SETTINGS, tmp_path / 'logs') as processes:
        logs = [processes.log(spec.executable) for spec in specs]
        # Not only started: the policy loaded, the simulator simulating, the controller commanding.
        wait_for(lambda: 'goal:' in logs[1].read_text() or processes.ended(), 'all three', timeout=90)
        assert not processes.ended()
        running = [process.pid for process in processes._running.values()]
        processes.end()
    statuses = [process.returncode for process in processes._running.values()]
    assert statuses == [0, 0, 0], 'each ended by itself, in order'
    listing = subprocess.run(['ps', '-o', 'pid=', '-p', ','.join(map(str, running))], capture_output=True, text=True)
    assert not listing.stdout.strip()
    assert 'stopping: the process ends' in logs[2].read_text()


def test_a_signal_while_starting_ends_a_node(tmp_path):
    process = subprocess.Popen([sys.executable, '-m', 'mode_ros.nodes.sim_node'], stderr=subprocess.DEVNULL)
    time.sleep(1.0)
    process.terminate()
    process.wait(timeout=30.0)
