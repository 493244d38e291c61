"""Work on files where that may hang: in threads that nobody who gives up can pull a rug from.

Who gives up waiting leaves the thread to finish. It works on descriptors of its own meanwhile,
never on one that was closed and is another's by now; what it opens then is discarded.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def on(descriptors: Sequence[int], function: Callable[..., T]) -> T:
    """Return what the function returns for these descriptors; it gets copies of them."""
    own: list[int] = []
    try:
        for fd in descriptors:
            own.append(os.dup(fd))  # noqa: PERF401 - to close on failure
    except OSError:
        _close(*own)
        raise

    def work() -> T:
        try:
            return function(*own)
        finally:
            _close(*own)

    # Shielded: work that has not begun must run nevertheless, or its copies would stay.
    return await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(work)))


@contextlib.asynccontextmanager
async def opened(
    function: Callable[..., int],
    descriptors: Sequence[int] = (),
    *,
    discard: Callable[..., None] | None = None,
) -> AsyncIterator[int]:
    """Have a descriptor opened in a thread, and closed at the end.

    The function gets copies of ``descriptors``, and so does ``discard``, which undoes more than the
    opening if that was given up.
    """
    undone = [os.dup(fd) for fd in descriptors] if discard else []
    opening = asyncio.ensure_future(on(descriptors, function))
    try:
        fd = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda done: _drop(done, undone, discard))
        raise
    except BaseException:
        _close(*undone)
        raise
    try:
        yield fd
    finally:
        # Closing can wait for a server too. Not waited for: it must happen if we are given up.
        asyncio.get_running_loop().run_in_executor(None, _close, fd, *undone)


def _drop(
    opening: "asyncio.Future[int]", undone: list[int], discard: Callable[..., None] | None
) -> None:
    """Discard, in a thread, what was opened for somebody who is gone."""
    failed = opening.cancelled() or opening.exception() is not None

    def work() -> None:
        try:
            if discard is not None and not failed:
                discard(*undone)
        finally:
            _close(*undone, *(() if failed else (opening.result(),)))

    asyncio.get_running_loop().run_in_executor(None, work)


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        os.close(fd)
