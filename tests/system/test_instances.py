"""Instances come and go by the commands that people type: real daemons, real disks, real qemu."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import guests, qemus
from lab.cluster import clusters, founding, machines, namespaces, services

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.xdist_group("system-instances"),
]

PATIENCE = 30.0
REMOVE = ("gnt-instance", "remove", "-f", "--timeout", "2")
TEMPLATES = "file,sharedfile,diskless,ext"


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make a cluster of one node by its own command."""
    if why_not := namespaces.why_not() or qemus.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(1, founded=False) as made:
        line = ("gnt-cluster", "init", "--enabled-disk-templates", TEMPLATES, founding.NAME)
        done = made.on(made.master, *line, within=60)
        assert done.returncode == 0, done.stderr
        seen(made.master, "boot.img").write_bytes(guests.polite())
        yield made


@pytest.fixture
def node(cluster: clusters.Cluster) -> machines.Machine:
    return cluster.master


@pytest.fixture(autouse=True)
def nothing_left(cluster: clusters.Cluster) -> Iterator[None]:
    """Fail the test that has left an instance, or a disk of one."""
    yield
    master = cluster.master
    names = said(master, "gnt-instance", "list", "--no-headers", "-o", "name").split()
    for name in names:
        said(master, *REMOVE, name)
    assert not names
    assert not files(master)
    assert not list((master.seen(master.root) / "var/run/ganeti/kvm-hypervisor").rglob("*.runtime"))


def seen(node: machines.Machine, name: str) -> Path:
    """Return where we see a file of the node's root."""
    return node.seen(node.root) / name


def files(node: machines.Machine) -> list[str]:
    """Return what there is of instances' disks."""
    root = seen(node, "srv/ganeti")
    return sorted(
        str(path.relative_to(root))
        for place in ("file-storage", "shared-file-storage")
        for path in (root / place).rglob("*")
    )


def run(node: machines.Machine, *line: str, code: int = 0) -> tuple[str, str]:
    done = node.run(*line, within=PATIENCE)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def said(node: machines.Machine, *line: str) -> str:
    return run(node, *line)[0]


def adding(node: machines.Machine, name: str, *more: str, os: str = "image") -> list[str]:
    """Return the command that adds an instance of 512 bytes."""
    image = ["-O", f"image={node.root}/boot.img,sha256=unchecked"] if os == "image" else []
    disk = [] if "--disk" in more or "diskless" in more else ["--disk", "0:size=4m"]
    return [
        "gnt-instance", "add", "--no-name-check", "--no-nics", "--ignore-ipolicy", "-B",
        "memory=128m", "-H", "kvm:kvm_flag=disabled", "-o", os, *image, *disk, *more, name,
    ]  # fmt: skip


def status(node: machines.Machine, name: str) -> str:
    return said(node, "gnt-instance", "list", "--no-headers", "-o", "status", name).strip()


def wait(holds: Callable[[], bool], what: str) -> None:
    qemus.wait_until(holds, what=what, within=PATIENCE)


def test_an_instance_comes_runs_and_goes(node: machines.Machine) -> None:
    began = time.monotonic()
    said(node, *adding(node, "web1", "-t", "file"))
    assert time.monotonic() - began < PATIENCE

    assert status(node, "web1") == "running"
    [folder, disk] = files(node)
    assert folder == "file-storage/web1"
    content = seen(node, f"srv/ganeti/{disk}").read_bytes()
    assert content[:512] == guests.polite()
    assert len(content) == 4 << 20

    said(node, *REMOVE, "web1")
    assert not files(node)


def test_one_that_is_not_to_start_stays_down_until_it_is_told(node: machines.Machine) -> None:
    falling = ["--on-stop", "killed=leave", "--start-priority", "7"]
    said(node, *adding(node, "web1", "-t", "sharedfile", "--no-start", "--tags", "b,a", *falling))

    row = said(node, "gnt-instance", "list", "--no-headers", "-o", "status,tags,disk_template")
    tags = "a,b,pyganeti:on-stop:killed:leave,pyganeti:start-priority:7"
    assert row.split() == ["ADMIN_down", tags, "sharedfile"]
    said(node, "gnt-instance", "startup", "web1")
    assert status(node, "web1") == "running"
    said(node, *REMOVE, "web1")


