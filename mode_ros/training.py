"""Stands in for training/ wherever it is not installed: a checkout, and colcon build --symlink-install."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parent.parent / 'training')]
