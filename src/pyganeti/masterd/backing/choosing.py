"""Which kind of backing this cluster has."""

from pyganeti.masterd import settings
from pyganeti.masterd.backing import backing, plain


def of(chosen: settings.Settings) -> backing.Backing:
    """Return the backing."""
    return plain.Plain(chosen)
