"""Training steps on one card: the mixture, a dense transformer of as many active numbers, and a loop over experts."""

from __future__ import annotations

import gc

import torch

from mode_ros.bench.card import Keep, rounding, spread
from mode_ros.bench.memory import peak_resident
from mode_ros.bench.training import KINDS, dense_counterpart, training_step
from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.mixture import Mixture

_WARM_UP = 3
# Of the products; 'TF32' is float32 that a GPU rounds.
_PRODUCTS = ('float32', 'TF32', 'bfloat16')


def measure_training(config: DenoiserConfig, name: str, batch: int, rounds: int, device: str, keep: Keep) -> None:
    """One after the other, so that each has the memory for itself; `name` of the configuration, for the rows."""
    networks = {
        'dense': (dense_counterpart(config), None),
        'mixture': (config, None),
        'loop': (config, Mixture.forward_plain),
    }
    for products in _PRODUCTS if device == 'cuda' else ('float32', 'bfloat16'):
        steps = {}
        for kind, (sizes, mix) in networks.items():
            gc.collect()
            if device == 'cuda':
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            with rounding(products == 'TF32'):
                step, parameters = training_step(sizes, batch, device, KINDS.get(products, torch.float32), mix)
                seconds = [sum(step()) for _ in range(_WARM_UP + rounds)][_WARM_UP:]
            peak = torch.cuda.max_memory_allocated() if device == 'cuda' else peak_resident()
            del step
            row = {'network': name, 'kind': kind, 'batch': batch, 'products': products, 'parameters': parameters}
            steps[kind] = spread(seconds)
            ratio = steps[kind]['p50'] / steps['dense']['p50']
            keep({**row, **steps[kind], 'per_second': 1 / steps[kind]['p50'], 'over_dense': ratio, 'peak_bytes': peak})
