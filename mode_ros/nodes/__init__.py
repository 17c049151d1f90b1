"""ROS 2 nodes: thin wiring from topics to mode_ros.policy and mode_ros.control."""
