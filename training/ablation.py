"""Variants of one training, each with several seeds, in one table.

    OUT/VARIANT/seed_0/        a training as `mode_ros train` leaves it, and result.json once it is finished
    OUT/ablation.md, .json     the table

Finished runs are kept, and unfinished ones go on from their newest checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from accelerate.state import AcceleratorState
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch.utils.flop_counter import FlopCounterMode

from mode_ros.errors import UserError
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.linear import LinearMakers, linear_makers, view_linear
from mode_ros.policy.plain_sampler import PlainSampler, Sampler
from mode_ros.policy.products import products_of
from mode_ros.policy.size import active_parameters, total_parameters
from mode_ros.settings import load_settings
from mode_ros.training.data_mark import data_mark
from mode_ros.training.inspection.measure import Inputs, random_inputs
from mode_ros.training.plan import make_plan
from mode_ros.training.progress import LOG, read_log
from mode_ros.training.settings import TrainSettings, as_begun, load_train_settings
from mode_ros.training.snapshots import POLICY, checkpoints
from mode_ros.training.train import find_config, train
from mode_ros.training.trainer import MAY_CHANGE
from mode_ros.with_parent import ending_with_us

RESULT, TABLE, NUMBERS, OUTPUT = 'result.json', 'ablation.md', 'ablation.json', 'output.log'

# Chunks that are timed, after some that are not.
_TIMED, _WARM_UP = 20, 3

# Settings in which a finished run may differ. Errors are compared on as many moments.
_ALIKE = MAY_CHANGE - {'run.validation_samples'}

ClosedLoop = Callable[[Mapping[str, Sequence[Path]]], Mapping[str, Mapping[str, Any]]]
"""Scores every variant's policies, one per seed and in the seeds' order: for each variant the `suite`, `rollouts`, the
`rate` in 0 to 1 with its 95 % interval `low` to `high`, `rates` by policy, and the `difference` from the first variant
with its interval and, of several seeds, its `p_corrected`; the first has None."""

Name = Annotated[str, Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.-]*$')]


class Grid(BaseModel):
    """What is compared."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    base: str = Field(description='training YAML: a path, or the name of one that comes with mode_ros')
    changes: tuple[str, ...] = Field(default=(), description='KEY=VALUE, for every variant')
    variants: dict[Name, tuple[str, ...]] = Field(min_length=1, description='name: its own KEY=VALUE')
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2), min_length=1)


@dataclass(frozen=True)
class Run:
    """One variant with one seed."""

    variant: str
    seed: int
    config: Path
    changes: tuple[str, ...]
    folder: Path

    @property
    def settings(self) -> TrainSettings:
        """Checked. Raises UserError."""
        return load_train_settings(self.config, self.changes)


@dataclass(frozen=True)
class Cost:
    """What a variant's denoiser costs. Image and text encoders, which are the same for all, do not count."""

    total_parameters: int
    active_parameters: int
    flops: int
    """Floating-point operations of a chunk, as the policy samples it."""
    latency_ms: float
    """The median of a chunk's time on one thread of this machine, in float32."""
    sampler: str
    """fast, which computes ahead what routing by noise allows, or plain."""


def ablate(
    grid: Path,
    changes: Sequence[str],
    out: Path,
    jobs: int = 1,
    cpu: bool = False,
    closed_loop: ClosedLoop | None = None,
) -> tuple[str, str]:
    """Train what is not finished and write the table.

    changes: KEY=VALUE for every variant; jobs: trainings at once, each in a process with one thread; 1: in this one;
    closed_loop: adds how often the policies succeed.
    Returns the table, and '' or how to go on when it was interrupted. Raises UserError for a grid that does not fit,
    a training that failed, and a folder with runs of other settings.
    """
    runs = plan_runs(load_settings(grid, Grid, 'The grid'), changes, out)
    finished = [run for run in runs if is_finished(run)]
    check_data(finished)
    waiting = [run for run in runs if run not in finished]
    check_plans(waiting, jobs)
    print(f'{len(runs)} runs, {len(runs) - len(waiting)} of them finished before', flush=True)
    stopped = _train_here(waiting, cpu) if jobs == 1 else _train_apart(waiting, jobs, cpu)
    if stopped:
        return '', stopped
    # Processor time: what else runs on the machine does not make a variant slow.
    costs = {run.variant: measure_cost(_policy_config(run), time.thread_time) for run in runs}
    scores = None if closed_loop is None else closed_loop(_policies(runs))
    numbers = summarise(runs, costs, scores)
    out.mkdir(parents=True, exist_ok=True)
    text = to_table(numbers)
    (out / NUMBERS).write_text(json.dumps(numbers, indent=1) + '\n', encoding='utf-8')
    (out / TABLE).write_text(text, encoding='utf-8')
    return text, ''


