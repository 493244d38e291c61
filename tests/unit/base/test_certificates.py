import datetime as dt
import os
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from lab import nodedaemons
from pyganeti.base import certificates, errors, tls

_NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def server() -> certificates.Certificate:
    return certificates.make_server(_NOW, name="cluster.example.com", days=10)


def test_a_server_certificate_says_who_and_how_long(server: certificates.Certificate) -> None:
    assert server.name == "cluster.example.com"
    assert server.begins < _NOW
    assert server.ends == _NOW + dt.timedelta(days=10)
    assert certificates.load(server.pem) == server


def test_a_key_is_not_in_what_is_printed(server: certificates.Certificate) -> None:
    assert "PRIVATE" not in repr(server)


def test_a_digest_is_the_same_for_the_library_and_for_tls(
    server: certificates.Certificate, tmp_path: Path
) -> None:
    path = tmp_path / "server.pem"
    path.write_bytes(server.pem)
    assert tls.file_digest(path) == server.digest
    assert len(server.digest) == 59
    assert server.digest == server.digest.upper()


def test_renewing_replaces_both_and_only_the_owner_may_read(tmp_path: Path) -> None:
    server, client = tmp_path / "server.pem", tmp_path / "client.pem"
    old_umask = os.umask(0)
    try:
        first = certificates.renew_server(server, _NOW, name="cluster.example.com")
        certificates.renew_client(client, server, "node1", _NOW)
        again = certificates.renew_server(server, _NOW)
        made = certificates.renew_client(client, server, "node1", _NOW)
    finally:
        os.umask(old_umask)
    assert again.name == first.name
    assert again.digest != first.digest
    assert certificates.read(server) == again
    assert certificates.read(client) == made
    assert made.name == "node1"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (server, client)} == {0o600}
    assert sorted(tmp_path.iterdir()) == [client, server]


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "server.pem"
    with pytest.raises(OSError, match="No such file"):
        certificates.renew_server(path, _NOW, name="x")


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAA==\n"])
def test_what_is_no_certificate_is_refused_by_its_files_name(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "server.pem"
    path.write_bytes(content)
    with pytest.raises(errors.BadInput, match=r"server\.pem"):
        certificates.read(path)
    with pytest.raises(errors.BadInput, match=r"server\.pem"):
        certificates.renew_client(tmp_path / "client.pem", path, "node1", _NOW)
    assert not (tmp_path / "client.pem").exists()


def test_a_key_that_belongs_to_another_certificate_is_refused() -> None:
    one, other = nodedaemons.cluster(), nodedaemons.cluster("other.example.com")
    begin = b"-----BEGIN CERTIFICATE"
    key, certificate = one.server.pem.partition(begin)[0], other.server.pem.partition(begin)[2]
    with pytest.raises(errors.BadInput, match="belong together"):
        certificates.load(key + begin + certificate)


def test_a_name_that_no_certificate_can_have_is_refused() -> None:
    with pytest.raises(errors.BadInput, match="name"):
        certificates.make_server(_NOW, name="x" * 65)


def test_two_nodes_with_the_same_key_trust_each_other_and_nobody_else() -> None:
    cluster, other = (certificates.make_server(_NOW, name=name).pem for name in ("one", "two"))
    here, there = (certificates.make_peer(cluster, "host", _NOW) for _ in range(2))
    stranger = certificates.make_peer(other, "host", _NOW)
    assert here.authority != there.authority
    shown = x509.load_pem_x509_certificate(here.certificate)
    trusted = x509.load_pem_x509_certificate(there.authority)
    shown.verify_directly_issued_by(trusted)
    with pytest.raises(InvalidSignature):
        shown.verify_directly_issued_by(x509.load_pem_x509_certificate(stranger.authority))
    assert shown.not_valid_after_utc - _NOW < dt.timedelta(days=3)
    assert b"PRIVATE KEY" in here.key
    assert b"PRIVATE" not in repr(here).encode()
