"""The `mode_ros` command: one verb per file."""
