"""`mode_ros doctor`: what is suspicious about a data set, recordings, a checkpoint or a contract, on one page."""
