"""Networks, the master's address, operating systems and the site's programs, over the node RPC."""

import contextlib
import http.client
import json
import os
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from lab import nodedaemons
from pyganeti.base import errors

_GOLDEN = Path(__file__).parents[2] / "golden/rpc"
_ALLOCATORS = "usr/local/lib/ganeti/iallocators"
_YES, _NO = True, False


def _recorded(call: str) -> list[list[Any]]:
    """Return the arguments that a real master sent."""
    found: list[list[Any]] = json.loads((_GOLDEN / f"{call}.json").read_bytes())
    return found


def _script(path: Path, text: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def _install_os(noded: nodedaemons.Noded) -> Path:
    folder = noded.layout.root / "srv/ganeti/os/noop"
    for name in ("create", "import", "export", "rename", "verify"):
        _script(folder / name)
    (folder / "ganeti_api_version").write_text("20\n")
    (folder / "variants.list").write_text("default\n")
    (folder / "parameters.list").write_text("size How large\n")
    return folder


def _instance(noded: nodedaemons.Noded) -> dict[str, Any]:
    """Return the recorded instance with its disk in this node's root, made."""
    instance: dict[str, Any] = _recorded("instance_os_add")[0][0]
    path = noded.layout.root / "srv/disks/disk0"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    os.truncate(path, 16 << 20)
    noded.layout.config_dir.mkdir(parents=True, exist_ok=True)
    (noded.layout.config_dir / "file-storage-paths").write_text(f"{path.parent}\n")
    instance["disks_info"][0]["logical_id"] = ["loop", str(path)]
    return instance


@pytest.mark.root
def test_the_recorded_masters_address_is_here_already(noded: nodedaemons.Noded) -> None:
    for arguments in _recorded("node_activate_master_ip"):
        assert noded.call("node_activate_master_ip", *arguments) is None
        assert noded.call("node_deactivate_master_ip", *arguments) is None
    assert not noded.log_lines(" ERROR ")


def test_addresses_and_bridges_are_looked_for(noded: nodedaemons.Noded) -> None:
    assert noded.call("node_has_ip_address", "127.0.0.1") is True
    assert noded.call("node_has_ip_address", "203.0.113.9") is False
    assert noded.call("node_has_ip_address", "nonsense") is False
    assert noded.call("bridges_exist", []) is None
    with pytest.raises(errors.Failure, match=r"^Missing bridges nosuch0, lo$"):
        noded.call("bridges_exist", ["nosuch0", "lo"])


def test_the_sites_program_takes_the_address_within_hooks(noded: nodedaemons.Noded) -> None:
    told = noded.layout.root / "told"
    config = noded.layout.config_dir
    _script(config / "scripts/master-ip-setup", f"echo $1 $MASTER_IP >>{told}")
    for phase in ("pre", "post"):
        _script(config / f"hooks/master-ip-turnup-{phase}.d/note", f"echo {phase} >>{told}")
    arguments = _recorded("node_activate_master_ip")[0][0]
    noded.call("node_activate_master_ip", arguments, _YES)
    noded.call("node_deactivate_master_ip", arguments, _YES)
    assert told.read_text() == "pre\nstart 127.0.0.78\npost\nstop 127.0.0.78\n"
    _script(config / "hooks/master-ip-turnup-pre.d/note", "echo no; exit 1")
    with pytest.raises(errors.Failure, match=r"hooks forbid it: .*no"):
        noded.call("node_activate_master_ip", arguments, _YES)


def test_every_recorded_step_has_its_hooks_run(noded: nodedaemons.Noded) -> None:
    told = noded.layout.root / "told"
    steps = {(name, phase) for name, phase, _ in _recorded("hooks_runner")}
    for name, phase in steps:
        folder = noded.layout.config_dir / f"hooks/{name}-{phase}.d"
        _script(folder / "note", f"env | sort >{told}; echo said")
        _script(folder / "not.run")
    for name, phase, environment in _recorded("hooks_runner"):
        assert noded.call("hooks_runner", name, phase, environment) == [
            [f"{name}-{phase}.d/not.run", 0, ""],
            [f"{name}-{phase}.d/note", 2, "said"],
        ]
        seen = dict(line.split("=", 1) for line in told.read_text().splitlines())
        assert environment.items() <= seen.items()
        assert seen.keys() - environment.keys() <= {"PWD", "SHLVL", "_", "OLDPWD"}


def test_the_recorded_allocation_is_given_to_the_allocator(noded: nodedaemons.Noded) -> None:
    ((name, state, options),) = _recorded("iallocator_runner")
    with pytest.raises(errors.Failure, match="iallocator module 'nosuch' not found"):
        noded.call("iallocator_runner", "nosuch", state, options)
    _script(noded.layout.root / _ALLOCATORS / name, 'echo ignored >&2; cat "$1"')
    assert noded.call("iallocator_runner", name, state, options) == state


def test_the_recorded_os_is_diagnosed_and_validated(noded: nodedaemons.Noded) -> None:
    shipped = noded.call("os_diagnose", *_recorded("os_diagnose")[0])
    assert [name for name, *_ in shipped] == ["image"]
    arguments = _recorded("os_validate")[0]
    with pytest.raises(errors.Failure, match="OS noop not found"):
        noded.call("os_validate", *arguments)
    assert noded.call("os_validate", _NO, *arguments[1:]) is False
    folder = _install_os(noded)
    assert noded.call("os_validate", *arguments) is True
    assert noded.call("os_diagnose") == [
        ["noop", str(folder), True, "", ["default"], [["size", "How large"]], [20], True],
        *shipped,
    ]
    for wrong, words in (
        ([True, "noop", ["parameters"], {}, False], "must include a variant"),
        ([True, "noop+x", ["parameters"], {}, False], "does not support variant 'x'"),
        ([True, "noop+x", ["parameters"], {"colour": 1}, True], "not supported by the OS noop"),
        ([True, "noop+default", ["taste"], {}, False], "Unknown checks"),
    ):
        with pytest.raises(errors.Failure, match=words):
            noded.call("os_validate", *wrong)


def test_an_os_is_put_on_a_disk_renamed_and_packed(noded: nodedaemons.Noded) -> None:
    folder = _install_os(noded)
    instance = _instance(noded)
    _script(folder / "create", 'env; printf installed >"$DISK_0_PATH"')
    _script(folder / "rename", 'printf "$OLD_INSTANCE_NAME" >"$DISK_0_PATH"')
    disk = Path(instance["disks_info"][0]["logical_id"][1])
    assert noded.call("instance_os_add", instance, _YES, 0) is None
    assert disk.read_bytes() == b"installed"
    (log,) = (noded.layout.log_dir / "os").iterdir()
    assert "INSTANCE_REINSTALL=1" in log.read_text()
    noded.call("instance_run_rename", instance, "old.example.com", 0)
    assert disk.read_bytes() == b"old.example.com"
    packed = Path(noded.call("os_export", instance, {"INSTANCE_NAME": "other"}))
    try:
        with tarfile.open(packed) as archive:
            said = archive.extractfile("environment")
            assert said is not None
            assert b"\nINSTANCE_NAME=other\n" in said.read()
    finally:
        packed.unlink()


def test_an_installation_that_fails_tells_its_last_words(noded: nodedaemons.Noded) -> None:
    folder = _install_os(noded)
    instance = _instance(noded)
    _script(folder / "create", "echo no space in it; exit 7")
    with pytest.raises(errors.Failure, match=r"(?s)create script failed .*code 7.*no space in it"):
        noded.call("instance_os_add", instance, _NO, 0)
    instance["disks_info"][0]["logical_id"][1] += ".gone"
    with pytest.raises(errors.Failure, match=r"disk0\.gone"):
        noded.call("instance_os_add", instance, _NO, 0)


@pytest.mark.root
def test_taps_that_went_while_no_daemon_ran_are_swept_at_the_start(
    noded: nodedaemons.Noded,
) -> None:
    noded.kill()
    folder = noded.layout.run_dir / "kvm-hypervisor/nic/web1.example.com"
    folder.mkdir(parents=True)
    (folder / "0").write_text("tapb30f434b9341")
    with noded:
        noded.call("version")
        noded.wait_log("what taps left behind was removed")
        assert not folder.exists()


def test_what_a_killed_daemon_had_begun_does_not_write_beside_the_next(
    noded: nodedaemons.Noded,
) -> None:
    folder = _install_os(noded)
    instance = _instance(noded)
    began = noded.layout.root / "began"
    _script(folder / "create", f"sleep 600 & echo $! >{began}.new; mv {began}.new {began}; wait")
    thread = threading.Thread(target=_call_in_vain, args=(noded, instance))
    thread.start()
    noded.wait(began.exists, "the script")
    noded.kill()
    thread.join()
    orphan = int(began.read_text())
    os.kill(orphan, 0)
    _script(folder / "create", 'printf installed >"$DISK_0_PATH"')
    with noded:
        noded.call("instance_os_add", instance, _NO, 0)
        noded.wait(lambda: not Path(f"/proc/{orphan}/exe").exists(), "the orphan's end")
        assert noded.wait_log("what a former script had left was ended")
    assert Path(instance["disks_info"][0]["logical_id"][1]).read_bytes() == b"installed"


def _call_in_vain(noded: nodedaemons.Noded, instance: dict[str, Any]) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        noded.call("instance_os_add", instance, _NO, 0)
