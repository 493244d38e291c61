"""Logging: a constant message and fields, one line an event, safe to read whatever is in it.

Values come from guests, files and peers: nothing that does not print reaches a log, so nobody
forges a line or drives a terminal, and no value is endless. `Log` renders at once and hands over
to the standard library, so that other libraries' records (asyncio's) come to the same places.

Logging never raises and never stops a daemon. A place that fails (a full disk, syslog gone) is
announced once in the others, tried again with every record, and says how many records it missed
when it is well; if no place is left, standard error and syslog stand in.
"""

import contextlib
import contextvars
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Literal, TypeAlias

from pyganeti.base import errors, logsinks, logtext

Syslog: TypeAlias = Literal["no", "yes", "only"]
"""Not, as well as the file or standard error, or instead of them."""

_PRIORITIES: Final = ((50, 2), (40, 3), (30, 4), (20, 6), (0, 7))
"""Levels of logging and their syslog priority."""

_BOUND: Final[contextvars.ContextVar[Mapping[str, object]]] = contextvars.ContextVar(
    "bound", default=MappingProxyType({})
)


class Log:
    """What a module says things with; made by `get`."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, /, **fields: object) -> None:
        """Say what only a developer wants to know."""
        self._say(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        """Say what happened in the course of things."""
        self._say(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: object) -> None:
        """Say what went wrong and was coped with."""
        self._say(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """Say what went wrong and needs somebody."""
        self._say(logging.ERROR, message, fields)

    def exception(self, message: str, /, **fields: object) -> None:
        """Say what went wrong with the traceback of the exception that is being handled."""
        self._say(logging.ERROR, message, fields, has_traceback=True)

    def _say(
        self, level: int, message: str, fields: dict[str, object], *, has_traceback: bool = False
    ) -> None:
        logger = self._logger
        if not logger.isEnabledFor(level):
            return
        fields = {**_BOUND.get(), **fields}
        record = logger.makeRecord(
            logger.name,
            level,
            "",
            0,
            logtext.render(message, fields),
            (),
            sys.exc_info() if has_traceback else None,
            extra={"constant": message, "fields": fields},
        )
        logger.handle(record)


class Target(logging.Handler):
    """Where this process's records go, until `close`; made by `configure`."""

    def __init__(
        self,
        program: str,
        sinks: Sequence[logsinks.Sink],
        stand_ins: Sequence[logsinks.Sink],
        *,
        debug: bool,
    ) -> None:
        super().__init__()
        self._program = program
        self._sinks = sinks
        self._stand_ins = stand_ins
        self._missed: dict[logsinks.Sink, int] = {}
        self._debug = debug
        self._second = 0
        self._clock = ""
        self._hooks = sys.excepthook, threading.excepthook
        self._level = logging.getLogger().level

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record everywhere it belongs."""
        try:
            self._emit(self._entry(record))
        except Exception:  # noqa: BLE001 - whatever a record is made of, its sender goes on
            text = f"a record of {record.name} could not be logged"
            self._emit(self._made(record.levelno, [text], record.process or 0))

    def reopen(self) -> None:
        """Open files anew after they were rotated. An old one serves on if that fails."""
        with self._locked():
            for sink in self._sinks:
                why = sink.reopen()
                if why is not None:
                    self._announce(sink, why)
                    self._missed.setdefault(sink, 0)

    def start(self) -> None:
        """Begin to receive: from all loggers, and what nobody caught."""
        root = logging.getLogger()
        for handler in list(root.handlers):
            if isinstance(handler, Target):
                handler.close()
        self._hooks = sys.excepthook, threading.excepthook
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG if self._debug else logging.INFO)
        sys.excepthook = _log_uncaught
        threading.excepthook = _log_uncaught_in_thread

    def close(self) -> None:
        """Receive no more and close files. Twice does no harm."""
        with self._locked():
            root = logging.getLogger()
            if self in root.handlers:
                root.removeHandler(self)
                root.setLevel(self._level)
                sys.excepthook, threading.excepthook = self._hooks
            for sink in (*self._sinks, *self._stand_ins):
                sink.close()
        super().close()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _emit(self, entry: logsinks.Entry) -> None:
        has_place = False
        for sink in self._sinks:
            why = sink.write(entry)
            if why is None:
                has_place = True
                missed = self._missed.pop(sink, 0)
                if missed:
                    self._note(sink, logging.WARNING, "records are missing here", missed=missed)
                continue
            if sink not in self._missed:
                self._announce(sink, why)
            self._missed[sink] = self._missed.get(sink, 0) + 1
        if not has_place:
            for sink in self._stand_ins:
                sink.write(entry)

    def _announce(self, failed: logsinks.Sink, why: str) -> None:
        others = [s for s in self._sinks if s is not failed and s not in self._missed]
        for sink in others or self._stand_ins:
            self._note(sink, logging.ERROR, "cannot log there", place=failed.name, error=why)

    def _note(self, sink: logsinks.Sink, level: int, message: str, **fields: object) -> None:
        sink.write(self._made(level, [logtext.render(message, fields)]))

    def _entry(self, record: logging.LogRecord) -> logsinks.Entry:
        lines = [logtext.line(record.getMessage())]
        if record.exc_info and record.exc_info[1] is not None:
            lines += logtext.traceback_lines(record.exc_info[1])
        return self._made(record.levelno, lines, record.process, record.created, record.name)

    def _made(
        self,
        level: int,
        lines: list[str],
        pid: int | None = None,
        at: float | None = None,
        logger: str = __name__,
    ) -> logsinks.Entry:
        if at is None:
            at = time.time()
        second = int(at)
        if second != self._second:
            self._clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = second
        pid = pid or os.getpid()
        head = f"{self._clock},{int((at - second) * 1000):03}: {self._program} pid={pid}"
        if self._debug:
            head = f"{head} {logger}"
        priority = next(p for least, p in _PRIORITIES if level >= least)
        return logsinks.Entry(f"{head} {logging.getLevelName(level)}", lines, pid, priority)


def get(name: str) -> Log:
    """Return the log of a module; ``name`` is its ``__name__``."""
    return Log(logging.getLogger(name))


@contextlib.contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Give every message from here on these fields: in this block, and in tasks begun in it."""
    token = _BOUND.set({**_BOUND.get(), **fields})
    try:
        yield
    finally:
        _BOUND.reset(token)


