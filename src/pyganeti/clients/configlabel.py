"""Of which master's time this node's configuration is: a small file beside it, kept in step.

A master daemon says so of its own file once, when it begins to lead; all it writes is of its epoch.
A node daemon says it when a master sends the first configuration of its epoch: what comes, before,
and that it has come, after. So at every moment the label is right, whoever is killed in between. Of
what others write (Ganeti's programs, an editor) it is not known, which is the epoch 0, or it counts
for what was there before. Blocks.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from pyganeti.base import errors, files, log, paths
from pyganeti.wire import standings

_LOG = log.get(__name__)
_MODE: Final = 0o644


def read(layout: paths.Paths) -> standings.Label:
    """Return the label; one that is not legible says nothing."""
    try:
        with layout.config_epoch_file.open("rb") as file:
            return standings.decode_label(file.read(standings.LARGEST))
    except FileNotFoundError:
        return standings.Label()
    except (OSError, errors.Damaged) as error:
        _LOG.warning("it is not known of which epoch the configuration is", why=str(error))
        return standings.Label()


def write(layout: paths.Paths, label: standings.Label) -> None:
    """Replace the label; raises OSError."""
    files.write_durably(layout.config_epoch_file, msgspec.json.encode(label), _MODE)


def replacing(layout: paths.Paths, content: bytes, epoch: int, replace: Callable[[], None]) -> None:
    """Have the configuration replaced by content of an epoch, 0 if that is not known.

    Raises what ``replace`` raises, or OSError; then the configuration may be the old or the new.
    """
    label = read(layout)
    if not epoch:
        if label != standings.Label():
            layout.config_epoch_file.unlink(missing_ok=True)
            files.sync_directory(layout.config_epoch_file.parent)
        replace()
    elif label == standings.Label(epoch):
        replace()
    else:
        digest = standings.digest_of(content)
        present = label.epoch
        if label.coming and _digest_of_present(layout) == label.digest:
            present = label.coming
        write(layout, standings.Label(present, epoch, digest))
        replace()
        write(layout, standings.Label(epoch))


def _digest_of_present(layout: paths.Paths) -> str:
    try:
        return standings.digest_of(layout.config_data.read_bytes())
    except OSError:
        return ""
