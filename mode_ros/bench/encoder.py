"""The image encoders' time, which is the same for every variant."""

from __future__ import annotations

import time
from functools import partial

import torch

from mode_ros.policy.config import PolicyConfig


def encoder_seconds(config: PolicyConfig, batch: int, rounds: int, device: str, threads: int) -> list[float]:
    """Seconds per chunk, all cameras one after the other, as a policy runs them; [] for a policy without cameras."""
    if config.image_encoder is None:
        return []
    # These load torchvision, which no other part needs.
    from mode_ros.policy.film_resnet import build_film_resnet
    from mode_ros.policy.packed_encoder import PackedResnet

    torch.set_num_threads(threads)
    encoder = build_film_resnet(config.image_encoder, config.denoiser.goal_dim).eval().to(device)
    images = [torch.rand(batch, 3, camera.height, camera.width, device=device) for camera in config.cameras]
    goal = torch.rand(batch, config.denoiser.goal_dim, device=device)
    taken = []
    with torch.inference_mode():
        runs = [partial(encoder, image, goal) for image in images]
        if device == 'cpu':
            packed = [PackedResnet(encoder, image.shape) for image in images]
            images = [image.contiguous(memory_format=torch.channels_last) for image in images]
            # FiLM's factors are computed once per goal, and not within a chunk's time.
            runs = [
                partial(encode, image, encode.modulation(goal)) for encode, image in zip(packed, images, strict=True)
            ]
        for _ in range(2 + rounds):
            begin = time.perf_counter()
            for encode_camera in runs:
                encode_camera()
            if device == 'cuda':
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - begin)
    return taken[2:]