def plan_runs(grid: Grid, changes: Sequence[str], out: Path) -> list[Run]:
    """Every run, all settings checked before the first begins. Raises UserError that names the variant."""
    config = find_config(grid.base)
    runs = []
    for variant, own in grid.variants.items():
        for seed in grid.seeds:
            every = (*grid.changes, *changes, *own, f'run.seed={seed}')
            _check_seeds(every[:-1])
            run = Run(variant, seed, config, every, out / variant / f'seed_{seed}')
            try:
                settings = run.settings
            except UserError as error:
                raise UserError(f'The variant {variant}: {error}') from error
            if not settings.data.validation_share:
                raise UserError(
                    f'The variant {variant} holds out no episode, and variants are compared by the error on those: set '
                    'data.validation_share above 0.'
                )
            runs.append(run)
    return runs


def check_plans(runs: Sequence[Run], jobs: int = 1) -> None:
    """Open the data and the checkpoints of every variant, once. Raises UserError that names the variant.

    One that begins from a policy that a run before it is yet to make is opened when its turn comes, one run at a time.
    """
    for place, run in enumerate(runs):
        start = run.settings.start
        begun = [Path(each).absolute() for each in (start.checkpoint, start.encoders) if each]
        waits = any(other.folder.absolute() in path.parents for other in runs[:place] for path in begun)
        if waits and jobs > 1:
            raise UserError(
                f'The variant {run.variant} begins from a policy that another variant is yet to train: give --jobs 1.'
            )
        if waits or any(other.variant == run.variant for other in runs[:place]):
            continue
        try:
            make_plan(run.settings)
        except UserError as error:
            raise UserError(f'The variant {run.variant}: {error}') from error


def _check_seeds(changes: Sequence[str]) -> None:
    for change in changes:
        if change.partition('=')[0] == 'run.seed':
            raise UserError(f'{change} cannot be used: the grid has the seeds of all variants, as `seeds: [0, 1, 2]`.')


def is_finished(run: Run) -> bool:
    """Whether the run has its result. Raises UserError if that is of other settings."""
    path = run.folder / RESULT
    if not path.is_file():
        return False
    before, now = _result(run)['settings'], run.settings.model_dump(mode='json')
    with contextlib.suppress(ValidationError):  # of a version with other keys: told below
        before = TrainSettings.model_validate(as_begun(before)).model_dump(mode='json')
    wrong = [
        f'{section}.{key}'
        for section, values in now.items()
        for key, value in values.items()
        if before.get(section, {}).get(key) != value and f'{section}.{key}' not in _ALIKE
    ]
    if wrong:
        raise UserError(
            f'The finished run in {run.folder} had other settings ({", ".join(wrong)}): give another --output, or '
            'remove it.'
        )
    return True


def check_data(finished: Sequence[Run]) -> None:
    """Raise UserError for a finished run that learnt from other data than there are now.

    Where the data are gone, nothing can be learnt from others, and results of before do not say: both are kept.
    """
    now: dict[tuple[str, int], str | None] = {}
    for run in finished:
        before, settings = _result(run).get('data'), run.settings
        key = settings.data.model_dump_json(), settings.policy.chunk_length
        if before is None:
            continue
        if key not in now:
            now[key] = data_mark(settings)
        if now[key] not in (None, before):
            raise UserError(
                f'The finished run in {run.folder} learnt from other data than are in '
                f'{settings.data.path or settings.data.mixture} now: take the data back as they were, give another '
                '--output, or remove the run to train it anew.'
            )


