"""Inspection of checkpoints whose experts and routers are made so that the answer is known."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from support.contracts import ABSOLUTE_TEXT
from support.training_sets import TextNumbers, joints_set, make_trainer, train_settings

from mode_ros.cli.main import main
from mode_ros.policy.checkpoint import save_checkpoint
from mode_ros.policy.config import DiffusionConfig
from mode_ros.training.inspection.drawing import Curve, curves, heatmap
from mode_ros.training.inspection.inspect import describe, inspect_all, largest_difference, together
from mode_ros.training.inspection.measure import measure
from mode_ros.training.inspection.pages import inspection_page
from mode_ros.training.plan import build_network, make_plan
from mode_ros.training.progress import read_log


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return joints_set(tmp_path_factory.mktemp('set') / 'data')


def make(data, folder, change=None, seed=0, **settings):
    """A checkpoint of random weights; change(denoiser) before it is saved."""
    plan = make_plan(train_settings(data, **{'run.seed': seed, **settings}), TextNumbers())
    network = build_network(plan)
    with torch.no_grad():
        for name, parameter in network.denoiser.named_parameters():
            if not name.endswith('gain'):
                torch.nn.init.normal_(parameter, std=1.0 / parameter.shape[-1] ** 0.5)
        if change is not None:
            change(network.denoiser)
    save_checkpoint(folder, plan.info(7), network)
    return folder


def kinds(inspection, when=None):
    return {(f.kind, f.layer) for f in inspection.found.findings if when in (None, f.when)}


def test_shapes_and_sums(data, tmp_path):
    (side,) = inspect_all([make(data, tmp_path / 'policy')], [])
    found = side.found
    assert found.over_range.sigmas[[0, -1]] == pytest.approx([0.001, 80], rel=1e-4)
    assert found.at_steps.sigmas[[0, -1]] == pytest.approx([80, 0.001], rel=1e-4)
    for routed in (found.over_range, found.at_steps):
        np.testing.assert_allclose(routed.probabilities.sum(-1), 1, rtol=1e-5)
        np.testing.assert_allclose(routed.use.sum(-1), 2, rtol=1e-5)
        np.testing.assert_allclose(routed.weights.sum(-1), 1, rtol=1e-5)
        assert ((routed.entropy >= 0) & (routed.entropy <= 1)).all()
    np.testing.assert_allclose(found.shares.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize('initialisation', ['published', 'small'])
def test_a_checkpoint_says_what_it_began_with(data, tmp_path, initialisation):
    changes = {'policy.initialisation': initialisation, 'run.steps': 4, 'run.validate_every': 2}
    make_trainer(train_settings(data, **changes), tmp_path / 'out').train()
    (side,) = inspect_all([tmp_path / 'out' / 'policy'], [])
    assert side.initialisation == initialisation
    (tmp_path / 'out' / 'policy' / 'training.yaml').unlink()
    (told,) = inspect_all([tmp_path / 'out' / 'policy'], [])
    assert told.initialisation == f'{initialisation}, by its noise embedding'
    # The bias of the first layer is a direction of its own; without it the levels lie on a line.
    assert (side.found.noise_spectrum[0] > 0.99) == (initialisation == 'small')
    assert side.found.noise_rms == pytest.approx(0.5 if initialisation == 'published' else 0.003, rel=0.6)
    assert f'initialisation {initialisation}' in describe([side])
    assert f'initialisation {initialisation}' in inspection_page([side])


def test_a_checkpoint_that_began_from_another_says_what_its_weights_tell_and_which(data, tmp_path):
    make_trainer(train_settings(data), tmp_path / 'first').train()
    begun = {'start.checkpoint': str(tmp_path / 'first' / 'policy'), 'policy.initialisation': 'small'}  # not used then
    make_trainer(train_settings(data, **begun), tmp_path / 'second').train()
    (side,) = inspect_all([tmp_path / 'second' / 'policy'], [])
    assert side.initialisation.startswith('published, by its noise embedding, and trained on from the checkpoint /')
    assert side.initialisation.endswith('first/policy')


def test_seeds_of_a_training_are_told_together(data, tmp_path, capfd):
    folders = [make(data, tmp_path / f'seed_{seed}', seed=seed) for seed in range(3)]
    status, said, _ = run(capfd, *folders, '--html', tmp_path / 'page.html')
    assert status == 0
    sides = inspect_all(folders, [])
    moved = np.concatenate([side.found.moved for side in sides])
    between = f'{moved.min():.1%} to {moved.max():.1%}, median {np.median(moved):.1%}'
    assert f'probability moved by noise: {between}' in said
    assert f'layers below 2%: {(moved < 0.02).sum()} of 6' in said
    pairs = [each[a, b] for side in sides for each in side.found.output_cosine for a in range(4) for b in range(a)]
    assert max(max(side.found.alike) for side in sides) == pytest.approx(max(pairs))
    page = (tmp_path / 'page.html').read_text()
    assert all(words in page for words in ('<h2>Together</h2>', between))
    assert 'Together' not in inspection_page(sides[:2])
    assert 'How far apart the first two are' in page
    assert 'flex-wrap: wrap' in page  # five beside each other would overlap
    # Of trainings whose notes lie beside, where they began, too.
    noted = [
        replace(side, way=({'kind': 'mixture', 'step': 0, 'noise_rms': rms},))
        for side, rms in zip(sides, (3, 1, 2), strict=True)
    ]
    assert together(noted)[0] == ('e(σ), root mean square before the first step', '1 to 3')
    assert together(sides)[0][0] == 'e(σ), root mean square at the end'


def test_the_way_of_a_training_is_noted_and_drawn(data, tmp_path):
    make_trainer(train_settings(data, **{'run.steps': 4, 'run.validate_every': 2}), tmp_path / 'out').train()
    (side,) = inspect_all([tmp_path / 'out' / 'policy'], [])
    noted = [entry for entry in side.way if entry['kind'] == 'mixture']
    assert [entry['step'] for entry in noted] == [0, 2, 4]
    assert len(noted[0]['moved']) == len(noted[0]['alike']) == 2
    assert noted[-1]['moved'] == pytest.approx(side.found.moved.tolist(), abs=1e-5)
    assert noted[-1]['noise_rms'] == pytest.approx(side.found.noise_rms, rel=1e-5)
    steps = [entry for entry in side.way if entry['kind'] == 'step']
    for entry in steps:
        norms = entry['gradient_norms']
        assert {'routers', 'experts', 'attention', 'noise embedding', 'goal', 'position'} <= norms.keys()
        assert 'other' not in norms
        assert sum(norm**2 for norm in norms.values()) == pytest.approx(entry['gradient_norm'] ** 2, rel=1e-3)
    page = inspection_page([side])
    for words in ('share of the probability that noise moves', 'cosine of the two most alike experts', 'On the way'):
        assert words in page
    assert 'On the way' not in inspection_page([replace(side, way=())])


@pytest.mark.parametrize('changes', [{'routing': 'token'}, {'routing': 'observation'}, {'routing': 'dense'}])
def test_alternatives_are_noted_too(data, tmp_path, changes):
    settings = {f'policy.{key}': value for key, value in changes.items()} | {'run.steps': 2, 'loss.balancing': 0.0}
    make_trainer(train_settings(data, **settings), tmp_path / 'out').train()
    noted = [entry for entry in read_log(tmp_path / 'out') if entry['kind'] == 'mixture']
    assert [entry['step'] for entry in noted] == [0, 2]
    assert all(('moved' in entry) == (changes['routing'] != 'dense') for entry in noted)


def test_what_is_used_is_what_the_fast_path_runs(data, tmp_path):
    from mode_ros.policy.policy import Policy

    folder = make(data, tmp_path / 'policy')
    table = Policy.load(folder, 'cpu', TextNumbers()).sampler.routing
    (side,) = inspect_all([folder], [])
    for step, layers in enumerate(table.experts):
        for layer, experts in enumerate(layers):
            weights = side.found.at_steps.weights[step, layer]
            assert set(np.flatnonzero(weights)) == set(experts)
            np.testing.assert_allclose(weights[list(experts)], table.weights[step][layer], rtol=1e-5)


def test_experts_that_are_copies_are_found_although_scaled_and_in_another_order(data, tmp_path):
    def copy(denoiser):
        mixture = denoiser.stack[1].mixture
        width = mixture.down_weight.shape[-1]
        order = torch.randperm(width, generator=torch.Generator().manual_seed(0))
        both = torch.cat([order, order + width])
        mixture.up_weight[2], mixture.up_bias[2] = mixture.up_weight[0][both], mixture.up_bias[0][both]
        mixture.down_weight[2] = mixture.down_weight[0][:, order]

    (side,) = inspect_all([make(data, tmp_path / 'policy', copy)], [])
    assert ('expert collapse', 1) in kinds(side)
    assert ('expert collapse', 0) not in kinds(side)
    assert side.found.output_cosine[1, 0, 2] == pytest.approx(1, abs=1e-4)
    assert side.found.weight_cosine[1, 0, 2] < 0.5  # the weights alone would not tell


def test_a_router_that_gives_all_to_one_expert(data, tmp_path):
    def collapse(denoiser):
        denoiser.stack[0].router.output.weight.zero_()
        denoiser.stack[0].router.output.bias.copy_(torch.tensor([0.0, 20.0, 0.0, 0.0]))

    (side,) = inspect_all([make(data, tmp_path / 'policy', collapse)], [])
    assert ('router collapse', 0) in kinds(side, 'in training')
    assert ('routing ignores noise', 0) in kinds(side)
    assert side.found.trained_entropy[0] < 0.01
    assert side.found.trained_probabilities[0, 1] > 0.99


def test_a_router_without_preference_trains_all_and_runs_two(data, tmp_path):
    def undecided(denoiser):
        for block in denoiser.stack:
            block.router.output.weight.zero_()
            block.router.output.bias.copy_(torch.tensor([0.02, 0.01, 0.0, 0.0]))

    (side,) = inspect_all([make(data, tmp_path / 'policy', undecided)], [])
    assert not kinds(side, 'in training')
    assert kinds(side, 'when it runs') == {('router collapse', 0), ('router collapse', 1)}
    np.testing.assert_allclose(side.found.shares, 0.25, atol=0.02)
    assert side.found.trained_entropy.min() > 0.999


def test_routing_that_turns_with_the_noise_level_is_seen_where_it_turns(data, tmp_path):
    def turn(denoiser):
        """Layer 0: experts 0 and 1 above σ = 1, 2 and 3 below."""
        embedding, router = denoiser.noise_embedding, denoiser.stack[0].router
        embedding.input.weight.fill_(1.0)
        embedding.input.bias.zero_()
        embedding.output.weight.copy_(torch.eye(len(embedding.output.weight)))  # e(σ) = ln σ / 4 everywhere
        for layer in (router.input, router.output):
            layer.weight.zero_()
            layer.bias.zero_()
        router.input.weight[0, 0], router.input.weight[1, 0] = 20.0, -20.0  # GELU keeps the positive one
        router.output.weight[:2, 0] = 1.0
        router.output.weight[2:, 1] = 1.0

    (side,) = inspect_all([make(data, tmp_path / 'policy', turn)], [])
    routed = side.found.over_range
    high = routed.sigmas > 1.1
    low = routed.sigmas < 0.9
    assert (routed.use[high, 0] == [1, 1, 0, 0]).all()
    assert (routed.use[low, 0] == [0, 0, 1, 1]).all()
    assert ('routing ignores noise', 0) not in kinds(side)
    assert side.found.moved[0] > 0.4
    # Of the noise levels of the training 80 % lie below 1.
    assert side.found.shares[0, :2].sum() < 0.4 < 0.6 < side.found.shares[0, 2:].sum()


def test_data_sets_are_routed_the_same_by_noise_and_differently_by_token(data, tmp_path):
    other = joints_set(tmp_path / 'other', tasks=('lift', 'drop'), seed=5)
    apart = {}
    for routing in ('noise', 'token'):
        folder = make(data, tmp_path / routing, **{'policy.routing': routing})
        sides = inspect_all([folder], [data, other], TextNumbers())
        np.testing.assert_array_equal(sides[0].found.output_cosine, sides[1].found.output_cosine)
        apart[routing] = largest_difference(sides[0].found, sides[1].found).max()
        said = describe(sides)
        assert f'{folder} on {other}' in said
        assert ('every data set is routed the same' in said) == (routing == 'noise')
    assert apart['noise'] == 0
    assert apart['token'] > 0.01


@pytest.mark.parametrize('routing', ['dense', 'expert_choice', 'noise_and_token'])
def test_alternatives_are_inspected_too(data, tmp_path, routing):
    (side,) = inspect_all([make(data, tmp_path / 'policy', **{'policy.routing': routing})], [])
    page = inspection_page([side])
    assert f'routing by {routing}' in describe([side])
    assert '<svg' in page
    if routing == 'dense':
        assert side.found.shares.shape == (2, 1)
        assert not side.found.findings
    if routing == 'expert_choice':
        np.testing.assert_allclose(side.found.shares, 0.25, rtol=1e-5)


def test_measuring_repeats(data, tmp_path):
    plan = make_plan(train_settings(data), TextNumbers())
    denoiser = build_network(plan).eval().denoiser
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again = (measure(denoiser, DiffusionConfig(), 0.5) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first.shares, again.shares)
    np.testing.assert_array_equal(first.output_cosine, again.output_cosine)


def run(capfd, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(['inspect', *map(str, arguments)])
    printed = capfd.readouterr()
    return ended.value.code, printed.out, printed.err


class _Wanted(HTMLParser):
    """Whatever a page would fetch from elsewhere or run."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        links = [value for name, value in attributes if name in ('src', 'href')]
        self.found += links + ([tag] if tag in ('script', 'link', 'iframe') else [])


