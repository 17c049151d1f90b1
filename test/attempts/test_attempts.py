"""A policy tries and an expert takes over: recorded whole, who drove is marked, and typed again it goes on."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation.stand_in import Scripted
from record_sim.test_record_sim import content, converted, everything
from support.toy_simulator import ToySimulator

from mode_ros.attempts import show
from mode_ros.attempts.attempt import Attempt
from mode_ros.attempts.show import FIRST_ATTEMPT_SEED, show_attempt
from mode_ros.attempts.supervision import Supervision
from mode_ros.cli import record_sim as verb
from mode_ros.cli.main import build_parser
from mode_ros.control.execution import ExecutionSettings
from mode_ros.errors import UserError
from mode_ros.record_sim import run
from mode_ros.record_sim.held import origin
from mode_ros.record_sim.run import record
from mode_ros.record_sim.task_folder import Attempts, Terms
from mode_ros.robots import load_named_contract
from mode_ros.sim.demonstrator import Noise

CONTRACT, TEXT = load_named_contract('metaworld_sawyer')
AWAY = [[-0.02, 0.0, 0.0, -1.0]] * 10
STILL = [[0.0, 0.0, 0.0, -1.0]] * 10


class Straight:
    """Goes where the toy's goal is, as far as it can."""

    def __init__(self, simulator):
        self.config, self._simulator = Scripted(STILL).config, simulator

    def predict(self, *_, **__):
        at, chunk = self._simulator.position.copy(), []
        for _ in range(10):
            chunk.append(np.clip(0.5 * (self._simulator.goal - at), -0.04, 0.04))
            at += chunk[-1]
        return np.column_stack([chunk, -np.ones(10)])


@pytest.fixture
def toy(monkeypatch):
    """Everything that was made, and the policy that tries."""
    made = []
    monkeypatch.setattr(run, 'make_simulator', lambda *given: made.append(ToySimulator(*given[1:])) or made[-1])

    def tries(policy):
        monkeypatch.setattr(show, '_policy', lambda *_: policy() if callable(policy) else policy)
        return made

    return tries


def terms(task='reach', execution='synchronous', **more):
    agreed = Attempts('policies/one', 'abc', execution, 1, 1.0, 6.0)
    return Terms(
        **(
            {'simulator': 'metaworld', 'task': task, 'contract': TEXT, 'noise': 0.0, 'seed': 7, 'attempts': agreed}
            | more
        )
    )


def one(folder):
    return folder / 'reach' / 'episode_000000'


def test_a_policy_that_gets_there_is_left_alone(toy, tmp_path):
    made = toy(lambda: Straight(made[-1]))

    record(tmp_path, [terms()], 1, 1, show_attempt)

    frames, found, about = converted(one(tmp_path))
    assert about.success is True
    assert not any(getattr(each, 'fault', False) for each in found), 'only what was before the first command'
    assert not any(frame.intervention for frame in frames)


def test_one_that_strays_is_taken_over_and_the_expert_marked(toy, tmp_path):
    made = toy(Scripted(AWAY))

    record(tmp_path, [terms()], 1, 1, show_attempt)

    frames, _, about = converted(one(tmp_path))
    assert about.success is True, 'brought there by the expert'
    driven = np.array([frame.intervention for frame in frames])
    assert not driven[0]
    assert driven.any()
    executed = np.array(made[0].executed[::4])[-len(frames) :]
    for frame, action in zip(frames, executed, strict=True):
        assert frame.action == pytest.approx(action, abs=1e-9), 'what was executed is what was recorded'
        if not frame.intervention:
            assert action[:3].tolist() in ([-0.02, 0, 0], [0, 0, 0])
    told = [message.data for topic, _, message in content(one(tmp_path))[2] if topic == '/intervention']
    assert told[:2] == [False, True]
    assert all(a != b for a, b in itertools.pairwise(told)), 'told once each time'


