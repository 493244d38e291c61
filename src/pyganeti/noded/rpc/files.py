"""Calls that put files on the node: the cluster's configuration and simple settings."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from pyganeti.base import errors, filelock, ssconf
from pyganeti.noded import calls, fencing, uploads
from pyganeti.noded import node as nodes
from pyganeti.wire import noderpc

_Upload: TypeAlias = tuple[
    str, list[Any], int | None, str, str, float | int | None, float | int | None
]
"""Name, content, mode, user, group, time of access, time of change."""


async def upload_file_single(
    node: nodes.Node,
    file_name: str,
    content: list[Any],
    mode: int | None,
    user: str,
    group: str,
    accessed: float | None,
    changed: float | None,
) -> None:
    """Replace one of the files that a master may write."""
    path = uploads.place_of(node.paths, file_name)
    data = await asyncio.to_thread(noderpc.decode_blob, content)

    def write() -> None:
        uploads.write(path, data, mode=mode, user=user, group=group, times=(accessed, changed))

    if path == node.paths.config_data:
        said = fencing.caller()
        await asyncio.to_thread(
            uploads.replace_config, node.paths, data, 0 if said is None else said.number, write
        )
    else:
        await asyncio.to_thread(write)


async def upload_file(node: nodes.Node, upload: _Upload) -> None:
    """Do as `upload_file_single`; all that it takes comes as one argument."""
    await upload_file_single(node, *upload)


async def write_ssconf_files(node: nodes.Node, values: dict[str, str | list[str]]) -> None:
    """Write the cluster's simple settings; a list is lines."""
    contents = {
        name: value if isinstance(value, str) else "\n".join(value)
        for name, value in values.items()
    }
    async with filelock.exclusive(node.paths.root / "var/lock/ganeti-ssconf.lock"):
        try:
            await asyncio.to_thread(ssconf.write, node.paths, contents)
        except OSError as error:
            raise errors.Unavailable(f"a setting cannot be written: {error}") from error


def _by_name(arguments: Sequence[Any]) -> str:
    return f"the file {arguments[0]}"


def _by_name_inside(arguments: Sequence[Any]) -> str:
    return f"the file {arguments[0][0]}"


def _one_by_one(_arguments: Sequence[Any]) -> str:
    return "the simple settings"


CALLS: Final = (
    calls.Call("upload_file", upload_file, _by_name_inside),
    calls.Call("upload_file_single", upload_file_single, _by_name),
    calls.Call("write_ssconf_files", write_ssconf_files, _one_by_one),
)
