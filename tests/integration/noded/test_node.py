"""What masters ask about a node and have done to it: facts, verification, mastership, names."""

import contextlib
import datetime as dt
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pyganeti
from lab import nodedaemons
from pyganeti.base import certificates, errors, pem, processes, tls
from pyganeti.wire import noderpc

_GOLDEN = Path(__file__).parents[2] / "golden/rpc"
_QEMU = shutil.which("qemu-system-x86_64") or "/usr/bin/qemu-system-x86_64"
_KVM = {"kvm_path": _QEMU}
_YES, _NO = True, False

_DAEMON = """#!{python}
import os, signal, sys
from pathlib import Path
from pyganeti.base import daemon, paths, pidfile
name = Path(sys.argv[0]).name
layout = paths.Paths.from_environment(os.environ)
if Path(layout.root, "no-votes").exists():
    sys.exit("the others want another master")
started = daemon.detach()
lock = pidfile.PidFile(layout.pid_file(name))
lock.acquire()
with open(layout.root / "begun", "a") as told:
    print(name, *sys.argv[1:], file=told)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
started.ready()
signal.sigwait([signal.SIGTERM])
lock.release()
"""


def _recorded(call: str) -> list[list[Any]]:
    """Return the arguments that a real master sent."""
    found: list[list[Any]] = json.loads((_GOLDEN / f"{call}.json").read_bytes())
    return found


def _verify(noded: nodedaemons.Noded, **what: Any) -> dict[str, Any]:
    """Have a verification made; names have ``_`` for the protocol's ``-``."""
    asked = {name.replace("_", "-"): about for name, about in what.items()}
    found: dict[str, Any] = noded.call("node_verify", asked, "cluster", {"kvm": _KVM})
    return found


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodedaemons.Noded]:
    """Run one daemon for all tests that ask and change nothing."""
    with nodedaemons.Noded(tmp_path_factory.mktemp("n")) as noded:
        yield noded


# What the node has.


@pytest.mark.qemu
def test_the_recorded_questions_about_a_node_are_answered(noded: nodedaemons.Noded) -> None:
    storage = noded.layout.root / "srv/ganeti/file-storage"
    storage.mkdir(parents=True)
    for units, hypervisors in _recorded("node_info"):
        for unit in units or ():
            unit[1] = str(noded.layout.root) + unit[1]
        for _, hvparams in hypervisors:
            hvparams["kvm_path"] = _QEMU
        boot, stored, machines = noded.call("node_info", units, hypervisors)
        assert boot == processes.boot_id()
        if not units:
            assert stored == units
        else:
            (unit,) = stored
            assert (unit["type"], unit["name"]) == ("file", str(storage))
            assert 0 < unit["storage_free"] <= unit["storage_size"]
        (machine,) = machines
        assert machine.keys() == {
            *("memory_total", "memory_free", "memory_dom0"),
            *("cpu_total", "cpu_dom0", "cpu_nodes", "cpu_sockets", "hv_version"),
        }
        assert len(machine["hv_version"]) == 3
        assert machine["cpu_total"] == os.cpu_count()


def test_of_what_is_not_asked_for_nothing_is_said(asked: nodedaemons.Noded) -> None:
    assert asked.call("node_info", None, None) == [processes.boot_id(), None, None]


def test_a_volume_group_that_is_not_there_has_no_room(asked: nodedaemons.Noded) -> None:
    _, units, _ = asked.call("node_info", [["lvm-vg", "nosuchvg", [False]]], None)
    assert units == [
        {"type": "lvm-vg", "name": "nosuchvg", "storage_free": None, "storage_size": None}
    ]


@pytest.mark.parametrize(
    ("units", "hypervisors", "words"),
    [
        ([["file", "/nowhere/at/all", []]], None, "/nowhere/at/all"),
        ([["file", "/", [True]]], None, "parameters of file storage are wrong"),
        ([["lvm-vg", "vg", []]], None, "parameters of lvm-vg storage are wrong"),
        ([["rados", "rbd", []]], None, "does not say how much room"),
        (None, [["xen-pvm", {}]], "runs kvm, not xen-pvm"),
        (None, [["kvm", {"kvm_path": "/nowhere/qemu"}]], "no qemu at /nowhere/qemu"),
        ([[1, 2, 3]], None, "storage_units"),
        ([["file", "a\0b", []]], None, "is not a directory"),
    ],
)
def test_what_a_node_cannot_say_is_a_failure(
    units: Any, hypervisors: Any, words: str, asked: nodedaemons.Noded
) -> None:
    with pytest.raises(errors.Failure, match=words):
        asked.call("node_info", units, hypervisors)


