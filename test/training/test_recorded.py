"""A recorded step: nothing in it that a graph cannot hold, and on a GPU the numbers of the plain one."""

from __future__ import annotations

import contextlib
from unittest.mock import Mock

import pytest
import torch
from support.training_sets import TextNumbers, camera_set, fresh_accelerate, joints_set, train_settings
from torch.utils._python_dispatch import TorchDispatchMode

from mode_ros.errors import UserError
from mode_ros.policy.images import normalize_images
from mode_ros.policy.mixture import Mixture
from mode_ros.policy.routing import Routing, select_experts
from mode_ros.training.objective import Objective
from mode_ros.training.optimizer import average_of
from mode_ros.training.plan import build_network, make_plan
from mode_ros.training.recorded import RecordedStep, fix_shapes, plain_state, put_on_gpu
from mode_ros.training.trainer import Trainer, make_accelerator, prepare_folder


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return camera_set(tmp_path_factory.mktemp('pictures') / 'data')


class NothingFromTheHost(TorchDispatchMode):
    """Fails where a computation takes numbers from the host, as a graph cannot."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for each in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(each, torch.Tensor) and each.device.type == 'cpu':
                raise AssertionError(f'{func} gives numbers to the host')
        return found


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'policy.max_committed': 2},
        {'policy.routing': 'token'},
        {'loss.draws': 'sample', 'loss.padding': 'mask'},
        {'policy.routing': 'expert_choice'},
        {'policy.routing': 'dense'},
        {'policy.image_encoder': {'architecture': 'resnet18', 'width': 0.25, 'pooling': 'keypoints'}},
        {'policy.selection_bias': True, 'loss.bias_rate': 0.001},
        {'loss.balancing_by': 'selected'},
    ],
)
def test_nothing_in_a_step_waits_for_the_host(pictures, changes):
    """On the meta device there are no numbers, so whatever depends on one fails."""
    plan = make_plan(train_settings(pictures, **changes), TextNumbers())
    network = build_network(plan)
    fix_shapes(network)
    objective = Objective(network, plan.settings.loss).to('meta').train()
    batch = plan.source.batch(0, 8, slice(0, 8), plan.settings.loss).each(lambda x: x.to('meta'))
    with NothingFromTheHost():
        objective(batch).total.backward()
    assert all(weight.grad is not None for weight in objective.parameters())


def test_experts_that_look_for_their_rows_do_wait(pictures):
    """The check above can fail."""
    plan = make_plan(train_settings(pictures), TextNumbers())
    objective = Objective(build_network(plan), plan.settings.loss).to('meta').train()
    batch = plan.source.batch(0, 8, slice(0, 8), plan.settings.loss).each(lambda x: x.to('meta'))
    with pytest.raises(Exception, match=r'[Mm]eta|bincount'):
        objective(batch)


@pytest.mark.parametrize('by_token', [False, True])
def test_every_expert_seeing_everything_changes_no_number(by_token):
    torch.manual_seed(0)
    mixture = Mixture(8, 4, dropout=0.0).double()
    for weight in mixture.parameters():
        torch.nn.init.normal_(weight)
    z = torch.randn(5, 3, 8, dtype=torch.float64, requires_grad=True)
    of = (5, 3) if by_token else (5,)
    routing = select_experts(torch.randn(*of, 4, dtype=torch.float64).softmax(-1), 2)
    found = []
    for all_see_all in (False, True):
        mixture.all_see_all = all_see_all
        out = mixture(z, routing)
        found.append([out, *torch.autograd.grad(out.square().sum(), [z, *mixture.parameters()])])
    for plain, fixed in zip(*found, strict=True):
        torch.testing.assert_close(fixed, plain)


def test_an_expert_that_was_not_selected_learns_nothing():
    mixture = Mixture(8, 3, dropout=0.0)
    for weight in mixture.parameters():
        torch.nn.init.normal_(weight)
    mixture.all_see_all = True
    routing = Routing(torch.ones(2, 3) / 3, torch.tensor([[0], [2]]), torch.ones(2, 1))
    mixture(torch.randn(2, 4, 8), routing).square().sum().backward()
    assert mixture.up_weight.grad[1].abs().max() == 0
    assert mixture.up_weight.grad[0].abs().max() > 0


def test_a_cpu_records_nothing(tmp_path):
    fresh_accelerate()
    plan = make_plan(train_settings(joints_set(tmp_path / 'data'), **{'run.recorded': True}), TextNumbers())
    with pytest.raises(UserError, match=r'run.recorded is for one process on a GPU'):
        Trainer(plan, tmp_path / 'out', make_accelerator(plan.settings, cpu=True))


@pytest.mark.parametrize('change', [{'run.accumulate': 2}, {'run.shard': True}])
def test_a_recorded_step_is_whole(tmp_path, change):
    with pytest.raises(ValueError, match=r'recorded takes a whole step on one GPU: set'):
        train_settings(tmp_path, **{'run.recorded': True, **change})


def test_a_recorded_optimisers_state_is_kept_as_any_other():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([weight], lr=torch.tensor(0.5))
    kept = plain_state(optimizer.state_dict())
    assert [(group['lr'], group['capturable']) for group in kept['param_groups']] == [(0.5, False)]
    assert isinstance(kept['param_groups'][0]['lr'], float)


class GraphOnACpu:
    """Computes again what was recorded, into the same tensors."""

    def record(self, step):
        def recording(shown):
            self.outputs = step(shown)
            self.again = lambda: step(shown)
            return self.outputs

        return recording

    def replay(self):
        for name, value in self.again().items():
            self.outputs[name].copy_(value)


def test_each_batch_gets_its_own_numbers_and_keeps_them(pictures, monkeypatch):
    plan = make_plan(train_settings(pictures), TextNumbers())
    batches = [plan.source.batch(step, 4, slice(0, 4), plan.settings.loss) for step in range(7)]
    graph = GraphOnACpu()
    nothing = contextlib.nullcontext
    for name, stand_in in {
        'CUDAGraph': lambda: graph,
        'graph': lambda *_, **__: nothing(),
        'stream': lambda *_: nothing(),
        'synchronize': lambda: None,
        'Stream': Mock,
        'current_stream': Mock,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)

    def numbers(batch):
        return {'actions': batch.actions.sum(), 'noise': batch.draws.noise.sum(), 'image': batch.images[0].sum()}

    recorded = RecordedStep(graph.record(numbers))
    found = [recorded(batch) for batch in batches]
    for of, batch in zip(found, batches, strict=True):
        assert {name: float(value) for name, value in of.items()} == {
            name: float(value) for name, value in numbers(batch).items()
        }


def test_an_optimiser_is_recorded_also_where_its_state_is_of_a_training_that_was_not():
    """That of spread weights is not fused, and counts its steps on the CPU."""
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    spread = torch.optim.AdamW([weight], lr=0.5, fused=False)
    spread.step()
    mine = torch.optim.AdamW([weight], lr=0.5, fused=True)
    mine.load_state_dict(spread.state_dict())
    assert not mine.param_groups[0]['fused']
    put_on_gpu(mine)
    group = mine.param_groups[0]
    assert (group['fused'], group['capturable'], float(group['lr'])) == (True, True, 0.5)
    assert mine.state[weight]['step'].device == weight.device


def test_the_average_does_not_wait_for_the_host(pictures):
    """On the meta device there are no numbers, so reading one fails."""
    plan = make_plan(train_settings(pictures), TextNumbers())
    network = build_network(plan).to('meta')
    average = average_of(network, plan.settings.optimizer)
    for _ in range(3):
        average.update_parameters(network)
    assert int(average.n_averaged) == 3


def test_a_traced_cpu_leaves_nothing_behind():
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    images = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert isinstance(normalize_images(mode.from_tensor(images)), FakeTensor)
    assert not isinstance(normalize_images(images), FakeTensor)


@pytest.mark.gpu
@pytest.mark.parametrize('pictures_from', ['cache', 'device'])
def test_on_a_gpu_a_replayed_step_is_the_plain_one(pictures, tmp_path, pictures_from):
    """Eight steps of float32, five of them replayed; the other one sums experts in another order."""
    weights = []
    for recorded in (False, True):
        changes = {
            'run.recorded': recorded,
            'run.steps': 8,
            'run.precision': 'float32',
            'data.pictures': pictures_from,
            'policy.attention_dropout': 0,
            'policy.expert_dropout': 0,
        }
        fresh_accelerate()
        plan = make_plan(train_settings(pictures, **changes), TextNumbers())
        out = tmp_path / str(recorded)
        prepare_folder(out, plan.settings, resume=False)
        trainer = Trainer(plan, out, make_accelerator(plan.settings, cpu=False))
        trainer.train()
        weights.append({name: value.float() for name, value in trainer.average.state_dict().items()})
    for name, plain in weights[0].items():
        torch.testing.assert_close(weights[1][name], plain, rtol=1e-2, atol=2e-3, msg=lambda m, n=name: f'{n}: {m}')
