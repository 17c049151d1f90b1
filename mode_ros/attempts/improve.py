"""Rounds of attempts, corrections and training: the verbs of mode_ros one after the other, going on where they were.

    OUT/round_0/evaluation
    OUT/round_1/attempts, data, mixture.yaml, run, evaluation
    OUT/control_1/demonstrations, data, mixture.yaml, run, evaluation     as many minutes of new demonstrations

Each step is a command of its own, which is skipped where its result is there and typed again where it is not.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import yaml

from mode_ros.alone import alone
from mode_ros.attempts.account import Effort, Score, check_told, effort, table
from mode_ros.attempts.show import FIRST_ATTEMPT_SEED
from mode_ros.control.contract import differences, load_contract, parse_contract
from mode_ros.errors import UserError, full_disk_told
from mode_ros.evaluation.episodes import EPISODES, digest, read_json
from mode_ros.evaluation.results import RESULTS, read_results
from mode_ros.evaluation.settings import MAX_CHUNK_AGE
from mode_ros.record_sim.choice import Choice, choose_tasks
from mode_ros.sim.suites import METAWORLD_ALL as ALL
from mode_ros.sim.suites import SUITES, libero_task
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.settings import load_train_settings
from mode_ros.whole_files import write_whole
from mode_ros.with_parent import ending_with_us

FIRST_CONTROL_SEED = 2 * FIRST_ATTEMPT_SEED
# So many scenes are a round's.
SEEDS = 10_000
SETTINGS, TABLE = 'improve.json', 'improve.md'
# The exit status when something was left out, of convert, whose report tells what, and of this one.
LEFT_OUT = 3
# What train --check says when something in the data should be looked at, which it prints.
LOOK_AT = 3
# What the rounds say themselves; another word for it would train every round on something else.
OURS = ('data.path', 'data.mixture', 'start.checkpoint', 'start.encoders', 'run.steps')

Run = Callable[[Sequence[str]], int]
"""Runs one command line of mode_ros, and returns its exit status."""


@dataclass(frozen=True)
class Improvement:
    """policy: the checkpoint of round 0; data: what it was trained on; tasks: a suite, or tasks of Meta-World with
    commas; attempts, rollouts: per task; steps: of each training; changes: KEY=VALUE for all of them; share: of the
    samples that come from the new data; latency: s, of the evaluations.
    """

    policy: str
    data: str
    tasks: str
    attempts: int
    rollouts: int
    steps: int
    changes: tuple[str, ...] = ()
    share: float = 0.5
    latency: float = 0.1


def improve(out: Path, agreed: Improvement, rounds: int, control: bool, jobs: int, run: Run | None = None) -> str:
    """Runs what is missing of the rounds 0 to `rounds`, and returns the table, which is in OUT/improve.md, too.

    The tasks of a suite that have no expert are left out of all of it; which ones, the table and standard error say.
    control: also trains on as many minutes of new demonstrations. Raises UserError for what cannot be used, before
    the first step, and where a step fails.
    """
    choice = _check(agreed, rounds, control, jobs)
    if choice.left_out:
        print(choice.told(), file=sys.stderr, flush=True)
    with alone(out, '`mode_ros improve`'), full_disk_told():
        _agree(out, agreed)
        verbs = _Verbs(out, agreed, choice, jobs, run or run_verb)
        return _rounds(out, rounds, control, verbs)


def _rounds(out: Path, rounds: int, control: bool, verbs: _Verbs) -> str:
    verbs.check()
    verbs.evaluate(out / 'round_0', verbs.policy('round', 0))
    text = ''
    for number in range(1, rounds + 1):
        verbs.round(number)
        if control:
            verbs.control(number)
        begun = Score('0', 0.0, None, read_results(out / 'round_0' / 'evaluation'))
        controls = _scores(out, 'control', number) if control else []
        lines = [table([begun, *_scores(out, 'round', number)], controls)]
        lines += verbs.missing(number if control else 0)
        text = '\n'.join(lines)
        write_whole(out / TABLE, text)  # after each round, so that rounds of hours can be looked at
    return text


def run_verb(words: Sequence[str]) -> int:
    """`mode_ros WORDS` in a process of its own, its output where this one's is; it ends with this one."""
    child = subprocess.Popen(
        [sys.executable, '-m', 'mode_ros', *words],
        env=ending_with_us(os.environ),
        start_new_session=True,  # Ctrl-C is for us to pass on, once: the second would break off the saving
    )
    try:
        return child.wait()
    except BaseException:
        child.terminate()
        child.wait()  # a training saves first; Ctrl-C once more breaks that off
        raise
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def mixture(base: Path, new: Sequence[Path], share: float) -> str:
    """A mixture file: what there was, and the new data sets, if any, which get `share` of the samples between them."""
    items = [{'path': str(base.absolute()), 'weight': 1 - share}]
    items += [{'path': str(path.absolute()), 'weight': share / len(new)} for path in new]
    return yaml.safe_dump({'datasets': items}, sort_keys=False)


