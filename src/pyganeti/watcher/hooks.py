"""Runs the site's own programs in every pass, on every node: those of ``hooks/watcher``.

For light things, such as starting a daemon of the site's. They are given up after a minute each.
"""

import os
from typing import Final

from pyganeti.base import log, paths, runparts, siteprograms

_FOLDER: Final = "watcher"
_TIMEOUT: Final = 60.0
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "HOME", "GANETI_ROOTDIR", "GANETI_HOSTNAME")
_SHOWN: Final = 400
_LOG: Final = log.get(__name__)


async def run(layout: paths.Paths) -> None:
    """Run them one after the other; what goes wrong is logged."""
    environment = {"PATH": siteprograms.PATH}
    environment |= {name: os.environ[name] for name in _KEPT if name in os.environ}
    for name, outcome, said in await runparts.run(
        layout.config_dir / "hooks" / _FOLDER, environment, _TIMEOUT
    ):
        _LOG.debug("a hook was run", hook=name, outcome=outcome.name, said=said[:_SHOWN])
