"""Other benchmarks' demonstrations, written by the test in their layouts."""

import io
import json
import pickle

import numpy as np
import pytest
from support.bags import picture

from mode_ros.messages.picture_header import picture_header
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.data.foreign import quaternion, quaternion_from_euler

h5py = pytest.importorskip('h5py')


def libero(path, demos=2, length=24, **changes):
    with h5py.File(path, 'w') as file:
        data = file.create_group('data')
        data.attrs['problem_info'] = json.dumps({'language_instruction': 'put the bowl on the plate'})
        for number in range(demos):
            demo = data.create_group(f'demo_{number}')
            rows = np.arange(length, dtype=float)[:, None]
            content = {
                'obs/agentview_rgb': np.stack([picture(k + number, (128, 128))[::-1] for k in range(length)]),
                'obs/eye_in_hand_rgb': np.stack([picture(k + 5, (128, 128))[::-1] for k in range(length)]),
                'obs/joint_states': rows + np.arange(7) / 10,
                'obs/gripper_states': rows / 1000 + np.array([0.01, -0.01]),
                'obs/ee_pos': rows / 100 + np.zeros(3),
                'obs/ee_ori': np.tile([0, 0, np.pi / 2], (length, 1)),
                'actions': np.tile([1, -1, 0.5, 0.1, 0, 0, -1.0], (length, 1)),
                'dones': np.arange(length) == length - 1,
            } | changes
            for name, values in content.items():
                if values is not None:
                    demo.create_dataset(name, data=values)
    return path


def test_libero_becomes_upright_and_metric(convert, tmp_path, report):
    libero(tmp_path / 'task_demo.hdf5')
    status, printed = convert(tmp_path / 'task_demo.hdf5', tmp_path / 'data', '--codec', 'png')
    assert status == 0, printed
    data = open_dataset(tmp_path / 'data', 4)
    assert len(data) == 48
    assert data.rate == 20
    assert data.goals == ['put the bowl on the plate']
    assert data.contract.robot == 'libero_panda'
    sample = data[24 + 3]
    assert (sample.images['static'] == picture(4, (128, 128))).all()
    assert (sample.images['wrist'] == picture(8, (128, 128))).all()
    assert sample.actions[0] == pytest.approx([0.05, -0.05, 0.025, 0.05, 0, 0, -1])
    half = np.sqrt(0.5)
    assert sample.state == pytest.approx(
        [*(3 + np.arange(7) / 10), 0.03, 0.03, 0.03, 0, 0, half, half, 0.013, 0.007], abs=1e-6
    )
    assert [part['success'] for part in report(tmp_path / 'data')['episodes']] == [True, True]


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'obs/ee_ori': None}, 'obs/ee_ori is missing'),
        ({'obs/joint_states': np.zeros((3, 7))}, 'its parts differ in length'),
        ({'actions': np.zeros((24, 8))}, 'actions has the shape [24, 8] of float64, and should have [n, 7] of numbers'),
        ({'obs/joint_states': np.zeros((24, 6))}, 'obs/joint_states has the shape [24, 6] of float64'),
        ({'obs/ee_pos': np.full((24, 3), b'x')}, 'obs/ee_pos has the shape [24, 3] of |S1'),
        ({'obs/agentview_rgb': np.zeros((24, 8, 8, 4), np.uint8)}, 'obs/agentview_rgb has the shape [24, 8, 8, 4]'),
        ({'obs/agentview_rgb': np.zeros((24, 8, 8, 3))}, 'obs/agentview_rgb has the shape [24, 8, 8, 3] of float64'),
        ({'actions': np.full((24, 7), np.nan)}, 'actions: row 0 has values that are not finite'),
        ({'obs/joint_states': np.full((24, 7), np.nan)}, 'joints: row 0 has values that are not finite'),
    ],
)
def test_a_wrong_demonstration_is_named_and_the_others_convert(convert, tmp_path, changes, expected):
    folder = tmp_path / 'files'
    folder.mkdir()
    libero(folder / 'good.hdf5', demos=1)
    libero(folder / 'wrong.hdf5', demos=1, **changes)
    status, printed = convert('--from', 'libero', folder, tmp_path / 'data')
    assert status == 3
    assert f'left out: wrong.hdf5#demo_0: {expected}' in printed
    assert '1 new episodes' in printed