def measure_cost(config: PolicyConfig, clock: Callable[[], float]) -> Cost:
    """The cost of a policy's denoiser; clock: seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            denoiser = Denoiser(config.denoiser).eval().requires_grad_(False)
        inputs = random_inputs(denoiser, 1, config.diffusion.sigma_data, torch.Generator().manual_seed(0))
        # The counter does not know packed products, which compute the same.
        with FlopCounterMode(display=False) as counter:
            _sample(_sampler(denoiser, config, LinearMakers.same(view_linear)), inputs)
        sampler = _sampler(denoiser, config, linear_makers('float32', torch.device('cpu')))
        seconds = []
        for _ in range(_WARM_UP + _TIMED):
            begin = clock()
            _sample(sampler, inputs)
            seconds.append(clock() - begin)
    finally:
        torch.set_num_threads(threads)
    return Cost(
        total_parameters(config.denoiser),
        active_parameters(config.denoiser),
        counter.get_total_flops(),
        1000 * statistics.median(seconds[_WARM_UP:]),
        'fast' if config.denoiser.has_fast_path else 'plain',
    )


def summarise(
    runs: Sequence[Run], costs: dict[str, Cost], scores: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Every variant with its runs' results and their mean and standard deviation; None for that of one run.

    scores: as ClosedLoop gives them.
    """
    rows = []
    for variant in dict.fromkeys(run.variant for run in runs):
        own = [run for run in runs if run.variant == variant]
        results = [_result(run) for run in own]
        errors = [result['error'] for result in results]
        rows.append(
            {
                'variant': variant,
                'changes': list(own[0].changes[:-1]),
                'error_mean': statistics.fmean(errors),
                'error_std': statistics.stdev(errors) if len(errors) > 1 else None,
                'errors': {run.seed: error for run, error in zip(own, errors, strict=True)},
                **asdict(costs[variant]),
                **({} if scores is None else {'closed_loop': dict(scores[variant])}),
            }
        )
    return {'machine': platform.processor() or platform.machine(), 'torch': torch.__version__, 'variants': rows}


def to_table(numbers: dict[str, Any]) -> str:
    """Markdown."""
    rows = numbers['variants']
    scored = 'closed_loop' in rows[0]
    heads = [
        'variant',
        'validation error',
        'seeds',
        *(['solved', '95 % interval', f'against {rows[0]["variant"]}'] if scored else []),
        'million weights',
        'active',
        'GFLOP per chunk',
        'ms per chunk',
        'sampler',
    ]
    lines = [_line(heads), '|---' * len(heads) + '|']
    for row in rows:
        spread = '' if row['error_std'] is None else f' ± {row["error_std"]:.4f}'
        lines.append(
            _line(
                [
                    row['variant'],
                    f'{row["error_mean"]:.4f}{spread}',
                    str(len(row['errors'])),
                    *(_score_cells(row['closed_loop']) if scored else []),
                    f'{row["total_parameters"] / 1e6:.2f}',
                    f'{row["active_parameters"] / 1e6:.2f}',
                    f'{row["flops"] / 1e9:.3f}',
                    f'{row["latency_ms"]:.2f}',
                    row['sampler'],
                ]
            )
        )
    lines += [
        '',
        'Validation error: the root mean square error of an action in units of its standard deviation, on held-out '
        'episodes; mean and standard deviation over the seeds. Weights, operations and time are the denoiser’s; time '
        f'is the median of the processor time of one thread ({numbers["machine"]}), in float32.',
    ]
    if scored:
        score = rows[0]['closed_loop']
        lines += [
            '',
            f'Solved: of {score["rollouts"]} episodes of {score["suite"]}, those of all seeds together. The difference '
            f'from {rows[0]["variant"]} is in percentage points with its 95 % interval, from trainings and episodes in '
            'pairs. '
            + (
                'Intervals hold what other seeds and other initial states would change; p is corrected for the number '
                f'of comparisons, {len(rows) - 1} (Holm).'
                if len(score['rates']) > 1
                else 'Both intervals are for these trained policies; what other seeds would change is not in them.'
            ),
        ]
    return '\n'.join(lines) + '\n'


