"""Whose certificate opens which door."""

import contextlib
import datetime as dt
import http.client
import json
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from lab import nodedaemons
from pyganeti.base import certificates, errors, paths
from pyganeti.clients import node as clients
from pyganeti.wire import noderpc

_CLUSTER = nodedaemons.cluster()
_LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_OK = (200, b"[true,3000000]")


def _refused(noded: nodedaemons.Noded, shown: bytes | None, authority: bytes | None = None) -> None:
    """Check that TLS itself refuses a client, and that the node goes on."""
    secured = nodedaemons.context(shown, authority or _CLUSTER.server.pem)
    with pytest.raises((OSError, http.client.HTTPException)):
        noded.post("/version", b"[]", secured=secured)
    assert noded.call("version") == noderpc.PROTOCOL


def _forbidden(noded: nodedaemons.Noded, shown: bytes, why: str) -> None:
    """Check that a client gets in and may not call."""
    status, body = noded.post("/version", b"[]", secured=noded.context(shown))
    assert status == 403
    assert why in json.loads(body)["explain"]
    assert len(noded.log_lines("a request was refused", "status=403")) == 1


def test_a_mapped_certificate_may_call(noded: nodedaemons.Noded) -> None:
    assert noded.post("/version", b"[]") == _OK


def test_no_certificate_is_refused_and_logged_once(noded: nodedaemons.Noded) -> None:
    _refused(noded, None)
    assert len(noded.log_lines("a connection was refused", "did not return a certificate")) == 1


def test_anothers_certificate_is_refused_and_logged_once(noded: nodedaemons.Noded) -> None:
    _refused(noded, nodedaemons.cluster("other.example.com").client.pem)
    assert len(noded.log_lines("a connection was refused", "certificate")) == 1


def test_a_certificate_of_somebody_elses_authority_is_refused(noded: nodedaemons.Noded) -> None:
    made = trustme.CA().issue_cert(nodedaemons.NAME)
    chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
    _refused(noded, made.private_key_pem.bytes() + chain)


def test_an_expired_certificate_is_refused_even_if_mapped(noded: nodedaemons.Noded) -> None:
    expired = certificates.make_client(_CLUSTER.server.pem, "node1", _LONG_AGO, days=1)
    noded.write_map(expired.digest, _CLUSTER.client.digest)
    _refused(noded, expired.pem)
    assert len(noded.log_lines("a connection was refused", "expired")) == 1


def test_one_that_is_not_yet_good_is_refused(noded: nodedaemons.Noded) -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    early = certificates.make_client(_CLUSTER.server.pem, "node1", later)
    noded.write_map(early.digest, _CLUSTER.client.digest)
    _refused(noded, early.pem)


def test_a_right_certificate_that_is_not_in_the_map_may_not_call(
    noded: nodedaemons.Noded,
) -> None:
    now = dt.datetime.now(dt.UTC)
    other = certificates.make_client(_CLUSTER.server.pem, "node2.example.com", now)
    _forbidden(noded, other.pem, "no master candidate's")
    noded.write_map(other.digest)
    assert noded.post("/version", b"[]", secured=noded.context(other.pem)) == _OK
    assert noded.log_lines("answered", "by=node2.example.com")


def test_the_clusters_own_certificate_needs_the_map_like_any_other(
    noded: nodedaemons.Noded,
) -> None:
    _forbidden(noded, _CLUSTER.server.pem, "no master candidate's")


def test_without_a_map_only_the_clusters_own_may_call(short_dir: Path) -> None:
    with nodedaemons.Noded(short_dir, with_map=False) as noded:
        own = noded.context(_CLUSTER.server.pem)
        assert noded.post("/version", b"[]", secured=own) == _OK
        _forbidden(noded, _CLUSTER.client.pem, "not the cluster's")
        noded.write_map(_CLUSTER.client.digest)
        assert noded.call("version") == noderpc.PROTOCOL
        assert noded.post("/version", b"[]", secured=own)[0] == 403


def test_who_is_struck_from_the_map_is_out_on_a_kept_connection_too(
    noded: nodedaemons.Noded,
) -> None:
    with contextlib.closing(noded.connect()) as connection:
        connection.request("POST", "/version", b"[]")
        assert connection.getresponse().read() == _OK[1]
        noded.write_map("AA:BB")
        connection.request("POST", "/version", b"[]")
        assert connection.getresponse().status == 403


def test_tls_before_1_2_is_refused(noded: nodedaemons.Noded) -> None:
    secured = noded.context()
    assert secured is not None
    with pytest.warns(DeprecationWarning, match="deprecated"):
        secured.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        secured.maximum_version = ssl.TLSVersion.TLSv1_1
    secured.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError, match=r"(?i)ssl|reset|protocol"):
        noded.post("/version", b"[]", secured=secured)
    only = noded.context()
    assert only is not None
    only.maximum_version = ssl.TLSVersion.TLSv1_2
    assert noded.post("/version", b"[]", secured=only) == _OK


