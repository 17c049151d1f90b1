"""Runs a job's command and writes how it ended: python -m mode_ros.page.job_child FOLDER LOCK (jobs.py starts it)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# Control and cameras come first where the robot's own machine trains.
NICE = 10


def main(folder: Path, lock: int) -> int:
    """Returns the command's exit status. lock: a descriptor, held as long as this or the command lives."""
    # What a shell ignores for work in the background, the command would ignore too, and could not be stopped.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = json.loads((folder / 'job.json').read_text(encoding='utf-8'))['command']
    os.nice(NICE)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(lock,))
    aside = folder / '.pid'
    aside.write_text(str(child.pid))
    aside.rename(folder / 'pid')
    status = child.wait()
    aside = folder / '.ended.json'
    aside.write_text(json.dumps({'status': status, 'at': time.time()}) + '\n', encoding='utf-8')
    aside.rename(folder / 'ended.json')
    return status


if __name__ == '__main__':
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
