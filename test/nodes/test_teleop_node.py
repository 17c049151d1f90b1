"""teleop_node: a joystick and a real (pseudo) terminal, with the controller behind it."""

import itertools
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger
from support.bench import wait_for
from support.contracts import ABSOLUTE_TEXT
from trajectory_msgs.msg import JointTrajectory

from mode_ros.errors import UserError
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.messages.teleop import decode_teleop
from mode_ros.nodes.controller_node import ControllerNode
from mode_ros.nodes.qos import LATCHED
from mode_ros.nodes.teleop_node import TeleopNode
from mode_ros.nodes.terminal import Terminal, TerminalProblem, split_keys

PERIOD = 0.05


class Pad:
    """A joystick's driver: repeats at 50 Hz."""

    def __init__(self, bench):
        self.bench, self.axes, self.down = bench, [0.0] * 8, set()
        self.alive = True
        self.timer = bench.node.create_timer(0.02, self.send)

    def send(self):
        if self.alive:
            buttons = [int(index in self.down) for index in range(11)]
            self.bench.publish(Joy(axes=list(self.axes), buttons=buttons), 'joy')

    def press(self, button, heard):
        """Until heard() tells that it was."""
        self.down.add(button)
        wait_for(heard, f'button {button}')
        self.down.discard(button)
        time.sleep(0.1)


@pytest.fixture
def no_terminal(monkeypatch):
    def refuse(on_key):
        raise TerminalProblem('this process has no terminal to read keys from.')

    monkeypatch.setattr(TeleopNode.__init__, '__defaults__', (refuse,))


@pytest.fixture
def pad(bench, contract_file, no_terminal):
    node = bench.start(TeleopNode, activate=False, contract=contract_file)
    pad = Pad(bench)
    pad.calls = node._calls
    time.sleep(0.2)
    return pad


def actions(commands):
    return [decode_teleop(message).action for message in commands]


def test_a_command_per_period_while_the_deadman_is_held_and_then_none(bench, pad):
    commands = bench.listen(JointTrajectory, 'teleop_command')
    pad.axes[1] = 1.0
    time.sleep(0.3)
    assert not commands, 'without the deadman nothing is published'
    pad.down = {4}
    begin = bench.now()
    wait_for(lambda: len(commands) > 20, 'twenty commands')
    pad.down = set()
    wait_for(lambda: actions(commands)[-1] is None, 'letting go')
    held = [action for action in actions(commands) if action is not None]
    # 0.25 m/s at half speed and 20 Hz.
    assert held[0][:3].tolist() == pytest.approx([0.00625, 0.0, 0.0])
    assert np.isnan(held[0][3]), 'the gripper is left alone'
    # Stamps tell the rate without what a busy machine keeps back.
    stamps = [to_nanoseconds(message.header.stamp) for message in commands]
    assert np.median(np.diff(stamps)) / 1e9 == pytest.approx(PERIOD, rel=0.15)
    assert [action is None for action in actions(commands)].count(True) == 1
    assert commands[0].joint_names == list(bench.contract.action_names)
    assert commands[0].header.stamp.sec >= begin // 1_000_000_000
    heard = len(commands)
    time.sleep(0.3)
    assert len(commands) == heard


def test_a_joystick_that_falls_silent_lets_go(bench, pad):
    commands = bench.listen(JointTrajectory, 'teleop_command')
    pad.down = {4}
    wait_for(lambda: commands, 'a command')
    pad.alive = False
    wait_for(lambda: actions(commands)[-1] is None, 'letting go')


def test_hand_to_motor(bench, pad, contract_file):
    """Through the controller, to the arm, and marked as an intervention."""
    bench.start(ControllerNode, contract=contract_file)
    bench.joints()
    bench.node.create_timer(0.02, bench.joints)
    twists = bench.listen(TwistStamped, 'arm/twist')
    interventions = bench.listen(Bool, 'intervention', LATCHED)
    pad.axes[1], pad.down = -1.0, {4}
    wait_for(lambda: twists and twists[-1].twist.linear.x == pytest.approx(-0.125), 'motion')
    pad.down = set()
    wait_for(lambda: twists[-1].twist.linear.x == 0.0, 'a stop')
    wait_for(lambda: not interventions[-1].data, 'the end of the intervention')
    assert [message.data for message in interventions] == [False, True, False]


