"""The process that one transfer is: ``python -m pyganeti.noded.transfers.worker``, job on stdin.

Start: read the job, detach, lock the pid file in the transfer's folder, open what is read or
written, listen if this is an import; then say that we are ready, and whoever started us may die.
End: the last word goes into the status file, then the lock is given back; a transfer without a lock
and without a last word was killed. SIGTERM ends it orderly, with all that it has started.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn, TextIO

from pyganeti.base import daemon, errors, pidfile
from pyganeti.noded.transfers import connecting, crew, ends, jobs, places, status, streaming

_PATIENCE: Final = 30.0
_LOG_MODE: Final = 0o640
_SIZE_DIGITS: Final = 32


class Aborted(Exception):
    """Somebody asked us to end."""


def main() -> NoReturn:
    """Carry out the job on standard input; ends the process."""
    try:
        job = jobs.decode(sys.stdin.buffer.read())
        for fd in jobs.descriptors_of(job.end):
            os.set_inheritable(fd, False)  # noqa: FBT003 - no keyword there
        log = _open_log(Path(job.log))
    except (errors.Failure, OSError) as error:
        sys.stderr.write(f"{error}\n")
        os._exit(1)
    started = daemon.detach(_PATIENCE)
    lock = pidfile.PidFile(places.pid_file(Path(job.folder)))
    try:
        lock.acquire()
        board = status.Board(places.status_file(Path(job.folder)), log, job.expected)
    except Exception as error:  # noqa: BLE001 - the top frame
        started.failed(str(error))
        os._exit(1)
    code = _Transfer(job, board).run(started)
    lock.release()
    # Threads may hang in whatever failed; they are not waited for.
    os._exit(0 if code == status.SUCCESS else 1)


class _Transfer:
    """The job, carried out."""

    def __init__(self, job: jobs.Job, board: status.Board) -> None:
        self._job = job
        self._board = board
        self._crew = crew.Crew(board.say, places.mark(Path(job.folder).name))
        self._connection: connecting.Connection | None = None

    def run(self, started: daemon.Startup) -> int:
        """Return the status that it ended with; nothing is raised."""
        code, message = status.FAILURE, None
        try:
            signal.signal(signal.SIGTERM, _abort)
            signal.signal(signal.SIGINT, _abort)
            self._check_tools()
            transfer = self._importing() if self._job.mode == "import" else self._exporting()
            started.ready()
            self._board.start()
            transfer()
            self._board.say("all was transferred")
            code = status.SUCCESS
        except Aborted:
            code, message = -signal.SIGTERM, "aborted"
        except (errors.Failure, OSError) as error:
            message = str(error)
        except Exception as error:  # noqa: BLE001 - the top frame
            message = f"a fault of ours: {error!r}"
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if message is not None:
            self._crew.kill()
            if self._connection is not None:
                self._connection.break_off()
            started.failed(message)
        self._crew.hear_out()
        self._board.finish(code, message)
        return code

    def _check_tools(self) -> None:
        if self._job.pack and shutil.which(self._job.pack[0]) is None:
            raise errors.Unavailable(f"{self._job.pack[0]} is not installed on this node")

    def _importing(self) -> Callable[[], None]:
        """Open what is written, and listen; return what is to be done then.

        A script begins when there is a peer, for it may change its disk at once.
        """
        job, board = self._job, self._board
        target: ends.Target | None = None
        match job.end:
            case jobs.File(fd):
                target = ends.FileTarget(fd)
            case jobs.Disk() as disk:
                target = ends.open_disk_target(disk, self._crew, Path(job.folder))
        listener = connecting.Listener(job)
        board.listening(listener.port)

        def receive() -> None:
            connection = self._established(listener.accept(job.patience, board.say))
            streaming.receive(
                connection,
                target or self._script_target(),
                unpacker=self._between(),
                magic=job.magic,
                count=board.moved,
            )

        return receive

    def _exporting(self) -> Callable[[], None]:
        """Open what is read; return what is to be done then."""
        job, board = self._job, self._board
        source: ends.Source | None = None
        match job.end:
            case jobs.File(fd):
                source = ends.FileSource(fd)
            case jobs.Disk() as disk:
                source = ends.open_disk_source(disk, self._crew, Path(job.folder))

        def send() -> None:
            connection = self._established(connecting.connect(job, board.say))
            streaming.send(
                source or self._script_source(),
                connection,
                packer=self._between(),
                magic=job.magic,
                count=board.moved,
            )

        return send

    def _established(self, connection: connecting.Connection) -> connecting.Connection:
        self._connection = connection
        self._board.connected()
        self._board.say("connected")
        return connection

    def _between(self) -> tuple[ends.ProgramTarget, ends.ProgramSource] | None:
        if not self._job.pack:
            return None
        return ends.program_between(self._crew, self._job.pack, self._crew.environment)

    def _script_target(self) -> ends.Target:
        with self._script() as (script, environment, fd):
            return ends.program_target(
                self._crew, [script.program], environment, script.folder, [fd]
            )

    def _script_source(self) -> ends.Source:
        with self._script() as (script, environment, fd):
            return ends.program_source(
                self._crew, [script.program], environment, script.folder, [fd]
            )

    @contextlib.contextmanager
    def _script(self) -> Iterator[tuple[jobs.Script, dict[str, str], int]]:
        """Lend the script, its environment, and where it tells how much data there will be."""
        if not isinstance(self._job.end, jobs.Script):
            raise TypeError("there is no script in this job")
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            environment = self._job.end.environment | {"EXP_SIZE_FD": str(writing)}
            yield self._job.end, environment, writing
        finally:
            os.close(writing)
        threading.Thread(target=self._learn_size, args=(reading,), daemon=True).start()

    def _learn_size(self, fd: int) -> None:
        """Take the number of bytes that a script expects to write, if it tells one."""
        said = b""
        while len(said) < _SIZE_DIGITS and (piece := os.read(fd, _SIZE_DIGITS - len(said))):
            said += piece
        os.close(fd)
        if said.strip().isdigit():
            self._board.expect(int(said))
        elif said:
            self._board.say("the script did not tell a size but something else")


def _abort(_number: int, _frame: object) -> None:
    raise Aborted


def _open_log(path: Path) -> TextIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, _LOG_MODE), "w", errors="replace")


if __name__ == "__main__":
    main()
