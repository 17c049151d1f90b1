"""record-sim: its bags are those of the running nodes, and nothing is lost or counted twice when it is interrupted."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from std_msgs.msg import Bool, String
from support.bags import TYPES
from support.contracts import absolute_contract
from support.toy_simulator import JOINTS, ToySimulator

from mode_ros.cli import record_sim as verb
from mode_ros.cli.main import build_parser
from mode_ros.control.contract import parse_contract
from mode_ros.errors import UserError
from mode_ros.messages.commands import encode_command
from mode_ros.messages.images import encode_compressed_image, encode_image
from mode_ros.messages.states import encode_joint_state, encode_pose
from mode_ros.record_sim import choice, run
from mode_ros.record_sim.run import record
from mode_ros.record_sim.session import START
from mode_ros.record_sim.task_folder import Terms
from mode_ros.record_sim.wire import Wire
from mode_ros.recording.episode import Episode
from mode_ros.robots import load_named_contract
from mode_ros.sim.factory import make_simulator
from mode_ros.sim.instructions import training_instructions
from mode_ros.sim.metaworld_sim import SCENE_NAMES
from mode_ros.sim.simulator import Forces
from mode_ros.sim.suites import FIRST_TRAINING_SEED
from mode_ros.simulated import check_fits
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.frames import LeftOut
from mode_ros.training.data.recordings import About

SAMPLE = Path(__file__).resolve().parents[1] / 'data' / 'sample_bag'
CONTRACT, TEXT = load_named_contract('metaworld_sawyer')
PERIOD = CONTRACT.period


@pytest.fixture
def toys(monkeypatch):
    """Toys in the place of the benchmark, and all that were made."""
    made = []

    def make(name, task, control_period):
        made.append(ToySimulator(task, control_period))
        return made[-1]

    monkeypatch.setattr(run, 'make_simulator', make)
    return made


def terms(task='reach', **more):
    return Terms(**({'simulator': 'metaworld', 'task': task, 'contract': TEXT, 'noise': 1.0, 'seed': 1000} | more))


def content(bag):
    """Episode, connections and messages (topic, time, message) of a bag."""
    with AnyReader([bag]) as reader:
        episode = Episode.from_custom_data(reader.readers[0].storage.metadata.custom, bag.name)
        messages = [(c.topic, time, reader.deserialize(data, c.msgtype)) for c, time, data in reader.messages()]
        return episode, list(reader.connections), messages  # a closed reader has none


def converted(bag):
    episode = content(bag)[0]
    contract = episode.contract(bag.name)
    about = About()
    found = list(BagRecording(bag).read(contract, '', about, lambda seconds: None))
    return [item for item in found if not isinstance(item, LeftOut)], found, about


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob('*.mcap'))}


@pytest.mark.parametrize(
    ('message', 'kind'),
    [
        (
            encode_image(np.arange(48, dtype=np.uint8).reshape(4, 4, 3), 1_234_567_891, 'static'),
            'sensor_msgs/msg/Image',
        ),
        (
            encode_compressed_image(np.zeros((8, 8, 3), np.uint8), 1_234_567_891, 'wrist'),
            'sensor_msgs/msg/CompressedImage',
        ),
        (encode_joint_state(['a', 'bcd'], np.array([1.5, -2]), np.zeros(2), 5), 'sensor_msgs/msg/JointState'),
        (encode_pose(np.array([1.0, 2, 3]), np.array([0.0, 0, 0, 1]), 7, 'world'), 'geometry_msgs/msg/PoseStamped'),
        (
            encode_command(np.array([0.1, 0.2, 0.3]), CONTRACT.action[0], 0.05, 9),
            'geometry_msgs/msg/TwistStamped',
        ),
        (encode_command(np.array([-1.0]), CONTRACT.action[1], 0.05, 9), 'std_msgs/msg/Float64MultiArray'),
        (
            encode_command(np.array([0.1, -0.2]), absolute_contract().action[0], 0.1, 9),
            'trajectory_msgs/msg/JointTrajectory',
        ),
        (String(data='öffne die Schublade'), 'std_msgs/msg/String'),
        (Bool(data=True), 'std_msgs/msg/Bool'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_messages_are_what_the_middleware_reads(message, kind):
    ours = Wire().encode(message, kind)

    assert deserialize_message(ours, type(message)) == message


def test_bytes_are_those_of_the_running_nodes():
    seen = set()
    with AnyReader([SAMPLE / 'episode_000000']) as reader:
        for connection, _, data in reader.messages():
            kind = connection.msgtype
            package, _, name = kind.split('/')
            theirs = deserialize_message(data, getattr(importlib.import_module(f'{package}.msg'), name))
            # What the middleware leaves in gaps and behind the end is arbitrary, so its bytes are compared without.
            plain = bytes(TYPES.serialize_cdr(TYPES.deserialize_cdr(data, kind), kind))
            assert Wire().encode(theirs, kind) == plain, kind
            seen.add(kind)
            if len(seen) == 7:
                break
    assert len(seen) == 7


def test_a_bag_is_like_one_of_the_running_nodes(toys, tmp_path):
    theirs, their_connections, their_messages = content(SAMPLE / 'episode_000000')
    ours_terms = terms('drawer-open', contract=(SAMPLE / 'contract.yaml').read_text())

    record(tmp_path, [ours_terms], episodes=1, jobs=1)

    bag = tmp_path / 'drawer-open' / 'episode_000000'
    ours, connections, messages = content(bag)
    assert theirs.goal in training_instructions('drawer-open')
    assert replace(theirs, goal=ours.goal, origin=ours.origin).to_custom_data() == ours.to_custom_data()
    assert ours.origin == {'simulator': 'metaworld', 'task': 'drawer-open', 'seed': 1000, 'noise': 1.0}

    def described(found):
        return [(c.topic, c.msgtype, c.digest, c.ext.offered_qos_profiles) for c in found]

    assert len(connections) == 10
    assert described(connections) == described(their_connections)
    assert sorted(path.name for path in bag.iterdir()) == ['episode_000000.mcap', 'metadata.yaml']

    def frames(found):
        return {
            (topic, message.header.frame_id) for topic, _, message in found if hasattr(message, 'header')
        }  # the sizes of both are the contract's

    assert frames(messages) == frames(their_messages)
    for topic in ('/camera/static/image_raw/compressed', '/joint_states', '/arm/twist_command'):
        for found in (messages, their_messages):
            stamps = [m.header.stamp.sec * 1e9 + m.header.stamp.nanosec for name, _, m in found if name == topic]
            assert np.median(np.diff(stamps)) == PERIOD, topic
    latched = ['/goal', '/intervention', '/success']
    assert [topic for topic, _, _ in messages[:3]] == [topic for topic, _, _ in their_messages[:3]] == latched
    times = [time for _, time, _ in messages]
    assert times == sorted(times)


def test_an_episode_converts_without_anything_left_out(toys, tmp_path):
    record(tmp_path, [terms()], episodes=1, jobs=1)

    frames, found, about = converted(tmp_path / 'reach' / 'episode_000000')

    (toy,) = toys
    assert found == frames
    assert (about.success, about.drops) == (True, {})
    assert len(frames) * 4 == len(toy.executed), 'one frame for each control period'
    assert all(frame.intervention for frame in frames), 'the demonstrator drives from the first frame on'


class Seeing(ToySimulator):
    scene_names = SCENE_NAMES

    def scene(self):
        return np.concatenate([self.position, np.zeros(11), self.goal])


class Feeling(Seeing):
    effort_names = JOINTS[-2:]

    def forces(self):
        return Forces(np.arange(6.0), np.array([7.0, -7.0]))


def record_one(tmp_path, monkeypatch, kind, robot):
    """(the bag of one episode, the simulator, the types of its topics) for a contract by its name."""
    made = []
    monkeypatch.setattr(run, 'make_simulator', lambda *arguments: made.append(kind(*arguments[1:])) or made[-1])
    _, text = load_named_contract(robot)
    record(tmp_path, [terms(contract=text)], episodes=1, jobs=1)
    bag = tmp_path / 'reach' / 'episode_000000'
    return bag, made[0], {connection.topic: connection.msgtype for connection in content(bag)[1]}


def test_a_scene_is_recorded_where_the_contract_reads_it(tmp_path, monkeypatch):
    bag, simulator, types = record_one(tmp_path, monkeypatch, Seeing, 'metaworld_sawyer_state')

    messages = content(bag)[2]
    assert types['/scene_state'] == 'sensor_msgs/msg/JointState'
    assert not any('image' in topic for topic in types)
    joints = next(message for topic, _, message in messages if topic == '/joint_states')
    assert set(joints.name).isdisjoint(SCENE_NAMES)
    frames, found, _ = converted(bag)
    assert found == frames
    for frame in frames:
        states = frame.observation.states
        assert states['scene'].tolist() == [*states['end_effector'][:3], *np.zeros(11), *simulator.goal]
    _, text = load_named_contract('metaworld_sawyer_state')
    monkeypatch.setattr(run, 'make_simulator', lambda *arguments: ToySimulator(*arguments[1:]))
    with pytest.raises(UserError, match='nothing of the scene'):
        record(tmp_path, [terms('door-open', contract=text)], episodes=1, jobs=1)


def test_forces_are_recorded_where_the_contract_reads_them(tmp_path, monkeypatch):
    bag, simulator, types = record_one(tmp_path, monkeypatch, Feeling, 'metaworld_sawyer_state_force')

    assert types['/wrist/wrench'] == 'geometry_msgs/msg/WrenchStamped'
    frames, found, _ = converted(bag)
    assert found == frames
    for frame in frames:
        states = frame.observation.states
        assert states['wrench'].tolist() == [0, 1, 2, 3, 4, 5]
        assert states['grip'].tolist() == [7, -7]
        assert states['first_scene'].tolist() == [*np.zeros(14), *simulator.goal], 'the point has moved since'
    assert frames[-1].observation.states['scene'][:3].any()


def test_the_recorded_action_is_the_demonstrators_and_not_the_disturbance(toys, tmp_path):
    record(tmp_path, [terms()], episodes=1, jobs=1)

    frames, _, _ = converted(tmp_path / 'reach' / 'episode_000000')

    (toy,) = toys
    executed = np.array(toy.executed[::4])
    disturbed = 0
    for frame, action in zip(frames, executed, strict=True):
        position = frame.observation.states['end_effector'][:3]
        asked = np.append(np.clip(0.5 * (toy.goal - position), -0.04, 0.04), -1.0)
        assert frame.action == pytest.approx(asked, abs=1e-12), 'what the expert says to what this frame shows'
        disturbed += not np.allclose(action, asked, atol=1e-3)
    assert disturbed > len(frames) / 2


def test_it_goes_on_for_ten_periods_after_the_success(toys, tmp_path):
    record(tmp_path, [terms()], episodes=1, jobs=1)

    _, _, messages = content(tmp_path / 'reach' / 'episode_000000')
    told = [(time, message.data) for topic, time, message in messages if topic == '/success']
    commands = [time for topic, time, _ in messages if topic == '/arm/twist_command']

    assert [value for _, value in told] == [False, True]
    assert sum(time >= told[1][0] for time in commands) == 10
    assert commands[0] == START


def test_goals_are_the_sentences_for_training(toys, tmp_path):
    sentences = training_instructions('drawer-open')
    record(tmp_path, [terms('drawer-open')], episodes=len(sentences), jobs=1)

    goals = [content(path)[0].goal for path in (tmp_path / 'drawer-open').glob('episode_*')]

    assert sorted(goals) == sorted(sentences)


def test_a_failed_demonstration_is_dropped_and_its_seed_kept(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(ToySimulator, 'hopeless', frozenset({1001}))

    outcome = record(tmp_path, [terms()], episodes=3, jobs=1)

    folder = tmp_path / 'reach'
    assert [path.name for path in sorted(folder.glob('episode_*'))] == [
        'episode_000000',
        'episode_000002',
        'episode_000003',
    ]
    assert json.loads((folder / 'demonstrations.json').read_text())['failed_seeds'] == [1001]
    assert not list(folder.glob('.episode_*'))
    assert (outcome.recorded, outcome.total, outcome.failed) == (3, 3, {'reach': 1})


def test_a_task_that_never_succeeds_is_given_up(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(ToySimulator, 'hopeless', frozenset(range(1000, 2000)))

    outcome = record(tmp_path, [terms('reach'), terms('door-open', seed=3000)], episodes=1, jobs=1)

    assert outcome.given_up == ('reach',)
    assert outcome.total == 1, 'the other task is recorded all the same'


def test_interrupted_and_typed_again_it_ends_up_with_the_same(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(ToySimulator, 'hopeless', frozenset({1001}))
    both = [terms('reach'), terms('door-open')]
    record(tmp_path / 'whole', both, episodes=3, jobs=1)
    wanted = everything(tmp_path / 'whole')

    class Interrupted(ToySimulator):
        def step(self, action):
            if (self.task, self.seed, self.steps) == ('reach', 1002, 20):
                raise KeyboardInterrupt
            super().step(action)

    out = tmp_path / 'parts'
    with monkeypatch.context() as patch:
        patch.setattr(run, 'make_simulator', lambda name, task, period: Interrupted(task, period))
        with pytest.raises(KeyboardInterrupt):
            record(out, both, episodes=3, jobs=1)
    assert len(everything(out)) == 1
    # What a kill leaves, which cannot tidy up.
    (out / 'reach' / '.episode_000002.partial' / 'episode_000002').mkdir(parents=True)
    kept = everything(out)
    seen = len(toys)

    outcome = record(out, both, episodes=3, jobs=1)

    assert (outcome.recorded, outcome.total, outcome.failed) == (5, 6, {'reach': 1, 'door-open': 1})
    assert everything(out) == wanted
    assert kept.items() <= wanted.items()
    assert not list(out.rglob('*.partial'))
    assert len(toys) == seen + 2

    again = record(out, both, episodes=3, jobs=1)

    assert (again.recorded, again.total) == (0, 6)
    assert len(toys) == seen + 2, 'nothing is simulated when all is there'


def test_more_episodes_are_added(toys, tmp_path):
    record(tmp_path, [terms()], episodes=1, jobs=1)
    first = everything(tmp_path)

    assert record(tmp_path, [terms()], episodes=2, jobs=1).recorded == 1

    assert first.items() < everything(tmp_path).items()


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({'noise': 0.5}, 'noise: 0.5, not 1.0'),
        ({'seed': 5}, 'seed: 5, not 1000'),
        ({'contract': TEXT.replace('max_age: 0.3', 'max_age: 0.4')}, r'static.max_age: 0.4, not 0.3'),
    ],
)
def test_other_terms_in_the_same_folder_are_refused(toys, tmp_path, change, told):
    record(tmp_path, [terms()], episodes=1, jobs=1)
    with pytest.raises(UserError, match=told):
        record(tmp_path, [terms(**change)], episodes=1, jobs=1)


def test_terms_that_were_refused_before_an_episode_may_be_told_otherwise(toys, tmp_path, monkeypatch):
    _, libero = load_named_contract('libero_panda')
    with pytest.raises(UserError, match='rotation_x'):
        record(tmp_path, [terms(contract=libero)], episodes=1, jobs=1)
    assert record(tmp_path, [terms()], episodes=1, jobs=1).total == 1
    monkeypatch.setattr(ToySimulator, 'hopeless', frozenset(range(1000, 2000)))
    record(tmp_path, [terms('push')], episodes=1, jobs=1)
    with pytest.raises(UserError, match=r'noise: 0.5, not 1.0'):  # seeds that failed are not forgotten
        record(tmp_path, [terms('push', noise=0.5)], episodes=1, jobs=1)


def test_a_folder_with_other_recordings_is_refused(toys, tmp_path):
    (tmp_path / 'reach' / 'episode_000000').mkdir(parents=True)
    with pytest.raises(UserError, match='not from record-sim'):
        record(tmp_path, [terms()], episodes=1, jobs=1)


def test_a_contract_of_another_robot_is_refused():
    libero, _ = load_named_contract('libero_panda')
    with pytest.raises(UserError, match='rotation_x'):
        check_fits(libero, 'This', ToySimulator('reach', 0.05))
    other = parse_contract(TEXT.replace('rate: 20.0', 'rate: 30.0'), 'thirty.yaml')
    with pytest.raises(UserError, match='30 Hz'):
        check_fits(other, 'This', ToySimulator('reach', other.period_seconds))


def no_expert_for(monkeypatch, *tasks):
    monkeypatch.setattr(choice, 'missing_expert', lambda _, task: 'no skill' if task in tasks else '')


def typed(*words):
    return verb.run(build_parser().parse_args(['record-sim', *map(str, words), '--episodes', '1', '--jobs', '1']))


def test_of_a_suite_what_has_no_expert_is_named_and_the_rest_is_recorded(toys, tmp_path, monkeypatch, capsys):
    no_expert_for(monkeypatch, 'drawer-open-halfway', 'window-close-halfway')
    told_before = []
    make = run.make_simulator
    monkeypatch.setattr(
        run, 'make_simulator', lambda *given: told_before.append(capsys.readouterr().err) or make(*given)
    )

    assert typed(tmp_path / 'out', '--tasks', 'metaworld-halfway') == 3

    assert {path.name for path in (tmp_path / 'out').iterdir()} == {
        'drawer-close-halfway',
        'faucet-open-halfway',
        'faucet-close-halfway',
        'window-open-halfway',
    }
    assert len(everything(tmp_path / 'out')) == 4
    named = 'drawer-open-halfway (no skill), window-close-halfway (no skill)'
    assert f'2 of 6 tasks are left out, without a scripted expert: {named}\n' in told_before[0]
    said = capsys.readouterr()
    assert 'left out, without an expert: drawer-open-halfway, window-close-halfway\n' in said.err
    assert '4 in all, of 4 tasks' in said.out


@pytest.mark.parametrize('names', ['drawer-open-halfway', 'metaworld-halfway,drawer-open-halfway'])
def test_a_named_task_without_an_expert_is_refused_before_anything_is_recorded(toys, tmp_path, monkeypatch, names):
    pytest.importorskip('metaworld')
    no_expert_for(monkeypatch, 'drawer-open-halfway', 'window-close-halfway')
    with pytest.raises(UserError, match=r'of drawer-open-halfway \(no skill\); leave out'):
        typed(tmp_path / 'out', '--tasks', names)
    assert not toys
    assert not (tmp_path / 'out').exists()


def test_with_an_expert_for_each_nothing_is_said_of_it(toys, tmp_path, monkeypatch, capsys):
    assert typed(tmp_path / 'out', '--tasks', 'metaworld-halfway') == 0
    assert 'left out' not in capsys.readouterr().err


@pytest.mark.parametrize(('seed', 'told'), [(FIRST_TRAINING_SEED - 1, True), (FIRST_TRAINING_SEED, False)])
def test_seeds_that_evaluate_scores_are_said_to_be(toys, tmp_path, monkeypatch, capsys, seed, told):
    no_expert_for(monkeypatch)
    assert typed(tmp_path / 'out', '--tasks', 'metaworld-halfway', '--seed', seed) == 0
    assert ('those that mode_ros evaluate scores' in capsys.readouterr().err) is told


@pytest.mark.parametrize(
    ('options', 'told'),
    [(['--episodes', '0'], '--episodes 0'), (['--jobs', '0'], '--jobs 0'), (['--noise', '-1'], 'noise level -1')],
)
def test_unusable_options_are_refused(tmp_path, options, told):
    with pytest.raises(UserError, match=told):
        verb.run(build_parser().parse_args(['record-sim', str(tmp_path / 'out'), *options]))
    assert not (tmp_path / 'out').exists()


@pytest.mark.rendering
def test_the_verb_in_two_processes_gives_what_one_gives(tmp_path, capsys):
    pytest.importorskip('metaworld')

    def type_in(folder, jobs):
        line = ['record-sim', str(folder), '--tasks', 'handle-press', '--episodes', '2', '--jobs', jobs]
        return verb.run(build_parser().parse_args(line))

    assert type_in(tmp_path / 'one', '1') == type_in(tmp_path / 'two', '2') == 0

    assert '2 new episodes, 2 in all, of 1 task;' in capsys.readouterr().out
    assert len(everything(tmp_path / 'one')) == 2
    assert everything(tmp_path / 'one') == everything(tmp_path / 'two')
    frames, found, about = converted(tmp_path / 'two' / 'handle-press' / 'episode_000000')
    assert found == frames
    assert about.success
    with make_simulator('metaworld', 'handle-press', CONTRACT.period_seconds) as simulator:
        simulator.reset(FIRST_TRAINING_SEED)
        for camera in CONTRACT.observation.cameras:
            seen = simulator.render(camera.name, camera.width, camera.height)
            assert (frames[0].observation.images[camera.name] == seen).all(), 'what the policy would see'
        assert frames[0].action == pytest.approx(simulator.expert_action(), abs=1e-12)
