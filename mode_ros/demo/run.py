"""Starts the three processes, sets a goal, watches one episode and reports it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import webbrowser
from dataclasses import dataclass, replace
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from mode_ros.bringup.nodes import NodeSpec, simulation_nodes
from mode_ros.bringup.processes import Processes, isolated
from mode_ros.control.contract import Contract
from mode_ros.demo.monitor import Monitor
from mode_ros.demo.report import table, write_picture, write_video
from mode_ros.errors import UserError
from mode_ros.nodes.page_node import ADDRESS_WORDS
from mode_ros.pairing import load_paired, make_untrained
from mode_ros.paths import share_folder, shipped_policy
from mode_ros.policy.runtimes.choose import RunSettings, make_graph_where_it_serves
from mode_ros.robots import load_named_contract

# LIBERO needs up to half a minute to its first image on two cores, the policy less.
START_SECONDS = 120.0
ROBOTS = {'metaworld': 'metaworld_sawyer', 'libero': 'libero_panda'}


@dataclass(frozen=True)
class DemoSettings:
    """What to show.

    checkpoint None: the one that comes with mode_ros; where there is none, or with `untrained`, random weights;
    goal '': the task's own instruction.
    """

    simulator: str
    task: str
    goal: str
    checkpoint: Path | None
    untrained: bool
    device: str
    runtime: str
    seconds: float
    seed: int
    output: Path
    page: bool = False


def run_demo(settings: DemoSettings) -> int:
    """Runs one episode; returns the exit status. Needs nothing running and leaves nothing behind."""
    contract, text = load_named_contract(ROBOTS[settings.simulator])
    checkpoint, trained = _checkpoint(settings, contract, text)
    environment = isolated(os.environ)
    print(
        f'mode_ros demo: {settings.simulator}, task {settings.task}, {settings.seconds:g} s '
        f'(ROS_DOMAIN_ID {environment["ROS_DOMAIN_ID"]})'
    )
    if not trained:
        print(
            'The policy is UNTRAINED: its weights are random, so the arm moves without purpose. What this shows is '
            'the path\nfrom images and a sentence to commands at control rate, not skill.'
        )
    specs = simulation_nodes(
        contract=ROBOTS[settings.simulator],
        checkpoint=str(checkpoint),
        device=settings.device,
        runtime=settings.runtime,
        simulator=settings.simulator,
        task=settings.task,
        seed=settings.seed,
        publish_goal=not settings.goal,
        page=settings.page,
    )
    if settings.page:
        # What is recorded here is shown, converted and trained on here.
        work = {'work': str(settings.output.absolute())}
        specs = [replace(each, parameters={**each.parameters, **work}) if _is_page(each) else each for each in specs]
        recordings = str(settings.output / 'recordings')
        parameters = {'contract': ROBOTS[settings.simulator], 'folder': recordings, 'use_sim_time': True}
        specs.append(NodeSpec('recorder_node', parameters))
    os.environ.update(environment)
    # Python's own handling of Ctrl-C alone: rclpy's would end the executor in the middle of a wait, as an error.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    monitor = Monitor(contract)
    executor = SingleThreadedExecutor()
    executor.add_node(monitor)
    if settings.goal:
        monitor.goals.say(settings.goal)
    try:
        with Processes(specs, share_folder() / 'config' / 'nodes.yaml', settings.output / 'logs') as processes:
            _watch(settings, contract, monitor, executor, processes)
            if settings.page:
                monitor.filming = False
                status = _report(settings, contract, monitor, trained)
                _stay(monitor, executor, processes)
                return status
    finally:
        executor.shutdown()
        monitor.destroy_node()
        rclpy.try_shutdown()
    return _report(settings, contract, monitor, trained)


def _is_page(spec: NodeSpec) -> bool:
    return spec.executable == 'page_node'


def _checkpoint(settings: DemoSettings, contract: Contract, text: str) -> tuple[Path, bool]:
    checkpoint = settings.checkpoint
    if checkpoint is None and not settings.untrained:
        checkpoint = shipped_policy(contract.robot)
    if checkpoint is not None:
        # Read here as well, so that a wrong checkpoint is one sentence and not a node's log.
        trained = load_paired(str(checkpoint), contract, 'cpu').is_trained
        if settings.runtime == 'auto' and settings.device != 'cuda':
            reason = make_graph_where_it_serves(checkpoint, RunSettings('cpu'), say=print)
            print(f'No static graph: {reason}.' if reason else 'The policy runs as a static graph, without torch.')
        return checkpoint, trained
    folder = settings.output / f'untrained_{contract.robot}'
    if not (folder / 'weights.safetensors').exists():
        make_untrained(contract, text, seed=0).save(folder)
    return folder, False


def _watch(
    settings: DemoSettings, contract: Contract, monitor: Monitor, executor: SingleThreadedExecutor, processes: Processes
) -> None:
    started = shown = time.monotonic()
    status = _StatusLine()
    address = '' if settings.page else None
    while monitor.episode_seconds < settings.seconds and not monitor.seen.success:
        executor.spin_once(timeout_sec=0.1)
        now = time.monotonic()
        _check_alive(processes)
        if address == '' and (address := _address(processes)):
            print(f'The page is at {address}', flush=True)
            if os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY'):
                webbrowser.open(address)
        if monitor.seen.first_chunk is None and now - started > START_SECONDS:
            waiting = '; '.join(f'{name}: {message}' for name, message in monitor.seen.messages.items())
            raise UserError(
                f'No action came within {START_SECONDS:.0f} s ({waiting or "no node has reported"}); the '
                f'logs are in {settings.output / "logs"}.'
            )
        if now - shown >= status.interval:
            shown = now
            status.show(_status(settings, contract, monitor, now - started))
    # The nodes report every half second: let them count the last of it.
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    status.show(_status(settings, contract, monitor, time.monotonic() - started))
    status.close()


def _check_alive(processes: Processes) -> None:
    if ended := processes.ended():
        name, code = next(iter(ended.items()))
        raise UserError(f'{name} ended with status {code}:\n{_tail(processes.log(name))}')


def _address(processes: Processes) -> str:
    """Where page_node says that the page is, '' before."""
    lines = processes.log('page_node').read_text(errors='replace').splitlines()
    return next((line.rpartition(' ')[2] for line in lines if line.startswith(ADDRESS_WORDS)), '')


def _stay(monitor: Monitor, executor: SingleThreadedExecutor, processes: Processes) -> None:
    """The robot and its page, until Ctrl-C."""
    print(f'The robot and the page, {_address(processes)}, go on until Ctrl-C.', flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            executor.spin_once(timeout_sec=0.2)
            _check_alive(processes)


def _status(settings: DemoSettings, contract: Contract, monitor: Monitor, elapsed: float) -> str:
    value = monitor.value
    # Figures of the execution come with the controller's next report.
    if monitor.seen.first_chunk is None or not value('controller_node', 'mode'):
        waiting = monitor.seen.messages.get('policy_node', 'waiting for the nodes')
        return f'starting, {elapsed:.0f} s: {waiting}'
    step = min(monitor.episode_seconds, settings.seconds) * contract.rate
    return (
        f'control {value("controller_node", "control rate (Hz)")} Hz | '
        f'chunk {value("policy_node", "inference latency p50 (ms)")} ms | '
        f'observation {value("policy_node", "observation age (ms)")} ms old | '
        f'step {step:.0f}/{settings.seconds * contract.rate:.0f} | '
        f'{value("controller_node", "mode")}, delay {value("controller_node", "delay p95 (periods)") or "?"}, '
        f'held {value("controller_node", "held share (%)") or "?"} %, {value("controller_node", "seams")} seams | '
        f'{monitor.seen.messages.get("controller_node", "")}'
    )


class _StatusLine:
    """One line that is rewritten in a terminal, and a line now and then in a log."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self.interval = 0.25 if self._terminal else 2.0

    def show(self, text: str) -> None:
        if self._terminal:
            print(f'\r\x1b[K{text}', end='', flush=True)
        else:
            print(text, flush=True)

    def close(self) -> None:
        if self._terminal:
            print()


