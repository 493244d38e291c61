"""The one netlink socket, in the one thread that uses it.

pyroute2 waits for the kernel, and the kernel for its network lock: neither may hold the event loop.
So whoever has something to ask writes a plain function of an open socket and gives it to
`Netlink.ask`. Functions run one after the other; several steps in one function are not interleaved
with anybody else's.

pyroute2 is imported by that thread when it is first needed: 4 MiB and 70 ms that a node without
networks does without. A socket on which something other than a plain refusal happened is closed
and opened anew. What the kernel refuses comes out as `Refused`, with its errno.
"""

import asyncio
import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, Final, TypeAlias, TypeVar, TypeVarTuple, Unpack

from pyganeti.base import errors

TIMEOUT: Final = 30.0
"""Seconds to wait for the kernel; its network lock is held for long where interfaces go away."""

_THREAD: Final = "work-netlink"
"""Begins like those of other calls: at the end nobody waits for one that hangs in the kernel."""

_PATIENCE_AT_END: Final = 2.0

Socket: TypeAlias = Any
"""A pyroute2.IPRoute, which has no types."""

Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")


class Refused(errors.Failure):
    """The kernel said no; ``errno`` says why."""

    def __init__(self, number: int) -> None:
        """Keep the kernel's errno."""
        super().__init__(os.strerror(number))
        self.errno = number


class Netlink:
    """What the node asks its kernel's networks with; opened when first used."""

    def __init__(self) -> None:
        self._thread = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix=_THREAD)
        self._socket: Socket = None

    async def ask(
        self,
        question: Callable[[Socket, Unpack[Arguments]], Answer],
        *arguments: *Arguments,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """Have a function talk to the kernel, and return what it returns.

        Raises Refused or what the function raises, and Interrupted if it takes too long: it may
        still come to its end then.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                return await loop.run_in_executor(
                    self._thread, functools.partial(self._ask, question, *arguments)
                )
        except TimeoutError as error:
            raise errors.Interrupted(f"the kernel did not answer in {timeout:g} s") from error

    async def close(self) -> None:
        """Close the socket and end the thread, after what it is doing; not if that hangs."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_AT_END):
                await loop.run_in_executor(self._thread, self._drop)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ask(
        self,
        question: Callable[[Socket, Unpack[Arguments]], Answer],
        *arguments: *Arguments,
    ) -> Answer:
        from pyroute2.iproute import linux  # noqa: PLC0415
        from pyroute2.netlink import exceptions  # noqa: PLC0415

        try:
            if self._socket is None:
                self._socket = linux.IPRoute()
            return question(self._socket, *arguments)
        except exceptions.NetlinkError as error:
            raise Refused(error.code) from error
        except errors.Failure:
            raise
        except OSError as error:
            self._drop()
            raise Refused(error.errno or errno.EIO) from error
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(Exception):
                self._socket.close()
            self._socket = None


@contextlib.contextmanager
def tolerating(*numbers: int) -> Iterator[None]:
    """Go on, inside a question, after what the kernel refuses for one of these reasons."""
    try:
        yield
    except Exception as error:  # the library's own, which nobody here imports at the top
        if getattr(error, "code", None) not in numbers:
            raise
