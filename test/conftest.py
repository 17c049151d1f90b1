"""What every test shares: a ROS domain of its own, no network, and skips for what this machine lacks."""

import gc
import itertools
import os
import signal
import warnings
from pathlib import Path

import pytest

# Before anything imports rclpy. Domains up to 101 keep their ports below Linux's ephemeral ones; two test runs on one
# machine rarely meet, and a robot on the network never hears them.
# Processes of one run (pytest -n) take turns, so that a domain is one process's alone.
WORKER = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
WORKERS = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
USED = 100 - 100 % WORKERS or 100  # as many turns for each; of more than a hundred processes some share
DOMAINS = itertools.count((os.getpid() if WORKERS == 1 else os.getppid()) + WORKER, WORKERS)
os.environ['ROS_DOMAIN_ID'] = str(1 + next(DOMAINS) % USED)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('HF_HUB_OFFLINE', '1')
if WORKERS > 1:  # before anything imports torch: two threads of each of two processes would wait for one another
    os.environ.setdefault('OMP_NUM_THREADS', '1')

# A shell starts what it runs in the background deaf to Ctrl-C, which processes pass on; tests of Ctrl-C need it heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope='module')
def own_domain():
    """Each file has a domain of its own. On one machine DDS finds the first 32 participants of a domain alone: what a
    file leaves behind, or a killed node of it, must not hide the nodes of the next ones.
    """
    before = os.environ['ROS_DOMAIN_ID']
    os.environ['ROS_DOMAIN_ID'] = str(1 + next(DOMAINS) % USED)
    yield
    gc.collect()  # a node lies in cycles, and with it lives its participant
    left = _participants(int(os.environ['ROS_DOMAIN_ID']))
    os.environ['ROS_DOMAIN_ID'] = before
    if left:  # a failed test keeps its nodes alive by its traceback
        warnings.warn(f'{left} DDS participants are left over: a node or a context was not closed', stacklevel=1)


def _participants(domain):
    """How many DDS participants this process has in the domain: each listens at a port of its own."""
    first = 7400 + 250 * domain
    sockets = {os.readlink(f'/proc/self/fd/{fd}')[8:-1] for fd in os.listdir('/proc/self/fd') if _is_socket(fd)}
    ports = set()
    for line in Path('/proc/net/udp').read_text().splitlines()[1:]:
        fields = line.split()
        port, inode = int(fields[1].split(':')[1], 16), fields[9]
        if inode in sockets and first + 10 <= port < first + 250 and port % 2 == first % 2:
            ports.add(port)
    return len(ports)


def _is_socket(fd):
    try:
        return os.readlink(f'/proc/self/fd/{fd}').startswith('socket:')
    except OSError:
        return False


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