def test_a_diskless_one_and_one_without_an_os_on_its_disk(node: machines.Machine) -> None:
    said(node, *adding(node, "bare", "-t", "diskless"))
    said(node, *adding(node, "empty", "-t", "file", "--no-install"))

    assert status(node, "bare") == "running"
    assert status(node, "empty") == "ADMIN_down"
    [_, disk] = files(node)
    assert not seen(node, f"srv/ganeti/{disk}").read_bytes().strip(b"\0")
    for name in ("bare", "empty"):
        said(node, *REMOVE, name)


def test_a_file_that_is_there_becomes_a_disk(node: machines.Machine) -> None:
    place = seen(node, "srv/ganeti/file-storage")
    place.mkdir(parents=True, exist_ok=True)
    (place / "ready.img").write_bytes(guests.polite())
    name = f"{node.root}/srv/ganeti/file-storage/ready.img"
    adopt = ("-t", "file", "-n", node.name, "--disk", f"0:adopt={name}")

    said(node, *adding(node, "web1", *adopt))

    assert status(node, "web1") == "running"
    assert (place / "ready.img").read_bytes() == guests.polite()
    _, why = run(node, *adding(node, "web2", *adopt), code=1)
    assert "is a disk of another instance" in why
    nowhere = ("-t", "file", "-n", node.name, "--disk", "0:adopt=/etc/passwd")
    _, why = run(node, *adding(node, "web2", *nowhere), code=1)
    assert "no file /etc/passwd that can be adopted" in why
    said(node, *REMOVE, "web1")


def test_what_fails_is_one_line_and_leaves_nothing(node: machines.Machine) -> None:
    broken = ("-O", "image=/nowhere.img,sha256=unchecked", "-t", "file")
    _, why = run(node, *adding(node, "web1", *broken), code=1)
    assert "nowhere.img" in why
    assert len([line for line in why.splitlines() if line.startswith("gnt-instance:")]) == 1
    assert not files(node)
    _, why = run(node, *adding(node, "web1", "-t", "file", os="nosuch"), code=1)
    assert "nosuch" in why


def test_a_dry_run_says_where_it_would_go_and_makes_nothing(node: machines.Machine) -> None:
    out = said(node, *adding(node, "web1", "-t", "file", "--dry-run", "--json"))

    assert json.loads(out) == [node.name]
    assert not files(node)


def test_a_hook_may_forbid_it(node: machines.Machine) -> None:
    hooks = seen(node, "etc/ganeti/hooks/instance-add-pre.d")
    hooks.mkdir(parents=True)
    script = hooks / "never"
    script.write_text('#!/bin/sh\necho "not $GANETI_INSTANCE_NAME"\nexit 1\n')
    script.chmod(0o755)

    _, why = run(node, *adding(node, "web1", "-t", "file"), code=1)

    assert "not web1" in why
    script.unlink()


def test_a_master_that_is_killed_in_between_leaves_one_that_can_be_removed(
    cluster: clusters.Cluster, node: machines.Machine
) -> None:
    masterd = cluster.service(node, services.MASTERD)
    slow = seen(node, "srv/ganeti/os/slow")
    slow.mkdir(parents=True)
    (slow / "ganeti_api_version").write_text("20\n")
    for name in ("create", "import", "export", "rename", "verify"):
        (slow / name).write_text(f"#!/bin/sh\necho $$ >{node.root}/{name}-pid\nexec sleep 60\n")
        (slow / name).chmod(0o755)
    (slow / "verify").write_text("#!/bin/sh\n")
    (slow / "parameters.list").write_text("")

    said(node, *adding(node, "web1", "-t", "file", "--submit", os="slow"))
    pid = seen(node, "create-pid")
    wait(lambda: pid.exists() and pid.read_text().endswith("\n"), "the OS's script to run")
    masterd.kill()
    masterd.start()

    assert status(node, "web1") == "ADMIN_down"
    rows = said(node, "gnt-job", "list", "--no-headers", "-o", "status,summary").splitlines()
    assert rows[-1].split() == ["error", "INSTANCE_CREATE(web1)"]
    said(node, "kill", pid.read_text().strip())
    said(node, *REMOVE, "web1")
    assert not files(node)
    said(node, *adding(node, "web1", "-t", "file"))
    said(node, *REMOVE, "web1")


