import json
import os
import subprocess
import sys

from pyganeti.base import descriptors

_RAISER = """
import json, resource
from pyganeti.base import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 333))
print(json.dumps([descriptors.raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


def test_the_limit_is_raised_to_the_hard_one() -> None:
    said = subprocess.run([sys.executable, "-c", _RAISER], capture_output=True, check=True)
    assert json.loads(said.stdout) == [333, [333, 333]]


def test_descriptors_are_counted() -> None:
    before = descriptors.open_count()
    fd = os.open("/", os.O_RDONLY)
    assert descriptors.open_count() == before + 1
    os.close(fd)
    assert descriptors.open_count() == before
