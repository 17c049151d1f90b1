"""Learning policies from demonstrations; imports as `mode_ros.training`."""