def _line(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _score_cells(score: Mapping[str, Any]) -> list[str]:
    low, high, apart = 100 * score['low'], 100 * score['high'], score['difference']
    chance = f', p {apart["p_corrected"]:.2g}' if apart is not None and 'p_corrected' in apart else ''
    return [
        f'{100 * score["rate"]:.1f} %',
        f'{low:.1f} to {high:.1f} %',
        ''
        if apart is None
        else f'{100 * apart["rate"]:+.1f} ({100 * apart["low"]:+.1f} to {100 * apart["high"]:+.1f}{chance})',
    ]


def _policies(runs: Sequence[Run]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for run in runs:
        found.setdefault(run.variant, []).append(run.folder / POLICY)
    return found


def _train_here(runs: Sequence[Run], cpu: bool) -> str:
    for run in runs:
        print(f'{run.variant}, seed {run.seed}', flush=True)
        # accelerate keeps the first training's precision for the whole process, and a variant may have another.
        AcceleratorState._reset_state(True)
        data = data_mark(run.settings)
        stopped = train(run.config, run.changes, run.folder, bool(checkpoints(run.folder)), cpu)
        if stopped:
            return f'{run.folder}: {stopped}'
        _note_result(run, data)
    return ''


def _train_apart(runs: Sequence[Run], jobs: int, cpu: bool) -> str:
    """Each in a process of its own, as a person would type it, its output in a file."""
    started: list[subprocess.Popen[bytes]] = []
    ended = False

    def one(run: Run) -> str:
        if ended:
            return f'{run.folder}: not begun'
        data = data_mark(run.settings)
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        said = run.folder.with_suffix('.log')
        options = [
            *(['--resume'] if checkpoints(run.folder) else []),
            *(['--device', 'cpu'] if cpu else []),
        ]
        command = [sys.executable, '-m', 'mode_ros', 'train', str(run.config), *run.changes, *options]
        with said.open('ab') as output:
            process = subprocess.Popen(
                [*command, '--output', str(run.folder)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=ending_with_us({**os.environ, 'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}),
                start_new_session=True,  # Ctrl-C is for us to pass on, once: the second would break off the saving
            )
        started.append(process)
        status = process.wait()
        if status == 130:
            return f'{run.folder}: stopped and saved'
        if status:
            lines = said.read_text(encoding='utf-8', errors='replace').splitlines() or ['']
            raise UserError(f'The training in {run.folder} failed ({lines[-1]}): see {said}.')
        _note_result(run, data)
        print(f'{run.variant}, seed {run.seed}: done', flush=True)
        return ''

    pool = ThreadPoolExecutor(jobs, 'ablation')
    try:
        answers = [answer for answer in pool.map(one, runs) if answer]
    except BaseException:
        ended = True
        for process in started:
            process.terminate()  # it saves and ends
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return f'{answers[0]}; type the same command again to go on' if answers else ''


def _result(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / RESULT).read_text(encoding='utf-8'))
    return found


def _note_result(run: Run, data: str | None) -> None:
    """Write the run's result, of its log: the last validation's error. data: the mark of what it learnt from."""
    if not (run.folder / LOG).is_file() or not (run.folder / POLICY).is_dir():
        raise UserError(f'The training in {run.folder} left no policy: remove the folder and try again.')
    errors = [entry['error'] for entry in read_log(run.folder) if entry['kind'] == 'validation']
    if not errors:
        raise UserError(
            f'The training in {run.folder} validated nothing: no task of its data has two episodes, one of which could '
            'be held out.'
        )
    result = {
        'variant': run.variant,
        'seed': run.seed,
        'error': errors[-1],
        'smallest_error': min(errors),
        'settings': run.settings.model_dump(mode='json'),
        'data': data,
    }
    aside = run.folder / f'.{RESULT}'
    aside.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    aside.rename(run.folder / RESULT)


def _policy_config(run: Run) -> PolicyConfig:
    from mode_ros.policy.checkpoint import read_info

    return read_info(run.folder / POLICY).config


def _sampler(denoiser: Denoiser, config: PolicyConfig, makers: LinearMakers) -> Sampler:
    if not config.denoiser.has_fast_path:
        return PlainSampler(denoiser, config.diffusion)
    return ChunkSampler(denoiser, config.diffusion, make_products=partial(products_of, denoiser, makers))


def _sample(sampler: Sampler, inputs: Inputs) -> torch.Tensor:
    """A chunk as a policy samples it, the goal's part included."""
    prefix = sampler.read_observation(sampler.read_goal(inputs.goal), inputs.images, inputs.state)
    return sampler.sample(prefix, inputs.noise)
