"""What the cluster is kept in, as this node's file says it."""

from pyganeti.base import errors, log, paths
from pyganeti.wire import storefile

_LOG = log.get(__name__)


def kept_in(layout: paths.Paths) -> storefile.Etcd | None:
    """Return the etcd that the cluster is kept in, None for files. Blocks for a moment."""
    try:
        return storefile.decode(layout.store_file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, errors.Damaged) as error:
        _LOG.warning("what the cluster is kept in cannot be read", why=str(error))
        return None
