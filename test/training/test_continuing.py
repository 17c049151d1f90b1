"""Training to continue: the first actions of a chunk are given, and what is learnt is what comes after them."""

import re

import numpy as np
import pytest
import torch
from support.contracts import ABSOLUTE_TEXT
from support.training_sets import TextNumbers, joints_set, logged, make_trainer, train_settings, write_data_set

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import load_checkpoint, read_info
from mode_ros.policy.continuation import Known
from mode_ros.policy.diffusion import sample_plain
from mode_ros.training.loss import given
from mode_ros.training.objective import Objective
from mode_ros.training.plan import build_network, make_plan
from mode_ros.training.settings import LossSettings


@pytest.fixture(scope='module')
def joints(tmp_path_factory):
    return joints_set(tmp_path_factory.mktemp('joints') / 'data')


def plan(data, **changes):
    return make_plan(train_settings(data, **changes), TextNumbers())


def test_how_many_are_given_is_even_and_decided_by_seed_and_step(joints):
    source, loss = plan(joints, **{'policy.max_committed': 3}).source, LossSettings()
    draws = source.batch(0, 4000, slice(0, 4000), loss).draws
    assert np.bincount(draws.committed.numpy()) == pytest.approx([1000] * 4, abs=120)
    part = source.batch(0, 4000, slice(10, 20), loss).draws
    assert torch.equal(part.committed, draws.committed[10:20])
    assert not torch.equal(source.batch(1, 4000, slice(0, 4000), loss).draws.committed, draws.committed)
    never = plan(joints).source.batch(0, 4000, slice(0, 4000), loss).draws
    assert not never.committed.any()
    for name in ('sigma', 'noise', 'experts', 'goal_kept'):  # a policy that continues sees the rest as another does
        assert torch.equal(getattr(never, name), getattr(draws, name)), name


def test_given_actions_are_seen_clean_and_not_judged(joints):
    made = plan(joints, **{'policy.max_committed': 3})
    objective = Objective(build_network(made), made.settings.loss).eval()
    network = objective.network.denoiser
    for name, parameter in network.named_parameters():
        if not name.endswith('gain'):
            torch.nn.init.normal_(parameter, std=1.5 / parameter.shape[-1] ** 0.5)
    batch = made.source.batch(0, 32, slice(0, 32), made.settings.loss)
    committed = given(batch.draws.committed, 4)
    assert committed.sum(1).tolist() == batch.draws.committed.tolist()
    assert committed.any()

    def losses(**changes):
        with torch.no_grad():
            return objective(type(batch)(**(vars(batch) | changes)))

    before = losses()
    noise = batch.draws.noise + committed.unsqueeze(-1) * 3.0
    louder = losses(draws=batch.draws._replace(noise=noise))
    assert torch.equal(louder.errors, before.errors)  # their noise is never shown
    assert float(louder.denoising) == float(before.denoising)
    changed = losses(actions=batch.actions + committed.unsqueeze(-1) * 0.5).errors - before.errors
    assert (changed != 0).tolist() == committed.any(1).tolist()  # what they are is seen
    free = (~committed).sum(1)
    assert float(before.denoising) == pytest.approx(float((before.errors * free).sum() / free.sum()), rel=1e-5)


def test_what_is_given_and_what_is_padding_both_count_for_nothing(joints):
    made = plan(joints, **{'policy.max_committed': 3, 'loss.padding': 'mask'})
    objective = Objective(build_network(made), made.settings.loss).eval()
    batch = made.source.batch(0, 64, slice(0, 64), made.settings.loss)
    kept = ~given(batch.draws.committed, 4) & ~batch.padding
    assert batch.padding[~given(batch.draws.committed, 4)].any()
    with torch.no_grad():
        objective.network.denoiser.output.weight.zero_()
        objective.network.denoiser.output.bias.zero_()
        found = float(objective(batch).denoising)
    sigma = batch.draws.sigma.view(-1, 1, 1)
    skip, out = 0.25 / (sigma**2 + 0.25), sigma * 0.5 / (sigma**2 + 0.25).sqrt()
    noisy = batch.actions + sigma * batch.draws.noise
    expected = ((batch.actions - skip * noisy) / out)[kept].square().mean()
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_every_weight_has_a_gradient_also_where_nothing_is_given(joints):
    made = plan(joints, **{'policy.max_committed': 3})
    objective = Objective(build_network(made), made.settings.loss).train()
    batch = made.source.batch(0, 8, slice(0, 8), made.settings.loss)
    nothing = batch.draws._replace(committed=torch.zeros(8, dtype=torch.int64))
    objective(type(batch)(**(vars(batch) | {'draws': nothing}))).total.backward()
    assert [name for name, weight in objective.named_parameters() if weight.grad is None] == []


def test_a_chunk_must_keep_an_action_to_plan(joints):
    with pytest.raises(ValueError, match='max_committed 4 leaves no action of a chunk of 4 to plan'):
        train_settings(joints, **{'policy.max_committed': 4})


# ---- it learns to --------------------------------------------------------------------------------------------------