def _report(settings: DemoSettings, contract: Contract, monitor: Monitor, trained: bool) -> int:
    value, seen = monitor.value, monitor.seen

    def told(key: str) -> str:
        return value('controller_node', key) or '?'

    rows = [
        ('goal', seen.goal),
        ('policy', 'trained' if trained else 'untrained, random weights'),
        ('success', 'yes' if seen.success else 'no' if trained else 'no (as expected of an untrained policy)'),
        (
            'episode',
            f'{len(seen.frames) / contract.rate:.1f} s of simulated time, real-time factor '
            f'{value("sim_node", "real-time factor")}',
        ),
        (
            'control rate',
            f'{value("controller_node", "control rate (Hz)")} Hz of {contract.rate:g} Hz, on the simulated clock',
        ),
        (
            'control period',
            f'p50 {value("controller_node", "wall period p50 (ms)")} ms, '
            f'p99 {value("controller_node", "wall period p99 (ms)")} ms, on the wall clock',
        ),
        (
            'inference latency',
            f'p50 {value("policy_node", "inference latency p50 (ms)")} ms, '
            f'p99 {value("policy_node", "inference latency p99 (ms)")} ms',
        ),
        ('chunks', f'{value("controller_node", "chunks")} ({value("controller_node", "chunks refused")} refused)'),
        (
            'execution',
            f'{told("mode")}, delay p50 {told("delay p50 (periods)")} and p95 {told("delay p95 (periods)")} periods, '
            f'{told("chunks late")} chunks late',
        ),
        (
            'held',
            f'{told("held share (%)")} % of the control periods since the first chunk ({told("underruns")} underruns)',
        ),
        (
            'seams',
            f'{told("seams")}, p50 {told("seam position p50")} in position and {told("seam velocity p50 (1/s)")} per '
            'second in velocity',
        ),
    ]
    print(f'\n{table(rows)}\n')
    if not seen.frames:
        raise UserError(f'No camera image arrived, so there is no video; see the logs in {settings.output / "logs"}.')
    caption = f'goal: {seen.goal}' + ('' if trained else '   (untrained policy)')
    write_video(settings.output / 'demo.mp4', seen.frames, caption, contract.rate)
    write_picture(settings.output / 'demo.png', seen.frames, caption)
    (settings.output / 'demo.txt').write_text(table(rows) + '\n')
    print(f'video    {settings.output / "demo.mp4"}\npicture  {settings.output / "demo.png"}')
    return 0


def _tail(log: Path, lines: int = 15) -> str:
    return '\n'.join(log.read_text(errors='replace').splitlines()[-lines:])