def episodes_for(minutes: float, base: Effort, tasks: int) -> int:
    """Demonstrations per task that take so many minutes, by those of a data set; at least one.

    Where nobody is said to have driven, all of it was shown, as for a training.
    """
    each = (base.minutes or base.in_all) / max(base.episodes, 1)
    return max(math.ceil(minutes / each / tasks), 1) if each else 1


class _Verbs:
    def __init__(self, out: Path, agreed: Improvement, choice: Choice, jobs: int, run: Run) -> None:
        self._out, self._agreed, self._jobs, self._run = out, agreed, jobs, run
        # Named one by one where a suite is not whole, so that what is recorded is what is scored.
        self._left = ','.join(choice.tasks) if choice.left_out else ''
        self._told = f'{choice.told()}.' if choice.left_out else ''

    def check(self) -> None:
        """Whether the policy can be trained on at all, before hours are spent on attempts."""
        if (self._out / 'round_0' / 'evaluation' / RESULTS).exists():
            return
        mixed = self._out / 'check.yaml'
        write_whole(mixed, mixture(Path(self._agreed.data), [], 0.0))
        words = ['train', str(Path(self._agreed.policy) / 'training.yaml')]
        words += _changes(self._agreed, mixed, Path(self._agreed.policy), corrected=False)
        self._do([*words, '--output', str(self._out / 'check'), '--check'], (0, LOOK_AT))
        mixed.unlink()

    def round(self, number: int) -> None:
        """Attempts of the last round's policy, and a training on their corrections."""
        folder, before = self._out / f'round_{number}', self.policy('round', number - 1)
        seed = FIRST_ATTEMPT_SEED + SEEDS * (number - 1)
        self._record(folder / 'attempts', self._agreed.attempts, seed, folder / 'data', '--policy', str(before))
        self._train('round', number)
        self.evaluate(folder, self.policy('round', number))

    def control(self, number: int) -> None:
        """As many minutes of new demonstrations as the round has of corrections, rounded up to whole episodes."""
        folder = self._out / f'control_{number}'
        episodes = self._episodes(number)
        seed = FIRST_CONTROL_SEED + SEEDS * (number - 1)
        robot = Path(self._agreed.policy) / 'contract.yaml'  # the policy's own sensors, not the simulator's usual ones
        self._record(folder / 'demonstrations', episodes, seed, folder / 'data', '--robot', str(robot))
        self._train('control', number)
        self.evaluate(folder, self.policy('control', number))

    def missing(self, controls: int) -> list[str]:
        """Lines for what the rounds and their first controls are without."""
        short = [self._short(number) for number in range(1, controls + 1)]
        return [f'{said}\n' for said in (self._told, *short) if said]

    def _short(self, number: int) -> str:
        """Which tasks have fewer demonstrations than a control was to have."""
        bags, wanted = self._out / f'control_{number}' / 'demonstrations', self._episodes(number)
        found = {each.name: len(list(each.glob('episode_*'))) for each in sorted(bags.glob('*')) if each.is_dir()}
        short = [f'{name} {count}' for name, count in found.items() if count < wanted]
        return f'Demonstrations {number}: of {wanted} per task there are only {", ".join(short)}.' if short else ''

    def _episodes(self, number: int) -> int:
        """Demonstrations per task that take as long as the corrections of a round, by those of the data begun with."""
        wanted = effort(self._out / f'round_{number}' / 'data').minutes
        return episodes_for(wanted, self._base, self._count_tasks())

    @cached_property
    def _base(self) -> Effort:
        return effort(Path(self._agreed.data))

    def evaluate(self, folder: Path, policy: Path) -> None:
        """Scores a policy where that is not done."""
        out, agreed = folder / 'evaluation', self._agreed
        if (out / RESULTS).exists():
            return
        words = ['evaluate', str(policy), '--rollouts', str(agreed.rollouts), '--latency', f'{agreed.latency:g}']
        words += ['--suite', agreed.tasks] if agreed.tasks in SUITES else ['--suite', ALL, '--tasks', agreed.tasks]
        words += ['--tasks', self._left] if self._left else []
        self._do([*words, '--videos', '0', '--jobs', str(self._jobs), '--output', str(out)])

    def _record(self, bags: Path, episodes: int, seed: int, data: Path, *more: str) -> None:
        if data.exists():
            return
        given = ['--tasks', self._left or self._agreed.tasks, '--episodes', str(episodes), '--seed', str(seed)]
        # Without a task whose expert fails too often the others are still worth a comparison, which the table says.
        self._do(['record-sim', str(bags), *given, '--jobs', str(self._jobs), *more], (0, LEFT_OUT))
        folders = sorted({str(path.parent) for path in bags.glob('*/episode_*')})
        if not folders:
            raise UserError(f'{bags} has no recording to train on: no expert succeeded once, as was said above.')
        # An attempt that failed in the end was corrected, too: its corrections are learnt from, and its minutes count.
        keep = ['--keep-failures'] if '--policy' in more else []
        self._do(['convert', *keep, *folders, str(data)], (0, LEFT_OUT))

    def _train(self, kind: str, number: int) -> None:
        folder, agreed = self._out / f'{kind}_{number}', self._agreed
        run = folder / 'run'
        if (run / 'policy').exists():
            return
        new = [self._out / f'{kind}_{k}' / 'data' for k in range(1, number + 1)]
        write_whole(folder / 'mixture.yaml', mixture(Path(agreed.data), new, agreed.share))
        begun = sorted((run / 'checkpoints').glob('step_*'))
        if run.exists() and not begun:
            shutil.rmtree(run)  # killed before there was anything to go on from
        words = ['train', str(Path(agreed.policy) / 'training.yaml')]
        words += _changes(agreed, folder / 'mixture.yaml', self.policy(kind, number - 1), corrected=kind == 'round')
        self._do([*words, '--output', str(run), *(['--resume'] if begun else [])])

    def policy(self, kind: str, number: int) -> Path:
        """The checkpoint of a round or a control; of 0, the one begun with."""
        return self._out / f'{kind}_{number}' / 'run' / 'policy' if number else Path(self._agreed.policy)

    def _count_tasks(self) -> int:
        return len(read_results(self._out / 'round_0' / 'evaluation')['tasks'])

    def _do(self, words: list[str], good: Sequence[int] = (0,)) -> None:
        print('mode_ros ' + ' '.join(words), file=sys.stderr, flush=True)
        status = self._run(words)
        if status < 0:
            raise UserError(
                f'`mode_ros {words[0]}` was killed (signal {-status}), perhaps for lack of memory; type the same '
                'command again to go on from there.'
            )
        if status not in good:
            raise UserError(
                f'`mode_ros {words[0]}` ended with exit status {status}, and said why above; type the same command '
                'again to go on from there.'
            )


