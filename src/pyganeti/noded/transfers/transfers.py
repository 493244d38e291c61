"""The node daemon's side of transfers: starting them, and what became of each.

Nothing is kept here: each question is answered from the transfer's folder, so that a new daemon
knows as much as the one before. A transfer that was killed has left no last word; whoever asks is
told that it failed, for a master would wait for ever.
"""

import asyncio
import os
import shutil
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pyganeti.base import errors, files, log, paths, runner, tls
from pyganeti.noded.transfers import jobs, keys, places, status

_LOG: Final = log.get(__name__)
_START_PATIENCE: Final = 60.0
_LOGS_MODE: Final = 0o750
_CA_MODE: Final = 0o400
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Transfers:
    """The transfers of this node; one that ``is_alone`` takes nothing from other machines."""

    def __init__(self, layout: paths.Paths, *, is_alone: bool = False) -> None:
        self._layout = layout
        self._is_alone = is_alone
        self.place = layout.run_dir / "import-export"
        self.keys = layout.crypto_dir

    async def start(
        self,
        mode: jobs.Mode,
        options: jobs.Options,
        end: jobs.End,
        *,
        about: str,
        component: str,
        peer: tuple[str, int] = ("", 0),
        expected: int | None = None,
        descriptors: Sequence[int] = (),
    ) -> str:
        """Start a transfer; return its name as soon as it is ready.

        An import listens by then. ``about`` becomes part of its log's name. Raises BadInput,
        Unavailable with what its process said, Exhausted if there is no room.
        """
        options.check()
        if not places.is_part(component):
            raise errors.BadInput(f"{component!r} is not a part of an instance")
        pack = jobs.packing(options.compress, mode)
        key, certificate, authority = await asyncio.to_thread(self._trust, options)
        prefix = f"{mode}-{component}"
        logs = self._layout.log_dir / "os"
        log_name = f"{mode}-{about}-{component}-{places.stamp()}.log".replace("/", "_")
        folder = await asyncio.to_thread(self._make, prefix, logs, authority)
        job = jobs.Job(
            mode=mode,
            folder=str(folder),
            log=str(logs / log_name),
            key=str(key),
            certificate=str(certificate),
            authority=str(places.authority_file(folder)),
            end=end,
            expected=expected,
            pack=pack,
            magic=options.magic,
            family="ipv6" if options.ipv6 else "ipv4",
            is_alone=self._is_alone,
            host=peer[0],
            port=peer[1],
            patience=options.connect_timeout or jobs.CONNECT_PATIENCE,
        )
        try:
            await self._launch(job, descriptors)
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(self.cleanup(folder.name)))
            raise
        _LOG.info("a transfer has started", name=folder.name, log=job.log)
        return folder.name

    async def status(self, names: Sequence[str]) -> list[dict[str, Any] | None]:
        """Return for each transfer how it stands, None if it has said nothing or is unknown."""
        folders = [places.folder_of(self.place, name) for name in names]
        return await asyncio.to_thread(lambda: [_status(folder) for folder in folders])

    def abort(self, name: str) -> None:
        """Ask a transfer to end, if it runs."""
        if places.abort(places.folder_of(self.place, name)):
            _LOG.info("a transfer was told to end", name=name)

    async def cleanup(self, name: str) -> None:
        """Have a transfer be gone, with all that it left but its log and its data."""
        folder = places.folder_of(self.place, name)
        await places.end(folder)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _trust(self, options: jobs.Options) -> tuple[Path, Path, bytes]:
        """Return the key, the certificate, and whom to trust; raises Unavailable."""
        own = self._layout.server_certificate
        key, certificate = own, own
        if options.key_name is not None:
            key, certificate = keys.key_of(self.keys, options.key_name)
        for path in (key, certificate):
            if not path.is_file():
                raise errors.Unavailable(f"File '{path}' does not exist")
        if options.ca_pem is not None:
            return key, certificate, options.ca_pem.encode()
        # The certificate alone: nobody needs another copy of the key.
        return key, certificate, ssl.DER_cert_to_PEM_cert(tls.read_certificate(own)).encode()

    def _make(self, prefix: str, logs: Path, authority: bytes) -> Path:
        places.sweep(self.place, time.time())
        try:
            files.make_directories(logs, _LOGS_MODE)
            folder = places.make(self.place, prefix)
            try:
                files.write_atomically(places.authority_file(folder), authority, _CA_MODE)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        except OSError as error:
            raise errors.Exhausted(f"a transfer cannot be set up: {error}") from error
        return folder

    async def _launch(self, job: jobs.Job, descriptors: Sequence[int]) -> None:
        environment = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:{_PATH}".lstrip(":")}
        try:
            ended = await runner.run(
                [sys.executable, "-m", "pyganeti.noded.transfers.worker"],
                environment=environment,
                timeout=_START_PATIENCE,
                stdin=jobs.encode(job),
                descriptors=descriptors,
            )
        except OSError as error:
            raise errors.Unavailable(f"a transfer cannot be started: {error.strerror}") from error
        if ended.timed_out:
            raise errors.Interrupted(f"a transfer was not ready after {_START_PATIENCE:.0f} s")
        if ended.status != 0:
            said = ended.output.decode(errors="replace").strip()
            raise errors.Unavailable(f"the {job.mode} did not start: {said}")


def _status(folder: Path) -> dict[str, Any] | None:
    # In this order: who has just ended has said so before.
    runs = places.running(folder) is not None
    try:
        found = status.read(places.status_file(folder))
    except OSError as error:
        raise errors.Unavailable(f"{folder.name}: {error.strerror}") from error
    if found is None:
        return None
    if not runs and found.exit_status is None:
        found.exit_status = status.FAILURE
        found.error_message = "the transfer's process was killed"
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told
