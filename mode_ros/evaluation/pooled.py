"""Groups of checkpoints on the same episodes, each group's scores pooled: a variant of a training with its seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mode_ros.evaluation.protocol import make_protocol
from mode_ros.evaluation.run import evaluate
from mode_ros.evaluation.seeds import difference, holm, rate_interval
from mode_ros.evaluation.settings import EvaluationSettings, make_settings
from mode_ros.evaluation.statistics import paired_difference_interval, wilson_interval

Evaluate = Callable[[EvaluationSettings], Mapping[str, Any]]


def check_options(options: Mapping[str, Any]) -> None:
    """Raises UserError for options of an evaluation that no checkpoint could be evaluated with."""
    make_protocol(make_settings(checkpoint=Path(), output=Path(), **options))


def evaluate_groups(
    groups: Mapping[str, Sequence[Path]], options: Mapping[str, Any], run: Evaluate = evaluate
) -> dict[str, dict[str, Any]]:
    """Evaluates every checkpoint of every group, and pools each group's episodes.

    groups: checkpoints by the group's name, equally many in each; a checkpoint's evaluation goes into
    `evaluation_SUITE` beside it, where what is finished stays. options: of EvaluationSettings, for all.

    Returns for each group `suite` (or the tasks that were chosen instead), `successes` in `rollouts`, the `rate` with
    its 95 % interval `low` to `high`, the `rates` of its checkpoints, and `difference`: the rate minus that of the
    first group with its interval, None for the first. Checkpoints are compared in pairs, the first of a group with the
    first of the other, episode by episode. Of several checkpoints (seeds of a training) intervals hold what other seeds
    and other initial states would change, and `difference` has a `p` and a `p_corrected` for the number of groups
    (mode_ros.evaluation.seeds); of one, other initial states alone. Raises UserError as `evaluate` does.
    """
    outcomes: dict[str, list[list[bool]]] = {}
    found: dict[str, dict[str, Any]] = {}
    for name, checkpoints in groups.items():
        print(f'{name}: evaluating {len(checkpoints)} policies', flush=True)
        results = [run(_settings(checkpoint, options)) for checkpoint in checkpoints]
        outcomes[name] = [[episode['success'] for episode in result['episodes']] for result in results]
        first = outcomes[next(iter(groups))]
        found[name] = {
            'suite': ', '.join(options.get('tasks', ())) or results[0]['suite'],
            'rates': [result['mean']['rate'] for result in results],
            **_pooled(outcomes[name]),
            'difference': None if outcomes[name] is first else _difference(first, outcomes[name]),
        }
    apart = [group['difference'] for group in found.values() if group['difference'] and 'p' in group['difference']]
    for which, corrected in holm({str(number): each['p'] for number, each in enumerate(apart)}).items():
        apart[int(which)]['p_corrected'] = corrected
    return found


def _settings(checkpoint: Path, options: Mapping[str, Any]) -> EvaluationSettings:
    settings = make_settings(checkpoint=checkpoint, output=checkpoint, **options)
    return settings.model_copy(update={'output': checkpoint.parent / f'evaluation_{settings.suite}'})


def _pooled(outcomes: Sequence[Sequence[bool]]) -> dict[str, Any]:
    successes, rollouts = sum(map(sum, outcomes)), sum(map(len, outcomes))
    low, high = rate_interval(outcomes) if len(outcomes) > 1 else wilson_interval(successes, rollouts)
    return {'successes': successes, 'rollouts': rollouts, 'rate': successes / rollouts, 'low': low, 'high': high}


def _difference(first: Sequence[Sequence[bool]], second: Sequence[Sequence[bool]]) -> dict[str, float]:
    if len(first) > 1:
        return difference(first, second)._asdict()
    low, high = paired_difference_interval(first[0], second[0])
    return {'rate': sum(second[0]) / len(second[0]) - sum(first[0]) / len(first[0]), 'low': low, 'high': high}
