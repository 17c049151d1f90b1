"""One node, one process: start, spin, and an end within three seconds of Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from mode_ros.bringup.arguments import REFUSED
from mode_ros.errors import UserError
from mode_ros.with_parent import end_with_parent

# After a signal: longer than a safe stop takes, shorter than a person waits.
SHUTDOWN_SECONDS = 2.5

# Exit status after a defect (EX_SOFTWARE), an end that hangs among them: starting again may help. After a refusal,
# REFUSED, it does not.
DEFECT = 70


class _Interrupted(BaseException):
    """A signal during start-up, when nothing moves yet."""


class _Signals:
    """SIGINT and SIGTERM: interrupt the start-up, later only ask for the end."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._starting = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again = self.asked.is_set()
        self.asked.set()
        # A child that outlived everything else must still end; the timer is a daemon and dies with the process.
        deadline = threading.Timer(SHUTDOWN_SECONDS, os._exit, (DEFECT,))
        deadline.daemon = True
        deadline.start()
        if self._starting and not again:
            raise _Interrupted

    @contextlib.contextmanager
    def start_up(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._starting = False


def run_node(make_node: Callable[[], Node]) -> None:
    """Runs the node until a signal; exits the process with 0, with 1 when it could not start, or 70 after a defect.

    A lifecycle node whose parameter `autostart` is true configures and activates itself. On a signal it is
    deactivated (which brings a robot to a safe stop) before anything is torn down.
    """
    # rclpy's own handler would shut its context down at once, and with it the publishers that a safe stop needs.
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    signals = _Signals()
    end_with_parent(signal.SIGINT)
    node: Node | None = None
    code = 0
    try:
        with signals.start_up():
            node = make_node()
            if isinstance(node, LifecycleNode) and getattr(node, 'autostart', False):
                code = _autostart(node)
        if code == 0:
            _spin_until(node, signals.asked)
    except UserError as error:
        print(f'[{node.get_name() if node else "mode_ros"}] {error}', file=sys.stderr, flush=True)
        code = REFUSED
    except _Interrupted:
        pass
    except Exception:  # noqa: BLE001 - whatever it is, it is printed whole
        traceback.print_exc()
        code = DEFECT
    finally:
        code = _end(node, code)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed; taking torch and its libraries apart piece by piece would keep the user waiting a second.
    os._exit(code)


def _autostart(node: LifecycleNode) -> int:
    for transition in (node.trigger_configure, node.trigger_activate):
        if transition() != TransitionCallbackReturn.SUCCESS:
            return REFUSED  # the node has logged why
    return 0


def _spin_until(node: Node, asked: threading.Event) -> None:
    # Python runs signal handlers in the main thread, and only between bytecodes: it must not sit in a DDS wait.
    # One thread: rclpy's MultiThreadedExecutor spins while a callback runs, and starves a node's own threads.
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    failed: list[BaseException] = []
    ending = threading.Event()

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            if not (ending.is_set() and _of_the_executor(error)):
                failed.append(error)
        finally:
            asked.set()

    thread = threading.Thread(target=spin, name='executor', daemon=True)
    thread.start()
    asked.wait()
    ending.set()
    executor.shutdown(timeout_sec=1.0)
    thread.join(timeout=1.0)
    if failed:
        raise failed[0]


def _of_the_executor(error: BaseException) -> bool:
    """Whether rclpy's executor itself stumbled: its shutdown takes away what a callback's end still asks for."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get('__name__') == 'rclpy.executors'


def _end(node: Node | None, code: int) -> int:
    """Closes everything, and returns the exit status, which was `code` before.

    What brought the process here may fail once more: that neither skips what is left to be closed, nor makes a refusal
    of a defect, after which nobody would start the node again.
    """
    closed = [] if node is None else [getattr(node, 'close', lambda: None), node.destroy_node]
    for close in (*closed, rclpy.try_shutdown):
        try:
            close()
        except Exception:  # noqa: BLE001 - whatever it is, it is printed whole
            traceback.print_exc()
            code = code or DEFECT
    return code
