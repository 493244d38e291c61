"""One recorded stop of one qemu, and one qemu that is being watched: the journal's two rows."""

import msgspec

from pyganeti.model import cause as causes
from pyganeti.model import evidence as evidences


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """One stop. ``key`` identifies the qemu, so that its end can be recorded once only.

    ``socket`` is the file name of the socket on which it was watched.
    ``name`` may hold surrogate escapes (a file name that is not UTF-8). ``started`` and
    ``stopped`` are seconds since the epoch; ``started`` is None if the process could not be
    looked at. ``why`` is the deciding evidence in one plain sentence. ``qemu`` is its version.
    ``number`` is the journal's, rising, 0 before it is stored.
    """

    name: str
    key: str
    boot_id: str
    socket: str
    pid: int | None
    started: float | None
    stopped: float
    recorded: float
    cause: causes.Cause
    why: str
    evidence: evidences.Evidence
    qemu: str = ""
    number: int = 0


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A qemu that is, or when the daemon last ran was, under watch.

    ``since`` is when it was first met, in seconds since the epoch; ``attached`` whether its
    socket is connected now; ``events`` and ``status`` are the evidence so far, which must
    outlive the daemon; ``incoming`` says that it waits for a migration to arrive.
    """

    name: str
    key: str
    boot_id: str
    socket: str
    pid: int | None
    start_ticks: int | None
    started: float | None
    since: float
    attached: bool = True
    whole: bool = True
    incoming: bool = False
    reset_ends_qemu: bool | None = None
    status: str = ""
    events: tuple[evidences.QmpEvent, ...] = ()
    qemu: str = ""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A socket file without a watched qemu yet: since when, and what stands in the way."""

    socket: str
    since: float
    reason: str
    attempts: int = 0
