"""The cluster's address on this node: taken and given back as masters say, and given up unasked.

What was taken, and how, is noted in a file that a reboot removes, like the address. So a node that
learns that another is the master can give it up by itself, whether or not a master daemon lives
here to see to it, and whether or not the new master could reach this node in time.
"""

import asyncio
import contextlib
from pathlib import Path

import msgspec

from pyganeti.base import errors, files, log, paths
from pyganeti.noded.net import masterip, netlink
from pyganeti.noded.programs import localhooks

_LOG = log.get(__name__)


class _Taken(msgspec.Struct, frozen=True):
    version: int
    address: masterip.Parameters
    by_program: bool


class MasterAddress:
    """The address; two that do something with it take turns."""

    def __init__(self, layout: paths.Paths, kernel: netlink.Netlink) -> None:
        self._layout = layout
        self._kernel = kernel
        self._turn = asyncio.Lock()

    async def take(self, wanted: masterip.Parameters, *, by_program: bool) -> None:
        """Have the address here, within the hooks ``master-ip-turnup``."""
        async with self._turn:
            self._note(_Taken(1, wanted, by_program))
            name, opcode = "master-ip-turnup", "OP_CLUSTER_IP_TURNUP"
            async with localhooks.around(self._layout, name, opcode, wanted.environment):
                if by_program:
                    await masterip.run_program(self._layout, "start", wanted)
                else:
                    await masterip.take(self._kernel, wanted)

    async def give_back(self, had: masterip.Parameters, *, by_program: bool) -> None:
        """Have it here no more, within the hooks ``master-ip-turndown``."""
        async with self._turn:
            await self._give_back(had, by_program=by_program)

    async def give_up(self) -> None:
        """Have it here no more, if it was taken: another is the master."""
        async with self._turn:
            taken = self._noted()
            if taken is None:
                return
            _LOG.warning("another is the master: giving its address up", address=taken.address.ip)
            try:
                await self._give_back(taken.address, by_program=taken.by_program)
            except errors.Failure as error:
                _LOG.error("the master's address could not be given up", why=str(error))

    async def _give_back(self, had: masterip.Parameters, *, by_program: bool) -> None:
        name, opcode = "master-ip-turndown", "OP_CLUSTER_IP_TURNDOWN"
        async with localhooks.around(self._layout, name, opcode, had.environment):
            if by_program:
                await masterip.run_program(self._layout, "stop", had)
            else:
                await masterip.give_back(self._kernel, had)
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self._layout.run_dir / "master-address.json"

    def _note(self, taken: _Taken) -> None:
        try:
            files.make_directories(self._layout.run_dir, 0o755)
            files.write_atomically(self._path, msgspec.json.encode(taken))
        except OSError as error:
            _LOG.warning("that the master's address is taken cannot be noted", why=str(error))

    def _noted(self) -> _Taken | None:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_Taken)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            _LOG.error("it is not known whether the master's address is taken", why=str(error))
            return None
        return found if found.version == 1 else None