def test_joints_are_driven_from_where_they_were_last_commanded(bench, no_terminal, tmp_path):
    path = tmp_path / 'jointed.yaml'
    path.write_text(ABSOLUTE_TEXT)
    mapping = tmp_path / 'mine.yaml'
    mapping.write_text(
        'device: joystick\ndeadman: button0\nspeeds: {faster: button1, slower: button2, steps: [1.0], start: 1.0}\n'
        'motions: [{dimension: a, axis: axis0, speed: 0.5}, {dimension: b, axis: axis1, speed: 0.5}]\n'
    )
    bench.start(TeleopNode, activate=False, contract=str(path), joystick=str(mapping), keyboard='none')
    bench.start(ControllerNode, contract=str(path))
    bench.node.create_timer(0.02, lambda: bench.joints(values=(0.7, -0.3)))
    sent = bench.listen(JointTrajectory, 'arm/trajectory')
    pad = Pad(bench)
    wait_for(lambda: sent, 'a hold where the arm is')
    time.sleep(0.3)
    pad.down = {0}
    time.sleep(0.5)
    told = {tuple(message.points[0].positions) for message in sent}
    assert len(told) == 1, 'nothing jumps'
    # The bench's joints shake by billionths, as measured ones do.
    assert next(iter(told)) == pytest.approx((0.7, -0.3), abs=1e-6)
    begin = time.monotonic()
    pad.axes[0] = 1.0
    wait_for(lambda: sent[-1].points[0].positions[0] > 1.0, 'a turn')
    pad.down = set()
    driven = time.monotonic() - begin

    def turned():
        return np.array([message.points[0].positions[0] for message in sent])

    wait_for(lambda: turned()[-1] == pytest.approx(turned()[-2]), 'standing')
    a = turned()
    assert {message.points[0].positions[1] for message in sent} == {b for _, b in told}, 'only what is pushed moves'
    assert 0.3 < a[-1] - 0.7 <= 0.5 * driven + 0.25, 'no faster than it may'
    assert np.abs(np.diff(a)).max() <= 0.1 + 1e-9
    assert a[-1] == pytest.approx(a[-2])


def test_buttons_call_the_recorder_and_its_words_are_passed_on(bench, pad):
    called = []

    def answer(name):
        def serve(request, response):
            called.append((name, getattr(request, 'data', None)))
            response.success, response.message = True, f'{name} done'
            return response

        return serve

    for name, kind in (('start', Trigger), ('stop', Trigger), ('discard', Trigger), ('success', SetBool)):
        bench.node.create_service(kind, f'/recorder_node/{name}', answer(name))
    wait_for(lambda: all(client.service_is_ready() for client, _ in pad.calls.values()), 'the recorder')
    for count, button in enumerate((7, 3, 2, 1, 6), 1):
        pad.press(button, lambda count=count: len(called) == count)
    assert called == [('start', None), ('success', True), ('success', False), ('discard', None), ('stop', None)]


