"""What the robot is about to do, to be looked at: the chunk that plays in time, as a path in space, as a picture."""
