"""What every test shares: a ROS domain of its own, no network, and skips for what this machine lacks."""

import os
import signal

import pytest

# Before anything imports rclpy. Domains up to 101 keep their ports below Linux's ephemeral ones; two test runs on one
# machine rarely meet, and a robot on the network never hears them.
os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('HF_HUB_OFFLINE', '1')

# A shell starts what it runs in the background deaf to Ctrl-C, which processes pass on; tests of Ctrl-C need it heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    _skip_what_cannot_render(items)
    gpu = [item for item in items if item.get_closest_marker('gpu')]
    if gpu:
        import torch

        if not torch.cuda.is_available():
            for item in gpu:
                item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))


def _skip_what_cannot_render(items):
    """Skip what renders where nothing can; and choose the renderer before any test imports mujoco."""
    from mode_ros.errors import UserError
    from mode_ros.sim.rendering import choose_backend

    try:
        choose_backend()
    except UserError as error:
        for item in items:
            if item.get_closest_marker('rendering'):
                item.add_marker(pytest.mark.skip(reason=str(error)))
