"""Has a cluster whose files were furnished for a master daemon be kept in etcd instead.

masterdaemons.started(directory, snapshot, keeping.before(snapshot, etcd))
"""

import asyncio
from collections.abc import Callable

from lab.etcd import backings, etcds
from pyganeti.base import paths, ssconf
from pyganeti.model.config import datafile
from pyganeti.model.config import ssconf as settings
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import storefile


def before(snapshot: Snapshot, etcd: etcds.Etcd) -> Callable[[paths.Paths], None]:
    """Return what puts a configuration into etcd, before a daemon starts, and says so."""
    shown = etcd.client
    kept = storefile.Etcd(
        endpoints=etcd.endpoints,
        prefix=backings.fresh_prefix(),
        authority=None if shown is None else str(shown.authority),
        certificate=None if shown is None else str(shown.certificate),
        key=None if shown is None else str(shown.key),
    )

    def put(layout: paths.Paths) -> None:
        held = datafile.parse(layout.config_data.read_bytes())
        values = settings.make(snapshot)
        ssconf.write(
            layout,
            {name: "".join(f"{line}\n" for line in lines) for name, lines in values.items()},
        )
        layout.store_file.write_bytes(storefile.encode(kept))
        asyncio.run(_create(etcd, kept.prefix, held))

    return put


async def _create(etcd: etcds.Etcd, prefix: str, held: dict[str, bytes]) -> None:
    async with backings.unled(etcd, prefix) as nobody:
        await nobody.store().create(held)
