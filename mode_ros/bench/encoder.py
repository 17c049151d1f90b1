"""The image encoders' time, which is the same for every variant."""

from __future__ import annotations

import time

import torch

from mode_ros.policy.config import PolicyConfig


def encoder_seconds(config: PolicyConfig, batch: int, rounds: int, device: str, threads: int) -> list[float]:
    """Seconds per chunk, all cameras one after the other; [] for a policy without cameras."""
    if config.image_encoder is None:
        return []
    from mode_ros.policy.film_resnet import build_film_resnet  # loads torchvision, which no other part needs

    torch.set_num_threads(threads)
    encoder = build_film_resnet(config.image_encoder, config.denoiser.goal_dim).eval().to(device)
    images = [torch.rand(batch, 3, camera.height, camera.width, device=device) for camera in config.cameras]
    goal = torch.rand(batch, config.denoiser.goal_dim, device=device)
    taken = []
    with torch.inference_mode():
        for _ in range(2 + rounds):
            begin = time.perf_counter()
            for image in images:
                encoder(image, goal)
            if device == 'cuda':
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - begin)
    return taken[2:]
