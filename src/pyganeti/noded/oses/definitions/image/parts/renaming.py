"""Writes the seed anew when its instance has got another name: the guest reads it when it boots."""

from collections.abc import Mapping

from . import disks, parameters, seed, tables


def rename(environ: Mapping[str, str]) -> None:
    """Replace the seed where there is one; raises Wrong."""
    wanted = parameters.parse(environ)
    own = disks.seed_of_instance(environ)
    if own is not None:
        place, at, room = own, 0, own.size()
    else:
        place = disks.of_instance(environ)
        found = _find(place)
        if found is None:
            print("there is no seed to write anew", flush=True)  # noqa: T201
            return
        at, room = found.start, found.size
    made = seed.make(seed.contents(wanted, environ))
    if len(made) > room:
        raise parameters.Wrong(f"the seed has {len(made)} bytes, and there is room for {room}")
    place.write(at, made.ljust(min(room, seed.LIMIT), b"\0"))
    print("the seed was written anew", flush=True)  # noqa: T201


def _find(disk: disks.Disk) -> tables.Part | None:
    size = disk.size()
    table = tables.look(disk.read(0, min(tables.HEAD, size)), size)
    for part in reversed(table.parts if table is not None else ()):
        if seed.is_seed(disk.read(part.start, min(part.size, 64 * 1024))):
            return part
    return None
