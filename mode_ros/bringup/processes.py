"""Starting NodeSpecs as processes without `ros2 launch`, and ending them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import yaml

from mode_ros.bringup.nodes import NodeSpec
from mode_ros.with_parent import ending_with_us

# A node ends within 3 s of a signal by itself; what does not is killed.
END_SECONDS = 3.0


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """A ROS domain of its own on this machine alone: no robot in the network may hear what is started in it."""
    domain = environment.get('ROS_DOMAIN_ID') or str(1 + os.getpid() % 100)
    humble = environment.get('ROS_DISTRO') == 'humble'
    local = {'ROS_LOCALHOST_ONLY': '1'} if humble else {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    return {'ROS_DOMAIN_ID': domain, **local}


class Processes:
    """A context in which nodes run; on leaving it, however, none is left behind, nor when this process is killed."""

    def __init__(
        self, specs: Sequence[NodeSpec], settings: Path, logs: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """settings: a ROS parameter file for all; logs: folder for one log per node."""
        self._specs, self._settings, self._logs, self._environment = specs, settings, logs, environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix='mode_ros_')
        try:
            for spec in self._specs:
                self._start(spec)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _start(self, spec: NodeSpec) -> None:
        parameters = Path(self._folder.name) / f'{spec.executable}.yaml'
        # The same shape in which ros2 launch passes a dictionary: a wildcard file after the settings.
        parameters.write_text(yaml.safe_dump({'/**': {'ros__parameters': dict(spec.parameters)}}))
        command = [
            sys.executable,
            '-m',
            f'mode_ros.nodes.{spec.executable}',
            '--ros-args',
            '--params-file',
            str(self._settings),
            '--params-file',
            str(parameters),
        ]
        with self.log(spec.executable).open('wb') as log:
            # A session of its own: Ctrl-C in the terminal reaches only us, and we end the nodes in order.
            self._running[spec.executable] = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=ending_with_us(os.environ if self._environment is None else self._environment),
            )

    def log(self, executable: str) -> Path:
        """The file with everything that a node printed."""
        return self._logs / f'{executable}.log'

    def pid(self, executable: str) -> int:
        """The process that runs a node."""
        return self._running[executable].pid

    def ended(self) -> dict[str, int]:
        """Nodes that have ended by themselves, with their exit status."""
        return {name: status for name, process in self._running.items() if (status := process.poll()) is not None}

    def end(self) -> None:
        """Interrupts the nodes, last started first, and kills what is left after a bound."""
        running = [process for process in self._running.values() if process.poll() is None]
        for process in reversed(running):
            process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + END_SECONDS
        for process in running:
            try:
                process.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._folder.cleanup()
