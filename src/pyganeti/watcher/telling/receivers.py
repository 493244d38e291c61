"""Who gets webhooks: ``/etc/ganeti/webhooks.toml``, read and checked.

    [webhooks.pager]
    url = "https://pager.example.com/ganeti"
    secret = "…"                          # signs what is sent
    events = ["gave-up", "failed"]        # all unless given
    causes = ["crashed", "oom-killed"]    # all unless given
    timeout = 10                          # seconds for one try
    retries = 10                          # further tries after an answer that says "later"
    keep = "1d"                           # how long it is tried at all
    ca = "/etc/ganeti/pager-ca.pem"       # trusted instead of the system's authorities
    headers = { Authorization = "Bearer …" }

Failure: BadInput with the file, the place in it and what is wrong there. A file with secrets that
others may read is refused, and one that others may write, whatever is in it.
"""

import os
import re
import ssl
import stat
import tomllib
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from pyganeti.base import durations, errors
from pyganeti.model import cause as causes
from pyganeti.watcher import events

FILE: Final = "webhooks.toml"
"""In the directory of what the administrator writes."""

_MOST: Final = 16
_LIMIT: Final = 256 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_OURS: Final = ("content-type", "content-length", "host", "user-agent")


_Kinds: TypeAlias = tuple[events.Kind, ...]
_Causes: TypeAlias = tuple[causes.Cause, ...]


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    secret: str = ""
    events: _Kinds = ()
    causes: _Causes = ()
    timeout: float = 10.0
    retries: int = 10
    keep: str = "1d"
    ca: str = ""
    headers: dict[str, str] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    webhooks: dict[str, _Said] = {}


@dataclass(frozen=True, slots=True)
class Receiver:
    """One webhook. ``kinds`` and ``wanted`` are empty where all are meant."""

    name: str
    url: str
    secret: str = ""
    kinds: frozenset[events.Kind] = frozenset()
    wanted: frozenset[causes.Cause] = frozenset()
    timeout: float = 10.0
    retries: int = 10
    keep: float = 86400.0
    secured: ssl.SSLContext | None = None
    """What it is trusted by; None: by the system's authorities, or it is no HTTPS."""

    headers: tuple[tuple[str, str], ...] = ()

    def wants(self, event: events.Event) -> bool:
        """Tell whether it is to hear of an event."""
        return (not self.kinds or event.kind in self.kinds) and (
            not self.wanted or event.cause in self.wanted
        )

    @property
    def is_open(self) -> bool:
        """Whether others can read what is sent."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}

    def describe(self) -> str:
        """Return what people want to see of it: no secrets, and of the URL the host alone."""
        parts = urllib.parse.urlsplit(self.url)
        kinds = ", ".join(sorted(self.kinds)) or "all events"
        wanted = ", ".join(sorted(self.wanted)) or "all causes"
        said = f"{self.name}: {parts.scheme}://{parts.hostname}; {kinds}; {wanted}; "
        said += "signed" if self.secret else "not signed"
        return said + ("; NOT ENCRYPTED" if self.is_open else "")


def read(path: Path) -> tuple[Receiver, ...]:
    """Return all receivers that a file names, none if there is no file. Raises BadInput."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_LIMIT + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise errors.BadInput(f"{path}: {error.strerror}") from error
    if len(content) > _LIMIT:
        raise errors.BadInput(f"{path}: more than {_LIMIT} bytes")
    try:
        said = msgspec.convert(tomllib.loads(content.decode()), _File, strict=False)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise errors.BadInput(f"{path}: {error}") from error
    _check_access(path, status, said)
    if len(said.webhooks) > _MOST:
        raise errors.BadInput(f"{path}: {len(said.webhooks)} webhooks, and may be {_MOST}")
    return tuple(_receiver(path, name, one) for name, one in said.webhooks.items())


def check(path: Path) -> list[str]:
    """Return what a person wants to know of the file, in lines. Raises BadInput."""
    found = read(path)
    if not found:
        return [f"no webhooks: {path} names none" if path.exists() else f"no webhooks: no {path}"]
    return [receiver.describe() for receiver in found]


def _check_access(path: Path, status: os.stat_result, said: _File) -> None:
    if status.st_uid not in {0, os.geteuid()}:
        raise errors.BadInput(f"{path} belongs to somebody else than root")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise errors.BadInput(f"{path} may be written by others than its owner")
    has_secrets = any(
        one.secret or one.headers or "@" in one.url for one in said.webhooks.values()
    )  # what stands before an @ is a password
    if has_secrets and status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise errors.BadInput(f"{path} has secrets, and may be read by others: chmod 600 {path}")


def _receiver(path: Path, name: str, said: _Said) -> Receiver:
    where = f"{path}: webhooks.{name}"
    if not _NAME.fullmatch(name):
        raise errors.BadInput(f"{where}: a name has letters, digits, _ and -, 64 at most")
    _check_url(where, said.url)
    if not 0 < said.timeout <= 300:  # noqa: PLR2004 - five minutes
        raise errors.BadInput(f"{where}: a timeout is from 0 to 300 seconds")
    if not 0 <= said.retries <= 1000:  # noqa: PLR2004 - more is meant by keep
        raise errors.BadInput(f"{where}: retries are from 0 to 1000")
    try:
        keep = float(durations.seconds(said.keep))
    except errors.BadInput as error:
        raise errors.BadInput(f"{where}: keep: {error}") from error
    for key, value in said.headers.items():
        if not _HEADER.fullmatch(key) or not value.isprintable() or not value.isascii():
            raise errors.BadInput(f"{where}: headers: {key!r} is no header with a plain value")
        if key.lower() in _OURS or key.lower().startswith("x-ganeti-"):
            raise errors.BadInput(f"{where}: headers: {key} is not yours to set")
    return Receiver(
        name=name,
        url=said.url,
        secret=said.secret,
        kinds=frozenset(said.events),
        wanted=frozenset(said.causes),
        timeout=said.timeout,
        retries=said.retries,
        keep=keep,
        secured=_trusting(where, said.ca),
        headers=tuple(said.headers.items()),
    )


def _check_url(where: str, url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        is_right = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_right = is_right and (parts.port is None or parts.port > 0)
    except ValueError:
        is_right = False
    if not is_right or not url.isprintable() or " " in url:
        raise errors.BadInput(f"{where}: url: not an address such as https://host/path")


def _trusting(where: str, authority: str) -> ssl.SSLContext | None:
    if not authority:
        return None
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ValueError) as error:
        raise errors.BadInput(f"{where}: ca: {authority} has no certificates: {error}") from error