def _changes(agreed: Improvement, mixed: Path, before: Path, corrected: bool) -> list[str]:
    """What a training of the rounds has in place of the policy's own settings."""
    changes = ['data.path=', f'data.mixture={mixed}', 'start.encoders=', 'policy.imagenet_weights=']
    changes += [f'start.checkpoint={before}', 'start.statistics=checkpoint']
    if corrected:
        changes += ['data.keep_failures=true']
    return [*changes, f'run.steps={agreed.steps}', 'optimizer.schedule_steps=null', *agreed.changes]


def _scores(out: Path, kind: str, rounds: int) -> list[Score]:
    found: list[Score] = []
    minutes = 0.0
    for number in range(1, rounds + 1):
        folder = out / f'{kind}_{number}'
        spent = effort(folder / 'data')
        minutes += spent.minutes
        attempts = spent if kind == 'round' else None
        found.append(Score(str(number), minutes, attempts, read_results(folder / 'evaluation')))
    return found


def _check(agreed: Improvement, rounds: int, control: bool, jobs: int) -> Choice:
    numbers = {
        '--attempts': agreed.attempts,
        '--rollouts': agreed.rollouts,
        '--steps': agreed.steps,
        '--rounds': rounds,
        '--jobs': jobs,
    }
    for option, value in numbers.items():
        if value < 1:
            raise UserError(f'{option} {value} is too small; give 1 or more.')
    if not 0 < agreed.share < 1:
        raise UserError(f'--share {agreed.share:g} cannot be used; give a number between 0 and 1, such as 0.5.')
    if not 0 <= agreed.latency <= MAX_CHUNK_AGE:
        raise UserError(f'--latency {agreed.latency:g} cannot be used; give 0 to {MAX_CHUNK_AGE:g} seconds.')
    if agreed.attempts > SEEDS:
        raise UserError(f'--attempts {agreed.attempts} is more than the {SEEDS} scenes of a round.')
    for change in agreed.changes:
        key = change.partition('=')[0].strip()
        if key in OURS:
            instead = 'give --steps' if key == 'run.steps' else 'leave it out'
            raise UserError(f'--set {change} cannot be used, since the rounds decide {key} themselves: {instead}.')
    policy = Path(agreed.policy)
    if not (policy / 'training.yaml').is_file():
        raise UserError(f'{agreed.policy} has no training.yaml, which says how to train on; give a trained checkpoint.')
    load_train_settings(policy / 'training.yaml', _changes(agreed, policy, policy, corrected=True))
    _check_data(agreed, control)
    # What record-sim takes, evaluate must take, too: a suite, or tasks of Meta-World.
    names = agreed.tasks.split(',')
    if agreed.tasks not in SUITES and any(name in SUITES or libero_task(name) for name in names):
        raise UserError(f'--tasks {agreed.tasks} cannot be scored together; name one suite, or tasks of Meta-World.')
    return choose_tasks(names)


