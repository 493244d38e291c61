"""Which master this node obeys: one that calls with an earlier epoch than is known is refused.

A call says in a header as which master it is made. One with a later epoch than is known here is
obeyed and remembered: it would not be called so had not most nodes promised. One with an earlier is
refused, and told who is the master. One without is by Ganeti's programs, or by ours where nobody
leads: a node that has promised nothing obeys it; one that has lets it look, and change nothing.
What is let through in spite of that is what a node that is not the master can always be told: to
give up the master's address and daemons.

A promise is answered only when no call of an earlier master is under way any more that changes the
copies of configuration and queue: whoever was promised finds in them all that an earlier master was
told to be there.

In failure: with a disk that takes nothing there are no promises, but a later master is obeyed all
the same, and remembered for as long as this process lives, for it may have come to help.
"""

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator
from typing import Final

from pyganeti.base import errors, log, paths, watchedfile
from pyganeti.clients import promises
from pyganeti.wire import epochs

_LOG = log.get(__name__)

LOOKING: Final = frozenset(
    """
    all_instances_info bdev_sizes blockdev_find blockdev_getdimensions blockdev_getmirrorstatus
    blockdev_getmirrorstatus_multi bridges_exist drbd_helper drbd_needs_activation export_info
    export_list extstorage_diagnose get_file_info get_watcher_pause hotplug_supported
    hypervisor_validate_params impexp_status instance_console_info instance_get_migration_status
    instance_info instance_last_stops instance_list instance_migratable instance_stops instance_why
    lv_list master_config master_jobs migration_info node_has_ip_address node_info node_verify
    node_verify_light node_volumes os_diagnose os_export os_validate storage_list version vg_list
    """.split()  # noqa: SIM905 - names to read, not quotation marks
)
"""What changes nothing."""

_EVERYBODYS: Final = frozenset(
    {"master_node_name", "master_promise", "master_request", "master_standing"}
)
"""By these a master comes to be, and is found; they are answered whoever asks."""

_GIVING_UP: Final = frozenset({"node_deactivate_master_ip", "node_stop_master"})

_COPIES: Final = frozenset(
    """
    jobqueue_purge jobqueue_rename jobqueue_set_drain_flag jobqueue_update upload_file
    upload_file_single write_ssconf_files
    """.split()  # noqa: SIM905 - likewise
)
"""What changes what a new master begins with."""

_PATIENCE: Final = 20.0
"""Seconds that a promise waits for calls of earlier masters."""

_RETRY: Final = 10.0

_caller: contextvars.ContextVar[epochs.Epoch | None]
_caller = contextvars.ContextVar("caller", default=None)


def caller() -> epochs.Epoch | None:
    """Return as which master the call is made that is being carried out, None if as none."""
    return _caller.get()


class Fence:
    """What this node has promised, or heard, and who is kept out by that."""

    def __init__(self, layout: paths.Paths, name: str) -> None:
        """Make one of the node that is called ``name``."""
        self._layout = layout
        self._name = name
        self._file = watchedfile.Watched(layout.epoch_file, promises.read)
        self._heard: epochs.Epoch | None = None
        self._heard_at = 0.0
        self._learning = asyncio.Lock()
        self._changing: dict[object, epochs.Epoch | None] = {}
        self._changed = asyncio.Event()
        self.on_other: Callable[[], None] = lambda: None
        """Called when another node has become the master; given by the app."""

    @property
    def known(self) -> epochs.Epoch | None:
        """The latest master that is known here."""
        return max((e for e in (self._memory.known, self._heard) if e is not None), default=None)

    @property
    def is_other(self) -> bool:
        """Whether it is known that the master is another node."""
        known = self.known
        return known is not None and known.master != self._name

    async def promise(self, wanted: epochs.Epoch) -> None:
        """Promise to obey nobody earlier than this master; see `promises.give` for failures.

        Raises Interrupted if calls of earlier ones do not come to their end; then it is promised
        nevertheless, and may be asked for again.
        """
        before = self.known
        if before is not None and wanted < before:
            raise promises.outranked(before)
        await promises.give(self._layout, wanted)
        if before != wanted:
            _LOG.info("promised to follow a master", master=wanted.master, epoch=wanted.number)
            self._tell()
        try:
            async with asyncio.timeout(_PATIENCE):
                while any(was is None or was < wanted for was in self._changing.values()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise errors.Interrupted("calls of an earlier master are still under way") from error

    async def hear(self, header: str | None) -> epochs.Epoch | None:
        """Return as which master a call is made, by its header; remember who is news.

        Raises BadInput if the header makes no sense.
        """
        if header is None:
            return None
        said = epochs.from_header(header)
        known = self.known
        if (known is None or known < said) or self._is_to_be_written():
            async with self._learning:
                await self._learn(said)
        return said

    @contextlib.contextmanager
    def passed(self, call: str, said: epochs.Epoch | None) -> Iterator[None]:
        """Let a call through that was made as this master, or raise Outranked or Denied."""
        self._check(call, said)
        token = _caller.set(said)
        key = object()
        if call in _COPIES:
            self._changing[key] = said
        try:
            yield
        finally:
            self._changing.pop(key, None)
            self._changed.set()
            _caller.reset(token)

    @property
    def _memory(self) -> promises.Memory:
        return self._file.content()

    def _check(self, call: str, said: epochs.Epoch | None) -> None:
        known = self.known
        if call in _EVERYBODYS:
            return
        if known is None:
            if said is None and self._memory.damage and call not in LOOKING:
                raise errors.Denied(
                    f"it is not known which master is followed here: {self._memory.damage}"
                )
            return
        if said is None:
            is_allowed = call in LOOKING or (call in _GIVING_UP and self.is_other)
        else:
            is_allowed = said >= known or (call in _GIVING_UP and self.is_other)
        if not is_allowed:
            raise promises.outranked(known)

    async def _learn(self, said: epochs.Epoch) -> None:
        known = self.known
        is_news = known is None or known < said
        if not is_news and not self._is_to_be_written():
            return
        latest = said if is_news or known is None else known
        try:
            await promises.learn(self._layout, latest)
        except errors.Failure as error:
            _LOG.error("the master is remembered for now, and not on the disk", why=str(error))
            self._heard, self._heard_at = latest, time.monotonic()
        else:
            self._heard = None
        if is_news:
            _LOG.info("heard of a master", master=said.master, epoch=said.number)
            self._tell()

    def _is_to_be_written(self) -> bool:
        return self._heard is not None and time.monotonic() > self._heard_at + _RETRY

    def _tell(self) -> None:
        if self.is_other:
            self.on_other()
