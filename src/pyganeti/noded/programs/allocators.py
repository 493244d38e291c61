"""Runs instance allocators: programs that read a cluster's state and say where an instance goes.

The state is a file on what a reboot empties, gone when the program has ended; the answer is what it
writes to stdout, up to a limit.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, paths, runner, siteprograms

TIMEOUT: Final = 300.0
LIMIT: Final = 10 * 1024 * 1024
_PLACES: Final = ("usr/local/lib/ganeti/iallocators", "usr/lib/ganeti/iallocators")


def places(layout: paths.Paths) -> tuple[Path, ...]:
    """Return the folders that allocators are looked for in: the node's own, then the machine's."""
    roots = dict.fromkeys((layout.root, Path("/")))
    return tuple(root / place for root in roots for place in _PLACES)


async def run(layout: paths.Paths, name: str, state: str, options: Mapping[str, str | None]) -> str:
    """Return what an allocator answers; raises BadInput without one, Unavailable if it fails."""
    program = siteprograms.find(name, places(layout))
    if program is None:
        raise errors.BadInput(f"iallocator module '{name}' not found in the search path")
    arguments = [
        f"--{key}" if value is None else f"--{key}={value}" for key, value in options.items()
    ]
    file = await asyncio.to_thread(_written, layout.run_dir, state.encode())
    try:
        finished = await runner.run(
            [program, file, *arguments],
            environment={"PATH": siteprograms.PATH},
            timeout=TIMEOUT,
            output_limit=LIMIT,
            separate=True,
        )
    except OSError as error:
        raise errors.Unavailable(f"iallocator module '{name}' cannot be run: {error}") from error
    finally:
        file.unlink(missing_ok=True)
    why = siteprograms.reason(finished) or (
        f"said more than {LIMIT} bytes" if finished.truncated else None
    )
    if why is not None:
        said = (finished.output + finished.complaints)[:4096].decode(errors="backslashreplace")
        raise errors.Unavailable(f"iallocator module '{name}' failed: {why}, output '{said}'")
    return finished.output.decode(errors="backslashreplace")


def _written(folder: Path, state: bytes) -> Path:
    files.make_directories(folder)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="iallocator.", delete=False) as file:
        try:
            file.write(state)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
        return Path(file.name)
