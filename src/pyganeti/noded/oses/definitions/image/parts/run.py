"""Runs one of the scripts, by its name; what is wrong becomes a line on standard error."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from . import copying, creating, parameters, renaming, work

_SCRIPTS: Final[dict[str, Callable[[Mapping[str, str]], object]]] = {
    "create": creating.create,
    "export": copying.export,
    "import": copying.import_,
    "rename": renaming.rename,
    "verify": parameters.parse,
}


def main(script: str) -> int:
    """Return the exit status: 0, or 1 when something is wrong."""
    os.umask(0o077)
    try:
        with work.folder():
            _SCRIPTS[script](os.environ)
    except (parameters.Wrong, OSError) as error:
        print(f"image: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    return 0
