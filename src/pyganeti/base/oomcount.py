"""How many processes the kernel has killed for want of memory: in a cgroup, and on the host.

The kernel counts a kill in the victim's own memory cgroup, whichever limit was hit, and on the
host, both before it sends the SIGKILL. A count that rose says that *a* process of that cgroup was
killed, so that each kill may account for one stop only, and a kill that nobody was stopped by must
be forgotten in time (`Counter.refresh`). A cgroup that was removed with its qemu no longer
tells; then, on cgroup v2, its parent's count does, which includes it, and else the host's.

In failure: what cannot be read counts for nothing, and nothing is raised.
"""

import dataclasses
import functools
import os
import re
import time
from collections.abc import Callable, Hashable
from typing import Final

ROOT: Final = "/"
HOST: Final = "the host"
"""The name of the host's count where a cgroup's would stand."""

_SETTLED: Final = 10.0
"""Seconds for which a kill can at least be accounted for; a big qemu takes a while to die."""

_AT_ONCE: Final = 64
"""Counts read in one refresh: below a millisecond."""

_COUNT_LIMIT: Final = 64 * 1024
_PROC_LIMIT: Final = 4 * 1024 * 1024
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """One memory cgroup's count of kills.

    ``file`` holds the count; ``inode`` is that file's, so that a new cgroup under an old name is
    not taken for the old one; ``mount`` is where the hierarchy is mounted. ``inherits`` says
    whether the parents' counts include this one (cgroup v2, unless mounted otherwise).
    """

    file: str
    inode: int
    mount: str
    inherits: bool

    @property
    def name(self) -> str:
        """The cgroup's path within its hierarchy, for people."""
        return self.file.rpartition("/")[0][len(self.mount) :] or "/"


@dataclasses.dataclass(frozen=True, slots=True)
class _Hierarchy:
    mount: str
    root: str
    version: int
    inherits: bool


def group_of(pid: int, *, root: str = ROOT) -> Group | None:
    """Return the memory cgroup that counts the process, None if there is none or it is not seen.

    ``root`` is what /proc and the cgroup mounts are looked up beneath.
    """
    told = _read(f"{root.rstrip('/')}/proc/{pid}/cgroup", _PROC_LIMIT)
    if told is None:
        return None
    found = _place_of(told, root)
    if found is None:
        return None
    hierarchy, directory = found
    if hierarchy.version == 1:
        return _group(hierarchy, directory, ("memory.oom_control",))
    # Without the controller, a cgroup's memory is its nearest ancestor's that has it.
    while directory.startswith(hierarchy.mount + "/"):
        group = _group(hierarchy, directory, ("memory.events.local", "memory.events"))
        if group is not None:
            return group
        directory = directory.rpartition("/")[0]
    return None


def kills(group: Group) -> int | None:
    """Return how often the kernel has killed in the cgroup; None if it is gone or does not tell."""
    return _count(group.file, group.inode)


def host_kills(*, root: str = ROOT) -> int | None:
    """Return how often the kernel has killed on the host since boot; None before Linux 4.13."""
    return _count(f"{root.rstrip('/')}/proc/vmstat", None)


class _Tally:
    """What has been accounted for of one count. About 0.4 KiB with its group."""

    __slots__ = ("accounted", "group", "holders", "parent", "seen")

    def __init__(self, group: Group, parent: "_Tally | None", count: int | None) -> None:
        self.group = group
        self.parent = parent
        self.accounted = count
        self.seen = count
        self.holders = 0