@pytest.mark.parametrize('execution', ['synchronous', 'realtime'])
def test_one_that_stands_is_taken_over_in_any_execution(toy, tmp_path, execution):
    toy(Scripted(STILL))

    record(tmp_path, [terms(execution=execution)], 1, 1, show_attempt)

    frames, _, about = converted(one(tmp_path))
    assert about.success
    assert 0 < np.mean([frame.intervention for frame in frames]) < 1


@pytest.mark.parametrize('execution', ['synchronous', 'realtime'])
def test_the_expert_lets_go_and_the_policy_drives_again(toy, tmp_path, monkeypatch, execution):
    toy(policy := Scripted(STILL))
    monkeypatch.setattr(
        ToySimulator, 'expert_action', lambda toy: np.append(np.clip(toy.goal - toy.position, -0.006, 0.006), -1.0)
    )
    monkeypatch.setattr(run, 'make_simulator', lambda *given: patient(ToySimulator(*given[1:])))

    record(tmp_path, [terms(execution=execution)], 1, 1, show_attempt)

    frames, _, about = converted(one(tmp_path))
    assert about.success
    spans = [driven for driven, _ in itertools.groupby(frame.intervention for frame in frames)]
    assert spans[:4] == [False, True, False, True], 'the policy, the expert, the policy again, and the expert again'
    assert len(policy.seen) >= 2, 'it plans anew from where it was left'


def patient(simulator):
    simulator.time_limit_steps = 1000
    return simulator


def test_a_failed_attempt_is_kept_and_marked(toy, tmp_path, monkeypatch):
    toy(Scripted(STILL))
    monkeypatch.setattr(ToySimulator, 'hopeless', frozenset({7}))

    outcome = record(tmp_path, [terms()], 1, 1, show_attempt)

    assert (outcome.recorded, outcome.failed) == (1, {})
    assert converted(one(tmp_path))[2].success is False


def test_typed_again_it_goes_on_with_the_same_and_counts_nothing_twice(toy, tmp_path):
    made = toy(lambda: Scripted(AWAY))
    record(tmp_path / 'whole', [terms()], 3, 1, show_attempt)
    record(tmp_path / 'parts', [terms()], 1, 1, show_attempt)
    (tmp_path / 'parts' / 'reach' / '.episode_000001.partial' / 'episode_000001').mkdir(parents=True)

    outcome = record(tmp_path / 'parts', [terms()], 3, 1, show_attempt)

    assert (outcome.recorded, outcome.total) == (2, 3)
    assert everything(tmp_path / 'parts') == everything(tmp_path / 'whole')
    assert len(made) == 3


def test_an_attempt_gets_what_was_agreed(monkeypatch):
    seen = []
    monkeypatch.setattr(show, 'attempt', lambda *given: seen.append(given) or Attempt(True, 1, 0))
    monkeypatch.setattr(show, '_policy', lambda *_: 'policy')
    agreed = Attempts('policies/one', 'abc', 'naive', 4, 0.5, 3.0)

    assert show_attempt('simulator', CONTRACT, 'go', terms(attempts=agreed, noise=0.5), 9, 'write')

    assert seen == [
        (
            'simulator', CONTRACT, 'policy', 'go', 9, 'write', ExecutionSettings('naive'), 4,
            Supervision(far=0.5, patience=3.0), Noise().scaled(0.5),
        )
    ]  # fmt: skip


def test_the_arm_is_disturbed_while_the_expert_drives_and_not_before(toy, tmp_path):
    made = toy(Scripted(AWAY))
    record(tmp_path / 'calm', [terms()], 1, 1, show_attempt)
    record(tmp_path / 'pushed', [terms(noise=1.0)], 1, 1, show_attempt)
    calm, pushed = (np.array(each.executed) for each in made)
    frames, _, _ = converted(one(tmp_path / 'calm'))
    before = next(k for k, frame in enumerate(frames) if frame.intervention)
    first = 4 * (before + 1)  # steps: a period goes before the first frame
    assert np.array_equal(calm[:first], pushed[:first])
    assert not np.array_equal(calm[first : first + 40], pushed[first : first + 40])


