"""Floating-point operations of a chunk, by torch's counter."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from mode_ros.bench.variants import Setting, build_variant, load_network, make_inputs
from mode_ros.policy.inference import ChunkSampler

# Which variants compute the same numbers of products.
KINDS = ('full sequence', 'this project', 'dense')


def chunk_flops(setting: Setting, batch: int, device: str = 'cpu') -> dict[str, int]:
    """Operations per chunk for each of KINDS.

    Counted on plain products in float32: the counter does not know packed ones, which compute the same.
    """
    torch.set_grad_enabled(True)  # the counter sees nothing of what inference mode hides; no gradient is asked for
    plain = Setting(setting.denoiser, setting.diffusion, setting.weights, device, setting.threads)
    inputs = make_inputs(setting.denoiser, batch, device)
    sampler = ChunkSampler(load_network(plain, ()), setting.diffusion)
    goal = sampler.read_goal(inputs.goal)
    counts = {}
    with FlopCounterMode(display=False) as counter:
        sampler.sample(sampler.read_observation(goal, inputs.images, inputs.state), inputs.noise)
    counts['this project'] = counter.get_total_flops()
    del sampler
    for kind, variant in (('full sequence', 'mixture'), ('dense', 'dense')):
        compute = build_variant(variant, plain, batch)
        with FlopCounterMode(display=False) as counter:
            compute(inputs, lambda: None)
        counts[kind] = counter.get_total_flops()
        del compute
    return counts