# What is wrong with it.


@pytest.mark.qemu
def test_the_recorded_verification_is_made(short_dir: Path) -> None:
    ((what, cluster, hvparams),) = _recorded("node_verify")
    hvparams["kvm"]["kvm_path"] = _QEMU
    for _, kind, given in what["hvparms"]:
        if kind == "kvm":
            given["kvm_path"] = _QEMU
    what["nodelist"] = [[], {}, what["nodelist"][2]]  # the tests' machine has no cluster's ssh
    with nodedaemons.Noded(short_dir) as noded:
        noded.call("write_ssconf_files", {"cluster_name": cluster})
        noded.write_map(noded.cluster.client.digest)
        found = noded.call("node_verify", what, cluster, hvparams)
        light = noded.call("node_verify_light", what, cluster, hvparams)
    storage = {"file-storage-path", "shared-file-storage-path"}
    quiet = {"nonvmnodes"}
    assert found.keys() == what.keys() - quiet
    assert light.keys() == found.keys()
    assert found["filelist"].keys() == {
        "/var/lib/ganeti/server.pem",
        "/var/lib/ganeti/ssconf_cluster_name",
        "/var/lib/ganeti/ssconf_master_candidates_certs",
    }
    assert found["version"] == [noderpc.PROTOCOL, pyganeti.__version__]
    assert found["client-cert"] == [None, nodedaemons.cluster().client.digest]
    assert found["hvinfo"]["memory_total"] > 0
    assert found["hypervisor"]["fake"] == (
        "Error while checking hypervisor: this node runs kvm, not fake"
    )
    assert {(source, kind) for source, kind, _ in found["hvparms"]} == {
        ("cluster", "fake"),
        ("os TEMP-Ganeti-QA-OS", "xen-pvm"),
        ("os TEMP-Ganeti-QA-OS", "xen-hvm"),
    }
    assert abs(found["time"][0] - time.time()) < 60
    assert found["node-net-test"].keys() == {"node1.example.com", "node2.example.com"}
    assert found["master-ip"] is False
    assert found["bridges"] == ["br974"]
    assert found["instancelist"] == found["user-scripts"] == []
    assert [name for name, *_ in found["oslist"]] == ["image"]
    assert found["allowed-file-storage-paths"] == []
    assert all("file-storage-paths" in found[name] for name in storage)


def test_a_node_without_instances_makes_no_checks_about_them(asked: nodedaemons.Noded) -> None:
    about = {"hypervisor": ["kvm"], "instancelist": ["kvm"], "hvinfo": "kvm", "bridges": ["br0"]}
    found = _verify(asked, **about, oslist=None, time=None, nonvmnodes=[nodedaemons.NAME])
    assert found.keys() == {"time"}


def test_a_check_that_comes_to_nothing_does_not_spoil_the_others(
    asked: nodedaemons.Noded,
) -> None:
    about = {"hvinfo": "xen-pvm", "time": None, "lvlist": "xenvg", "of-a-later-ganeti": 5}
    found = asked.call("node_verify", about, "cluster", {})
    assert found.keys() == {"hvinfo", "time", "lvlist"}
    assert found["hvinfo"] == "this node runs kvm, not xen-pvm"


def test_what_is_asked_wrongly_is_not_asked(asked: nodedaemons.Noded) -> None:
    wrong: dict[str, Any] = {"filelist": 5, "bridges": [1], "node-net-test": [], "nonvmnodes": "x"}
    for name, about in wrong.items():
        with pytest.raises(errors.Failure, match=f"{name} is asked wrongly"):
            asked.call("node_verify", {name: about, "time": None}, "cluster", {})


def test_files_are_told_by_their_digests(noded: nodedaemons.Noded) -> None:
    state = noded.layout.state_dir
    (state / "known_hosts").write_text("abc")
    os.mkfifo(state / "hmac.key")
    names = [f"/var/lib/ganeti/{name}" for name in ("known_hosts", "hmac.key", "rapi.pem")]
    assert _verify(noded, filelist=names)["filelist"] == {
        names[0]: "a9993e364706816aba3e25717850c26c9cd0d89d"
    }


def test_programs_that_are_missing_are_told(noded: nodedaemons.Noded) -> None:
    program = noded.layout.root / "usr/lib/ganeti/there"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    plain = short = str(program)
    found = _verify(noded, user_scripts=["/usr/lib/ganeti/there"], oob_paths=[plain, "/", "/no"])
    assert found["user-scripts"] == ["/usr/lib/ganeti/there"]
    assert found["oob-paths"][:2] == [
        f"out of band helper {short} is not executable",
        "out of band helper / is not a file",
    ]
    assert "No such file" in found["oob-paths"][2]
    program.chmod(0o755)
    found = _verify(noded, user_scripts=["/usr/lib/ganeti/there"], oob_paths=[plain])
    assert (found["user-scripts"], found["oob-paths"]) == ([], [None])


