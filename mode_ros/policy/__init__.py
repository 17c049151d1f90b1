"""The MoDE policy: network, routing, diffusion, encoders, checkpoints. Torch, no ROS."""

import os

# Large weights in pages of 2 MB, where Linux lets a process ask for them: the large network's float32 is 7 % sooner
# (docs/performance.md). Torch reads it once, at its first large tensor.
os.environ.setdefault('THP_MEM_ALLOC_ENABLE', '1')
