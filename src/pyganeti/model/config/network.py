"""An IP network that instances' cards may be connected to, with the addresses taken in it."""

from pyganeti.model.config import record
from pyganeti.model.config.record import written


class Network(record.Record, frozen=True, kw_only=True):
    """One network. ``network`` is its IPv4 range, ``10.0.0.0/24``.

    ``reservations`` and ``ext_reservations`` have a 0 or a 1 for each address in the range: taken
    by an instance, and kept by the administrator. A network without addresses to give has neither.
    """

    name: str
    mac_prefix: str | None = None
    network: str
    network6: str | None = None
    gateway: str | None = None
    gateway6: str | None = None
    reservations: str | None = None
    ext_reservations: str | None = None
    uuid: str
    ctime: float = written(0.0)
    mtime: float = written(0.0)
    serial_no: int = written(1)
    tags: tuple[str, ...] = written(())