# All actions of an episode are 1 or all are -1, and nothing but the actions given tells which.
LEARNING = {
    'policy.chunk_length': 3,
    'policy.max_committed': 2,
    'policy.layers': 1,
    'policy.experts': 2,
    'policy.attention_dropout': 0.0,
    'policy.expert_dropout': 0.0,
    'optimizer.learning_rate': 1e-2,
    'optimizer.ema_decay': 0.98,
    'run.steps': 300,
    'run.batch_size': 128,
    'run.log_every': 50,
    'loss.goal_dropout': 0.0,
}


def test_a_plan_is_continued(tmp_path):
    generator = np.random.default_rng(0)
    episodes = [
        {
            'state': np.tile(generator.uniform(-1, 1, 2), (8, 1)),
            'action': np.full((8, 2), generator.choice([-1.0, 1.0])),
            'task': 'reach',
        }
        for _ in range(200)
    ]
    data = write_data_set(tmp_path / 'data', episodes, ABSOLUTE_TEXT, fps=10, streams={'joints': 2})
    out = tmp_path / 'out'
    found = make_trainer(train_settings(data, **LEARNING), out).train()
    losses = [entry['denoising'] for entry in logged(out).values()]
    assert losses[-1] < 0.6 * losses[0]
    validation = logged(out, 'validation')[300]
    assert found.free_errors == {key: validation[key] for key in ('free_error', 'free_error_continued')}
    assert validation['free_error_continued'] < 0.3 < 0.7 < validation['free_error']
    assert found.continued[:, :2] == pytest.approx(found.recorded[:, :2], abs=1e-6)

    info, network = load_checkpoint(out / 'policy')
    assert info.config.denoiser.max_committed == 2
    goal, state = TextNumbers().encode(['reach']).expand(40, -1), torch.rand(40, 2) * 2 - 1
    noise = torch.randn(40, 3, 2, generator=torch.Generator().manual_seed(0))
    for count in (1, 2):
        for sign in (-1.0, 1.0):
            clean = given(torch.full((40,), count), 3)
            known = Known(torch.full((40, 3, 2), sign), clean.unsqueeze(-1).float(), clean)
            chunk = sample_plain(network.denoiser, info.config.diffusion, noise, goal, None, state, known=known)
            assert (chunk[:, :count] == sign).all()
            assert ((chunk[:, count:] - sign).abs() < 0.3).float().mean() > 0.95


# ---- from a checkpoint of shorter chunks ---------------------------------------------------------------------------


@pytest.fixture(scope='module')
def shorter(joints, tmp_path_factory):
    """A policy with chunks of 4 actions that was not trained to continue."""
    out = tmp_path_factory.mktemp('shorter') / 'out'
    make_trainer(train_settings(joints, **{'run.steps': 2}), out).train()
    return out / 'policy'


def test_longer_chunks_begin_as_the_shorter_ones(joints, shorter):
    changes = {'start.checkpoint': str(shorter), 'policy.chunk_length': 7, 'policy.max_committed': 3}
    begun = build_network(plan(joints, **changes)).state_dict()
    theirs = load_checkpoint(shorter)[1].state_dict()
    position = begun.pop('denoiser.position')
    assert position.shape[0] == 1 + 7
    assert torch.equal(position[:5], theirs.pop('denoiser.position'))
    assert all(torch.equal(row, position[4]) for row in position[5:])
    assert not begun.pop('denoiser.committed_mark').any()
    assert begun.keys() == theirs.keys()
    for name, value in begun.items():
        assert torch.equal(value, theirs[name]), name


def test_a_trained_mark_is_kept(joints, shorter, tmp_path):
    changes = {'start.checkpoint': str(shorter), 'policy.max_committed': 1}
    make_trainer(train_settings(joints, **changes), tmp_path / 'out').train()
    second = tmp_path / 'out' / 'policy'
    assert read_info(second).config.denoiser.max_committed == 1
    mark = load_checkpoint(second)[1].denoiser.committed_mark
    assert mark.any()
    changes = {'start.checkpoint': str(second), 'policy.max_committed': 2, 'policy.chunk_length': 5}
    assert torch.equal(build_network(plan(joints, **changes)).denoiser.committed_mark, mark)
    for wrong, expected in (
        ({'policy.max_committed': 0}, r'denoiser\.committed_mark: absent here, \[32\] there'),
        ({'policy.chunk_length': 3, 'policy.max_committed': 1}, r'denoiser\.position: \[4, 32\] here, \[5, 32\] there'),
        ({'policy.top_k': 1, 'policy.max_committed': 1}, r'trained otherwise: policy\.top_k is 1 here and 2 there'),
    ):
        with pytest.raises(UserError) as error:
            plan(joints, **{'start.checkpoint': str(second), **wrong})
        assert re.search(expected, str(error.value)), error.value


def test_a_training_for_fewer_actions_given_than_the_checkpoint_is_refused(joints, shorter, tmp_path):
    changes = {'start.checkpoint': str(shorter), 'policy.max_committed': 2, 'run.steps': 1}
    make_trainer(train_settings(joints, **changes), tmp_path / 'out').train()
    with pytest.raises(UserError, match=r'policy\.max_committed is 1 here and 2 there'):
        plan(joints, **{'start.checkpoint': str(tmp_path / 'out' / 'policy'), 'policy.max_committed': 1})