def test_other_nodes_are_reached_or_not(asked: nodedaemons.Noded) -> None:
    own = [nodedaemons.NAME, "127.0.0.1", "127.0.0.1"]
    # Nobody listens at 127.0.0.77: the daemon under test is bound to 127.0.0.1 alone.
    others = [["n2", "127.0.0.1", "127.0.0.77"], ["n3", "127.0.0.77", "127.0.0.77"]]
    found = _verify(asked, node_net_test=[[own, *others], [nodedaemons.NAME]])
    assert found["node-net-test"] == {
        "n2": "failure using the secondary interface(s)",
        "n3": "failure using the primary interface(s)",
    }
    assert _verify(asked, node_net_test=[[own, *others], ["n2"]])["node-net-test"] == {}
    found = _verify(asked, node_net_test=[others, [nodedaemons.NAME]])
    assert "my own primary" in found["node-net-test"][nodedaemons.NAME]


def test_the_masters_address_answers_or_not(asked: nodedaemons.Noded) -> None:
    for master, address, candidates, expected in (
        (nodedaemons.NAME, "127.0.0.1", [nodedaemons.NAME], True),
        ("n2", "127.0.0.77", [nodedaemons.NAME], False),
        ("n2", "not an address", [nodedaemons.NAME], False),
        ("n2", "a\0b", [nodedaemons.NAME], False),
        ("n2", "127.0.0.1", ["n2"], None),
    ):
        found = _verify(asked, master_ip=[master, address, candidates])
        assert found["master-ip"] is expected


def test_only_candidates_try_ssh_and_say_what_became_of_it(asked: nodedaemons.Noded) -> None:
    """No cluster's keys are on the tests' machine, nor need there be an ssh."""
    about = [["n1.invalid"], {nodedaemons.NAME: ["n2.invalid", "-oProxyCommand=touch /x"]}]
    assert _verify(asked, nodelist=[*about, ["n1.invalid"]])["nodelist"] == {}
    found = _verify(asked, nodelist=[*about, [nodedaemons.NAME]])["nodelist"]
    assert found.keys() == {"n1.invalid", "n2.invalid", "-oProxyCommand=touch /x"}
    assert all("ssh problem" in said for name, said in found.items() if name.endswith("invalid"))


def test_directories_for_disks_are_looked_at(noded: nodedaemons.Noded) -> None:
    place = noded.layout.root / "disks"
    place.mkdir()
    noded.layout.config_dir.mkdir(parents=True)
    listing = noded.layout.config_dir / "file-storage-paths"
    listing.write_text(f"# ours\n{place}\n/usr/lib/disks\nrelative\n")
    found = _verify(
        noded,
        allowed_file_storage_paths=nodedaemons.NAME,
        file_storage_path=str(place),
        shared_file_storage_path="/elsewhere",
        gluster_storage_path="/etc/disks",
    )
    assert found["allowed-file-storage-paths"] == ["/usr/lib/disks"]
    assert "file-storage-path" not in found
    assert "not below any path" in found["shared-file-storage-path"]
    assert "it is in /etc" in found["gluster-storage-path"]
    place.rmdir()
    found = _verify(noded, file_storage_path=str(place), allowed_file_storage_paths="n2")
    assert found == {"file-storage-path": f"Path '{place}' is not existing or not a directory"}


def test_keys_for_ssh_are_looked_at(asked: nodedaemons.Noded) -> None:
    status = [["u1", nodedaemons.NAME, True, True, True]]
    found = _verify(asked, ssh_setup=[status, "rsa"], ssh_clutter=True)
    assert "does not exist" in found["ssh-setup"][0]
    assert found["ssh-clutter"] == []


def test_lvm_and_drbd_that_are_not_there_are_told(asked: nodedaemons.Noded) -> None:
    found = _verify(
        asked,
        vglist=None, lvlist="xenvg", pvlist=["xenvg"], exclusive_pvs=True,
        drbd_version=None, drbd_list=None, drbd_helper="/bin/true",
    )  # fmt: skip
    assert found["vglist"] == {}
    assert found["pvlist"] in (None, [])
    assert found["exclusive-pvs"] in (None, [])
    assert found["drbd-helper"] == [False, found["drbd-version"]]
    assert "not implemented" in found["drbd-list"]


