"""Opening files where that may hang: in a thread, and closed in the end whatever happens.

Who gives up waiting leaves the thread to finish; what it opens then is closed by it.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable


@contextlib.asynccontextmanager
async def opened(function: Callable[[], int]) -> AsyncIterator[int]:
    """Have a descriptor opened in a thread, and closed at the end."""
    opening = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        fd = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise
    try:
        yield fd
    finally:
        # Closing can wait for a server too. Not waited for: it must happen if we are given up.
        asyncio.get_running_loop().run_in_executor(None, os.close, fd)


def _close(opening: "asyncio.Future[int]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())
