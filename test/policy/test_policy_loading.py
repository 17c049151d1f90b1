"""Loading to run: straight into the final format, with other steps and solvers, and what cannot be loaded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from policy_samples import CONTRACT, FakeTextEncoder, random_denoiser, state_policy_config, statistics
from safetensors.torch import load_file, save_file

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo, save_checkpoint
from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.continuation import Known
from mode_ros.policy.folder import WEIGHTS
from mode_ros.policy.graph import LoopGraph
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.policy import Policy
from mode_ros.policy.products import product_names
from mode_ros.policy.weights import meta_device

STATE = np.array([0.5, 1.0, -2.0, 0.03])


def chunk(policy):
    return policy.predict({}, STATE, 'push', torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    network = PolicyNetwork(state_policy_config())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=1.5 / parameter.shape[-1] ** 0.5)
    info = CheckpointInfo(state_policy_config(), statistics(), CONTRACT, 3)
    save_checkpoint(tmp_path / 'policy', info, network)
    return tmp_path / 'policy'


def load(folder, **options):
    return Policy.load(folder, 'cpu', FakeTextEncoder(), **options)


@pytest.mark.parametrize(('number_format', 'low', 'high'), [('bfloat16', 1e-5, 0.05), ('int8', 1e-5, 0.1)])
def test_formats_differ_a_little(folder, number_format, low, high):
    expected = chunk(load(folder))
    distance = np.sqrt(np.mean((chunk(load(folder, number_format=number_format)) - expected) ** 2)) / expected.std()
    assert low < distance < high


@pytest.mark.parametrize('number_format', ['float32', 'bfloat16', 'int8'])
def test_no_second_copy_of_the_weights_is_kept(folder, number_format):
    policy = load(folder, number_format=number_format)
    denoiser = policy.network.denoiser
    on_meta = {name for name, parameter in denoiser.named_parameters() if parameter.is_meta}
    assert on_meta >= set(product_names(denoiser.config))
    assert all('router' in name for name in on_meta - set(product_names(denoiser.config)))
    with pytest.raises(UserError, match='cannot be saved'):
        policy.save(folder.parent / 'other')


def test_steps_and_solver_can_be_chosen(folder):
    chunks = [chunk(load(folder, **o)) for o in ({}, {'steps': 10}, {'steps': 3}, {'solver': 'dpmpp_2m'})]
    np.testing.assert_array_equal(chunks[0], chunks[1])
    assert all(np.abs(other - chunks[0]).max() > 1e-6 for other in chunks[2:])


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'steps': 0}, 'steps: .*greater than or equal to 1, not 0'),
        ({'solver': 'euler'}, "solver: .*not 'euler'"),
        ({'number_format': 'int4'}, "no number format 'int4'"),
    ],
)
def test_what_cannot_be_chosen(folder, options, words):
    with pytest.raises(UserError, match=words):
        load(folder, **options)


@pytest.mark.parametrize('name', ['denoiser.blocks.1.mixture.down_weight', 'denoiser.blocks.0.router.input.bias'])
@pytest.mark.parametrize('place', [5, -1])  # of the first expert and of the last, one of which may never run
def test_a_nan_is_named(folder, name, place):
    weights = load_file(folder / WEIGHTS)
    weights[name].view(-1)[place] = float('nan')
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(UserError, match=f'{name} has a NaN'):
        load(folder, number_format='int8')


def test_large_numbers_are_not_taken_for_infinite(folder):
    weights = load_file(folder / WEIGHTS)
    weights['denoiser.blocks.1.mixture.down_weight'].fill_(3e38)
    save_file(weights, folder / WEIGHTS)
    load(folder)


def test_a_file_cut_short(folder):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match='cut short'):
        load(folder, number_format='int8')


def test_modules_on_the_meta_device_are_not_initialised():
    with meta_device():
        layer = torch.nn.Linear(3, 4)
        torch.nn.init.normal_(tensor=layer.weight)
    assert layer.weight.is_meta
    assert not torch.nn.init.normal_(torch.zeros(9)).eq(0).all()


def record_again(run):
    """As a CUDA graph: the same computation on the same tensors, on call."""
    first = run()

    def replay():
        first.copy_(run())

    return replay, first


@pytest.mark.parametrize('max_committed', [0, 3])
def test_a_recorded_loop_follows_its_inputs(max_committed):
    denoiser = random_denoiser(max_committed=max_committed)
    sampler = ChunkSampler(denoiser, DiffusionConfig())
    graph = LoopGraph(sampler._loop, *sampler._example(2), record_again)
    assert graph.batch == 2
    chunks = []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        goal, images, noise = torch.randn(2, 10), torch.randn(2, 2, 12), torch.randn(2, 5, 3)
        prefix = sampler.read_observation(sampler.read_goal(goal), images)
        # With a plan, with another one, and with none after them.
        plan = Known(torch.randn(2, 5, 3), torch.rand(2, 5, 1), torch.rand(2, 5) < 0.5 if max_committed else None)
        known = plan if seed < 2 else None
        sampler._graph = None
        expected = sampler.sample(prefix, noise, known=known)
        sampler._graph = graph
        assert sampler.begin(sampler.read_goal(goal), images, None, noise, known)[1] is None  # it has all steps
        chunks.append((sampler.sample(prefix, noise, known=known), expected))
    for found, expected in chunks:
        assert torch.equal(found, expected)


@pytest.mark.gpu
def test_the_graph_gives_what_the_loop_gives():
    denoiser = random_denoiser().cuda()
    sampler = ChunkSampler(denoiser, DiffusionConfig())
    torch.manual_seed(0)
    goal, images, noise = (torch.randn(*shape).cuda() for shape in ((1, 10), (1, 2, 12), (1, 5, 3)))
    prefix = sampler.read_observation(sampler.read_goal(goal), images)
    expected = sampler.sample(prefix, noise)
    sampler.prepare()
    for _ in range(2):
        torch.testing.assert_close(sampler.sample(prefix, noise), expected)


@pytest.mark.gpu
@pytest.mark.parametrize('max_committed', [0, 3])
def test_the_graph_continues_a_plan_as_the_loop_does(max_committed):
    denoiser = random_denoiser(max_committed=max_committed).cuda()
    sampler = ChunkSampler(denoiser, DiffusionConfig())
    torch.manual_seed(0)
    goal, images, noise, target = (torch.randn(*s).cuda() for s in ((2, 10), (2, 2, 12), (2, 5, 3), (2, 5, 3)))
    decided = torch.arange(5, device='cuda') < 2
    clean = decided.expand(2, 5) if max_committed else None
    plans = [Known(target, decided.float().view(1, 5, 1).expand(2, 5, 1), clean), None]
    prefix = sampler.read_observation(sampler.read_goal(goal), images)
    expected = [sampler.sample(prefix, noise, known=known) for known in plans]
    sampler.prepare(2)
    found = [sampler.sample(prefix, noise, known=known) for known in plans]
    torch.testing.assert_close(found, expected)
    assert torch.equal(found[0][:, :2], target[:, :2])
    assert (found[1] - found[0])[:, 2:].abs().max() > 1e-3  # what follows is another chunk