def _check_data(agreed: Improvement, control: bool) -> None:
    data, path = DataFiles(Path(agreed.data)), Path(agreed.policy) / 'contract.yaml'
    if control:
        check_told(data)
    if data.contract_text is None:
        return  # what the training's data.contract says is the training's to check
    found = differences(load_contract(path), parse_contract(data.contract_text, f'of the data set {data.root}'))
    if found:
        raise UserError(f'{path} and the data set {data.root} are of robots that differ: {"; ".join(found)}.')


def _agree(out: Path, agreed: Improvement) -> None:
    """Notes what the rounds have in common, and refuses what differs from what was noted, once an episode is there."""
    values = {**json.loads(json.dumps(asdict(agreed))), 'digest': digest(Path(agreed.policy))}
    path = out / SETTINGS
    if path.exists() and (out / 'round_0' / 'evaluation' / EPISODES).exists():
        known = read_json(path)
        differing = [
            f'{name} is {values[name]} now and {known.get(name)} there'
            for name in values
            if values[name] != known.get(name) and name != 'policy'
        ]
        if differing:
            raise UserError(f'{out} holds other rounds: {"; ".join(differing)}. Give the same, or another folder.')
        return
    if out.exists() and any(out.iterdir()) and not path.exists():
        raise UserError(f'{out} is not empty and holds no rounds; give another folder.')
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(values, indent=1) + '\n')
