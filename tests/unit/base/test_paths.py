from pathlib import Path

import pytest

from pyganeti.base import errors, paths


def test_without_a_root_everything_is_where_ganeti_has_it() -> None:
    layout = paths.Paths.from_environment({})
    assert layout.ctrl_dir == Path("/var/run/ganeti/kvm-hypervisor/ctrl")
    assert layout.kvm_pid_dir == Path("/var/run/ganeti/kvm-hypervisor/pid")
    assert layout.ssconf("hypervisor_list") == Path("/var/lib/ganeti/ssconf_hypervisor_list")
    assert layout.pid_file("ganeti-kvmd") == Path("/var/run/ganeti/ganeti-kvmd.pid")
    assert layout.log_file("ganeti-kvmd") == Path("/var/log/ganeti/kvm-daemon.log")
    assert layout.kvmd_journal == Path("/var/lib/ganeti/kvmd/journal.sqlite")
    assert layout.stop_hooks_dir == Path("/etc/ganeti/hooks/instance-stop.d")


def test_a_second_daemon_of_a_kind_logs_beside_the_first() -> None:
    layout = paths.Paths()
    assert layout.log_file("ganeti-kvmd-0a1b").name == "kvm-daemon-0a1b.log"
    assert layout.log_file("ganeti-noded").name == "node-daemon.log"
    assert layout.log_file("something").name == "something.log"


def test_a_root_moves_everything() -> None:
    layout = paths.Paths.from_environment(
        {"GANETI_ROOTDIR": "/srv//nodes/./node1/", "GANETI_HOSTNAME": "node1"}
    )
    assert layout.root == Path("/srv/nodes/node1")
    for path in (
        layout.run_dir,
        layout.ctrl_dir,
        layout.kvm_pid_dir,
        layout.state_dir,
        layout.log_dir,
        layout.config_dir,
        layout.kvmd_journal,
        layout.stop_hooks_dir,
        layout.ssconf("x"),
        layout.pid_file("x"),
        layout.log_file("x"),
    ):
        assert path.is_relative_to("/srv/nodes/node1")
    assert layout.hostname == "node1"


def test_without_a_name_it_is_the_machines() -> None:
    assert paths.Paths.from_environment({}).hostname


def test_a_relative_root_is_refused() -> None:
    with pytest.raises(errors.BadInput, match="relative/root"):
        paths.Paths.from_environment({"GANETI_ROOTDIR": "relative/root"})


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "a\nb", "a=b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(errors.BadInput):
        paths.Paths.from_environment({"GANETI_HOSTNAME": name})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib/ganeti/config.data", "/srv/node1/var/lib/ganeti/config.data"),
        ("//etc/hosts", "/srv/node1/etc/hosts"),
        ("/var/../../../etc/passwd", "/srv/node1/etc/passwd"),
        ("/..", "/srv/node1"),
    ],
)
def test_a_path_that_all_nodes_know_lies_below_the_root(path: str, expected: str) -> None:
    assert paths.Paths(Path("/srv/node1")).localize(path) == Path(expected)


@pytest.mark.parametrize("path", ["", "etc/hosts", "../etc", "/a\0b"])
def test_only_absolute_paths_are_known_to_all_nodes(path: str) -> None:
    with pytest.raises(errors.BadInput, match="absolute path"):
        paths.Paths().localize(path)
