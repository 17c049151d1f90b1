"""What `train --check` says of the data, and what it leaves out or puts right."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.contracts import ABSOLUTE_TEXT
from support.training_sets import TextNumbers, joints_set, train_settings, write_data_set

from mode_ros.doctor.examine import examine
from mode_ros.errors import UserError
from mode_ros.policy.goals import lost_words
from mode_ros.policy.normalization import StreamStatistics, build_normalizer, build_state_normalizer
from mode_ros.training.data import layout
from mode_ros.training.plan import make_plan


def plan(data, encoder=None, **changes):
    return make_plan(train_settings(data, **changes), encoder or TextNumbers())


def said(data, encoder=None, **changes):
    return [str(finding) for finding in plan(data, encoder, **changes).findings]


def written(root, change=lambda k, state, action: None, episodes=6, length=20, task='reach', lengths=(), **more):
    """Two joints that swing, their commands the same; change: of episode k, in place."""
    generator = np.random.default_rng(0)
    made = []
    for k in range(episodes):
        state = generator.normal(0, 0.4, (lengths[k] if lengths else length, 2)).clip(-1.5, 1.5)
        action = state[:, ::-1] * 0.9
        change(k, state, action)
        made.append({'state': state, 'action': action, 'task': task})
    return write_data_set(root, made, **({'contract': ABSOLUTE_TEXT, 'fps': 10, 'streams': {'joints': 2}} | more))


def named(root, key, names):
    info = json.loads((root / layout.INFO).read_text())
    info['features'][key]['names'] = names
    (root / layout.INFO).write_text(json.dumps(info))


def test_sound_data_are_not_complained_of(tmp_path):
    assert said(written(tmp_path / 'data')) == []


def test_degrees_are_named_for_commands_and_states(tmp_path):
    def degrees(_, state, action):
        state *= 180 / np.pi
        action *= 180 / np.pi

    lines = said(written(tmp_path / 'data', degrees))
    assert sum('action a' in line or 'action b' in line for line in lines) == 2
    assert sum('state joints' in line for line in lines) == 2
    assert all('degrees for radians' in line for line in lines)


def test_a_shaking_joint_is_named_and_not_blown_up(tmp_path):
    def still(k, state, action):
        state[:, 0] = 0.5 + 1e-5 * np.random.default_rng(k).normal(size=len(state))

    found = plan(written(tmp_path / 'data', still))
    assert any('nearly constant are b' in str(finding) for finding in found.findings)
    statistics = found.info(1).statistics.state
    normalizer = build_state_normalizer(statistics, ('joints',), 'mean_std')
    assert np.abs(normalizer.normalize([0.5, 0.0])).max() < 1
    at_large = normalizer.normalize([0.55, 0.0])[0]
    assert 0 < at_large <= 3  # it was 5418
    assert normalizer.normalize([1e6, -1e6]) == pytest.approx(normalizer.normalize([1e3, -1e3]))
    inside = np.array([0.5, 1.2])
    assert normalizer.unnormalize(normalizer.normalize(inside)) == pytest.approx(inside)


def test_statistics_without_a_floor_scale_as_ever():
    x = np.random.default_rng(0).normal(0, [1e-5, 1.0], (500, 2))
    old = StreamStatistics.of(x)
    assert build_normalizer(old, 'mean_std').scale[0] == pytest.approx(1e-5, rel=0.1)
    far = [[5.0, 1e6]]
    assert build_state_normalizer({'s': old}, ('s',), 'mean_std').normalize(far) == pytest.approx(
        build_normalizer(old, 'mean_std').normalize(far)
    )
    again = StreamStatistics.model_validate(json.loads(old.model_dump_json()))
    assert again == old


class Deaf(TextNumbers):
    """Hears nothing but ASCII."""

    def encode(self, texts):
        return super().encode([''.join(c for c in text if c.isascii()) or '?' for text in texts])

    def lost(self, text):
        return [c for c in text if not c.isascii()]


def test_sentences_that_cannot_be_told_apart_are_named(tmp_path):
    data = joints_set(tmp_path / 'data', tasks=('打开', '关上', 'push'))
    lines = said(data, Deaf())
    assert sum('are one sentence' in line for line in lines) == 1
    assert any("'关上'" in line and "'打开'" in line and 'one sentence' in line for line in lines)
    assert any("does not see '打', '开'" in line for line in lines)
    assert not any('one sentence' in line for line in said(data))


def test_minilm_says_what_it_does_not_see():
    from mode_ros.policy.language import MiniLmTextEncoder

    try:
        encoder = MiniLmTextEncoder()
    except UserError as error:
        pytest.skip(str(error))
    assert lost_words(encoder, 'pick up the red block') == ()
    assert '🔴' in ''.join(lost_words(encoder, 'hebe 🔴 auf'))
    (end,) = lost_words(encoder, 'do this. ' * 120 + 'open it')
    assert end.endswith('open it')


def test_joints_in_another_order_are_put_in_the_contracts(tmp_path):
    data = written(tmp_path / 'data')
    plain = plan(data).source.datasets[0]
    named(data, layout.ACTION, ['b', 'a'])  # the contract has a, b
    named(data, layout.STATE, ['joints.a', 'joints.b'])  # and b, a
    found = plan(data)
    turned = found.source.datasets[0]
    assert (turned.actions == plain.actions[:, ::-1]).all()
    assert (turned.state == plain.state[:, ::-1]).all()
    assert sum("contract's order" in str(finding) for finding in found.findings) == 2
    assert (turned.batch([0]).actions[0] == plain.actions[:4, ::-1]).all()


def test_other_names_are_warned_of(tmp_path):
    data = written(tmp_path / 'data', contract=None)
    named(data, layout.ACTION, {'motors': ['waist', 'wrist']})
    (tmp_path / 'robot.yaml').write_text(ABSOLUTE_TEXT)
    lines = said(data, **{'data.contract': str(tmp_path / 'robot.yaml')})
    assert any("['waist', 'wrist'], the contract's ['a', 'b']" in line for line in lines)


@pytest.mark.parametrize('names', [None, [], ['0', '1'], {'motors': ['motor_0', 'motor_1']}])
def test_an_order_that_cannot_be_compared_is_said(tmp_path, names):
    data = written(tmp_path / 'data', contract=None, streams=None)
    for key in (layout.ACTION, layout.STATE):
        named(data, key, names)
    (tmp_path / 'robot.yaml').write_text(ABSOLUTE_TEXT)
    lines = said(data, **{'data.contract': str(tmp_path / 'robot.yaml')})
    cannot = [line for line in lines if 'their order cannot be compared with the contract' in line]
    assert len(cannot) == 2
    assert any(f'{data}, action: its numbers' in line and "contract's ['a', 'b']" in line for line in cannot)
    assert any(f'{data}, state: its numbers' in line and "['joints.b', 'joints.a']" in line for line in cannot)
    page = examine(str(data), str(tmp_path / 'robot.yaml'))
    assert sum('cannot be compared' in str(finding) for finding in page.findings) == 2


def test_a_list_of_names_that_is_missing_is_said(tmp_path):
    data = written(tmp_path / 'data', contract=None, streams=None)
    info = json.loads((data / layout.INFO).read_text())
    del info['features'][layout.ACTION]['names']
    (data / layout.INFO).write_text(json.dumps(info))
    (tmp_path / 'robot.yaml').write_text(ABSOLUTE_TEXT)
    assert any('action: its numbers have no names' in line
               for line in said(data, **{'data.contract': str(tmp_path / 'robot.yaml')}))  # fmt: skip


def test_names_with_their_places_are_read(tmp_path):
    data = written(tmp_path / 'data', contract=None)
    plain = written(tmp_path / 'plain')
    named(data, layout.ACTION, {'b': 0, 'a': 1})
    (tmp_path / 'robot.yaml').write_text(ABSOLUTE_TEXT)
    found = plan(data, **{'data.contract': str(tmp_path / 'robot.yaml')}).source.datasets[0]
    assert (found.actions == plan(plain).source.datasets[0].actions[:, ::-1]).all()


def test_a_gripper_in_per_cent_is_named_by_its_group(tmp_path):
    """The state has no bounds, and no group measures itself with it: the group of its name says its range."""
    contract = ABSOLUTE_TEXT.replace('action:', "    - {name: gripper, topic: grip, type: joint_state, names: [open], "
                                     "unit: '1', max_age: 0.2}\naction:") + """
  - name: gripper
    kind: absolute
    dimensions:
      - {name: open, unit: '1', lower: 0.0, upper: 1.0}
    output: {adapter: forward_command, topic: gripper/command}