# What makes it the master, and what not.


@pytest.fixture
def with_masterd(short_dir: Path) -> Iterator[nodedaemons.Noded]:
    """Run a node that has a master daemon, and a RAPI, to start."""
    commands = short_dir / "bin"
    commands.mkdir()
    for name in ("ganeti-masterd", "ganeti-rapi"):
        (commands / name).write_text(_DAEMON.format(python=sys.executable))
        (commands / name).chmod(0o755)
    path = f"{commands}:{os.environ['PATH']}"
    with nodedaemons.Noded(short_dir / "root", environment={"PATH": path}) as noded:
        yield noded
        with contextlib.suppress(errors.Failure):
            noded.call("node_stop_master")


def _begun(noded: nodedaemons.Noded) -> list[str]:
    return (noded.layout.root / "begun").read_text().splitlines()


def test_the_masters_daemons_are_started_once_and_stopped(
    with_masterd: nodedaemons.Noded,
) -> None:
    noded = with_masterd
    for _ in range(2):
        assert noded.call("node_start_master_daemons", _NO) is None
    assert _begun(noded) == ["ganeti-masterd", "ganeti-rapi"]
    pid = int(noded.layout.pid_file("ganeti-masterd").read_text())
    for _ in range(2):
        assert noded.call("node_stop_master") is None
    assert processes.state(pid) in {None, "Z"}
    assert not noded.layout.pid_file("ganeti-rapi").exists()
    assert noded.call("node_start_master_daemons", _YES) is None
    assert _begun(noded)[2:] == ["ganeti-masterd --no-voting --yes-do-it", "ganeti-rapi"]


def test_a_master_that_does_not_start_is_told_in_its_words(
    with_masterd: nodedaemons.Noded,
) -> None:
    (with_masterd.layout.root / "no-votes").touch()
    with pytest.raises(errors.Failure, match=r"Can't start Ganeti master: the others want another"):
        with_masterd.call("node_start_master_daemons", _NO)


def test_a_node_without_a_master_daemon_says_so(asked: nodedaemons.Noded) -> None:
    if shutil.which("ganeti-masterd") or shutil.which("ganeti-luxid"):
        pytest.skip("this machine has a master daemon")
    with pytest.raises(errors.Failure, match="ganeti-masterd is not installed"):
        asked.call("node_start_master_daemons", _NO)
    assert asked.call("node_stop_master") is None


def test_a_demoted_node_keeps_the_configuration_as_a_backup(noded: nodedaemons.Noded) -> None:
    config = noded.layout.state_dir / "config.data"
    config.write_text("{}")
    noded.call("write_ssconf_files", {"master_node": nodedaemons.NAME})
    with pytest.raises(errors.Failure, match="I'm the master node"):
        noded.call("node_demote_from_mc")
    noded.call("write_ssconf_files", {"master_node": "node2.example.com"})
    for _ in range(2):  # a master that heard no answer asks again
        assert noded.call("node_demote_from_mc") is None
        assert not config.exists()
    (backup,) = noded.layout.state_dir.glob("config.data.backup-*")
    assert backup.read_text() == "{}"


def test_a_node_whose_master_daemon_runs_is_not_demoted(with_masterd: nodedaemons.Noded) -> None:
    config = with_masterd.layout.state_dir / "config.data"
    config.write_text("{}")
    with_masterd.call("node_start_master_daemons", _NO)
    with pytest.raises(errors.Failure, match=r"running \(ganeti-masterd\), will not demote"):
        with_masterd.call("node_demote_from_mc")
    assert config.exists()


# Names, certificates, switches.


def test_hosts_are_added_and_removed(noded: nodedaemons.Noded) -> None:
    hosts = noded.layout.root / "etc/hosts"
    assert noded.call("etc_hosts_modify", "add", "node2.example.com", "192.0.2.2") is True
    assert hosts.read_text() == "192.0.2.2\tnode2.example.com node2\n"
    for arguments, words in (
        (["add", "node3", None], "needs 'ip'"),
        (["remove", "node2.example.com", "192.0.2.2"], "does not allow 'ip'"),
        (["move", "node2.example.com", None], "argument mode"),
        (["add", "two words", "192.0.2.3"], "not the name of a host"),
    ):
        with pytest.raises(errors.Failure, match=words):
            noded.call("etc_hosts_modify", *arguments)
    assert noded.call("etc_hosts_modify", "remove", "node2.example.com", None) is True
    assert hosts.read_text() == ""