def test_a_truncated_hdf5_is_named(convert, tmp_path):
    good, bad = libero(tmp_path / 'good.hdf5', demos=1), libero(tmp_path / 'bad.hdf5', demos=1)
    bad.write_bytes(bad.read_bytes()[:5000])
    status, printed = convert(good, bad, tmp_path / 'data')
    assert status == 3
    assert 'left out: bad.hdf5: it is no file of LIBERO demonstrations, or truncated' in printed


def test_another_contract_is_refused(convert, tmp_path):
    status, printed = convert(libero(tmp_path / 'a.hdf5', demos=1), tmp_path / 'data', '--contract', 'metaworld_sawyer')
    assert status == 1
    assert 'the contract does not fit. Given, and needed: ' in printed


def calvin(root, words=True, length=64):
    root.mkdir()
    for k in range(length):
        robot = np.concatenate([[0.1, 0.2, 0.3 + k / 100], [0, 0, np.pi / 2], [0.08], np.arange(7) / 10 + k, [1]])
        np.savez(
            root / f'episode_{k + 100:07d}.npz',
            rgb_static=picture(k, (200, 200)),
            rgb_gripper=picture(k + 3, (84, 84)),
            robot_obs=robot,
            rel_actions=np.array([1, 0, -0.5, 0, 0.2, 0, 1.0]),
            actions=np.zeros(7),
            scene_obs=np.zeros(24),
        )
    np.save(root / 'ep_start_end_ids.npy', np.array([[100, 99 + length]]))
    if words:
        notes = {
            'language': {'ann': ['push the red block', 'open the drawer'], 'task': ['a', 'b'], 'emb': np.zeros((2, 4))},
            'info': {'episodes': [], 'indx': [(100, 119), (130, 159)]},
        }
        (root / 'lang_annotations').mkdir()
        np.save(root / 'lang_annotations' / 'auto_lang_ann.npy', notes)
    return root


def test_calvin_gives_an_episode_per_described_span(convert, tmp_path):
    status, printed = convert(calvin(tmp_path / 'calvin'), tmp_path / 'data', '--codec', 'png')
    assert status == 0, printed
    data = open_dataset(tmp_path / 'data', 4)
    assert data.goals == ['push the red block', 'open the drawer']
    assert [episode.length for episode in data.files.episodes] == [20, 30]
    sample = data[20]
    assert (sample.images['static'] == picture(30, (200, 200))).all()
    assert (sample.images['wrist'] == picture(33, (84, 84))).all()
    assert sample.actions[0] == pytest.approx([0.02, 0, -0.01, 0, 0.01, 0, -1])
    half = np.sqrt(0.5)
    assert sample.state == pytest.approx([*(30 + np.arange(7) / 10), 0.1, 0.2, 0.6, 0, 0, half, half, 0.08], abs=1e-5)


def test_calvin_without_words_needs_a_goal(convert, tmp_path):
    root = calvin(tmp_path / 'calvin', words=False)
    status, printed = convert(root, tmp_path / 'data')
    assert status == 1
    assert 'nobody described it in words; give a goal with --goal' in printed
    assert convert(root, tmp_path / 'data', '--goal', 'play')[0] == 0


def test_a_missing_calvin_file_costs_what_comes_after(convert, tmp_path):
    root = calvin(tmp_path / 'calvin')
    (root / 'episode_0000115.npz').unlink()
    status, printed = convert(root, tmp_path / 'data')
    assert status == 3
    assert 'calvin#100-119: episode_0000115.npz cannot be read' in printed
    assert '2 new episodes' in printed


def truncated(path):
    path.write_bytes(path.read_bytes()[:5000])


