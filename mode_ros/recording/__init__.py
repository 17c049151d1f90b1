"""Episodes as rosbag2 folders: what is recorded, how it is written, and what is saved after a crash. Knows no rclpy."""
