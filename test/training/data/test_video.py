"""The encoder's thread: what goes wrong in it reaches who adds pictures."""

import subprocess
import sys

import pytest

pytest.importorskip('av')

# A file that may not grow any more is what a full disk is to the encoder.
FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from mode_ros.training.data.video import VideoWriter

rng = np.random.default_rng(0)
writer = VideoWriter(Path(sys.argv[1]), 'h264', 23, (320, 240), 20.0, 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    for _ in range(int(sys.argv[2])):
        writer.add(rng.integers(0, 255, (240, 320, 3), np.uint8))
    writer.close()
except OSError as error:
    print(error.strerror)
"""


# It fails while the file is closed, while the encoder is emptied, and while pictures are added.
@pytest.mark.parametrize('pictures', [1, 6, 40])
def test_a_disk_that_is_full_ends_the_encoder_and_whoever_waits_for_it(tmp_path, pictures):
    command = [sys.executable, '-c', FULL_DISK, str(tmp_path / 'v.mp4'), str(pictures)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout == 'File too large\n'
