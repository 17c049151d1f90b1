"""Inference that fills a core: a small untrained policy, one plan after the other, until this process is ended."""

from __future__ import annotations

import numpy as np
import torch

from mode_ros.bench_safety.contracts import TEXTS, TWIST, bench_contract
from mode_ros.pairing import make_untrained
from mode_ros.with_parent import end_with_parent


def main() -> None:
    """To be run as `python -m mode_ros.bench_safety.load`, once per core."""
    end_with_parent()
    torch.set_num_threads(1)
    contract = bench_contract(TWIST)
    policy = make_untrained(contract, TEXTS[TWIST], seed=1, with_state=True)
    state = np.zeros(sum(len(stream.names) for stream in contract.observation.states))
    generator = torch.Generator().manual_seed(1)
    while True:
        policy.predict({}, state, 'push the button', generator)


if __name__ == '__main__':
    main()
