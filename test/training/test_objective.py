"""A part of a batch through the network: losses, and a gradient for every weight."""

import pytest
import torch
from support.training_sets import TextNumbers, camera_set, train_settings

from mode_ros.training.objective import Objective
from mode_ros.training.plan import build_network, make_plan
from mode_ros.training.settings import LossSettings


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return camera_set(tmp_path_factory.mktemp('pictures') / 'data')


def objective_of(pictures, **changes):
    plan = make_plan(train_settings(pictures, **changes), TextNumbers())
    return plan, Objective(build_network(plan), plan.settings.loss)


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'routing': 'token'},
        {'routing': 'noise_and_token'},
        {'routing': 'observation'},
        {'selection_bias': True},
        {'routing': 'expert_choice'},
        {'routing': 'dense'},
        {'routing': 'dense', 'dense_width': 'active'},
        {'shared_expert': True},
        {'noise_token': False},
        {'noise_conditioning': 'film'},
        {'top_k': 1},
    ],
)
def test_every_weight_has_a_gradient_in_every_step(pictures, changes):
    """Processes that share gradients wait for those of all weights."""
    moved = {'loss.bias_rate': 0.001} if 'selection_bias' in changes else {}
    plan, objective = objective_of(pictures, **{f'policy.{key}': value for key, value in changes.items()} | moved)
    objective.train()
    losses = objective(plan.source.batch(0, 8, slice(0, 8), plan.settings.loss))
    losses.total.backward()
    without = [name for name, weight in objective.named_parameters() if weight.grad is None]
    assert without == []
    assert losses.errors.shape == (8,)
    assert float(losses.errors.mean()) == pytest.approx(float(losses.denoising), rel=1e-5)
    assert float(losses.total.detach()) == pytest.approx(
        float(losses.denoising + plan.settings.loss.balancing * losses.balancing), rel=1e-5
    )


def test_what_comes_after_the_end_counts_or_not(pictures):
    plan, objective = objective_of(pictures)
    batch = plan.source.batch(0, 32, slice(0, 32), plan.settings.loss)
    assert batch.padding.any()
    found = {}
    for padding in ('hold', 'mask'):
        objective._settings = LossSettings(padding=padding)
        plain = objective.eval()
        with torch.no_grad():
            before = plain(batch)
            changed = batch.actions.clone()
            changed[batch.padding] = 0.5
            noise = batch.draws.noise
            # The same noisy actions, so that only what is to be learnt differs.
            moved = noise + (batch.actions - changed) / batch.draws.sigma.view(-1, 1, 1)
            after = plain(
                type(batch)(**{**vars(batch), 'actions': changed, 'draws': batch.draws._replace(noise=moved)})
            )
        found[padding] = float(before.denoising), float(after.denoising)
    assert found['hold'][0] != pytest.approx(found['hold'][1], rel=1e-3)
    assert found['mask'][0] == pytest.approx(found['mask'][1], rel=1e-4)
