"""Which kind of backing this cluster has: what a file says that every candidate has, or files."""

from pyganeti.base import errors
from pyganeti.masterd import settings
from pyganeti.masterd.backing import backing, plain
from pyganeti.wire import storefile


def of(chosen: settings.Settings) -> backing.Backing:
    """Return the backing; blocks for a moment.

    Raises Damaged or BadInput if it is not known which, Unavailable if what it needs is not here.
    """
    path = chosen.layout.store_file
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return plain.Plain(chosen)
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be read: {error.strerror}") from error
    kept = storefile.decode(data)
    try:
        from pyganeti.masterd.backing.etcd import kind  # noqa: PLC0415 - 30 MB that files can do without
    except ImportError as error:
        raise errors.Unavailable(
            f"this cluster is kept in etcd, and its client is not installed here ({error}):"
            " install pyganeti[etcd]"
        ) from error
    return kind.Etcd(chosen, kept)
