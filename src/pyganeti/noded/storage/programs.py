"""Runs the storage tools, and turns their failures into words for an operator.

A tool's stdout is its answer; what it complains about on stderr is shown when it fails. A tool
that writes for long can be tied to us (``tied``): the kernel kills it when this process dies, so
that nothing goes on writing to a disk that a new daemon, or another node, has in hand again.
"""

import shutil
from collections.abc import Mapping, Sequence
from typing import Final

from pyganeti.base import errors, log, runner

_LOG = log.get(__name__)

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUTPUT: Final = 8 * 1024 * 1024
"""Bytes of an answer: some 50,000 logical volumes."""

_SHOWN: Final = 2000
_FULL: Final = (
    "No space left on device",
    "Disk quota exceeded",
    "nsufficient free space",  # LVM's, with either letter before it
    "nsufficient suitable allocatable extents",
)
_TIED: Final = ("setpriv", "--pdeathsig", "KILL", "--")


class ToolFailed(errors.Failure):
    """A storage tool said no; the message has its own words. Often it is worth another try.

    ``status`` is its exit status, as far as it has one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Programs:
    """The tools of this node, found on the path of the given environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("PATH", "")
        self._environment = {"PATH": f"{path}:{_PATH}" if path else _PATH, "LC_ALL": "C"}

    @property
    def environment(self) -> dict[str, str]:
        """What every tool gets to see: a path, and messages in English."""
        return dict(self._environment)

    def has(self, name: str) -> bool:
        """Tell whether a tool is installed."""
        return shutil.which(name, path=self._environment["PATH"]) is not None

    async def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: float = 120,
        descriptors: Sequence[int] = (),
        tied: bool = False,
        directory: str = "/",
    ) -> str:
        """Run a tool; return what it wrote to stdout.

        Raises ToolFailed if it fails, Exhausted or Denied if it says that the disk is full or
        read-only, Interrupted if its time was up, Unavailable if it is not installed.
        """
        tool = arguments[0]
        if not self.has(tool):
            raise errors.Unavailable(f"{tool} is not installed on this node")
        finished = await runner.run(
            [*_TIED, *arguments] if tied else arguments,
            environment=self._environment,
            timeout=timeout,
            output_limit=_OUTPUT,
            directory=directory,
            separate=True,
            descriptors=descriptors,
        )
        _LOG.debug(
            "a storage tool ended",
            tool=" ".join(arguments),
            status=finished.status,
            seconds=round(finished.seconds, 3),
        )
        if finished.timed_out:
            raise errors.Interrupted(f"{tool} did not end in {timeout:g} seconds and was killed")
        if finished.status != 0:
            raise _failure(tool, finished)
        if finished.truncated:
            raise errors.Exhausted(f"{tool} wrote more than {_OUTPUT} bytes")
        return finished.output.decode(errors="replace")


def _failure(tool: str, finished: runner.Finished) -> errors.Failure:
    words = (finished.complaints or finished.output).decode(errors="replace").strip()
    if len(words) > _SHOWN:
        words = f"… {words[-_SHOWN:]}"
    if finished.status is not None and finished.status < 0:
        words = f"killed by signal {-finished.status}{': ' if words else ''}{words}"
    said = f"{tool} failed: {words or f'exit status {finished.status}'}"
    if any(phrase in words for phrase in _FULL):
        return errors.Exhausted(said)
    if "Read-only file system" in words:
        return errors.Denied(said)
    return ToolFailed(said, finished.status)
