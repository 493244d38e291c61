"""Reading ``NAME.intent``: what an administrator announced about a guest before acting on it."""

from typing import Final

from pyganeti.base import errors, files
from pyganeti.model import intent
from pyganeti.wire import intentfile

SUFFIX: Final = ".intent"
_LIMIT: Final = 64 * 1024


def read(dirfd: int | None, name: str) -> tuple[intent.Intent | None, str]:
    """Return the intent beside the socket, and what is wrong with the file if it cannot count.

    Most guests have none: then both are empty. A file that is not an intent never raises.
    """
    if dirfd is None:
        return None, ""
    try:
        content = files.read_small(dirfd, name + SUFFIX, _LIMIT)
    except (OSError, errors.Failure) as error:
        return None, f"the intent could not be read: {error}"
    if content is None:
        return None, ""
    try:
        return intentfile.decode(content), ""
    except errors.Failure as error:
        return None, f"the intent is not readable: {error}"