def test_a_name_is_resolved_and_its_address_must_be_nobodys(
    cluster: clusters.Cluster, node: machines.Machine
) -> None:
    words = [word for word in adding(node, "", "-t", "diskless") if word != "--no-name-check"][:-1]
    _, why = run(node, *words, founding.NAME, code=1)
    assert "already in use" in why
    _, why = run(node, *words, "nosuch.lab.example", code=1)
    assert "does not resolve" in why
    assert "--no-name-check" in why
    with (cluster.place / "hosts").open("a") as hosts:
        hosts.write("192.0.2.77 web9.lab.example web9\n")
    said(node, *words, "--no-ip-check", "--no-start", "web9")
    assert status(node, "web9.lab.example") == "ADMIN_down"
    said(node, *REMOVE, "web9")


def test_a_batch_is_placed_and_made_at_once(node: machines.Machine) -> None:
    described = [
        {
            "instance_name": f"b{number}", "disk_template": "file", "disks": [{"size": size}],
            "os_type": "image", "no_install": True, "start": False, "beparams": {"memory": 128},
            "name_check": False, "ip_check": False,
        }
        for number, size in ((1, 1024), (2, 1024), (3, 1))
    ]  # fmt: skip
    seen(node, "batch.json").write_text(json.dumps(described))

    out, why = run(node, "gnt-instance", "batch-create", f"{node.root}/batch.json", code=1)

    assert "b3: there is no node for it" in why
    assert "disk-size value 1 is not in range" in out
    assert "2 of 3 instances were created" in why
    for name in ("b1", "b2"):
        assert status(node, name) == "ADMIN_down"
        said(node, *REMOVE, name)
    seen(node, "batch.json").write_text('[{"instance_name": "x", "colour": 1}]')
    _, why = run(node, "gnt-instance", "batch-create", f"{node.root}/batch.json", code=1)
    assert "Unknown fields in definition 0: colour" in why


def test_a_program_of_the_sites_places_instances(node: machines.Machine) -> None:
    program = seen(node, "usr/lib/ganeti/iallocators/first")
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/usr/bin/env python3\nimport json, sys\n"
        "asked = json.load(open(sys.argv[1]))\n"
        "node = sorted(asked['nodes'])[0]\n"
        "assert asked['nodes'][node]['free_memory'] > 0\n"
        "found = [node] if asked['request']['name'] != 'no' else []\n"
        "print(json.dumps({'success': bool(found), 'info': 'so be it', 'result': found}))\n"
    )
    program.chmod(0o755)
    more = ("-t", "file", "-I", "first", "--no-start")

    out = said(node, *adding(node, "web1", *more))
    assert f"Selected nodes for instance web1 via iallocator first: {node.name}" in out
    _, why = run(node, *adding(node, "no", *more), code=1)
    assert "Can't compute nodes using iallocator 'first': so be it" in why
    asked = json.loads(said(node, "gnt-debug", "iallocator", "-m", "allocate", "new"))
    assert asked["request"]["name"] == "new"
    said(node, *REMOVE, "web1")


@pytest.mark.skipif(
    not Path("/usr/share/ganeti/3.0/gnt-instance").exists(),
    reason="needs Debian's package ganeti-3.0",
)
def test_debians_own_command_makes_reinstalls_and_removes_instances(
    cluster: clusters.Cluster, node: machines.Machine
) -> None:
    # Ganeti wants the root of a node among several to be named after it.
    root = cluster.place / "named" / node.name
    root.parent.mkdir()
    root.symlink_to(node.root)
    theirs = ("env", f"GANETI_ROOTDIR={root}", "/usr/share/ganeti/3.0/gnt-instance")

    words = adding(node, "web1", "-t", "file", "-I", "builtin", "--no-ip-check")[1:]
    said(node, *theirs, *words)
    assert status(node, "web1") == "running"
    said(node, "gnt-instance", "shutdown", "--timeout", "0", "web1")
    said(node, *theirs, "reinstall", "-f", "web1")
    said(node, *theirs, "remove", "-f", "web1")
    assert not files(node)


