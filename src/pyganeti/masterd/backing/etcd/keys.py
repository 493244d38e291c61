"""Where a cluster's things are in etcd, below its own prefix. No I/O.

…leader   who leads: goes when his lease does
…epoch   the number of the last one who led
…config/now   the last link of the configuration's chain
…config/entries/…  its entries, as `model.config.entries` names them
…config/staged/…   parts of a change that is too large for one transaction
…queue/now   the last link of the queue's chain
…queue/jobs/N   jobs that are not archived
…queue/serial   the last number that was given out
…queue/drain   there if no more jobs are taken
…queue/broken/N   what was among the jobs and is none
"""

import re
from typing import Final

from pyganeti.base import errors

_PREFIX: Final = re.compile(r"/([A-Za-z0-9._\-]+/)+\Z", re.ASCII)


class Keys:
    """All keys of one cluster."""

    def __init__(self, prefix: str) -> None:
        """Make them; raises BadInput unless the prefix begins and ends with a slash."""
        if not _PREFIX.match(prefix):
            raise errors.BadInput(f"{prefix!r} is no place for a cluster in etcd")
        self.root: Final = prefix.encode()
        self.leader: Final = self.root + b"leader"
        self.epoch: Final = self.root + b"epoch"
        self.config: Final = self.root + b"config/"
        self.config_now: Final = self.config + b"now"
        self.entries: Final = self.config + b"entries/"
        self.staged: Final = self.config + b"staged/"
        self.queue: Final = self.root + b"queue/"
        self.queue_now: Final = self.queue + b"now"
        self.jobs: Final = self.queue + b"jobs/"
        self.serial: Final = self.queue + b"serial"
        self.drain: Final = self.queue + b"drain"
        self.broken: Final = self.queue + b"broken/"

    def __str__(self) -> str:
        """Return the place of all of them."""
        return self.root.decode()

    def entry(self, name: str) -> bytes:
        """Return the key of an entry of the configuration."""
        return self.entries + name.encode()

    def part(self, change: str, number: int) -> bytes:
        """Return the key of a part of a change."""
        return self.parts(change) + b"%d" % number

    def parts(self, change: str) -> bytes:
        """Return how the keys of all its parts begin."""
        return self.staged + change.encode() + b"/"

    def job(self, number: int) -> bytes:
        """Return the key of a job."""
        return self.jobs + b"%d" % number

    def number(self, key: bytes) -> int | None:
        """Return the number of the job that a key is of, None if it is of none."""
        digits = key.removeprefix(self.jobs)
        if digits == key or not digits.isdigit() or digits.startswith(b"0"):
            return None
        return int(digits)
