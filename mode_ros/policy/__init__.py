"""The MoDE policy: network, routing, diffusion, encoders, checkpoints. Torch, no ROS."""