def test_renewed_certificates_count_from_the_next_connection_on(
    noded: nodedaemons.Noded,
) -> None:
    now = dt.datetime.now(dt.UTC)
    server = certificates.renew_server(noded.layout.server_certificate, now)
    client = certificates.renew_client(
        noded.layout.client_certificate, noded.layout.server_certificate, "node1", now
    )
    noded.write_map(client.digest)
    secured = nodedaemons.context(client.pem, server.pem)
    assert noded.post("/version", b"[]", secured=secured) == _OK
    assert len(noded.log_lines("certificates were read again")) == 1
    old = nodedaemons.context(_CLUSTER.client.pem, server.pem)
    with pytest.raises((OSError, http.client.HTTPException)):
        noded.post("/version", b"[]", secured=old)


def test_certificates_that_become_damaged_do_not_shut_anybody_out(
    noded: nodedaemons.Noded,
) -> None:
    noded.layout.server_certificate.write_text("garbage")
    assert noded.call("version") == noderpc.PROTOCOL
    assert noded.call("version") == noderpc.PROTOCOL
    assert len(noded.log_lines("certificates read before hold on")) == 1


def test_certificates_as_ganeti_makes_them_are_good(short_dir: Path) -> None:
    """Of version 1, without extensions, and both made out by the same name."""
    made = {}
    for name, subject in (("server", "ganeti.example.com"), ("client", "node1.example.com")):
        key, request = short_dir / f"{name}.key", short_dir / f"{name}.csr"
        certificate = short_dir / f"{name}.crt"
        new = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(request)]
        _openssl("req", "-new", "-subj", f"/CN={subject}", *new)
        signer = ["-signkey", str(key)]
        if name == "client":
            signer = ["-CA", str(short_dir / "server.crt"), "-CAkey", str(short_dir / "server.key")]
        where = ["-in", str(request), "-out", str(certificate), "-set_serial", "1"]
        _openssl("x509", "-req", "-sha256", "-days", "9", *where, *signer)
        made[name] = certificates.load(key.read_bytes() + certificate.read_bytes())
    of = nodedaemons.Cluster(made["server"], made["client"])
    text = _openssl("x509", "-noout", "-text", "-in", str(short_dir / "client.crt"))
    assert "Version: 1" in text
    with nodedaemons.Noded(short_dir / "root", of=of) as noded:
        assert noded.call("version") == noderpc.PROTOCOL
        noded.layout.ssconf("master_candidates_certs").unlink()
        own = noded.context(made["server"].pem)
        assert noded.post("/version", b"[]", secured=own) == _OK


def _openssl(*arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_our_client_gets_answers_and_reasons(noded: nodedaemons.Noded) -> None:
    context = clients.context_of(noded.layout)
    async with clients.Caller(context, port=noded.port) as caller:
        assert await caller.call("127.0.0.1", "version", timeout=10) == noderpc.PROTOCOL
        with pytest.raises(errors.Failure, match="not implemented by this node daemon yet"):
            await caller.call("127.0.0.1", "drbd_helper", timeout=10)
        with pytest.raises(errors.BadInput, match="404"):
            await caller.call("127.0.0.1", "no_such_call", timeout=10)
        with pytest.raises(errors.Interrupted, match="has not answered test_delay"):
            await caller.call("127.0.0.1", "test_delay", [60], timeout=0.2)
        noded.write_map("AA:BB")
        with pytest.raises(errors.Denied, match="403"):
            await caller.call("127.0.0.1", "version", timeout=10)
        noded.kill()
        with pytest.raises(errors.Unavailable):
            await caller.call("127.0.0.1", "version", timeout=10)


async def test_our_client_does_not_trust_another_cluster(
    noded: nodedaemons.Noded, tmp_path: Path
) -> None:
    other = nodedaemons.cluster("other.example.com")
    layout = paths.Paths(tmp_path)
    layout.state_dir.mkdir(parents=True)
    layout.server_certificate.write_bytes(other.server.pem)
    async with clients.Caller(clients.context_of(layout), port=noded.port) as caller:
        with pytest.raises(errors.Denied, match="TLS"):
            await caller.call("127.0.0.1", "version", timeout=10)


async def test_our_client_gives_up_on_a_node_that_only_listens(
    noded: nodedaemons.Noded,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        context = clients.context_of(noded.layout)
        async with clients.Caller(context, port=port, connect_patience=0.3) as caller:
            with pytest.raises(errors.Unavailable):
                await caller.call("127.0.0.1", "version", timeout=10)