def garbled(path):
    content = dict(np.load(path))
    np.savez_compressed(path, **content)
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(bytes(data))


def narrow(path):
    np.savez(path, **{**np.load(path), 'robot_obs': np.zeros(9)})


def without_colours(path):
    np.savez(path, **{**np.load(path), 'rgb_static': np.zeros((200, 200, 1), np.uint8)})


@pytest.mark.parametrize(
    ('damage', 'expected'),
    [
        (truncated, 'episode_0000115.npz cannot be read'),
        (garbled, 'episode_0000115.npz cannot be read'),
        (narrow, 'episode_0000115.npz: robot_obs has 9 numbers, and not 15'),
        (without_colours, 'episode_0000115.npz: rgb_static has the shape [200, 200, 1] of uint8'),
    ],
)
def test_a_damaged_calvin_file_costs_what_comes_after(convert, tmp_path, damage, expected):
    root = calvin(tmp_path / 'calvin')
    damage(root / 'episode_0000115.npz')
    status, printed = convert(root, tmp_path / 'data')
    assert status == 3
    assert f'calvin#100-119: {expected}' in printed
    assert '2 new episodes' in printed


class Evil:
    def __reduce__(self):
        return (print, ('the file ran code',))


def test_calvins_pickle_cannot_run_code(convert, tmp_path):
    root = calvin(tmp_path / 'calvin')
    path = root / 'lang_annotations' / 'auto_lang_ann.npy'
    np.save(path, np.array({'language': Evil()}, dtype=object))
    status, printed = convert(root, tmp_path / 'data')
    assert status == 1
    assert 'its index cannot be read: it asks for' in printed
    assert 'the file ran code' not in printed
    assert b'print' in path.read_bytes()


@pytest.mark.parametrize('kind', ['libero', 'calvin'])
def test_a_hand_that_points_down_has_the_sign_that_a_running_policy_sees(convert, tmp_path, kind):
    angles = np.linspace(-3.3, -3.0, 24)  # beyond half a turn, where angles jump from -pi to pi
    jumping = (angles + np.pi) % (2 * np.pi) - np.pi
    turns = np.stack([jumping, np.zeros(24), np.zeros(24)], axis=1)
    if kind == 'libero':
        source = libero(tmp_path / 'task_demo.hdf5', demos=1, **{'obs/ee_ori': turns})
    else:
        source = calvin(tmp_path / 'calvin', length=24, words=False)
        for path, turn in zip(sorted(source.glob('episode_*.npz')), turns, strict=True):
            content = dict(np.load(path))
            content['robot_obs'][3:6] = turn
            np.savez(path, **content)
    status, printed = convert(source, tmp_path / 'data', '--codec', 'png', '--goal', 'put it down')
    assert status == 0, printed
    data = open_dataset(tmp_path / 'data', 4)
    seen = np.array([data[k].state[10:14] for k in range(len(data))])
    expected = np.stack([-np.sin(angles / 2), 0 * angles, 0 * angles, -np.cos(angles / 2)], axis=1)
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_rotations():
    assert quaternion(np.zeros(3)).tolist() == [0, 0, 0, 1]
    turn = quaternion_from_euler(np.array([0.3, -0.2, 0.9]))
    scipy = pytest.importorskip('scipy.spatial.transform')
    expected = scipy.Rotation.from_euler('xyz', [0.3, -0.2, 0.9]).as_quat()
    assert abs(turn @ expected) == pytest.approx(1)
    vector = np.array([0.3, -0.2, 0.9])
    assert abs(quaternion(vector) @ scipy.Rotation.from_rotvec(vector).as_quat()) == pytest.approx(1)


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_sizes_are_read_without_decoding(extension):
    import cv2

    data = cv2.imencode(extension, picture(3, (70, 50)))[1].tobytes()
    header = picture_header(data)
    assert (header.width, header.height) == (70, 50)
    assert picture_header(data[:3]) is None
    assert picture_header(pickle.dumps(io.BytesIO(b''))) is None
