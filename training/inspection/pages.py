"""An inspection as a page: heat maps of the experts' use, of entropy and of similarity, and the findings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from mode_ros.training.inspection.drawing import heatmap
from mode_ros.training.inspection.findings import Finding
from mode_ros.training.inspection.inspect import Inspection, largest_difference, together
from mode_ros.training.inspection.measure import Measurement, Routed
from mode_ros.training.inspection.way import way_curves
from mode_ros.training.page import page, table, text

# Of more checkpoints than have room beside each other the others go below, and a long path is broken.
_STYLE = '.sides { flex-wrap: wrap } .sides > div { flex: 1 1 24rem; overflow-wrap: anywhere }'
# Of a checkpoint without its training's notes.
NOTHING = '<p class="sub">No notes of its training lie beside it.</p>'


def inspection_page(sides: Sequence[Inspection]) -> str:
    """All inspections side by side, as a document that stands alone."""
    heads = ''.join(
        f'<div><h3>{text(side.name)}</h3><p class="sub">routing by {text(side.routing)}, {side.trained_steps} training '
        f'steps, initialisation {text(side.initialisation)}. {text(side.note)}</p>'
        f'{findings_list(side.found.findings)}</div>'
        for side in sides
    )
    parts = ['<h1>Experts and their routing</h1>', f'<div class="sides">{heads}</div>']
    if len(sides) > 1 and sides[0].found.shares.shape == sides[1].found.shares.shape:
        apart = largest_difference(sides[0].found, sides[1].found)
        rows = [[str(layer), f'{value:.3f}'] for layer, value in enumerate(apart)]
        which = 'How far apart' if len(sides) == 2 else 'How far apart the first two are'
        parts += [f'<h2>{which}</h2>', table(['layer', "largest difference of an expert's use"], rows, (1,))]
    if len(sides) > 2:
        parts += ['<h2>Together</h2>', table(['', 'smallest to largest'], [list(row) for row in together(sides)], (1,))]
    shown = [
        ('Use by noise level', 'The share of what is routed that uses an expert, from low noise to high.', use_maps),
        ('Weights at the denoising steps', 'In the order in which a chunk is denoised, from high noise.', weight_maps),
        ('Entropy of the routing', '1: the router has no preference; 0: it is sure.', entropy_map),
        ('Similarity of experts', 'Cosine of the outputs for random inputs, and of the weights.', similarity_maps),
        ('In training', 'Shares of the experts that are drawn, under the noise levels of training.', _share_table),
    ]
    drawn = ''.join(f'<div class="plots">{noise_table(side.found)}</div>' for side in sides)
    words = 'e(σ) over the range of noise levels: how loud it is, and how its energy is spread over directions.'
    parts.append(f'<h2>The noise embedding</h2><p class="sub">{words}</p><div class="sides">{drawn}</div>')
    if any(way := [way_curves(side.way) for side in sides]):
        drawn = ''.join(f'<div class="plots">{each or NOTHING}</div>' for each in way)
        words = 'What the training noted, from its first step on; the norm of the gradient by the part it belongs to.'
        parts.append(f'<h2>On the way</h2><p class="sub">{words}</p><div class="sides">{drawn}</div>')
    for title, words, draw in shown:
        drawn = ''.join(f'<div class="plots">{draw(side.found)}</div>' for side in sides)
        parts.append(f'<h2>{title}</h2><p class="sub">{words}</p><div class="sides">{drawn}</div>')
    return page('Experts and their routing', ''.join(parts), _STYLE)


def findings_list(findings: Sequence[Finding]) -> str:
    """The findings, or that there are none."""
    if not findings:
        return '<p class="good">No findings.</p>'
    items = ''.join(
        f'<li><span class="bad">{text(finding.kind)}</span>: {text(finding.text)} '
        f'<span class="sub">({finding.value:.3g}, threshold {finding.threshold:g})</span></li>'
        for finding in findings
    )
    return f'<ul>{items}</ul>'


def use_maps(found: Measurement) -> str:
    """One <svg> per layer: which experts run at which noise level (figure 6 of the paper)."""
    return _layer_maps(found.over_range, found.over_range.use)


def weight_maps(found: Measurement) -> str:
    """One <svg> per layer: with which weight each expert runs at each denoising step."""
    return _layer_maps(found.at_steps, found.at_steps.weights)


def noise_table(found: Measurement) -> str:
    """How loud e(σ) is, and the shares of its energy by direction."""
    rows = [['root mean square', f'{found.noise_rms:.3g}']]
    rows += [[f'direction {number + 1}', f'{share:.2%}'] for number, share in enumerate(found.noise_spectrum)]
    return table(['e(σ)', ''], rows, (1,))


def entropy_map(found: Measurement) -> str:
    """One <svg>: layers over noise levels."""
    routed = found.over_range
    layers = [f'layer {layer}' for layer in range(routed.entropy.shape[1])]
    return heatmap('entropy', routed.entropy.T, layers, _levels(routed))


def similarity_maps(found: Measurement) -> str:
    """Two <svg> per layer, absolute cosines: outputs and weights."""
    experts = [f'expert {expert}' for expert in range(found.output_cosine.shape[-1])]
    pairs = [
        [
            heatmap(f'layer {layer}, outputs', np.abs(outputs), experts, experts),
            heatmap(f'layer {layer}, weights', np.abs(weights), experts, experts),
        ]
        for layer, (outputs, weights) in enumerate(zip(found.output_cosine, found.weight_cosine, strict=True))
    ]
    return ''.join(chain.from_iterable(pairs))


def _layer_maps(routed: Routed, values: np.ndarray) -> str:
    experts = [f'expert {expert}' for expert in range(values.shape[-1])]
    return ''.join(
        heatmap(f'layer {layer}', values[:, layer].T, experts, _levels(routed)) for layer in range(values.shape[1])
    )


def _levels(routed: Routed) -> list[str]:
    return [f'σ {sigma:.3g}' for sigma in routed.sigmas]


def _share_table(found: Measurement) -> str:
    experts = found.shares.shape[1]
    rows = [
        [str(layer), *(f'{share:.3f}' for share in shares), f'{found.trained_entropy[layer]:.3f}']
        for layer, shares in enumerate(found.shares)
    ]
    heads = ['layer', *(f'expert {expert}' for expert in range(experts)), 'entropy']
    return table(heads, rows, range(1, experts + 2))
