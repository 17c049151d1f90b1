"""Off-screen rendering of MuJoCo scenes: which OpenGL to use, and one tuned context for all cameras.

`choose_backend` must run before anything imports mujoco or OpenGL, which read the choice when they are imported.
"""

import ctypes
import ctypes.util
import glob
import os
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError

BACKENDS = ('egl', 'osmesa', 'glfw')
INSTALL_OSMESA = "install OSMesa with 'sudo apt-get install libosmesa6' (rendering on the processor)"
INSTALL_EGL = "'sudo apt-get install libegl1' (rendering on a graphics card, or on the processor by Mesa)"

UNDRAWN_GROUP = 5  # MuJoCo draws the groups 0 to 2 unless told otherwise

_EGL_PROBE = 'import mujoco.egl; mujoco.egl.GLContext(16, 16).make_current()'
_EGL_PROBE_SECONDS = 30.0


def choose_backend() -> str:
    """Set MUJOCO_GL, unless the user has, to what this machine can render with, and return it.

    EGL where a graphics card answers, else OSMesa, else EGL on the processor. Raises UserError when none is there,
    or when the user's choice is none of `BACKENDS` or lacks its library; it names the command that helps.
    """
    chosen = os.environ.get('MUJOCO_GL', '').strip().lower()
    if not chosen:
        chosen = _detect_backend()
        os.environ['MUJOCO_GL'] = chosen
    elif chosen not in BACKENDS:
        raise UserError(f'MUJOCO_GL is {chosen!r}, which is not one of {", ".join(BACKENDS)}; unset it or use one.')
    elif chosen == 'osmesa' and not _has_library('OSMesa'):
        raise UserError(f'MUJOCO_GL is osmesa, but the library libOSMesa is missing; {INSTALL_OSMESA}.')
    elif chosen == 'egl' and not _has_library('EGL'):
        raise UserError(f'MUJOCO_GL is egl, but the library libEGL is missing; install it with {INSTALL_EGL}.')
    if chosen in ('egl', 'osmesa'):
        os.environ.setdefault('PYOPENGL_PLATFORM', chosen)
    return chosen


def _detect_backend() -> str:
    has_card = bool(glob.glob('/dev/nvidia[0-9]*') or glob.glob('/dev/dri/renderD*'))
    if has_card and _egl_works():
        return 'egl'
    if _has_library('OSMesa'):
        return 'osmesa'
    if _egl_works():
        return 'egl'
    raise UserError(
        f'The simulator cannot render: neither libOSMesa nor a working libEGL was found; {INSTALL_OSMESA}, or EGL '
        f'with {INSTALL_EGL}.'
    )


def _egl_works() -> bool:
    """Try EGL in another process: a failed attempt cannot be undone in this one."""
    if not _has_library('EGL'):
        return False
    environment = {**os.environ, 'MUJOCO_GL': 'egl', 'PYOPENGL_PLATFORM': 'egl'}
    try:
        probe = subprocess.run(
            [sys.executable, '-c', _EGL_PROBE], env=environment, capture_output=True, timeout=_EGL_PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def _has_library(name: str) -> bool:
    found = ctypes.util.find_library(name)
    if found is None:
        return False
    try:
        ctypes.CDLL(found)
    except OSError:
        return False
    return True


class OffscreenRenderer:
    """Renders any camera of one MuJoCo model at any size with one OpenGL context.

    Tuned for speed on a processor: no multisampling, no shadows, no reflections, which makes it about eight times
    faster. Use it from the thread that constructed it. The context is made at the first image, and again
    when a larger image is asked for.
    """

    def __init__(self, model: Any, data: Any, hidden_geom_groups: tuple[int, ...] = ()) -> None:
        """model, data: mujoco.MjModel and mujoco.MjData; hidden_geom_groups: geom groups (0 to 5) not drawn."""
        import mujoco

        self._mujoco = mujoco
        self._model = model
        self._data = data
        self._scene = mujoco.MjvScene(model, maxgeom=10_000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._options = mujoco.MjvOption()
        for group in hidden_geom_groups:
            self._options.geomgroup[group] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._gl: Any = None
        self._context: Any = None
        self._size = (0, 0)

    def render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """The model's camera as uint8 [height, width, 3], RGB, first row at the top of what the camera sees."""
        self._ensure_context(width, height)
        mujoco = self._mujoco
        self._gl.make_current()
        self._camera.fixedcamid = self._model.camera(camera).id
        groups = self._model.geom_group.copy()
        self._model.geom_group[self._out_of_view(self._camera.fixedcamid, width / height)] = UNDRAWN_GROUP
        mujoco.mjv_updateScene(
            self._model, self._data, self._options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        self._model.geom_group[:] = groups
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(viewport, self._scene, self._context)
        image = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, viewport, self._context)
        return np.ascontiguousarray(image[::-1])  # OpenGL's first row is the bottom

    def _out_of_view(self, camera: int, aspect: float) -> NDArray[np.bool_]:
        """[geoms] which geoms lie wholly outside the picture, judged by their bounding spheres.

        OpenGL on a processor spends its time on triangles, also on those that end up outside.
        """
        centers = (self._data.geom_xpos - self._data.cam_xpos[camera]) @ self._data.cam_xmat[camera].reshape(3, 3)
        radii = self._model.geom_rbound
        depth = -centers[:, 2]  # a camera looks along its negative z axis
        half_height = np.tan(np.radians(self._model.cam_fovy[camera]) / 2)
        outside = depth < -radii
        for sideways, half in ((centers[:, 0], half_height * aspect), (centers[:, 1], half_height)):
            outside |= np.abs(sideways) > depth * half + radii * np.hypot(1.0, half)
        return outside & (radii > 0)  # planes have no bounding sphere

    def close(self) -> None:
        """Free the OpenGL context. May be called twice."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._context = None
        if self._gl is not None:
            self._gl.free()
            self._gl = None

    def _ensure_context(self, width: int, height: int) -> None:
        if self._context is not None and width <= self._size[0] and height <= self._size[1]:
            return
        self.close()
        self._size = (max(width, self._size[0]), max(height, self._size[1]))
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = self._size
        self._model.vis.quality.offsamples = 0
        mujoco = self._mujoco
        backend = os.environ.get('MUJOCO_GL', '')
        try:
            self._gl = _gl_context_class(backend)(*self._size)
            self._gl.make_current()
            self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        except Exception as error:  # each backend fails with an exception of its own
            raise UserError(
                f'Rendering {self._size[0]}x{self._size[1]} pixels with MUJOCO_GL={backend} failed ({error}); set '
                f'MUJOCO_GL to another of {", ".join(BACKENDS)}, or {INSTALL_OSMESA}.'
            ) from error


def _gl_context_class(backend: str) -> Any:
    if backend == 'osmesa':
        from mujoco.osmesa import GLContext
    elif backend == 'egl':
        from mujoco.egl import GLContext
    else:
        from mujoco.glfw import GLContext
    return GLContext
