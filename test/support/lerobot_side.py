"""Runs in an environment that has the lerobot package: reads a data set of ours, or writes one of its own.

python lerobot_side.py read DATA_SET RESULT.npz
python lerobot_side.py write DATA_SET RESULT.npz [images]
"""

import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

CHUNK = 4
EPISODES = ((30, 'push the block'), (45, 'open the drawer'))


def dump(root, result):
    """Everything that lerobot gives for the data set, frame by frame, with chunks of actions."""
    plain = LeRobotDataset('local/data', root=root)
    ahead = {'action': [k / plain.fps for k in range(CHUNK)]}
    data = LeRobotDataset('local/data', root=root, delta_timestamps=ahead)
    rows = [data[index] for index in range(len(data))]
    images = {key: [row[key].numpy() for row in rows] for key in data.meta.camera_keys}
    # Colours are shares of 255; depth comes in the whole numbers that are in its pictures.
    found = {
        key: np.stack(values)
        if np.issubdtype(values[0].dtype, np.integer)
        else np.round(np.stack(values) * 255).astype(np.uint8)
        for key, values in images.items()
    }
    for key in ('observation.state', 'action', 'action_is_pad', 'timestamp', 'episode_index', 'frame_index'):
        found[key] = np.stack([row[key].numpy() for row in rows])
    found['task'] = np.array([row['task'] for row in rows])
    for key, statistics in data.meta.stats.items():
        for name, value in statistics.items():
            found[f'stats/{key}/{name}'] = np.asarray(value)
    np.savez(result, fps=data.fps, episodes=data.num_episodes, **found)


def write(root, images):
    kind = 'image' if images else 'video'
    features = {
        'observation.images.front': {'dtype': kind, 'shape': (48, 64, 3), 'names': ['height', 'width', 'channels']},
        'observation.images.hand': {'dtype': kind, 'shape': (32, 32, 3), 'names': ['height', 'width', 'channels']},
        'observation.state': {'dtype': 'float32', 'shape': (3,), 'names': ['a', 'b', 'c']},
        'action': {'dtype': 'float32', 'shape': (2,), 'names': ['x', 'y']},
    }
    data = LeRobotDataset.create('local/data', fps=20, features=features, root=root, use_videos=not images)
    for length, task in EPISODES:
        for k in range(length):
            y, x = np.mgrid[0:48, 0:64]
            front = np.stack([x * 3 + k, y * 4, np.full_like(x, 3 * k)], axis=-1).astype(np.uint8)
            data.add_frame(
                {
                    'observation.images.front': front,
                    'observation.images.hand': front[:32, :32],
                    'observation.state': np.array([k, length, -k], np.float32),
                    'action': np.array([k / 10, length], np.float32),
                    'task': task,
                }
            )
        data.save_episode()
    if hasattr(data, 'finalize'):
        data.finalize()


if __name__ == '__main__':
    verb, folder, output, *rest = sys.argv[1:]
    if verb == 'write':
        write(folder, images=bool(rest))
    dump(folder, output)
