"""Logs: constant messages with fields, to a file, standard error, or syslog.

A message never varies, so that it can be searched for; what varies are the fields. No value can
break a line or reach a terminal as control bytes. A log that cannot be written is no reason to
stop: the line goes to standard error, and the daemon goes on.
"""

import contextlib
import contextvars
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

_PLAIN_LINE: Final = "%(asctime)s %(program)s pid=%(process)d %(levelname)s %(message)s"
_SYSLOG_LINE: Final = "%(program)s[%(process)d]: %(levelname)s %(message)s"
_SYSLOG: Final = "/dev/log"

_bound: contextvars.ContextVar[tuple[tuple[str, object], ...]] = contextvars.ContextVar(
    "log_fields", default=()
)


class Log:
    """Writes to one named logger; every method takes a constant message and fields."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, /, **fields: object) -> None:
        """Say what only a developer wants to know."""
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        """Say what happened."""
        self._log(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: object) -> None:
        """Say what an administrator should look at some time."""
        self._log(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """Say what an administrator must act on."""
        self._log(logging.ERROR, message, fields)

    def exception(self, message: str, /, **fields: object) -> None:
        """Say that a fault of ours was met, with its traceback."""
        self._log(logging.ERROR, message, fields, traceback=True)

    def _log(
        self, level: int, message: str, fields: dict[str, object], *, traceback: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            line = render(message, (*_bound.get(), *fields.items()))
            self._logger.log(level, "%s", line, exc_info=traceback)


def get(name: str) -> Log:
    """Return the log of a module, by its ``__name__``."""
    return Log(name)


@contextlib.contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Add fields to every line that is logged in this context, here and in tasks begun here."""
    token = _bound.set((*_bound.get(), *fields.items()))
    try:
        yield
    finally:
        _bound.reset(token)


def render(message: str, fields: tuple[tuple[str, object], ...]) -> str:
    """Return a line: the message, then ``key=value`` for each field that has a value."""
    parts = [message]
    parts.extend(f"{key}={_escaped(value)}" for key, value in fields if value not in ("", None))
    return " ".join(parts)


def _escaped(value: object) -> str:
    text = str(value)
    if text.isascii() and text.isprintable() and not any(c in text for c in " \"'="):
        return text
    safe = "".join(c if c.isprintable() else _escape(c) for c in text)
    return '"' + safe.replace('"', "'") + '"'


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


class Target:
    """Where a daemon's lines go, until `close`."""

    def __init__(self, handlers: list[logging.Handler]) -> None:
        self._handlers = handlers

    def reopen(self) -> None:
        """Go on in a new file: the old one has been moved away."""
        for handler in self._handlers:
            if isinstance(handler, _File):
                handler.reopen()

    def close(self) -> None:
        """Stop logging to this target."""
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
            handler.close()


class _File(logging.Handler):
    """Appends to a file; what that cannot take goes to standard error."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._stream: TextIO | None = None
        self.reopen()

    def reopen(self) -> None:
        self._drop()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._stream = self._path.open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            _say(f"the log {self._path} cannot be opened: {error.strerror}\n")

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record) + "\n"
        if self._stream is None:
            _say(line)
            return
        try:
            self._stream.write(line)
            self._stream.flush()
        except (OSError, ValueError):
            self._drop()  # what the buffer still held would fail again at every line
            _say(line)
            with contextlib.suppress(OSError):
                self._stream = self._path.open("a", encoding="utf-8", errors="backslashreplace")

    def close(self) -> None:
        self._drop()
        super().close()

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(line)


def configure(
    *,
    program: str,
    foreground: bool = False,
    debug: bool = False,
    syslog: str = "no",
    file: Path | None = None,
    syslog_address: str = _SYSLOG,
) -> Target:
    """Send all lines to where a daemon's lines belong, and return that.

    ``syslog`` is "no", "yes" or "only". In the foreground lines go to standard error as well.
    """
    handlers: list[logging.Handler] = []
    plain = logging.Formatter(_PLAIN_LINE, defaults={"program": program})
    if syslog != "only" and file is not None:
        handlers.append(_File(file))
    if foreground or not (handlers or syslog != "no"):
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(plain)
    if syslog != "no":
        handlers.append(_syslog(program, syslog_address))
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    logging.raiseExceptions = False
    return Target(handlers)


def _syslog(program: str, address: str) -> logging.Handler:
    """Return a handler for syslog; only who asks for it pays for the module."""
    from logging import handlers as network  # noqa: PLC0415

    try:
        handler: logging.Handler = network.SysLogHandler(
            address, facility=network.SysLogHandler.LOG_DAEMON
        )
    except OSError as error:
        _say(f"syslog cannot be reached: {error.strerror}\n")
        handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_SYSLOG_LINE, defaults={"program": program}))
    return handler