def test_without_a_recorder_it_says_so(bench, pad, capfd):
    pad.press(7, lambda: 'recorder_node is not running' in capfd.readouterr().err)


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'joystick': 'gamepad_twst'}, "joystick mapping 'gamepad_twst' is neither a file nor one of ["),
        ({'joystick': 'keyboard_twist'}, 'is for a keyboard, not for a joystick'),
        ({'joystick': 'none'}, 'nothing to drive with'),
        ({'contract': 'metaworld_sawyr'}, "did you mean 'metaworld_sawyer'"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(bench, no_terminal, contract_file, parameters, words):
    with pytest.raises(UserError) as caught:
        bench.start(TeleopNode, activate=False, **{'contract': contract_file, **parameters})
    assert words in str(caught.value)


# ---- the terminal ------------------------------------------------------------------------------------------------


def test_keys_in_what_a_terminal_sends():
    assert list(split_keys('wW \t\r\x7f')) == ['w', 'W', 'space', 'tab', 'enter', 'backspace']
    assert list(split_keys('\x1b[A\x1bOBx\x1b[D\x1b[C')) == ['up', 'down', 'x', 'left', 'right']
    assert list(split_keys('\x1b[3~a\x1b[1;5Cb\x1bx\x1b')) == ['a', 'b'], 'what means no known key is left out'


def test_without_a_terminal_the_reason_is_a_sentence():
    code = (
        'from mode_ros.nodes.terminal import *\n'
        'try: Terminal(print)\nexcept TerminalProblem as problem: print(problem)\nelse: print("opened")'
    )
    done = subprocess.run([sys.executable, '-c', code], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.stdout.startswith('this process has no terminal to read keys from'), done.stderr


class Tty:
    """teleop_node in a pseudo terminal."""

    def __init__(self, contract_file):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.seen = ''
        arguments = ['--ros-args', '-p', f'contract:={contract_file}', '-p', 'joystick:=none']
        self.process = subprocess.Popen(
            [sys.executable, '-c', ENTER_TERMINAL, 'mode_ros.nodes.teleop_node', *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ,
            start_new_session=True,
        )

    def wait_for(self, words):
        def shown():
            while select.select([self.master], [], [], 0.0)[0]:
                self.seen += os.read(self.master, 4096).decode('utf-8', 'replace')
            assert self.process.poll() is None or words in self.seen, self.seen
            return words in self.seen

        wait_for(shown, f'{words!r} in {self.seen!r}')

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self, number):
        """Whether the process ends by itself."""
        begin = time.monotonic()
        self.process.send_signal(number)
        while self.process.poll() is None and time.monotonic() - begin < 20.0:
            select.select([self.master], [], [], 0.05)[0] and os.read(self.master, 4096)
        return self.process.poll() is not None

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


# A session's first process takes the terminal that it is given as its own.
ENTER_TERMINAL = (
    'import fcntl, runpy, sys, termios\n'
    'fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n'
    'sys.argv = sys.argv[1:]\n'
    'runpy.run_module(sys.argv[0], run_name="__main__")\n'
)


@pytest.fixture
def tty(contract_file):
    tty = Tty(contract_file)
    yield tty
    tty.close()


def longest_drive(commands):
    """Return how many periods in a row the arm was told to move."""
    moving = [action is not None and action[0] > 0 for action in actions(commands)]
    return max((len(list(run)) for on, run in itertools.groupby(moving) if on), default=0)


def test_keys_drive_and_the_terminal_is_given_back(bench, tty):
    commands = bench.listen(JointTrajectory, 'teleop_command')
    tty.wait_for('space takes over and gives back')
    assert not termios.tcgetattr(tty.slave)[3] & termios.ICANON, 'keys come one by one'
    tty.type('w')
    time.sleep(0.3)
    assert not commands, 'a key typed by mistake moves nothing'
    tty.type(' ')
    tty.wait_for('DRIVING')
    begin = time.monotonic()
    # As long as it takes on a busy machine, which may hold the node up; a single key would last three periods.
    while longest_drive(commands) < 8:
        assert time.monotonic() - begin < 30.0, 'a key that repeats drives on'
        tty.type('w')
        time.sleep(0.03)
    typed = time.monotonic() - begin
    wait_for(lambda: actions(commands)[-1][0] == 0.0, 'standing still under the hand')
    moved = [action[0] for action in actions(commands)]
    assert max(moved) == pytest.approx(0.00625)
    assert sum(value > 0 for value in moved) <= (typed + 0.15) / PERIOD + 3, 'no longer than the keys and their hold'
    assert tty.end(signal.SIGINT)
    assert tty.process.returncode == 0
    assert termios.tcgetattr(tty.slave) == tty.before, 'the terminal is as it was'
    wait_for(lambda: actions(commands)[-1] is None, 'letting go')


def test_a_crash_gives_the_terminal_back(tmp_path):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    code = (
        'import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n'
        'from mode_ros.nodes.terminal import Terminal\nterminal = Terminal(print)\nraise RuntimeError("x")'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    while process.poll() is None:
        select.select([master], [], [], 0.05)[0] and os.read(master, 4096)
    assert process.returncode == 1
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_terminal_is_what_the_node_opens():
    assert TeleopNode.__init__.__defaults__ == (Terminal,)