"""  # fmt: skip
    for scale, count in ((1.0, 0), (100.0, 1)):
        generator = np.random.default_rng(0)
        made = []
        for _ in range(4):
            state = generator.normal(0, 0.4, (20, 3)).clip(-1.5, 1.5)
            state[:, 2] = generator.uniform(0, scale, 20)
            made.append({'state': state, 'action': np.c_[state[:, 1::-1] * 0.9, state[:, 2] / scale], 'task': 'reach'})
        data = write_data_set(tmp_path / f'{scale}', made, contract, fps=10, streams={'joints': 2, 'gripper': 1})
        lines = [line for line in said(data) if 'state gripper open' in line]
        assert len(lines) == count
        assert all('beyond 0 to 1 1' in line and 'per cent for a share?' in line for line in lines)
        assert sum('state gripper open' in str(f) for f in examine(str(data)).findings) == count


def test_an_episode_that_is_too_short_is_left_out_and_said(tmp_path):
    def far(k, state, action):
        if k == 2:
            action[:] = 1.9

    data = written(tmp_path / 'data', far, episodes=4, lengths=(20, 20, 3, 20))
    found = plan(data)
    assert any('1 of 4 episodes' in str(f) and 'chunk_length 4: 2.' in str(f) for f in found.findings)
    source = found.source
    assert source.frames == 20 * (3 - int(source.held_out[0].sum()))
    assert not source.held_out[0][2]
    assert max(source.statistics.action.max) < 1.9
    moments = source.batch(0, 300, slice(0, 300), found.settings.loss).moments
    assert not {frame for _, frame in moments} & {40, 41, 42}


@pytest.mark.parametrize('share', [0.1, 0.3, 0.6])
def test_one_recording_under_two_names_is_not_learnt_from_and_held_out(tmp_path, share):
    def twice(k, state, action):
        generator = np.random.default_rng(k - k % 2)
        state[:] = generator.normal(0, 0.3, state.shape)
        action[:] = state[:, ::-1]

    for seed in range(4):
        found = plan(written(tmp_path / f'data{seed}', twice, episodes=10),
                     **{'data.validation_share': share, 'run.seed': seed})  # fmt: skip
        held = found.source.held_out[0]
        assert held.any()
        assert (held[0::2] == held[1::2]).all()


def test_task_numbers_may_begin_anywhere(tmp_path):
    data = joints_set(tmp_path / 'data', tasks=('reach', 'push'))
    shift_tasks(data, 7)
    found = plan(data).source.datasets[0]
    assert [found.goal(frame) for frame in (0, 12)] == ['reach', 'push']
    assert found.goals == ['reach', 'push']


def test_a_task_that_nobody_named(tmp_path):
    data = joints_set(tmp_path / 'data', tasks=('reach', 'push'))
    pq.write_table(pa.table({'task_index': [0], 'task': ['reach']}), data / layout.TASKS)
    with pytest.raises(UserError, match='has frames of the task 1, which its task table does not name'):
        plan(data)


def shift_tasks(root, by):
    for path in [*(root / 'data').rglob('*.parquet'), root / layout.TASKS]:
        table = pq.read_table(path)
        at = table.column_names.index('task_index')
        pq.write_table(table.set_column(at, 'task_index', pa.array(np.asarray(table['task_index']) + by)), path)
