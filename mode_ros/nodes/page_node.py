"""The operator's page: what its web server shows and does, as topics and services. docs/page.md tells them all."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.contract import Camera as CameraStream
from mode_ros.errors import UserError
from mode_ros.messages.images import image_class
from mode_ros.messages.pictures import as_picture
from mode_ros.nodes.estop_readers import ESTOP_TOPIC, EstopReaders
from mode_ros.nodes.goal_speaker import GoalSpeaker
from mode_ros.nodes.page_ahead import PageAhead
from mode_ros.nodes.page_calls import PageCalls
from mode_ros.nodes.page_driving import PageDriving
from mode_ros.nodes.parameters import parameter, read_parameters
from mode_ros.nodes.policy_loader import PolicyLoader
from mode_ros.nodes.process import run_node
from mode_ros.nodes.publishers import count_publishers
from mode_ros.nodes.qos import COMMAND, LATCHED, SENSOR, subscribe_latched
from mode_ros.page.driving import Held
from mode_ros.page.goals import UsedGoals, offered, training_goals
from mode_ros.page.pictures import Camera
from mode_ros.page.stop import EstopWords
from mode_ros.page.told import Outcomes, Told, read_object
from mode_ros.paths import share_folder
from mode_ros.recording.episode import SUCCESS_TOPIC
from mode_ros.recording.liveness import header_stamp
from mode_ros.robots import load_named_contract

# The only secret; a parameter could be read by every node in the network.
TOKEN_VARIABLE = 'MODE_ROS_PAGE_TOKEN'

ADDRESS_WORDS = 'The page is at'

# A release that comes before the arm has come to rest, or before the controller knows that nobody says stop any more,
# is asked for again for so long: nobody should have to press twice for that, nor be surprised by a late start. Seconds
# of the robot's clock, by which its arm comes to rest: a simulation may be slow. Should that clock stand, of a steady
# one.
RELEASE_SECONDS, RELEASE_LONGEST = 2.5, 10.0


@dataclass(frozen=True)
class PageParameters:
    contract: str = parameter('', 'Robot contract: a name in config/robots, or the path of a YAML file.')
    checkpoint: str = parameter('', 'Checkpoint folder whose sentences are offered as goals; none: only those used.')
    host: str = parameter('127.0.0.1', 'Address to serve on; any that is not of this machine alone asks for a token.')
    port: int = parameter(8080, 'Port; 0: any that is free.', minimum=0, maximum=65535)
    certificate: str = parameter('', 'TLS: certificate file.')
    key: str = parameter('', 'TLS: key file.')
    keyboard: str = parameter('auto', 'Mapping of the keys: a name in config/teleop, a path, or auto.')
    joystick: str = parameter('auto', "Mapping of a browser's gamepad, in game_controller_node's numbers, or none.")
    controller: str = parameter('controller_node', 'The controller whose services are called.')
    recorder: str = parameter('recorder_node', 'The recorder.')
    policy: str = parameter('policy_node', 'The policy.')
    simulator: str = parameter('sim_node', 'The simulator.')
    goals: str = parameter('goals_node', 'The queue of goals, where one runs.')
    work: str = parameter(
        '.', 'Folder with recordings/, data/, runs/ and evaluations/: shown, and where new ones are made.'
    )
    folders: str = parameter('', 'More folders with recordings and data sets that are shown, with : between them.')


class PageNode(Node):
    """Node `page_node`; mode_ros.page.robot.Robot for the server."""

    def __init__(self, serve: bool = True, **options: Any) -> None:
        """serve: tests of the topics do without the server."""
        super().__init__('page_node', automatically_declare_parameters_from_overrides=True, **options)
        self.parameters = given = read_parameters(self, PageParameters)
        self._contract: Contract = load_named_contract(given.contract)[0]
        self._estop_words, self._used, self._outcomes = EstopWords(), UsedGoals(), Outcomes()
        self._told = Told({name: getattr(given, name) for name in ('controller', 'policy', 'recorder', 'simulator')})
        self._goal = ''
        self._safety: Mapping[str, Any] | None = None
        self._queue: Mapping[str, Any] | None = None
        self._training = training_goals(given.checkpoint)
        self._serving: Any = None
        self._tabs: Sequence[Any] = ()
        self._ahead = PageAhead(self._contract)
        self._listen()
        self._speak()
        asked = partial(self._calls.ask, 'recorder')
        self._driving = PageDriving(self, self._contract, given.keyboard, given.joystick, asked)
        if serve:
            self._serve()

    def close(self) -> None:
        """Lets go of the robot and ends the server."""
        self._driving.close()
        if self._serving is not None:
            self._serving.close()
        for tab in self._tabs:
            tab.close()

    def _serve(self) -> None:
        try:
            from mode_ros.page.server import make_application
            from mode_ros.page.serving import Address, Serving
            from mode_ros.page.tab_list import make_tabs
        except ModuleNotFoundError as error:
            raise UserError(
                f"The page needs {error.name}, which is not installed: pip install 'mode_ros[page]', or make env."
            ) from error

        given = self.parameters
        address = Address(given.host, given.port, os.environ.get(TOKEN_VARIABLE, ''), given.certificate, given.key)
        folders = [Path(folder) for folder in given.folders.split(os.pathsep) if folder]
        work = Path(given.work).expanduser()
        self._tabs = make_tabs(work, folders, given.contract, share_folder(), self.load_policy)
        self._serving = Serving(make_application(self, self._tabs), address)
        # On stdout alone: /rosout is heard by the whole network.
        print(f'{ADDRESS_WORDS} {self._serving.url}', flush=True)

    # ---- what is heard ----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self.cameras: Mapping[str, Camera] = {
            camera.name: Camera(partial(_encode, camera)) for camera in self._contract.observation.cameras
        }
        for camera in self._contract.observation.cameras:
            kind = image_class(camera)
            # As bytes: making a Python object of every image costs more than all else that is done here.
            self.create_subscription(kind, camera.topic, partial(self._on_image, camera), SENSOR, raw=True)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.create_subscription(
            DiagnosticArray, f'{self.parameters.recorder}/status', partial(self._on_status, 'recorder'), 10
        )
        subscribe_latched(self, String, self._contract.goal_topic, self._on_goal)
        self.create_subscription(String, 'safety_state', self._on_safety, LATCHED)
        self.create_subscription(JointTrajectory, 'chunk_request', self._ahead.request, COMMAND)
        self.create_subscription(JointTrajectory, 'action_chunk', self._on_chunk, COMMAND, raw=True)
        self.create_subscription(String, 'goal_queue', self._on_queue, LATCHED)
        self.create_subscription(Bool, SUCCESS_TOPIC, self._on_success, LATCHED)
        # Deep readers: of two words in one moment neither may be lost, or a stop of others is taken for the page's own.
        self._estop_readers = EstopReaders(self, self._on_estop, lambda: self._estop_words.step(time.monotonic_ns()))

    def _on_image(self, camera: CameraStream, message: bytes) -> None:
        stamp = self._now() if camera.stamps == 'reception' else header_stamp(message)
        if stamp is not None:  # else it is cut off before its header ends
            self.cameras[camera.name].push(message, stamp)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._told.hear(message, time.monotonic(), self.get_namespace())

    def _on_status(self, what: str, message: DiagnosticArray) -> None:
        for status in message.status:
            self._told.hear_of(what, status, time.monotonic())

    def _on_goal(self, message: String) -> None:
        self._goal = message.data
        self._used.hear(message.data)

    def _on_safety(self, message: String) -> None:
        self._safety = read_object(message.data)
        if self._safety and self._safety.get('stopped'):
            self._ahead.clear()

    def _on_chunk(self, message: bytes) -> None:
        if not (self._safety and self._safety.get('stopped')):
            self._ahead.chunk(message, self._now())

    def _on_queue(self, message: String) -> None:
        self._queue = read_object(message.data)

    def _on_success(self, message: Bool) -> None:
        self._outcomes.hear(bool(message.data))

    def _on_estop(self, stop: bool, live: bool) -> None:
        alone = count_publishers(self, ESTOP_TOPIC) <= 2  # the page is one of them
        self._estop_words.heard(stop, live, alone)

    # ---- what is said -----------------------------------------------------------------------------------------

    def _speak(self) -> None:
        given = self.parameters
        self._estop = self.create_publisher(Bool, ESTOP_TOPIC, LATCHED)
        self._goals = GoalSpeaker(self, self._contract.goal_topic)
        self._goal_queue = self.create_publisher(String, 'goals', COMMAND)
        names = {what: getattr(given, what) for what in ('controller', 'recorder', 'simulator', 'goals')}
        self._calls = PageCalls(self, names)
        self._loader = PolicyLoader(self, given.policy, partial(self.call, 'controller', 'pause'))

    def stop(self) -> None:
        self._estop_words.said(True)
        self._estop.publish(Bool(data=True))
        self.get_logger().warning('stop: said on estop from the page')

    def say_goal(self, goal: str) -> None:
        self._goals.say(goal)

    def say_goals(self, goals: Sequence[str]) -> None:
        self._goal_queue.publish(String(data='\n'.join(goals)))

    async def release(self) -> tuple[bool, str]:
        if self._estop_words.may_lift():
            self._estop_words.said(False)
            self._estop.publish(Bool(data=False))
            await asyncio.sleep(2.0 * self._contract.command_seconds)  # heard before the service is asked
            if self._estop_words.own:
                return False, 'Stop was said again.'
        begun, latest = self._now(), time.monotonic() + RELEASE_LONGEST
        while True:
            done, words = await self.call('controller', 'release')
            over = self._now() - begun > RELEASE_SECONDS * NANOSECONDS or time.monotonic() > latest
            if done or over:
                return done, words
            await asyncio.sleep(2.0 * self._contract.command_seconds)
            if self._estop_words.own or self._estop_words.others:  # who stops meanwhile is not to be overruled
                return done, words

    async def call(self, node: str, word: str) -> tuple[bool, str]:
        return await self._calls.call(node, word)

    async def load_policy(self, folder: Path, name: str) -> tuple[bool, str]:
        """Puts a checkpoint on the robot; its sentences are offered from then on."""
        done, words = await self._loader.load(folder, self._contract)
        if done:
            self._training = training_goals(str(folder))
        self.get_logger().info(f'policy {name}: {words}')
        return done, words

    # ---- driving ----------------------------------------------------------------------------------------------

    def come(self, session: str, name: str) -> None:
        self._driving.come(session, name)

    def drive(self, session: str, held: Held) -> str:
        return self._driving.drive(session, held)

    def leave(self, session: str) -> None:
        self._driving.leave(session)

    # ---- what is shown ----------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def age(self, stamp: int) -> float:
        return (self._now() - stamp) / NANOSECONDS

    def about(self) -> Mapping[str, Any]:
        return {
            'robot': self._contract.robot,
            'cameras': [
                {'name': camera.name, 'width': camera.width, 'height': camera.height, 'max_age': camera.max_age}
                for camera in self._contract.observation.cameras
            ],
            'dimensions': self._ahead.dimensions(),
            'keys': self._driving.keys,
            'cannot_drive': self._driving.cannot,
        }

    def state(self) -> Mapping[str, Any]:
        """Keys: nodes (Told.now), safety (safety_state or null), estop, goal, goals, success, intervention, cameras
        (number of messages, age in s, problem), ahead (PageAhead.told), drive (Driving.told), queue (goal_queue, {}
        before it has one, null without the node).
        """
        return {
            'nodes': self._told.now(time.monotonic()),
            'safety': self._safety,
            'estop': {'own': self._estop_words.own, 'others': self._estop_words.others},
            'goal': self._goal,
            'goals': offered(self._training, self._used.list()),
            'success': self._outcomes.told(),
            'intervention': self._driving.intervention,
            'cameras': {
                name: {
                    'number': camera.number,
                    'age': None if camera.stamp is None else round(self.age(camera.stamp), 2),
                    'problem': camera.problem,
                }
                for name, camera in self.cameras.items()
            },
            'ahead': self._ahead.told(self._now()),
            'drive': self._driving.told(),
            'queue': (self._queue or {}) if self._calls.ready('goals', 'next') else None,
        }


def _encode(camera: CameraStream, message: bytes) -> tuple[str, bytes]:
    return as_picture(deserialize_message(message, image_class(camera)), camera)


def main() -> None:
    """Entry point of the executable `page_node`."""
    run_node(PageNode)


if __name__ == '__main__':
    main()
