"""Standard ROS messages to NumPy arrays and back, for live messages and recorded ones alike."""