def test_a_failed_attempt_takes_twice_the_time_limit(toy, tmp_path, monkeypatch):
    made = toy(Scripted(STILL))
    monkeypatch.setattr(ToySimulator, 'hopeless', frozenset({7}))
    record(tmp_path, [terms()], 1, 1, show_attempt)
    assert made[0].steps == 2 * made[0].time_limit_steps


def test_a_success_is_held_for_a_while_and_not_supervised(toy, tmp_path, monkeypatch):
    made = toy(lambda: Straight(made[-1]))
    reached = []
    real = ToySimulator._succeeds_now

    def succeeds(simulator):
        if real(simulator) and not reached:
            reached.append(simulator.steps)
        return real(simulator)

    monkeypatch.setattr(ToySimulator, '_succeeds_now', succeeds)
    monkeypatch.setattr(ToySimulator, 'ending_seconds', 3.0)
    record(tmp_path, [terms()], 1, 1, show_attempt)
    frames, _, about = converted(one(tmp_path))
    assert about.success
    after = (made[0].steps - reached[0]) / 4
    assert after == pytest.approx(3.0 * CONTRACT.rate, abs=1.5)
    assert not any(frame.intervention for frame in frames), 'it stands at the goal, and that is right'


@pytest.mark.parametrize('more', [{'execution': 'naive'}, {'delay': 2}, {'far': 2.0}, {'patience': 3.0}])
def test_attempts_by_another_rule_are_no_copies(more):
    agreed = Attempts('policies/one', 'abc', 'synchronous', 1, 1.0, 6.0)
    ours, theirs = (origin(terms(attempts=each), 7) for each in (agreed, replace(agreed, **more)))
    assert ours != theirs
    elsewhere = replace(agreed, checkpoint='policies/two')
    assert origin(terms(attempts=elsewhere), 7) == ours, 'where it lies does not matter'


def test_another_policy_is_refused_and_the_same_at_another_place_is_not(toy, tmp_path):
    toy(Scripted(AWAY))
    record(tmp_path, [terms()], 1, 1, show_attempt)
    moved, other = (
        Attempts(folder, digest, 'synchronous', 1, 1.0, 6.0) for folder, digest in (('two', 'abc'), ('two', 'def'))
    )

    assert record(tmp_path, [terms(attempts=moved)], 1, 1, show_attempt).recorded == 0
    with pytest.raises(UserError, match='digest: def, not abc'):
        record(tmp_path, [terms(attempts=other)], 1, 1, show_attempt)
    with pytest.raises(UserError, match='other terms'):
        record(tmp_path, [terms(attempts=None)], 1, 1)


def run_verb(*words):
    arguments = build_parser().parse_args(['record-sim', *map(str, words)])
    return verb.run(arguments)


def test_what_cannot_be_used_is_said_before_the_first_episode(tmp_path):
    policy = tmp_path / 'nothing'
    with pytest.raises(UserError, match='no checkpoint folder'):
        run_verb(tmp_path / 'out', '--policy', policy)
    with pytest.raises(UserError, match=r'--delay is for attempts of a policy'):
        run_verb(tmp_path / 'out', '--delay', 2)
    with pytest.raises(UserError, match='--robot and --policy'):
        run_verb(tmp_path / 'out', '--policy', policy, '--robot', 'metaworld_sawyer')
    assert not (tmp_path / 'out').exists()


def test_attempts_have_seeds_of_their_own(toy, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        run,
        'record',
        lambda out, terms, episodes, jobs, how, besides: seen.update(terms=terms) or run.Outcome(0, 0, {}, ()),
    )
    monkeypatch.setattr(show, 'read_info', lambda _: type('Info', (), {'contract_text': TEXT}))
    monkeypatch.setattr(show, 'digest', lambda _: 'abc')

    run_verb(tmp_path / 'out', '--policy', 'one', '--tasks', 'reach')

    (found,) = seen['terms']
    assert (found.seed, found.noise, found.attempts.execution) == (FIRST_ATTEMPT_SEED, 0.0, 'realtime')
    assert json.dumps(found.attempts.digest) == '"abc"'
