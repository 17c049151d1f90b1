import pytest

from mode_ros.errors import UserError
from mode_ros.sim.rendering import choose_backend


def pytest_collection_modifyitems(items):
    """Skip what renders where nothing can; and choose the renderer before any test imports mujoco."""
    try:
        choose_backend()
    except UserError as error:
        for item in items:
            if item.get_closest_marker('rendering'):
                item.add_marker(pytest.mark.skip(reason=str(error)))
