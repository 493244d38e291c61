"""The program that plays an instance's TPM, and the UEFI variables: state that outlives a run.

swtpm is started before qemu, ends by itself when qemu lets go of it, and is stopped here when no
qemu comes. What it keeps lies in the state directory, by the instance's name. After a migration
qemu brings the content along: the target only needs the place.
"""

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, pidfd, processes, runner
from pyganeti.noded.qemu import capabilities, machine, places, runtimefile, words

_PATIENCE: Final = 20.0


async def start(
    name: str, runtime: runtimefile.Runtime, known: capabilities.Capabilities, where: places.Places
) -> None:
    """Have the TPM ready for a qemu that is about to start; nothing if the instance has none."""
    version = runtime.hvparams.tpm
    if not version:
        return
    if not known.swtpm:
        raise errors.BadInput("this node has no swtpm, so no TPM")
    stop(name, where)
    state = where.tpms / name
    files.make_directories(state, 0o700)
    line = [known.swtpm, "socket", "--daemon", "--terminate"]
    line += ["--tpmstate", f"dir={state}", "--pid", f"file={_pid_file(name, where)}"]
    line += ["--ctrl", f"type=unixio,path={where.tpm_socket(name)}"]
    line += ["--tpm2"] if version == "2.0" else []
    try:
        ended = await runner.run(line, environment=words.ENVIRONMENT, timeout=_PATIENCE)
    except OSError as error:
        raise errors.Unavailable(f"swtpm cannot be run: {error.strerror}") from error
    if ended.status != 0:
        raise errors.Failure(
            f"swtpm did not start ({words.status(ended.status)}): {words.last(ended.output)}"
        )


def stop(name: str, where: places.Places) -> None:
    """Stop an instance's swtpm if it runs, and remove its socket. Raises OSError."""
    path = _pid_file(name, where)
    try:
        pid = int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        pid = 0
    fd = pidfd.open(pid) if pid > 0 else None
    if fd is not None:
        try:
            if os.fsencode(where.tpm_socket(name)) in b" ".join(processes.command_line(pid)):
                signal.pidfd_send_signal(fd, signal.SIGTERM)
        except ProcessLookupError:
            pass
        finally:
            os.close(fd)
    path.unlink(missing_ok=True)
    where.tpm_socket(name).unlink(missing_ok=True)


def place_variables(
    name: str,
    runtime: runtimefile.Runtime,
    known: capabilities.Capabilities,
    where: places.Places,
) -> None:
    """Make the file with UEFI variables if the instance is to have one and has none yet."""
    path = where.variables(name)
    if not machine.has_uefi(runtime.command) or path.exists():
        return
    build = machine.firmware(runtime.hvparams, machine.kind_of(runtime.command), known)
    if build is None:
        raise errors.BadInput(f"{name} has UEFI variables, but no firmware")
    files.make_directories(path.parent, 0o700)
    files.write_durably(path, Path(build.template).read_bytes())


async def forget(name: str, where: places.Places) -> None:
    """Remove what outlives a run, when the instance itself is removed."""
    where.variables(name).unlink(missing_ok=True)
    await asyncio.to_thread(shutil.rmtree, where.tpms / name, ignore_errors=True)


def rename(old: str, new: str, where: places.Places) -> None:
    """Have what outlives a run go by another name. Raises OSError; may be repeated."""
    if (where.tpms / old).is_dir():
        shutil.rmtree(where.tpms / new, ignore_errors=True)
        (where.tpms / old).rename(where.tpms / new)
    if where.variables(old).exists():
        where.variables(old).replace(where.variables(new))


def _pid_file(name: str, where: places.Places) -> Path:
    return where.tpm_socket(name).with_name(f"{name}.swtpm.pid")
