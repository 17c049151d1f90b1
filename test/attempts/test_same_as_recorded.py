"""Forces and efforts: what a policy is given, in an attempt, an evaluation or a node, is what convert makes of the bag.

Equal to the bit, at the same moments.
"""

import numpy as np
import pytest

pytest.importorskip('metaworld')
pytest.importorskip('rclpy')

from evaluation.stand_in import Scripted
from rclpy.serialization import deserialize_message
from record_sim.test_record_sim import converted
from rosbags.highlevel import AnyReader

from mode_ros.attempts import attempt as module
from mode_ros.attempts.supervision import Supervision
from mode_ros.control.execution import ExecutionSettings
from mode_ros.control.observation import ObservationBuffer
from mode_ros.evaluation import rollout
from mode_ros.evaluation.sensors import Faults, Sensors
from mode_ros.messages.ingest import ingest
from mode_ros.messages.states import MESSAGE_TYPES
from mode_ros.record_sim.run import record_episode
from mode_ros.record_sim.task_folder import Terms
from mode_ros.robots import load_named_contract
from mode_ros.sim.factory import make_simulator

CONTRACT, TEXT = load_named_contract('metaworld_sawyer_state_force')
NAMES = [state.name for state in CONTRACT.observation.states]
FELT = ('wrench', 'grip')


class Grasping:
    """Goes to the peg and closes the fingers on it; `.given` are the observations, by their stamp."""

    config = Scripted([[0.0] * 4] * 10).config

    def __init__(self):
        self.given = {}

    def predict(self, observation):
        states = observation.states
        self.given[observation.stamp] = {name: states[name].copy() for name in NAMES}
        way = states['scene'][:3] + [0, 0, -0.02] - states['end_effector'][:3]
        return np.tile([*np.clip(way / 10, -0.04, 0.04), 1.0 if np.linalg.norm(way) < 0.05 else -1.0], (10, 1))


@pytest.fixture(scope='module')
def attempt(tmp_path_factory):
    """(the policy, what an evaluation's sensors read beside it, the bag, its frames)."""
    policy, read, root = Grasping(), {}, tmp_path_factory.mktemp('attempt')
    observe = module._Attempt._observe

    class Kept:
        """Of the controller and of the observations what the sensors call."""

        def measure(self, *_):
            pass

        def push(self, name, now, take):
            read.setdefault(now, {})[name] = take().copy()

    def observe_twice(session):
        observe(session)
        sensors = Sensors(session._simulator, session._contract, Faults(), np.random.default_rng(0))
        sensors.read(session._now, Kept(), Kept())

    def show(simulator, contract, goal, terms, seed, write):
        rule = Supervision(far=1000.0, still_seconds=1000.0, patience=4.0)
        way = ExecutionSettings('realtime')
        return module.attempt(simulator, contract, policy, goal, seed, write, way, delay=2, rule=rule).success

    terms = Terms('metaworld', 'peg-insert-side', TEXT, 0.0, 100_000)
    simulator = make_simulator('metaworld', terms.task, CONTRACT.period_seconds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollout, 'predict', lambda given, observation, *_, **__: given.predict(observation))
        patch.setattr(module._Attempt, '_observe', observe_twice)
        assert record_episode(simulator, terms, root, 100_000, show)
    bag = root / 'episode_000000'
    frames = {frame.observation.stamp: frame.observation.states for frame in converted(bag)[0]}
    return policy, read, bag, frames


def differing(live, recorded, but=()):
    """(stamp, stream) of what is not the same; at moments that both have."""
    return [
        (stamp, name)
        for stamp in live.keys() & recorded.keys()
        for name in NAMES
        if name not in but and live[stamp][name].tolist() != recorded[stamp][name].tolist()
    ]


def test_it_was_touched(attempt):
    policy, _, _, frames = attempt
    for name in FELT:
        assert sum(states[name].any() for states in policy.given.values()) > 3, 'while the policy drove'
        assert len({tuple(states[name]) for states in frames.values()}) > 20


def test_an_attempts_policy_is_given_what_is_learnt_from(attempt):
    policy, _, _, frames = attempt
    # What was seen before the gripper's first command gives no frames.
    assert 0 < len(policy.given.keys() - frames.keys()) <= 2
    assert len(policy.given) > 6
    assert not differing(policy.given, frames)


def test_an_evaluation_reads_what_is_learnt_from(attempt):
    _, read, _, frames = attempt
    assert read.keys() >= frames.keys()
    assert not differing(read, frames, but=('end_effector',))  # whose sign is chosen where the policy is asked


def test_a_node_hears_what_is_learnt_from(attempt):
    _, _, bag, frames = attempt
    buffer, heard = ObservationBuffer(CONTRACT), {}
    streams = {f'/{state.topic}': [] for state in CONTRACT.observation.states}
    for state in CONTRACT.observation.states:
        streams[f'/{state.topic}'].append(state)
    with AnyReader([bag]) as reader:
        for connection, received, data in reader.messages():
            for state in streams.get(connection.topic, ()):
                ingest(buffer, state, deserialize_message(data, MESSAGE_TYPES[state.type]), received, received)
            if buffer.latest_common_stamp() == received:
                heard[received] = buffer.latest(received).states
    assert heard.keys() >= frames.keys()
    assert not differing(heard, frames, but=('end_effector',))
