import stat
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.noded import hostsfile

_OLD = (
    "# static\n"
    "127.0.0.1\tlocalhost\n"
    "192.0.2.1 node1.example.com node1 # first\n"
    "192.0.2.2\tnode2.example.com node2 db\n"
)


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "etc/hosts"
    path.parent.mkdir()
    path.write_text(_OLD)
    path.chmod(0o640)
    return path


def test_a_host_is_added_and_found_by_both_names(hosts: Path) -> None:
    hostsfile.add(hosts, "node3.example.com", "192.0.2.3")
    assert hosts.read_text() == _OLD + "192.0.2.3\tnode3.example.com node3\n"
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o640


def test_adding_again_changes_nothing(hosts: Path) -> None:
    hostsfile.add(hosts, "node3.example.com", "192.0.2.3")
    before = hosts.stat().st_ino
    hostsfile.add(hosts, "node3.example.com", "192.0.2.3")
    assert hosts.stat().st_ino == before


def test_an_address_means_one_host_where_its_first_line_was() -> None:
    text = "192.0.2.1 old\n::1 x\n192.0.2.1 older\nlast without end"
    assert hostsfile.with_host(text, "new.example.com", "192.0.2.1") == (
        "192.0.2.1\tnew.example.com new\n::1 x\nlast without end\n"
    )
    assert hostsfile.with_host("", "new", "::1") == "::1\tnew\n"


def test_a_host_is_removed_and_what_else_its_line_says_stays(hosts: Path) -> None:
    hostsfile.remove(hosts, "node2.example.com")
    hostsfile.remove(hosts, "node1.example.com")
    assert hosts.read_text() == "# static\n127.0.0.1\tlocalhost\n192.0.2.2 db\n"


def test_comments_are_no_names() -> None:
    text = "# node1 node1.example.com\n192.0.2.1 a node1 # node1 is old\n"
    assert hostsfile.without_host(text, "node1") == (
        "# node1 node1.example.com\n192.0.2.1 a # node1 is old\n"
    )


def test_bytes_that_are_no_text_stay(hosts: Path) -> None:
    hosts.write_bytes(b"192.0.2.9 caf\xe9 # \xff\n")
    hostsfile.add(hosts, "node1", "192.0.2.1")
    assert hosts.read_bytes() == b"192.0.2.9 caf\xe9 # \xff\n192.0.2.1\tnode1\n"


def test_a_file_that_is_missing_is_made(tmp_path: Path) -> None:
    hostsfile.add(tmp_path / "etc/hosts", "node1", "192.0.2.1")
    assert (tmp_path / "etc/hosts").read_text() == "192.0.2.1\tnode1\n"
    assert stat.S_IMODE((tmp_path / "etc/hosts").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("", "192.0.2.1"),
        ("a b", "192.0.2.1"),
        ("a\n192.0.2.9 b", "192.0.2.1"),
        ("#a", "192.0.2.1"),
        ("-a", "192.0.2.1"),
        ("node1", "192.0.2.300"),
        ("node1", "192.0.2.1 x"),
        ("node1", ""),
    ],
)
def test_what_is_no_name_or_no_address_changes_nothing(
    name: str, address: str, hosts: Path
) -> None:
    with pytest.raises(errors.BadInput):
        hostsfile.add(hosts, name, address)
    assert hosts.read_text() == _OLD


def test_a_directory_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    with pytest.raises(errors.Unavailable, match="cannot be changed"):
        hostsfile.add(tmp_path / "hosts", "node1", "192.0.2.1")
    assert [path.name for path in tmp_path.iterdir()] == ["hosts"]
