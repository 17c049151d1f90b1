"""The training learns: both of two ways to do it, and a function whose best possible loss is known."""

import numpy as np
import torch
from support.contracts import ABSOLUTE_TEXT
from support.training_sets import TextNumbers, logged, make_trainer, train_settings, write_data_set

from mode_ros.policy.policy import Policy
from mode_ros.training.loss import log_logistic_sigmas
from mode_ros.training.objective import Objective
from mode_ros.training.settings import LossSettings

# One narrow layer: what there is to learn is small, and what is tested is the training.
SETTINGS = {
    'policy.chunk_length': 2,
    'policy.embed_dim': 32,
    'policy.layers': 1,
    'policy.experts': 2,
    'policy.attention_dropout': 0.0,
    'policy.expert_dropout': 0.0,
    'optimizer.learning_rate': 1e-2,
    'optimizer.ema_decay': 0.98,
    'run.batch_size': 128,
    'run.log_every': 100,
    'loss.goal_dropout': 0.0,
}


def episodes(count, act, length=8, seed=0):
    """Episodes in which the arm stands; act(state [2], generator) gives the actions [length, 2]."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        state = generator.uniform(-1, 1, 2)
        made.append({'state': np.tile(state, (length, 1)), 'action': act(state, generator), 'task': 'reach'})
    return made


def trained(tmp_path, made, **changes):
    data = write_data_set(tmp_path / 'data', made, ABSOLUTE_TEXT, fps=10, streams={'joints': 2})
    trainer = make_trainer(train_settings(data, **(SETTINGS | changes)), tmp_path / 'out')
    trainer.train()
    return trainer, Policy.load(tmp_path / 'out' / 'policy', 'cpu', TextNumbers())


def test_both_of_two_ways_are_learnt_and_nothing_between(tmp_path):
    """The mean of the two, which a plain regression would give, is 0."""

    def act(state, generator):
        return np.repeat(generator.choice([-1.0, 1.0], (8, 1)), 2, axis=1)

    _, policy = trained(tmp_path, episodes(200, act), **{'run.steps': 500})
    found = np.concatenate(
        [
            policy.predict({}, np.random.default_rng(k).uniform(-1, 1, 2), 'reach', torch.Generator().manual_seed(k))
            for k in range(60)
        ]
    )
    assert (np.abs(np.abs(found) - 1) < 0.3).all(-1).mean() > 0.9
    assert 0.2 < (found[:, 0] > 0).mean() < 0.8
    clear = (np.abs(found) > 0.7).all(-1)
    assert (np.sign(found[clear, 0]) == np.sign(found[clear, 1])).all()  # both numbers of an action go the same way


def test_a_noisy_linear_function_is_learnt_as_well_as_can_be(tmp_path):
    matrix, noise = np.array([[0.6, 0.3], [-0.2, 0.7]]), 0.2

    def act(state, generator):
        return matrix @ state + generator.normal(0, noise, (8, 2))

    trainer, _ = trained(tmp_path, episodes(500, act), **{'run.steps': 300, 'data.validation_share': 0.2})
    source, config = trainer._plan.source, trainer._plan.config
    moments = source.validation(800)
    batch = source.moments(moments, LossSettings())
    with torch.no_grad():
        found = float(Objective(trainer.average, LossSettings()).eval()(batch).denoising)
    # Given the state, the normalised action is normal with a known mean and deviation s. Of a noisy one the best
    # estimate errs by the posterior variance s²σ²/(s² + σ²), which F carries divided by c_out².
    s = noise / source._actions[0].scale
    sigma = log_logistic_sigmas(torch.linspace(0, 1 - 1e-6, 4001), config.diffusion, 0.5).numpy()[:, None]
    best = float(np.mean(s**2 * (sigma**2 + 0.25) / ((s**2 + sigma**2) * 0.25)))
    assert 0.9 * best < found < 1.15 * best
    assert logged(tmp_path / 'out')[100]['denoising'] > found  # it had to be learnt