def test_a_new_client_certificate_is_made_and_good(noded: nodedaemons.Noded) -> None:
    path = noded.layout.client_certificate
    old = noded.cluster.client.digest
    (((kind, digest)),) = noded.call("node_crypto_tokens", [["ssl", "create", None]])
    assert (kind, digest) == ("ssl", tls.file_digest(path))
    assert digest != old
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = certificates.read(path)
    assert made.name == nodedaemons.NAME
    assert certificates.is_signed_by(made, noded.cluster.server)
    assert made.ends > dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
    # It counts as soon as a master has written the map.
    secured = noded.context(made.pem)
    assert noded.post("/version", b"[]", secured=secured)[0] == 403
    noded.write_map(digest)
    assert noded.post("/version", b"[]", secured=secured) == (200, b"[true,3000000]")


def test_a_new_certificate_may_wait_beside_the_old(noded: nodedaemons.Noded) -> None:
    waiting = {"cert_file": "/var/lib/ganeti/client.pem.tmp"}
    server = {"cert_file": "/var/lib/ganeti/server.pem"}
    ((_, new),) = noded.call("node_crypto_tokens", [["ssl", "create", waiting]])
    found = noded.call(
        "node_crypto_tokens",
        [["ssl", "get", waiting], ["ssl", "get", {}], ["ssl", "get", server]],
    )
    digests = [digest for _, digest in found]
    assert digests == [new, noded.cluster.client.digest, noded.cluster.server.digest]


@pytest.mark.parametrize(
    "request_",
    [
        ["ssl", "create", {"cert_file": "/var/lib/ganeti/server.pem"}],
        ["ssl", "create", {"cert_file": "/etc/passwd"}],
        ["ssl", "get", {"cert_file": "/etc/passwd"}],
        ["ssl", "get", {"cert_file": "/var/lib/ganeti/../../../etc/passwd"}],
        ["ssl", "create", {"serial_no": 5}],
        ["ssl", "delete", None],
        ["ssh", "get", None],
    ],
)
def test_no_other_certificate_is_made_or_told(
    request_: list[Any], asked: nodedaemons.Noded
) -> None:
    before = sorted((p.name, p.read_bytes()) for p in asked.layout.state_dir.iterdir())
    with pytest.raises(errors.Failure):
        asked.call("node_crypto_tokens", [["ssl", "create", None], request_])
    assert sorted((p.name, p.read_bytes()) for p in asked.layout.state_dir.iterdir()) == before


def test_no_certificate_is_made_without_the_clusters(noded: nodedaemons.Noded) -> None:
    noded.layout.server_certificate.unlink()
    with pytest.raises(errors.Failure, match=r"server\.pem"):
        noded.call("node_crypto_tokens", [["ssl", "create", None]])
    assert tls.file_digest(noded.layout.client_certificate) == noded.cluster.client.digest


def test_the_clusters_certificate_is_replaced_in_steps(noded: nodedaemons.Noded) -> None:
    path = noded.layout.server_certificate
    old = noded.cluster.server
    new = certificates.make_server(dt.datetime.now(dt.UTC), name=old.name)
    both = pem.certificates(new.pem.decode())[0]
    with pytest.raises(errors.Failure, match="nobody who has that could reach it"):
        noded.call("node_server_certificate", new.pem.decode())
    for wrong in ("", both, old.pem.decode().replace("MII", "MIJ")):
        with pytest.raises(errors.Failure):
            noded.call("node_server_certificate", wrong)
    assert path.read_bytes() == old.pem

    noded.call("node_server_certificate", old.pem.decode() + both)

    assert noded.call("version") == 3000000  # it shows the old one, and takes clients of the new
    client = certificates.make_client(new.pem, nodedaemons.NAME, dt.datetime.now(dt.UTC))
    noded.write_map(client.digest)
    secured = noded.context(client.pem)
    assert noded.post("/version", b"[]", secured=secured) == (200, b"[true,3000000]")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_metadata_is_answered_at_once(asked: nodedaemons.Noded) -> None:
    for arguments in _recorded("instance_metadata_modify"):
        assert asked.call("instance_metadata_modify", *arguments) is None


def test_a_switch_cannot_be_made_where_there_is_none(asked: nodedaemons.Noded) -> None:
    if shutil.which("ovs-vsctl"):
        pytest.skip("this machine has Open vSwitch")
    with pytest.raises(errors.Failure, match=r"^node_configure_ovs: Open vSwitch is not installed"):
        asked.call("node_configure_ovs", "switch1", "")
    for name, link in (("-x", None), ("a b", None), ("switch1", "eth0 -- del-br other")):
        with pytest.raises(errors.Failure, match="not the name of an interface"):
            asked.call("node_configure_ovs", name, link)