def test_an_os_is_installed_again(node: machines.Machine) -> None:
    said(node, *adding(node, "web1", "-t", "file", "--no-start"))
    [_, disk] = files(node)
    place = seen(node, f"srv/ganeti/{disk}")
    place.write_bytes(b"\xff" * (4 << 20))

    said(node, "gnt-instance", "reinstall", "-f", "web1")

    assert place.read_bytes()[:512] == guests.polite()
    _, why = run(node, "gnt-instance", "reinstall", "web1", code=13)
    assert "say yes with -f" in why
    said(node, *REMOVE, "web1")


PROVIDER = """#!/bin/sh
set -e
volume=$(dirname "$0")/volumes-$VOL_NAME
case $(basename "$0") in
create) cp "$EXTP_IMAGE" "$volume"; truncate -s "${VOL_SIZE}M" "$volume" ;;
attach) test -e "$volume"; echo; echo "kvm:file:$volume" ;;
remove) rm "$volume" ;;
esac
"""


def test_a_disk_may_be_a_providers(node: machines.Machine) -> None:
    provider = seen(node, "srv/ganeti/extstorage/copying")
    provider.mkdir(parents=True)
    for name in ("create", "attach", "detach", "remove", "grow", "setinfo", "verify"):
        (provider / name).write_text(PROVIDER)
        (provider / name).chmod(0o755)
    (provider / "parameters.list").write_text("image where it comes from\n")
    disk = f"0:size=4m,provider=copying,access=userspace,image={node.root}/boot.img"

    said(node, *adding(node, "web1", "-t", "ext", "--no-install", "--disk", disk))
    said(node, "gnt-instance", "startup", "web1")

    assert status(node, "web1") == "running"
    [volume] = provider.glob("volumes-*")
    assert volume.read_bytes()[:512] == guests.polite()
    said(node, *REMOVE, "web1")
    assert not list(provider.glob("volumes-*"))
    _, why = run(node, *adding(node, "web2", "-t", "ext", "--disk", disk + ",x=1"), code=1)
    assert "the storage provider 'copying' knows no 'x'" in why
    other = disk.replace("copying", "other")
    _, why = run(node, *adding(node, "web2", "-t", "ext", "--disk", other), code=1)
    assert "has no storage provider 'other'" in why


def test_what_a_kill_leaves_before_there_are_disks_is_named_and_can_be_removed(
    cluster: clusters.Cluster, node: machines.Machine
) -> None:
    masterd = cluster.service(node, services.MASTERD)
    provider = seen(node, "srv/ganeti/extstorage/slow")
    provider.mkdir(parents=True)
    pid = seen(node, "provider-pid")
    for name in ("create", "attach", "detach", "remove", "grow", "setinfo", "verify"):
        (provider / name).write_text("#!/bin/sh\necho it is not there\nexit 1\n")
        (provider / name).chmod(0o755)
    (provider / "create").write_text(f"#!/bin/sh\necho $$ >{pid}\nexec sleep 60\n")
    (provider / "parameters.list").write_text("")

    disk = ("--disk", "0:size=4m,provider=slow")
    said(node, *adding(node, "web1", "-t", "ext", "--no-install", "--submit", *disk))
    wait(lambda: pid.exists() and pid.read_text().endswith("\n"), "the provider's script to run")
    masterd.kill()
    said(node, "kill", pid.read_text().strip())
    masterd.start()

    assert status(node, "web1") == "ADMIN_down"
    verified = node.run("gnt-cluster", "verify", within=PATIENCE)
    assert verified.returncode == 1
    assert [line for line in verified.stdout.splitlines() if "web1" in line and "disk" in line]
    said(node, *REMOVE, "web1")