def configure(
    *,
    program: str,
    foreground: bool,
    debug: bool = False,
    syslog: Syslog = "no",
    file: Path | None = None,
    syslog_address: str = "/dev/log",
) -> Target:
    """Send this process's log to the file, to standard error in the foreground, to syslog.

    Records below INFO are dropped unless ``debug``. Exceptions that nobody caught are logged too.
    Replaces what an earlier call set up. A file that cannot be opened is not an error: that is
    said on standard error, and the file is tried again. Raises BadInput for an unknown ``syslog``.
    """
    if syslog not in {"no", "yes", "only"}:
        raise errors.BadInput(f"syslog is no, yes or only, not {syslog}")
    file_sink = None if file is None else logsinks.FileSink(file)
    stderr = logsinks.StderrSink()
    remote = logsinks.SyslogSink(program, syslog_address)
    chosen: list[logsinks.Sink] = []
    if syslog != "only":
        chosen += [file_sink] if file_sink else []
        chosen += [stderr] if foreground else []
    if syslog != "no":
        chosen.append(remote)
    stand_ins = [sink for sink in (stderr, remote) if sink not in chosen]
    target = Target(program, chosen, stand_ins, debug=debug)
    target.start()
    target.reopen()
    return target


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger().critical("nobody caught this", exc_info=error)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        logging.getLogger().critical("nobody caught this", exc_info=args.exc_value)
