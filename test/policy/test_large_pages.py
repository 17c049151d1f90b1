"""Large weights lie where Linux was asked for pages of 2 MB."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Prints the flags of the mapping that a packed matrix of 16 MB lies in; 'hg' is what was asked for.
FLAGS = """
import os
import torch
from mode_ros.policy.linear import linear_makers

product = linear_makers('bfloat16', torch.device('cpu')).experts(torch.randn(8192, 1024), None)
packed = product._packed
address = torch.ops.mkldnn.data_ptr(packed) if packed.is_mkldnn else packed.data_ptr()
inside = False
for line in open('/proc/self/smaps'):
    head = line.split()[0]
    if '-' in head and not head.endswith(':'):
        begin, end = (int(each, 16) for each in head.split('-'))
        inside = begin <= address + (8 << 20) < end
    elif inside and head == 'VmFlags:':
        print(*line.split()[1:])
"""


def flags_of_the_weights(environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, '-c', FLAGS], capture_output=True, text=True, env=environment, timeout=300, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(
    not Path('/sys/kernel/mm/transparent_hugepage/enabled').exists(), reason='this system has no pages of 2 MB'
)
def test_large_weights_ask_for_large_pages() -> None:
    environment = {name: value for name, value in os.environ.items() if name != 'THP_MEM_ALLOC_ENABLE'}
    assert 'hg' in flags_of_the_weights(environment)
    assert 'hg' not in flags_of_the_weights({**environment, 'THP_MEM_ALLOC_ENABLE': '0'})
