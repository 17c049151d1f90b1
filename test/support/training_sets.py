"""Data sets written straight to disk in LeRobot's layout, and small trainings on them."""

import io
import json

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from support.bags import picture
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT

from mode_ros.control.contract import parse_contract
from mode_ros.training.data import layout

SMALL = {
    'policy.chunk_length': 4,
    'policy.embed_dim': 32,
    'policy.layers': 2,
    'policy.heads': 2,
    'policy.states': 'all',
    'policy.image_encoder': {'architecture': 'resnet18', 'width': 0.25},
    'run.steps': 4,
    'run.batch_size': 8,
    'run.log_every': 1,
    'run.validate_every': 1000,
    'run.validation_samples': 16,
}


def write_data_set(root, episodes, contract=None, fps=20, streams=None, success=None):
    """A data set of `episodes`: dicts of state [n, s], action [n, d], task and perhaps images, by camera [n, H, W, 3],
    and intervention [n].

    contract: its text, None for a data set that is not of mode_ros, whose numbers have no names; streams: sizes by
    name, as mode_ros notes them.
    """
    (root / 'meta').mkdir(parents=True)
    tasks = list(dict.fromkeys(episode['task'] for episode in episodes))
    first = episodes[0]
    cameras = first.get('images', {})
    features = {
        layout.IMAGE_PREFIX + name: {'dtype': 'image', 'shape': list(images.shape[1:]), 'names': None}
        for name, images in cameras.items()
    }
    for name, key in (('state', layout.STATE), ('action', layout.ACTION)):
        if name in first:
            size = first[name].shape[1]
            features[key] = {'dtype': 'float32', 'shape': [size], 'names': _names(contract, name, size)}
    if 'intervention' in first:
        features[layout.INTERVENTION] = {'dtype': 'bool', 'shape': [1], 'names': None}
    for key in ('episode_index', 'task_index'):
        features[key] = {'dtype': 'int64', 'shape': [1], 'names': None}
    rows = []
    for number, episode in enumerate(episodes):
        length = len(episode['action'])
        columns = {
            'episode_index': np.full(length, number),
            'task_index': np.full(length, tasks.index(episode['task'])),
            **({layout.INTERVENTION: np.asarray(episode['intervention'], bool)} if 'intervention' in episode else {}),
            **{
                key: list(np.asarray(episode[name], np.float32))
                for name, key in (('state', layout.STATE), ('action', layout.ACTION))
                if name in episode
            },
            **{
                layout.IMAGE_PREFIX + name: [{'bytes': _png(image), 'path': None} for image in images]
                for name, images in episode.get('images', {}).items()
            },
        }
        path = root / layout.DATA_PATH.format(**layout.place(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        at = {f'data/{key}': value for key, value in layout.place(number).items()}
        rows.append({'episode_index': number, 'length': length, 'tasks': [episode['task']], **at})
    (root / layout.EPISODES).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / layout.EPISODES)
    pq.write_table(pa.table({'task_index': range(len(tasks)), 'task': tasks}), root / layout.TASKS)
    info = {'codebase_version': 'v3.0', 'fps': fps, 'features': features, 'data_path': layout.DATA_PATH}
    (root / layout.INFO).write_text(json.dumps(info))
    if contract is not None:
        (root / layout.CONTRACT).write_text(contract)
    if streams is not None:
        extras = {'format': 1, 'state_streams': streams} | ({} if success is None else {'success': success})
        (root / layout.EXTRAS).write_text(json.dumps(extras))
    return root


def _names(contract, what, size):
    """As conversion writes them."""
    if contract is None:
        return None
    robot = parse_contract(contract, 'x')
    states = [f'{state.name}.{name}' for state in robot.observation.states for name in state.names]
    names = states if what == 'state' else list(robot.action_names)
    return names if len(names) == size else None


def joints_set(root, episodes=6, length=12, tasks=('reach', 'push'), contract=ABSOLUTE_TEXT, seed=0, **more):
    """Two joints and no camera (support.contracts.ABSOLUTE_TEXT): the action is where the joints are next."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(episodes):
        state = np.cumsum(generator.normal(0, 0.1, (length, 2)), axis=0)
        made.append({'state': state, 'action': state[:, ::-1] * 0.5, 'task': tasks[number % len(tasks)]})
    streams = {'joints': 2} if contract else None
    return write_data_set(root, made, contract, **({'fps': 10, 'streams': streams} | more))


def camera_set(
    root, episodes=4, length=12, tasks=('reach', 'push'), contract=DELTA_TEXT, cameras=('static',), draw=picture, **more
):
    """A camera, two joints, and four action numbers (support.contracts.DELTA_TEXT). draw: a picture by its number."""
    generator = np.random.default_rng(1)
    made = [
        {
            'state': generator.normal(size=(length, 2)),
            'action': np.clip(generator.normal(0, 0.01, (length, 4)), -0.04, 0.04),
            'task': tasks[number % len(tasks)],
            'images': {name: np.stack([draw(number * length + k) for k in range(length)]) for name in cameras},
        }
        for number in range(episodes)
    ]
    streams = {'joints': 2} if contract else None
    return write_data_set(root, made, contract, **({'streams': streams} | more))


def train_settings(data, **changes):
    """A small training on the data set; changes: 'section.key' to value."""
    from mode_ros.training.settings import TrainSettings

    values = {}
    for key, value in ({'data.path': str(data)} | SMALL | changes).items():
        section, name = key.split('.')
        values.setdefault(section, {})[name] = value
    return TrainSettings.model_validate(values)


def fresh_accelerate():
    """accelerate is set up once per process; tests set it up in several ways."""
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def make_trainer(settings, out):
    """A trainer on the CPU with a text encoder that needs no weights."""
    from mode_ros.training.plan import make_plan
    from mode_ros.training.trainer import Trainer, make_accelerator, prepare_folder

    fresh_accelerate()
    plan = make_plan(settings, TextNumbers())
    trainer = Trainer(plan, out, make_accelerator(settings, cpu=True))
    if not out.exists():
        prepare_folder(out, settings, resume=False)
    return trainer


class TextNumbers:
    """A sentence's numbers are drawn by its own bytes."""

    dim = 384

    def encode(self, texts):
        import torch

        seeds = [int.from_bytes(text.encode()[:6], 'big') for text in texts]
        return torch.stack([torch.randn(self.dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def logged(out, kind='step'):
    """What the training logged, by step."""
    from mode_ros.training.progress import read_log

    return {entry['step']: entry for entry in read_log(out) if entry['kind'] == kind}


def _png(image):
    buffer = io.BytesIO(cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
    return buffer.getvalue()
