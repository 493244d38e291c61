"""Disks that qemu reaches by itself: an address as storage gives it, as the options of a driver.

Ganeti's storage gives ``rbd:POOL/NAME`` and ``gluster://HOST:PORT/VOLUME/PATH``; providers of
external storage give what they like, of which qemu's own drivers are understood.
"""

import urllib.parse
from typing import Final

from pyganeti.base import errors
from pyganeti.noded.qemu import options

_GLUSTER_PORT: Final = 24007
_NBD_PORT: Final = 10809
_ISCSI_PORT: Final = 3260
_WEB: Final = ("http", "https", "ftp", "ftps")


def driver_options(uri: str) -> dict[str, options.Value]:
    """Return a protocol driver and its options; raises BadInput for what qemu has no driver for."""
    if uri.startswith("rbd:"):
        return _rbd(uri)
    try:
        parsed = urllib.parse.urlsplit(uri)
        port = parsed.port
    except ValueError as error:
        raise errors.BadInput(f"{uri} is no address of a disk: {error}") from error
    path = urllib.parse.unquote(parsed.path)
    asked = dict(urllib.parse.parse_qsl(parsed.query))
    kind, _, transport = parsed.scheme.partition("+")
    host = parsed.hostname or ""
    if kind in _WEB:
        return {"driver": kind, "url": uri}
    if kind == "file" and not host:
        return {"driver": "file", "filename": path}
    if kind == "gluster":
        volume, _, inside = path.removeprefix("/").partition("/")
        return {"driver": "gluster", "volume": volume, "path": inside} | _server(
            "server.0", transport, host, port or _GLUSTER_PORT, asked
        )
    if kind == "nbd":
        found: dict[str, options.Value] = {"driver": "nbd"}
        if path.removeprefix("/"):
            found["export"] = path.removeprefix("/")
        return found | _server("server", transport, host, port or _NBD_PORT, asked)
    if kind == "iscsi":
        target, _, lun = path.removeprefix("/").partition("/")
        if not lun.isdigit():
            raise errors.BadInput(f"{uri} names no LUN")
        return {
            "driver": "iscsi",
            "transport": "tcp",
            "portal": f"{host}:{port or _ISCSI_PORT}",
            "target": target,
            "lun": int(lun),
        }
    raise errors.BadInput(f"qemu is not known to reach a disk at {uri}")


def _server(
    prefix: str, transport: str, host: str, port: int, asked: dict[str, str]
) -> dict[str, options.Value]:
    if transport == "unix" or "socket" in asked:
        return options.nested(prefix, {"type": "unix", "path": asked.get("socket", "")})
    return options.nested(prefix, {"type": "inet", "host": host, "port": str(port)})


def _rbd(uri: str) -> dict[str, options.Value]:
    """Take ``rbd:POOL/IMAGE[@SNAPSHOT][:KEY=VALUE…]`` apart."""
    place, *settings = uri.removeprefix("rbd:").split(":")
    pool, slash, image = place.partition("/")
    if not (pool and slash and image):
        raise errors.BadInput(f"{uri} names no pool and image")
    image, _, snapshot = image.partition("@")
    found: dict[str, options.Value] = {"driver": "rbd", "pool": pool, "image": image}
    if snapshot:
        found["snapshot"] = snapshot
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in {"conf", "id"} or not equals:
            raise errors.BadInput(f"{uri} has a setting that is not understood: {setting}")
        found["user" if key == "id" else key] = value
    return found
