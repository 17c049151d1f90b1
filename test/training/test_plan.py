"""Whatever is wrong is said before the first step, with the file and the key, and with what to do."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, absolute_contract, delta_contract
from support.training_sets import (
    SMALL,
    TextNumbers,
    camera_set,
    fresh_accelerate,
    joints_set,
    make_trainer,
    train_settings,
    write_data_set,
)

from mode_ros.control.observation import Observation
from mode_ros.errors import UserError
from mode_ros.pairing import load_paired, predict
from mode_ros.paths import share_folder
from mode_ros.policy.checkpoint import save_checkpoint
from mode_ros.policy.folder import WEIGHTS
from mode_ros.policy.policy import Policy
from mode_ros.training.plan import _load_imagenet, build_network, make_plan
from mode_ros.training.progress import read_log
from mode_ros.training.settings import load_train_settings
from mode_ros.training.train import describe, find_config, train
from mode_ros.training.trainer import Trainer, make_accelerator


@pytest.fixture(autouse=True)
def fresh():
    fresh_accelerate()


@pytest.fixture(scope='module')
def joints(tmp_path_factory):
    return joints_set(tmp_path_factory.mktemp('joints') / 'data')


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return camera_set(tmp_path_factory.mktemp('pictures') / 'data')


def plan(data, **changes):
    return make_plan(train_settings(data, **changes), TextNumbers())


def refused(expected, data, **changes):
    with pytest.raises(UserError) as error:
        plan(data, **changes)
    assert re.search(expected, str(error.value), re.DOTALL), error.value


# ---- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        (['optimizer.learning_rat=3e-4'], r'optimizer\.learning_rat: unknown key, did you mean learning_rate\?'),
        (['optimzer.learning_rate=3e-4'], r'optimzer: unknown key, did you mean optimizer\?'),
        (['run.steps 100'], r"'run\.steps 100' changes no setting; write a key and its value"),
        (['=3'], r"'=3' changes no setting"),
        (['run.steps.more=3'], r"'run\.steps\.more=3' changes no setting: steps is 20000, and has no keys"),
        (['run.steps=many'], r"run\.steps: .*integer.*'many'"),
        (['run.steps=0'], r'run\.steps: .*greater than or equal to 1, not 0'),
        (['run=3'], r'run: .*mapping of keys to values, not 3'),
        (['loss.balancing=-1'], r'loss\.balancing: .*greater than or equal to 0, not -1'),
        (['loss.balancing=1.5'], r'loss\.balancing: .*less than or equal to 1, not 1\.5'),
        (['policy.top_k=5'], r'policy: top_k is 5, but there are only 4 experts: lower top_k'),
        (['policy.top_k=0'], r'policy\.top_k: .*greater than or equal to 1, not 0'),
        (['policy.heads=5'], r'policy: embed_dim 192 cannot be divided into 5 heads'),
        (['loss.goal_dropout=1'], r'loss\.goal_dropout: .*less than 1, not 1'),
        (['optimizer.warmup=0.5', 'optimizer.hold=0.5'], r'optimizer: warmup 0\.5 and hold 0\.5 leave no step'),
        (['run.accumulate=3'], r'run: batch_size 64 cannot be cut into 3 equal parts'),
        (['data.path='], r'data: give either path, a data set, or mixture, .*\(data\.path= empties it\)'),
        (['data.mixture=other.yaml'], r'data: give either path, a data set, or mixture'),
        (['start.freeze_routers=true'], r'start: freeze_routers keeps the routing of a checkpoint, and none is given'),
        (
            ['start.freeze_routers=true', 'start.checkpoint=x'],
            r'frozen routers cannot be balanced: set loss\.balancing',
        ),
        (['start.encoders=x', 'start.checkpoint=y'], r'start: checkpoint gives the image encoders, too'),
        (['start.encoders=x', 'policy.imagenet_weights=y'], r'start\.encoders and policy\.imagenet_weights both give'),
        (['data.shift={wrist: 0.7}'], r'data: shift must lie between 0 and 0\.5.*whole number of pixels, and .*0\.7'),
        (['data.default_shift=4.5'], r'data: shift must lie between 0 and 0\.5.*default_shift.: 4\.5'),
        (
            ['loss.goal_dropped=whole'],
            r'positions of zero.*set loss\.goal_dropped to numbers, or policy\.initialisation',
        ),
        (['optimizer.schedule_steps=100'], r'schedule_steps 100 ends before run\.steps 20000'),
        (['policy.initialisation=zeros'], r"policy\.initialisation: .*'published' or 'small'"),
        (['loss.bias_rate=0.001'], r'bias_rate moves policy\.selection_bias, and there is none: set that to true'),
        (['policy.selection_bias=true', 'policy.routing=dense'], r'routing dense selects no experts for a token'),
        (
            ['policy.selection_bias=true'],
            r'selection_bias stays 0 where loss\.bias_rate does not move it: set that to 0',
        ),
        (['policy.dense_width=active'], r'dense_width active is of routing dense, and this is noise: set routing'),
        (
            ['policy.film_begins=random', 'policy.image_encoder={architecture: resnet50}'],
            r'film_begins random is of resnet18, and the FiLM of resnet50 begins as the identity: leave',
        ),
        (
            ['start.checkpoint=x', 'policy.imagenet_weights=y'],
            r'start\.checkpoint gives the image encoders, too: leave',
        ),
        (
            [
                'start.freeze_routers=true',
                'start.checkpoint=x',
                'loss.balancing=0',
                'loss.bias_rate=0.001',
                'policy.selection_bias=true',
            ],
            r'frozen routers cannot be balanced: set loss\.bias_rate to 0',
        ),
        (
            ['policy.routing=expert_choice', 'loss.balancing_by=selected'],
            r'expert_choice selects no experts for a token: set loss\.balancing_by to softmax',
        ),
        (['run.steps={'], r'The value of run\.steps is not valid YAML'),
    ],
)
def test_a_wrong_setting_is_named(changes, expected):
    path = find_config('small')
    with pytest.raises(UserError) as error:
        load_train_settings(path, changes)
    assert re.search(expected, str(error.value)), error.value


def test_settings_on_the_command_line_win_and_numbers_may_be_written_as_usual(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('data: {path: here}\nrun:\n')
    settings = load_train_settings(path, ['optimizer.learning_rate=3e-4', 'run.steps=7', 'policy.states=[a, b]'])
    assert settings.optimizer.learning_rate == 3e-4
    assert settings.run.steps == 7
    assert settings.policy.states == ('a', 'b')
    path.write_text(settings.to_yaml())
    assert load_train_settings(path) == settings


@pytest.mark.parametrize('name', ['small', 'published', 'libero', 'metaworld', 'finetune', 'pretrain'])
def test_the_trainings_that_come_along_are_valid(name):
    load_train_settings(find_config(name))


def test_the_published_training_holds_nothing_out_and_goes_its_way(pictures, tmp_path):
    sizes = ['policy.embed_dim=32', 'policy.layers=2', 'policy.heads=2', 'policy.chunk_length=4']
    encoders = ['policy.text_encoder={kind: minilm}', 'policy.image_encoder={architecture: resnet18, width: 0.25}']
    cameras = ['policy.image_sizes={static: 48}', 'data.shift={static: 4}']
    run = ['run.steps=3', 'run.batch_size=8', 'run.precision=float32', 'run.log_every=1', 'run.validate_every=2']
    changes = [f'data.path={pictures}', *sizes, *encoders, *cameras, *run]
    settings = load_train_settings(find_config('published'), changes)
    assert (settings.data.validation_share, settings.optimizer.schedule_steps) == (0, 45_000)
    assert make_trainer(settings, tmp_path / 'out').train() is None
    entries = read_log(tmp_path / 'out')
    assert {entry['kind'] for entry in entries} == {'step', 'mixture'}
    assert [entry['learning_rate'] for entry in entries if entry['kind'] == 'step'] == pytest.approx(
        [1e-5, 1.01e-5, 1.02e-5], rel=1e-3
    )
    assert all((tmp_path / 'out' / name).exists() for name in ('policy', 'report.html'))
    assert not (tmp_path / 'out' / 'best').exists()


def test_an_unknown_training_is_answered_with_the_known_ones(tmp_path, monkeypatch):
    (tmp_path / 'small').mkdir()  # a folder of that name is none
    monkeypatch.chdir(tmp_path)
    assert find_config('small').name == 'small.yaml'
    with pytest.raises(UserError, match=r"no training file 'smal'; give a path, or one of \[.*'finetune'"):
        find_config('smal')
    with pytest.raises(UserError, match=r'The training nowhere\.yaml cannot be read'):
        load_train_settings(find_config('nowhere.yaml'))


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / 'list.yaml').write_text('- 1\n')
    with pytest.raises(UserError, match='is no mapping; it must have the key data'):
        load_train_settings(tmp_path / 'list.yaml')


# ---- data -------------------------------------------------------------------------------------------------------


def test_there_is_no_data_set(tmp_path):
    refused('nowhere is no LeRobot data set', tmp_path / 'nowhere')


def test_a_chunk_must_fit_into_every_episode(joints):
    refused(
        r'Episode 0 of .*data has 12 frames, fewer than policy\.chunk_length 13: lower', joints,
        **{'policy.chunk_length': 13},
    )  # fmt: skip
    plan(joints, **{'policy.chunk_length': 12})


def test_a_task_needs_words(tmp_path):
    refused(r'Task 1 of .*data has no words', joints_set(tmp_path / 'data', tasks=('reach', ' ')))


def test_nothing_is_decoded_for_a_training_that_cannot_be(pictures):
    refused('fewer than', pictures, **{'policy.chunk_length': 100, 'data.cache': str(pictures / 'unused')})
    assert not (pictures / 'unused').exists()


def test_a_policy_that_sees_nothing(joints):
    refused(r'no camera, so the policy sees nothing: set policy\.states to all', joints, **{'policy.states': ()})
    refused(r"policy\.states names 'feet', but the robot jointed has the states \['joints'\]", joints,
            **{'policy.states': ('feet',)})  # fmt: skip


def test_pictures_of_another_size(tmp_path):
    data = camera_set(tmp_path / 'data', contract=DELTA_TEXT.replace('width: 32', 'width: 64'))
    refused("pictures of camera 'static' in .* are 32x32, but its contract says 64x32: convert", data)


def test_keys_about_cameras_that_the_robot_does_not_have(joints, pictures):
    refused(
        r"data\.shift names 'writs', but the robot has the cameras \['static'\]",
        pictures,
        **{'data.shift': {'writs': 0.1}},
    )
    refused(r'imagenet_weights .* no camera: leave them out', joints, **{'policy.imagenet_weights': 'resnet18.pth'})


def test_a_stream_that_the_data_lacks(tmp_path):
    data = joints_set(tmp_path / 'data', streams={'wheels': 2})
    refused(r"sees the state 'joints' of 2 numbers \(policy\.states\), but the data set .* has {'wheels': 2}", data)


def test_data_sets_of_two_robots_are_not_mixed(tmp_path, joints):
    other = joints_set(tmp_path / 'other', contract=ABSOLUTE_TEXT.replace('upper: 2.0', 'upper: 3.0', 1))
    mixture = tmp_path / 'mixture.yaml'
    mixture.write_text(f'datasets:\n- {{path: {joints}}}\n- {{path: {other}}}\n')
    refused(r'are from robots that differ:.*upper: 2\.0, not 3\.0', '', **{'data.mixture': str(mixture)})


# ---- other people's data ----------------------------------------------------------------------------------------


@pytest.fixture
def contract_file(tmp_path):
    path = tmp_path / 'arm.yaml'
    path.write_text(DELTA_TEXT)
    return path


def test_a_data_set_without_a_contract_needs_one(tmp_path, contract_file):
    data = camera_set(tmp_path / 'data', contract=None)
    refused(r'does not say which robot it is from: name its contract with data\.contract', data)
    found = plan(data, **{'data.contract': str(contract_file)})
    assert found.contract == delta_contract()
    assert found.contract_text == DELTA_TEXT
    sample = found.source.datasets[0][11]
    assert (sample.actions[1:, :3] == 0).all()  # padded displacements stand still, which only the contract tells
    assert found.source.datasets[0].streams == {'joints': 2}  # its one vector is the robot's one stream
    assert found.info(1).statistics.state['joints'].dim == 2


def test_a_single_state_vector_is_cut_into_the_streams(tmp_path, contract_file):
    hand = '    - {name: hand, topic: hand, type: joint_state, names: [c, d, e], unit: rad, max_age: 0.2}'
    two = re.sub(r'  cameras:\n.*\n', '', DELTA_TEXT).replace('action:\n', f'{hand}\naction:\n')
    contract_file.write_text(two)
    generator = np.random.default_rng(0)
    made = [
        {'state': generator.normal(size=(9, 5)), 'action': generator.normal(size=(9, 4)), 'task': 'go'}
        for _ in range(3)
    ]
    data = write_data_set(tmp_path / 'data', made)
    changes = {'data.contract': str(contract_file), 'policy.states': ('hand',)}
    source = plan(data, **changes).source
    batch = source.moments([(0, 4)], train_settings(data).loss)
    normalizer = source._states[0]
    assert normalizer.unnormalize(batch.state.numpy())[0] == pytest.approx(made[0]['state'][4, 2:], abs=1e-5)
    short = write_data_set(tmp_path / 'short', [{**each, 'state': each['state'][:, :4]} for each in made])
    refused(r"sees the state 'hand' of 3 numbers .* has {'state': 4}", short, **changes)


def test_a_contract_that_the_data_contradicts(tmp_path, contract_file, pictures):
    assert plan(pictures, **{'data.contract': str(contract_file)}).contract == delta_contract()
    contract_file.write_text(DELTA_TEXT.replace('upper: 0.04', 'upper: 0.05', 1))
    refused(r'data\.contract and .*data are from robots that differ:.*upper: 0\.05, not 0\.04', pictures,
            **{'data.contract': str(contract_file)})  # fmt: skip


@pytest.mark.parametrize(
    ('old', 'new', 'expected'),
    [
        ('rate: 20.0', 'rate: 30.0', 'has 20 frames per second, but the contract of tester says 30 Hz'),
        ('name: static', 'name: front', r"has no camera 'front' of its contract; it has \['static'\].*`cameras`"),
        ('- {name: grip', "- {name: b, unit: '1', lower: -1, upper: 1}\n      - {name: grip",
         'have 4 numbers, but the contract of tester has 5'),
        ('names: [a, b]', 'names: [a, b, c]', "sees the state 'joints' of 3 numbers"),
    ],
)  # fmt: skip
def test_a_contract_that_does_not_fit_others_data(tmp_path, contract_file, old, new, expected):
    contract_file.write_text(DELTA_TEXT.replace(old, new))
    refused(expected, camera_set(tmp_path / 'data', contract=None), **{'data.contract': str(contract_file)})


def test_others_pictures_are_brought_to_the_contracts_size(tmp_path, contract_file):
    contract_file.write_text(DELTA_TEXT.replace('width: 32, height: 32', 'width: 48, height: 40'))
    found = plan(camera_set(tmp_path / 'data', contract=None), **{'data.contract': str(contract_file)})
    assert found.source.datasets[0].frames['static'].shape[1:] == (40, 48, 3)


def test_an_unknown_contract(joints):
    refused("robot contract 'metaworld_sawyr' is neither .* did you mean 'metaworld_sawyer'", joints,
            **{'data.contract': 'metaworld_sawyr'})  # fmt: skip


def test_a_mixture_of_ours_and_theirs(tmp_path, contract_file, pictures):
    theirs = camera_set(tmp_path / 'theirs', contract=None)
    mixture = tmp_path / 'mixture.yaml'
    mixture.write_text(f'datasets:\n- {{path: {pictures}}}\n- {{path: theirs, weight: 3.0}}\n')
    changes = {'data.path': '', 'data.mixture': str(mixture)}
    refused('does not say which robot', '', **changes)
    source = plan('', **changes, **{'data.contract': str(contract_file)}).source
    assert [data.files.root for data in source.datasets] == [pictures, theirs]
    which = [number for number, _ in source.batch(0, 400, slice(0, 400), train_settings('x').loss).moments]
    assert np.mean(which) == pytest.approx(0.75, abs=0.08)


TWO_CAMERAS = DELTA_TEXT.replace(
    '  states:', '    - {name: wrist, topic: wrist/image, width: 32, height: 32, max_age: 0.3}\n  states:'
)


@pytest.mark.parametrize('turned', [False, True])
def test_pictures_of_another_robot_come_to_our_sizes_wherever_it_is_listed(tmp_path, turned):
    of_wrist = 'wrist/image, width: 32, height: 32'
    ours = TWO_CAMERAS.replace(of_wrist, of_wrist.replace('32', '40'))
    giant = TWO_CAMERAS.replace('robot: tester', 'robot: giant').replace('32', '48')
    for name, contract, sizes in (('ours', ours, (32, 40)), ('giant', giant, (48, 48))):
        state = np.random.default_rng(len(name)).normal(size=(12, 2))
        images = {
            camera: np.zeros((12, size, size, 3), np.uint8)
            for camera, size in zip(('static', 'wrist'), sizes, strict=True)
        }
        episode = {'state': state, 'action': np.zeros((12, 4)), 'task': name, 'images': images}
        write_data_set(tmp_path / name, [episode], contract, streams={'joints': 2})
    lines = ['- {path: ours}', '- {path: giant, embodiment: giant}']
    (tmp_path / 'mixture.yaml').write_text('datasets:\n' + '\n'.join(lines[::-1] if turned else lines) + '\n')
    source = plan('', **{'data.path': '', 'data.mixture': str(tmp_path / 'mixture.yaml')}).source
    for data in source.datasets:
        assert {name: frames.shape[1:3] for name, frames in data.frames.items()} == {
            'static': (32, 32),
            'wrist': (40, 40),
        }


# ---- starting from a checkpoint ---------------------------------------------------------------------------------


def test_a_checkpoint_of_another_shape_lists_its_tensors(joints, tmp_path):
    make_trainer(train_settings(joints, **{'run.steps': 1}), tmp_path / 'first').train()
    checkpoint = str(tmp_path / 'first' / 'policy')
    refused(
        r'another shape; set the policy section to its config\.json.*'
        r'denoiser\.action_projection\.weight: \[16, 2\] here, \[32, 2\] there.*and \d+ more',
        joints, **{'start.checkpoint': checkpoint, 'policy.embed_dim': 16},
    )  # fmt: skip
    refused(r'was trained otherwise: policy\.top_k is 1 here and 2 there', joints,
            **{'start.checkpoint': checkpoint, 'policy.top_k': 1})  # fmt: skip
    refused('There is no checkpoint folder', joints, **{'start.checkpoint': str(tmp_path / 'nowhere')})
    settings = train_settings(
        joints, **{'start.checkpoint': checkpoint, 'start.freeze_routers': True, 'loss.balancing': 0.0}
    )
    first = Policy.load(checkpoint, 'cpu', TextNumbers())
    trainer = make_trainer(settings, tmp_path / 'second')
    start = {name: value.clone() for name, value in trainer._network.state_dict().items()}
    assert torch.equal(start['denoiser.output.weight'], first.network.state_dict()['denoiser.output.weight'])
    trainer.train()
    for name, value in trainer._network.state_dict().items():
        assert torch.equal(value, start[name]) == ('.router.' in name), name


TURNED = TWO_CAMERAS.replace('static', 'other').replace('wrist', 'static').replace('other', 'wrist')
TWO_STATES = ABSOLUTE_TEXT.replace(
    'action:', '    - {name: others, topic: others, type: joint_state, names: [c, d], unit: rad, max_age: 0.2}\naction:'
)


def checkpoint_of(made, folder):
    save_checkpoint(folder, made.info(1), build_network(made))
    return str(folder)


def test_weights_are_for_cameras_states_words_and_noise_as_they_were(tmp_path):
    """What fits by its shape and yet means something else."""
    two = camera_set(tmp_path / 'two', contract=TWO_CAMERAS, cameras=('static', 'wrist'))
    turned = camera_set(tmp_path / 'turned', contract=TURNED, cameras=('static', 'wrist'))
    seen = checkpoint_of(plan(two), tmp_path / 'seen')
    there = r"the cameras are \['wrist', 'static'\] here and \['static', 'wrist'\] there"
    refused(rf'\(start\.checkpoint\) was trained otherwise: {there}', turned, **{'start.checkpoint': seen})
    refused(there, turned, **{'start.encoders': seen})
    config = Path(seen) / 'config.json'
    config.write_text(config.read_text().replace('"static"', '"front"'))
    plan(two, **{'start.checkpoint': seen})  # another robot may call its cameras otherwise
    there = r"the cameras are \['static', 'wrist'\] here and \['front', 'wrist'\] there"
    refused(there, two, **{'start.encoders': seen})
    state = np.random.default_rng(0).normal(size=(12, 4))
    episodes = [{'state': state, 'action': state[:, :2], 'task': 'reach'}]
    streams = {'joints': 2, 'others': 2}
    data = write_data_set(tmp_path / 'data', episodes, TWO_STATES, fps=10, streams=streams)
    checkpoint = checkpoint_of(plan(data), tmp_path / 'checkpoint')
    refused(r"policy\.states are \['others', 'joints'\] here and \['joints', 'others'\] there", data,
            **{'start.checkpoint': checkpoint, 'policy.states': ('others', 'joints')})  # fmt: skip
    refused(r'policy\.diffusion\.sigma_data is 0\.3 here and 0\.5 there', data,
            **{'start.checkpoint': checkpoint, 'policy.diffusion': {'sigma_data': 0.3}})  # fmt: skip
    clip = {'kind': 'clip', 'source': 'x', 'dim': 384}
    refused(r"policy\.text_encoder\.kind is 'clip' here and 'minilm' there", data,
            **{'start.checkpoint': checkpoint, 'policy.text_encoder': clip})  # fmt: skip
    plan(data, **{'start.checkpoint': checkpoint, 'policy.diffusion': {'steps': 5}})


def test_image_encoders_do_not_depend_on_where_the_text_encoder_lies(pictures, tmp_path):
    def clip(source):
        return {'policy.text_encoder': {'kind': 'clip', 'source': source, 'dim': 384}}

    checkpoint = checkpoint_of(plan(pictures, **clip('here')), tmp_path / 'checkpoint')
    plan(pictures, **clip('there'), **{'start.encoders': checkpoint})


def test_the_image_encoders_of_another_robot(pictures, joints, tmp_path):
    make_trainer(train_settings(pictures, **{'run.steps': 1}), tmp_path / 'first').train()
    theirs = tmp_path / 'first' / 'policy'
    other = camera_set(tmp_path / 'other', contract=DELTA_TEXT.replace('robot: ', 'robot: other_'))
    begun = build_network(plan(other, **{'start.encoders': str(theirs), 'policy.embed_dim': 16})).state_dict()
    fresh = build_network(plan(other, **{'policy.embed_dim': 16})).state_dict()
    given = load_file(theirs / WEIGHTS)
    for name, value in begun.items():
        from_there = name.startswith('image_encoders.')
        assert torch.equal(value, (given if from_there else fresh)[name]), name
    convolutions = [name for name in fresh if name.startswith('image_encoders.') and fresh[name].dim() == 4]
    assert not any(torch.equal(begun[name], fresh[name]) for name in convolutions)
    refused(
        r'image encoders of .*first.policy \(start\.encoders\) do not fit: policy\.image_encoder is', other,
        **{'start.encoders': str(theirs), 'policy.image_encoder': {'architecture': 'resnet18', 'width': 0.5}},
    )  # fmt: skip
    refused(r"do not fit: the cameras are \[\] here and \['static'\] there", joints, **{'start.encoders': str(theirs)})
    refused('There is no checkpoint folder', other, **{'start.encoders': str(tmp_path / 'nowhere')})


# ---- machines ---------------------------------------------------------------------------------------------------


def test_more_processes_than_devices(joints, monkeypatch):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '3')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(UserError, match=r'3 processes were started here, but this machine has 2 GPUs: .*--device cpu'):
        make_accelerator(train_settings(joints), cpu=False)
    make_accelerator(train_settings(joints), cpu=True)


def test_a_batch_that_processes_cannot_share(joints, tmp_path):
    found = plan(joints)

    class Three:
        num_processes = 3

    with pytest.raises(UserError, match=r'run\.batch_size 8 cannot be cut into 3 processes times .* a multiple of 3'):
        Trainer(found, tmp_path, Three())


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20 GiB.\nmore'),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_too_little_memory_names_what_to_lower(joints, tmp_path, monkeypatch, error):
    monkeypatch.setattr('mode_ros.training.plan.build_text_encoder', lambda _: TextNumbers())

    def fail(*_):
        raise error

    monkeypatch.setattr('mode_ros.training.objective.Objective.forward', fail)
    small = [f'{key}={value}' for key, value in SMALL.items() if key != 'policy.image_encoder']
    with pytest.raises(UserError) as found:
        train(find_config('small'), [f'data.path={joints}', *small, 'run.accumulate=2'], tmp_path / 'out', False, True)
    assert 'memory for a part of 4 samples' in str(found.value)
    assert 'raise run.accumulate' in str(found.value)
    assert 'run.batch_size' in str(found.value)


def test_another_error_stays_what_it_is(joints, tmp_path, monkeypatch):
    monkeypatch.setattr('mode_ros.training.plan.build_text_encoder', lambda _: TextNumbers())
    monkeypatch.setattr('mode_ros.training.objective.Objective.forward', lambda *_: [][1])
    small = [f'{key}={value}' for key, value in SMALL.items() if key != 'policy.image_encoder']
    with pytest.raises(IndexError):
        train(find_config('small'), [f'data.path={joints}', *small], tmp_path / 'out', False, True)


def test_a_refused_training_leaves_no_folder_behind(joints, tmp_path, monkeypatch):
    monkeypatch.setattr('mode_ros.training.plan.build_text_encoder', lambda _: TextNumbers())
    with pytest.raises(UserError, match='fewer than'):
        train(find_config('small'), [f'data.path={joints}', 'policy.chunk_length=50'], tmp_path / 'out', False, True)
    assert not (tmp_path / 'out').exists()


def test_a_checkpoint_says_which_sentences_it_was_trained_with(joints):
    assert plan(joints).info(3).goals == ('push', 'reach')


def test_a_check_says_what_would_be_trained(joints, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('mode_ros.training.plan.build_text_encoder', lambda _: TextNumbers())
    assert train(find_config('small'), [f'data.path={joints}'], tmp_path / 'out', False, True, check_only=True) == ''
    printed = capsys.readouterr().out
    assert 'jointed: 0 cameras, 2 state numbers, 2 action numbers at 10 Hz' in printed
    assert '4 episodes to learn from (48 moments), 2 held out, 2 goals' in printed
    assert not (tmp_path / 'out').exists()


def test_only_episodes_that_are_learnt_from_are_counted(tmp_path):
    """Not those that failed."""
    data = joints_set(tmp_path / 'data', success=[True, False, True, True, True, True])
    said = describe(plan(data, **{'data.validation_share': 0.2}))
    assert '3 episodes to learn from (36 moments), 2 held out' in said


# ---- a loss that is not finite ----------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_its_samples(joints, tmp_path, monkeypatch):
    from mode_ros.training.batches import Source
    from mode_ros.training.snapshots import checkpoints, load_state
    from mode_ros.training.trainer import Stopped

    settings, out = train_settings(joints, **{'run.steps': 20}), tmp_path / 'out'
    with pytest.raises(Stopped):
        make_trainer(settings, out).train(stop_after=2)
    make = Source.batch

    def poisoned(self, step, *rest):
        batch = make(self, step, *rest)
        if step == 5:
            batch.state[3] = float('inf')
        return batch

    monkeypatch.setattr(Source, 'batch', poisoned)
    trainer = make_trainer(settings, out)
    with pytest.raises(UserError) as error:
        trainer.train(resume=True)
    _, frame = make(trainer._plan.source, 5, 8, slice(0, 8), settings.loss).moments[3]
    episode, within = divmod(frame, 12)
    assert 'not finite at step 5' in str(error.value)
    assert f'These samples gave it: frame {within} of episode {episode} in {joints}. Look' in str(error.value)
    assert load_state(checkpoints(out)[-1])['step'] == 2
    assert all(value.isfinite().all() for value in trainer._network.state_dict().values())
    assert all(value.isfinite().all() for value in trainer.average.state_dict().values())


# ---- what comes of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', ['states', 'pictures', 'both'])
def test_the_policy_loads_and_predicts(kind, joints, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr('mode_ros.policy.policy.build_text_encoder', lambda _: TextNumbers())
    data, contract = (joints, absolute_contract()) if kind == 'states' else (pictures, delta_contract())
    states = () if kind == 'pictures' else 'all'
    settings = train_settings(data, **{'run.steps': 2, 'policy.states': states, 'run.precision': 'bfloat16'})
    make_trainer(settings, tmp_path / 'out').train()
    policy = load_paired(str(tmp_path / 'out' / 'policy'), contract, 'cpu')
    assert policy.is_trained
    images = {} if kind == 'states' else {'static': np.zeros((32, 32, 3), np.uint8)}
    observation = Observation(0, images, {'joints': np.zeros(2)})
    chunk = predict(policy, observation, 'reach', torch.Generator().manual_seed(0))
    assert chunk.shape == (4, len(contract.dimensions))
    assert np.isfinite(chunk).all()
    with pytest.raises(UserError, match='was made for another robot contract'):
        load_paired(str(tmp_path / 'out' / 'policy'), absolute_contract() if states != 'all' or images else
                    delta_contract(), 'cpu')  # fmt: skip


def test_a_chunk_of_held_out_episodes_is_judged_in_the_robots_units(joints, tmp_path):
    from mode_ros.training.validation import validate

    trainer = make_trainer(train_settings(joints, **{'run.steps': 1}), tmp_path / 'out')
    source = trainer._plan.source
    moments = source.validation(16)
    found = validate(trainer.average, source, moments, train_settings(joints).loss)
    data = source.datasets[0]
    assert found.recorded == pytest.approx(data.batch([frame for _, frame in moments]).actions, abs=1e-6)
    spread = np.array(data.statistics.action.std)
    errors = ((found.predicted - found.recorded) / spread)[~found.padding]
    assert found.error == pytest.approx(float(np.sqrt((errors**2).mean())))
    by_task = {task: np.array(found.tasks) == task for task in ('reach', 'push')}
    for task, rows in by_task.items():
        inside = ~found.padding[rows]
        expected = np.sqrt(np.mean(((found.predicted - found.recorded)[rows] / spread)[inside] ** 2))
        assert found.by_task[task] == pytest.approx(expected)
    assert found.by_dimension == pytest.approx(np.abs(found.predicted - found.recorded)[~found.padding].mean(0))


@pytest.mark.parametrize('name', ['2026-11-03', '17', 'true', 'drawers', '"17"'])
def test_a_folder_may_be_called_by_a_date_or_a_number(name):
    changes = [f'data.path={name}', f'data.cache={name}']
    settings = load_train_settings(share_folder() / 'config' / 'train' / 'small.yaml', changes)
    assert settings.data.path == settings.data.cache == name.strip('"')


def test_the_home_folder_is_found(monkeypatch):
    monkeypatch.setenv('HOME', '/home/ada')
    changes = ['data.path=~/drawers', 'data.cache=~/pictures']
    settings = load_train_settings(share_folder() / 'config' / 'train' / 'small.yaml', changes)
    assert settings.data.path == '/home/ada/drawers'
    assert settings.data.cache == '/home/ada/pictures'


def test_no_cache_folder_is_the_one_inside_the_data_set(tmp_path, monkeypatch):
    data = camera_set(tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    plan(data, **{'data.cache': ''})
    assert (data / 'cache').is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_weights_that_are_none_are_said(tmp_path):
    for name, content in (('none.pth', b'no weights'), ('empty.pth', b'')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=r'none\.pth|empty\.pth'):
            _load_imagenet(None, str(tmp_path / name))
