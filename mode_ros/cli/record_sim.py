"""Record demonstrations of simulated tasks: the benchmark's own experts, with an arm that is pushed now and then.

With --policy, a checkpoint drives instead, through the controller of the robot, and the expert takes over where it
strays, as a person would; every attempt is kept, with who drove and whether it succeeded.

Writes one folder of bags per task, as the recorder would have, much faster than real time. Demonstrations that do not
succeed are dropped. Run it again after an interruption: what is finished stays. Then type

    mode_ros convert FOLDER/*/ DATASET

A task that has no expert is refused before the first episode where it is named itself. Where its suite is named it is
left out, which is said then, and the others are recorded.

Exit status: 0 when every task has its episodes, 3 when one was left out because it has no expert or given up because
its expert failed too often, 1 after an error, 130 on Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

HELP = 'record demonstrations of simulated tasks'
INCOMPLETE = 3
# As mode_ros.control.execution has them.
MODES = ('synchronous', 'receding', 'ensemble', 'realtime', 'naive')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('folder', help='gets one folder of bags per task')
    parser.add_argument(
        '--tasks',
        default='metaworld-demo',
        help='tasks or suites, with commas: drawer-open, libero-spatial/0 (default: metaworld-demo, ten tasks)',
    )
    parser.add_argument('--simulator', choices=('metaworld', 'libero'), help="default: the suites', else metaworld")
    parser.add_argument('--episodes', type=int, default=50, help='successful episodes per task (default: 50)')
    parser.add_argument(
        '--seed', type=int, help='of the first episode; the others follow (default: 1000, below is for evaluation)'
    )
    parser.add_argument('--robot', help="robot contract (default: that of the simulator's arm)")
    parser.add_argument(
        '--noise', type=float, help='how much the arm is disturbed while the expert drives; 0: not (default: 1, or 0)'
    )
    parser.add_argument(
        '--besides',
        action='append',
        default=[],
        type=Path,
        metavar='PATH',
        help='data set or folder of recordings: its seeds of the same task are left out; may be given more than once',
    )
    policy = parser.add_argument_group('attempts of a policy, with an expert who takes over')
    policy.add_argument('--policy', type=Path, metavar='CHECKPOINT', help='checkpoint folder: it drives')
    policy.add_argument('--execution', choices=MODES, help='of its chunks (default: realtime)')
    policy.add_argument('--delay', type=int, help='control periods that a chunk takes (default: 2)')
    policy.add_argument('--far', type=float, help="distance from the expert's command that is too far (default: 1)")
    policy.add_argument('--patience', type=float, help='s that it may drive at a stretch (default: 6)')
    parser.add_argument('--jobs', type=int, help='processes (default: one per core)')


def run(arguments: argparse.Namespace) -> int:
    """Records, and says what failed."""
    import os

    from mode_ros.errors import UserError
    from mode_ros.record_sim.choice import choose_tasks
    from mode_ros.record_sim.run import ROBOTS, Show, demonstration, record
    from mode_ros.record_sim.task_folder import Attempts, Terms
    from mode_ros.robots import load_named_contract
    from mode_ros.sim.demonstrator import Noise
    from mode_ros.sim.suites import FIRST_TRAINING_SEED

    show: Show = demonstration
    first, noise = FIRST_TRAINING_SEED, 1.0
    contract_text, agreed = '', cast('Attempts | None', None)
    if arguments.policy is None:
        for option in ('execution', 'delay', 'far', 'patience'):
            if getattr(arguments, option) is not None:
                raise UserError(f'--{option} is for attempts of a policy: name it with --policy, or leave it out.')
    else:
        from mode_ros.attempts.show import FIRST_ATTEMPT_SEED, attempt_terms, show_attempt
        from mode_ros.attempts.supervision import Supervision

        if arguments.robot:
            raise UserError("--robot and --policy both say which robot it is: a checkpoint's contract is its own.")
        show, first, noise = show_attempt, FIRST_ATTEMPT_SEED, 0.0
        usual = Supervision()
        contract_text, agreed = attempt_terms(
            arguments.policy,
            arguments.execution or 'realtime',
            2 if arguments.delay is None else arguments.delay,
            usual.far if arguments.far is None else arguments.far,
            usual.patience if arguments.patience is None else arguments.patience,
        )
    noise = noise if arguments.noise is None else arguments.noise
    seed = first if arguments.seed is None else arguments.seed
    jobs = len(os.sched_getaffinity(0)) if arguments.jobs is None else arguments.jobs
    for option, value, least in (('--episodes', arguments.episodes, 1), ('--seed', seed, 0), ('--jobs', jobs, 1)):
        if value < least:
            raise UserError(f'{option} {value} is too small; give {least} or more.')
    Noise().scaled(noise)  # refuses what cannot be used
    if seed < FIRST_TRAINING_SEED:
        print(
            f'seeds below {FIRST_TRAINING_SEED} are those that mode_ros evaluate scores: a policy that learns from '
            'these episodes is scored on what it has seen',
            file=sys.stderr,
        )
    names = [name.strip() for name in arguments.tasks.split(',') if name.strip()]
    choice = choose_tasks(names, arguments.simulator)
    text = contract_text or load_named_contract(arguments.robot or ROBOTS[choice.simulator])[1]
    terms = [Terms(choice.simulator, task, text, noise, seed, agreed) for task in choice.tasks]
    target = Path(arguments.folder).expanduser()
    if choice.left_out:
        print(choice.told(), file=sys.stderr, flush=True)
    try:
        outcome = record(
            target, terms, arguments.episodes, jobs, show, [path.expanduser() for path in arguments.besides]
        )
    except KeyboardInterrupt:
        print('\nStopped. What is finished is kept: type the same command again to go on.', file=sys.stderr)
        raise
    counted = f'{outcome.recorded} new episodes, {outcome.total} in all, of {len(terms)} task{"s"[: len(terms) > 1]}'
    print(f'{target}: {counted}; next: mode_ros convert {target}/*/ DATASET')
    if outcome.failed:
        listed = ', '.join(f'{task} {count}' for task, count in outcome.failed.items())
        print(f'dropped without success: {listed}', file=sys.stderr)
    for task in outcome.given_up:
        print(f'given up: {task}, whose expert failed too often; try less --noise', file=sys.stderr)
    if choice.left_out:
        print(f'left out, without an expert: {", ".join(choice.left_out)}', file=sys.stderr)
    return INCOMPLETE if outcome.given_up or choice.left_out else 0