class Counter:
    """Gives each kill to one stop at most."""

    def __init__(self, *, root: str = ROOT, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._tallies: dict[Group, _Tally] = {}
        self._watched: dict[Hashable, _Tally] = {}
        self._host = _Tally(Group("", 0, "", inherits=False), None, host_kills(root=root))
        self._host_before = self._host.seen
        self._passes_due = 0
        self._began = clock()
        self._pass: list[_Tally] = []

    @property
    def groups(self) -> int:
        """How many groups are being counted, parents included."""
        return len(self._tallies)

    def watch(self, key: Hashable, group: Group) -> None:
        """Begin to count for a guest in a cgroup, which it may share; from the count as it is."""
        held = self._watched.get(key)
        if held is not None:
            if held.group == group:
                return
            self.forget(key)
        tally = self._hold(group)
        tally.holders += 1
        self._watched[key] = tally

    def forget(self, key: Hashable) -> None:
        """Count for a guest no longer; an unknown one does no harm."""
        tally = self._watched.pop(key, None)
        while tally is not None:
            tally.holders -= 1
            if tally.holders:
                return
            del self._tallies[tally.group]
            tally = tally.parent

    def take(self, key: Hashable) -> tuple[int, str]:
        """Return the kills that nobody has accounted for and where they were counted; take one.

        To be called for a process that died of SIGKILL. (0, where) is a plain no; (0, "") says
        that no count could be read. A guest that is not watched is looked up in the host's count.
        """
        tally = self._watched.get(key)
        while tally is not None:
            pending = _pending(tally, kills(tally.group))
            # A parent's count includes other groups that are gone, so that only a rise says
            # something, but so does its standing still.
            if pending is not None:
                if pending:
                    self._account(tally)
                return pending, f"cgroup {tally.group.name}"
            tally = tally.parent
        pending = _pending(self._host, host_kills(root=self._root))
        if pending is None:
            return 0, ""
        if pending:
            self._account(None)
        return pending, HOST

    def refresh(self) -> None:
        """Forget kills that no stop has accounted for in `_SETTLED` seconds or more.

        To be called every few seconds, at any time. Costs one read while the kernel kills nobody,
        otherwise a bounded number, so that many groups take several calls.
        """
        if not self._pass:
            count = host_kills(root=self._root)
            if count is None or count != self._host_before:
                # The first pass notes the counts, the second forgets what the first has noted.
                self._host_before = count
                self._passes_due = 2
            if not self._passes_due or self._clock() - self._began < _SETTLED:
                return
            self._passes_due -= 1
            self._began = self._clock()
            self._pass = list(self._tallies.values())
            _age(self._host, count)
        for tally in self._pass[-_AT_ONCE:]:
            _age(tally, kills(tally.group))
        del self._pass[-_AT_ONCE:]

    def _hold(self, group: Group) -> _Tally:
        tally = self._tallies.get(group)
        if tally is None:
            above = _above(group)
            parent = self._hold(above) if above is not None else None
            if parent is not None:
                parent.holders += 1
            tally = self._tallies[group] = _Tally(group, parent, kills(group))
        return tally

    def _account(self, tally: _Tally | None) -> None:
        """Take one kill out of a count and out of those that include it."""
        while tally is not None:
            tally.accounted = (tally.accounted or 0) + 1
            tally = tally.parent
        if self._host.accounted is not None:
            self._host.accounted += 1


def _pending(tally: _Tally, count: int | None) -> int | None:
    if count is None or tally.accounted is None:
        return None
    return max(count - tally.accounted, 0)


def _age(tally: _Tally, count: int | None) -> None:
    if count is None:
        return
    if tally.accounted is None or tally.seen is None:
        tally.accounted = count
    else:
        tally.accounted = max(tally.accounted, tally.seen)
    tally.seen = count


def _above(group: Group) -> Group | None:
    if not group.inherits:
        return None
    directory = group.file.rsplit("/", 2)[0]
    if not directory.startswith(group.mount + "/"):
        return None
    hierarchy = _Hierarchy(group.mount, "/", 2, inherits=True)
    return _group(hierarchy, directory, ("memory.events",))


def _group(hierarchy: _Hierarchy, directory: str, names: tuple[str, ...]) -> Group | None:
    for name in names:
        file = f"{directory}/{name}"
        try:
            inode = os.stat(file).st_ino  # noqa: PTH116 - called for thousands of guests
        except OSError:
            continue
        return Group(file, inode, hierarchy.mount, hierarchy.inherits)
    return None


def _place_of(told: bytes, root: str) -> tuple[_Hierarchy, str] | None:
    """Find the directory of the cgroup, in the one hierarchy that has the memory controller."""
    paths: dict[int, str] = {}
    for line in told.splitlines():
        number, _, rest = line.partition(b":")
        controllers, _, shown = rest.partition(b":")
        if b"memory" in controllers.split(b","):
            paths[1] = os.fsdecode(shown)
        elif number == b"0" and not controllers:
            paths[2] = os.fsdecode(shown)
    version = 1 if 1 in paths else 2
    path = paths.get(version)
    if path is None or path.startswith("/.."):  # outside our cgroup namespace
        return None
    path = path.removesuffix(" (deleted)").rstrip("/")
    found = _locate(_hierarchies(root), version, path)
    if found is None:
        # Mounts are read once, since there may be thousands; what is not in them may be new.
        _hierarchies.cache_clear()
        found = _locate(_hierarchies(root), version, path)
    return found


def _locate(
    hierarchies: tuple[_Hierarchy, ...], version: int, path: str
) -> tuple[_Hierarchy, str] | None:
    for hierarchy in hierarchies:
        if hierarchy.version != version:
            continue
        within = hierarchy.root.rstrip("/")
        if path == within or path.startswith(within + "/"):
            directory = hierarchy.mount + path[len(within) :]
            if version == 2 or os.path.isdir(directory):  # noqa: PLR2004, PTH112
                return hierarchy, directory
    return None


@functools.lru_cache(maxsize=4)
def _hierarchies(root: str) -> tuple[_Hierarchy, ...]:
    """Return the mounted cgroup hierarchies that can count memory, as proc_pid_mountinfo(5)."""
    root = root.rstrip("/")
    found = []
    for line in (_read(f"{root}/proc/self/mountinfo", _PROC_LIMIT) or b"").splitlines():
        before, _, after = line.partition(b" - ")
        fields, kind = before.split(b" "), after.split(b" ")
        if len(fields) < 5 or len(kind) < 3:  # noqa: PLR2004
            continue
        options = kind[2].split(b",")
        if kind[0] == b"cgroup2":
            version = 2
        elif kind[0] == b"cgroup" and b"memory" in options:
            version = 1
        else:
            continue
        found.append(
            _Hierarchy(
                mount=root + _unescaped(fields[4]).rstrip("/"),
                root=_unescaped(fields[3]),
                version=version,
                inherits=version == 2 and b"memory_localevents" not in options,  # noqa: PLR2004
            )
        )
    return tuple(found)


def _unescaped(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), field))


def _count(path: str, inode: int | None) -> int | None:
    data = _read(path, _COUNT_LIMIT, inode)
    for line in (data or b"").splitlines():
        name, _, number = line.partition(b" ")
        if name == b"oom_kill" and number.strip().isdigit():
            return int(number)
    return None


def _read(path: str, limit: int, inode: int | None = None) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if inode is not None and os.fstat(descriptor).st_ino != inode:
            return None
        pieces = []
        while limit > 0 and (piece := os.read(descriptor, min(limit, 65536))):
            pieces.append(piece)
            limit -= len(piece)
        return b"".join(pieces)
    except OSError:  # ENODEV: the cgroup was removed between open and read
        return None
    finally:
        os.close(descriptor)
