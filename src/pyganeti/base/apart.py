"""Runs a function in an interpreter of its own, which ends with it.

For work that is hardly ever done with a library that is large: a daemon that had imported it once
would keep it in its locked memory for months. What goes in and what comes out is JSON; a Failure
comes out as what it was.

    digest = await apart.call(certificatework.make, client, signer, "node1", timeout=60)

In failure: an interpreter that cannot be started, dies or takes too long raises Unavailable, with
its last words.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from pyganeti.base import errors, runner

Result = TypeVar("Result")

_LIMIT: Final = 1024 * 1024
_LAST_WORDS: Final = 500
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "PYTHONPATH")


async def call(function: Callable[..., Result], *arguments: object, timeout: float) -> Result:
    """Call a module's function there, and return what it returns, as JSON has it.

    The module is imported on both sides: what is large it imports inside the function.

    Raises the Failure that it raises, Unavailable if it comes to no end of its own.
    """
    line = [sys.executable, "-P", "-m", __name__, function.__module__, function.__qualname__]
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    try:
        ended = await runner.run(
            line,
            environment=environment,
            timeout=timeout,
            stdin=msgspec.json.encode(arguments),
            output_limit=_LIMIT,
            separate=True,
        )
    except OSError as error:
        raise errors.Unavailable(f"{sys.executable} cannot be run: {error.strerror}") from error
    try:
        verdict, *said = msgspec.json.decode(ended.output)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        words = ended.complaints.decode(errors="replace").strip()[-_LAST_WORDS:]
        how = "took too long" if ended.timed_out else f"ended with status {ended.status}"
        raise errors.Unavailable(f"{function.__qualname__} {how}: {words}") from error
    if verdict == "failed":
        kind, words = said
        raise getattr(errors, kind)(words)
    result: Result = said[0]
    return result


def _answer(module: str, name: str, arguments: bytes) -> list[Any]:
    function = getattr(importlib.import_module(module), name)
    try:
        return ["returned", function(*msgspec.json.decode(arguments))]
    except errors.AlreadyRunning as error:  # has other arguments than words
        return ["failed", errors.Unavailable.__name__, str(error)]
    except errors.Failure as error:
        kind = type(error).__name__
        return ["failed", kind if hasattr(errors, kind) else errors.Failure.__name__, str(error)]


if __name__ == "__main__":
    answer = _answer(sys.argv[1], sys.argv[2], sys.stdin.buffer.read())
    sys.stdout.buffer.write(msgspec.json.encode(answer))
