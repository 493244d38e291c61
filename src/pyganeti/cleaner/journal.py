"""Has old stops removed from the node's journal: by kvmd's own command, with kvmd's own flags.

While kvmd runs it does that itself, and the command says so. Where it is not installed there is no
journal.
"""

from typing import Final

from pyganeti.base import daemons, defaults, errors, log, paths, runner

_KVMD: Final = "ganeti-kvmd"
_KEEPING: Final = ("--keep-days", "--keep-rows")
_PATIENCE: Final = 300.0
_LOG: Final = log.get(__name__)


async def prune(layout: paths.Paths, *, dry_run: bool) -> bool:
    """Have it done; tell whether nothing went wrong."""
    command = daemons.installed(_KVMD)
    if command is None or not layout.kvmd_journal.exists():
        return True
    try:
        flags = keeping(defaults.flags(layout, _KVMD))
        line = [command, "prune", *flags, *(["--dry-run"] if dry_run else [])]
        ended = await runner.run(line, environment=daemons.environment(), timeout=_PATIENCE)
    except (OSError, errors.Failure) as error:
        _LOG.error("the journal of stops cannot be pruned", why=str(error))
        return False
    said = daemons.words(ended)
    if ended.status != 0:
        _LOG.error("the journal of stops was not pruned", said=said)
        return False
    _LOG.info("the journal of stops", said=said)
    return True


def keeping(flags: tuple[str, ...]) -> list[str]:
    """Return those of the daemon's flags that say how long stops are kept."""
    kept: list[str] = []
    words = iter(flags)
    for word in words:
        name, separator, _ = word.partition("=")
        if name not in _KEEPING:
            continue
        kept.append(word)
        if not separator and (value := next(words, None)) is not None:
            kept.append(value)
    return kept
