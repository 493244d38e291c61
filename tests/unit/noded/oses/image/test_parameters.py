"""The parameters of the OS `image`: what is understood, what is refused, and with which words."""

import base64
from pathlib import Path

import pytest

from pyganeti.noded.oses.definitions.image.parts import parameters

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh1 somebody@example.com"
_SUM = "0123456789abcdef" * 4


def _parse(**given: str) -> parameters.Wanted:
    return parameters.parse({f"OSP_{name.upper()}": value for name, value in given.items()})


def test_everything_may_be_missing() -> None:
    wanted = _parse()
    assert (wanted.format, wanted.seed, wanted.network) == ("auto", "auto", "auto")
    assert not wanted.needs_seed


def test_everything_may_be_given() -> None:
    wanted = _parse(
        image="/srv/images/debian.qcow2", sha256=_SUM.upper(), format="qcow2", seed="disk",
        hostname="web1.example.com", ssh_keys=f"{_KEY}\n# a comment\n{_KEY}",
        user_data="#cloud-config\npackages: [a]", network="dhcp", dns="192.0.2.1; 2001:db8::1",
        search="example.com,example.org",
    )  # fmt: skip
    assert wanted.dns == ("192.0.2.1", "2001:db8::1")
    assert wanted.search == ("example.com", "example.org")
    assert wanted.needs_seed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"image": "debian.qcow2"}, "not an absolute path"),
        ({"image": "/srv/../etc/shadow"}, "not an absolute path"),
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"format": "vmdk"}, "format is one of"),
        ({"seed": "floppy"}, "seed is one of"),
        ({"hostname": "-x"}, "not a host's name"),
        ({"hostname": "a b"}, "not a host's name"),
        ({"ssh_keys": "password"}, "not a public key"),
        ({"ssh_keys": "base64:!"}, "what follows base64: is not that"),
        ({"user_data": "packages: [a]"}, "nothing that cloud-init knows"),
        ({"network": "wifi"}, "network is one of"),
        ({"dns": "ns1.example.com"}, "not an address"),
        ({"search": "a/b"}, "not a domain"),
        ({"seed": "none", "hostname": "web1"}, "only a seed can tell"),
        ({"seed": "none", "network": "dhcp"}, "only a seed can tell"),
        ({"user_data": "#!" + "x" * 1024 * 1024}, "more than 1048576 characters"),
    ],
)
def test_what_is_not_right_is_said(given: dict[str, str], words: str) -> None:
    with pytest.raises(parameters.Wrong, match=words):
        _parse(**given)


def test_a_text_is_itself_or_packed_or_in_a_file(tmp_path: Path) -> None:
    content = "#cloud-config\nruncmd:\n  - [true]\n"
    (tmp_path / "data").write_text(content)
    packed = f"base64:{base64.b64encode(content.encode()).decode()}"
    for given in (content, packed, str(tmp_path / "data")):
        assert parameters.text(given, "user_data") == content
    with pytest.raises(parameters.Wrong, match="cannot be read"):
        parameters.text("/no/such/file", "user_data")
    (tmp_path / "data").write_bytes(b"\xff")
    with pytest.raises(parameters.Wrong, match="cannot be read"):
        parameters.text(str(tmp_path / "data"), "user_data")


@pytest.mark.parametrize("line", [_KEY, f'no-pty,command="x y" {_KEY}', "ecdsa-sha2-nistp256 AAAA"])
def test_keys_come_as_in_authorized_keys(line: str) -> None:
    assert parameters.keys(f"\n  {line}\n") == [line]


@pytest.mark.parametrize(
    "content", ["#!/bin/sh\n", "#cloud-config\n", "#include\n", "Content-Type: text/x", ""]
)
def test_user_data_is_what_cloud_init_knows(content: str) -> None:
    assert parameters.user_data(content) == content


@pytest.mark.parametrize(
    "content", ["version: 2\nethernets: {}", '{"version": 2}', "network:\n  version: 1\n"]
)
def test_a_network_configuration_has_a_version(content: str) -> None:
    assert _parse(network=content).network == content