def test_the_verb_compares_two_checkpoints(data, tmp_path, capfd):
    one, other = (make(data, tmp_path / name, seed=seed) for name, seed in (('one', 0), ('other', 1)))
    page, numbers = tmp_path / 'page.html', tmp_path / 'numbers.json'
    status, said, _ = run(capfd, one, '--compare', other, '--html', page, '--json', numbers)
    assert status == 0
    assert 'layer' in said
    assert "largest difference of an expert's use" in said
    sides = json.loads(numbers.read_text())
    assert [side['name'] for side in sides] == [str(one), str(other)]
    assert np.shape(sides[0]['over_range']['use']) == (48, 2, 4)
    content = page.read_text()
    wanted = _Wanted()
    wanted.feed(content)
    assert wanted.found == []
    assert content.count('<svg') == 2 * (2 + 2 + 1 + 4)  # sides × (use, weights, entropy, similarity)


def test_a_checkpoint_that_is_not_there_and_a_robot_that_is_another(data, tmp_path, capfd):
    status, _, said = run(capfd, tmp_path / 'nowhere')
    assert (status, 'no checkpoint folder' in said) == (1, True)
    slower = joints_set(tmp_path / 'slower', contract=ABSOLUTE_TEXT.replace('rate: 10.0', 'rate: 5.0'), fps=5)
    status, _, said = run(capfd, make(data, tmp_path / 'policy'), '--dataset', slower)
    assert (status, 'rate' in said) == (1, True)


def test_plots_are_well_formed_and_to_scale():
    svg = ElementTree.fromstring(heatmap('<a>', np.array([[0.0, 1.0]]), ['r'], ['x', 'y']))
    fills = [each.get('fill') for each in svg.iter() if each.tag.endswith('rect')]
    assert fills == ['#f4f8fb', '#08306b']
    drawn = ElementTree.fromstring(curves('c', {'a': Curve([0, 5, 10], [1.0, float('nan'), 3.0])}))
    (line,) = [each for each in drawn.iter() if each.tag.endswith('polyline')]
    points = [tuple(map(float, point.split(','))) for point in line.get('points').split()]
    assert len(points) == 2  # what is not finite is left out
    assert points[0][0] < points[1][0]
    assert points[0][1] > points[1][1]  # up is less in SVG
    assert curves('nothing', {'a': Curve([], [])}) == ''
    small = ElementTree.fromstring(curves('s', {'a': Curve([0, 1], [0.000597512, 0.003546789])}))
    assert {'0.000598', '0.00355'} <= {each.text for each in small.iter()}, 'no more than there is room for'
