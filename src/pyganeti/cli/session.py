"""What every sub-command has at hand: the master daemon, the terminal, and why it was called."""

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyganeti.base import paths

if TYPE_CHECKING:
    from pyganeti.clients import luxi

Trail = list[tuple[str, str, int]]


class Session:
    """One run of one command. Click hands it to sub-commands as their context's object.

    ``sub_command`` and ``arguments`` are filled in before the sub-command runs.
    """

    def __init__(self, program: str, layout: paths.Paths) -> None:
        self.program = program
        self.layout = layout
        self.sub_command = ""
        self._client: luxi.Client | None = None

    @property
    def client(self) -> "luxi.Client":
        """The master daemon, asked through one connection."""
        if self._client is None:
            from pyganeti.clients import luxi  # a third of what a command's start would take

            self._client = luxi.Client(self.layout)
        return self._client

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at what we print."""
        return sys.stdout.isatty()

    @property
    def can_ask(self) -> bool:
        """Whether there is a person to answer a question."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def close(self) -> None:
        """Let go of the master daemon."""
        if self._client is not None:
            self._client.close()

    def trail(self, reason: str | None) -> Trail:
        """Return why a job is submitted: the words of who asked, if any, and the command."""
        now = time.time_ns()
        trail = [("gnt:user", reason, now)] if reason else []
        return [*trail, (f"gnt:client:{self.program}", self.sub_command, now)]

    def out(self, text: str = "") -> None:
        """Print a line of what was asked for."""
        sys.stdout.write(text + "\n")

    def tell(self, text: str) -> None:
        """Print a line beside what was asked for: progress, warnings."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")

    def out_json(self, value: Any) -> None:  # noqa: ANN401 - JSON
        """Print a value as JSON, a line."""
        import msgspec

        self.out(msgspec.json.encode(value).decode())

    def record(self, arguments: Sequence[str]) -> None:
        """Write into the commands' log that this command was run; who may not does not."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S")
        words = shlex.join(arguments)
        line = f"{moment} {self.program} {self.sub_command} pid={os.getpid()} INFO run: {words}\n"
        with contextlib.suppress(OSError):
            fd = os.open(
                self.layout.log_dir / "commands.log",
                os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC,
                0o600,
            )
            try:
                os.write(fd, line.encode(errors="replace"))
            finally:
                os.close(fd)
