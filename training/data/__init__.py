"""From recorded bags to data sets, and from data sets to batches; imports as `mode_ros.training.data`."""
