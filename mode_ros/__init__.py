"""Teach a manipulator by showing it: record, learn and run language-conditioned MoDE policies on ROS 2."""
