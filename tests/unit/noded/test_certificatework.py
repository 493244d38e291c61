import datetime as dt
from pathlib import Path

import pytest

from lab import nodedaemons
from pyganeti.base import certificates, errors, paths, validity
from pyganeti.noded import certificatework

_NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    layout = paths.Paths(tmp_path, "node1")
    layout.state_dir.mkdir(parents=True)
    layout.server_certificate.write_bytes(nodedaemons.cluster().server.pem)
    layout.client_certificate.write_bytes(nodedaemons.cluster().client.pem)
    return layout


def _state(layout: paths.Paths) -> tuple[str | None, str]:
    return certificatework.state(str(layout.client_certificate), str(layout.server_certificate))


def test_a_good_certificate_is_its_digest(layout: paths.Paths) -> None:
    digest = nodedaemons.cluster().client.digest
    assert _state(layout) == (None, digest)


@pytest.mark.parametrize(
    ("days", "code", "words"),
    [
        (31, None, ""),
        (30, "WARNING", "expires in about 29 days"),
        (7, "ERROR", "expires in about 6 days"),
        (0, "ERROR", "is expired"),
        (-1, "ERROR", "is expired"),
    ],
)
def test_one_that_is_soon_over_is_said(days: int, code: str | None, words: str) -> None:
    ends = _NOW + dt.timedelta(days=days)
    if days > 0:
        ends -= dt.timedelta(seconds=1 if code else 0)
    found = validity.worry(_NOW - dt.timedelta(days=99), ends, _NOW)
    assert (found[0] if found else None) == code
    assert words in (found[1] if found else "")


def test_one_that_is_not_good_yet_is_a_warning() -> None:
    found = validity.worry(_NOW + dt.timedelta(1), _NOW + dt.timedelta(99), _NOW)
    assert found is not None
    assert found[0] == "WARNING"


def test_missing_damaged_strange_and_self_signed_ones_are_said(layout: paths.Paths) -> None:
    now = dt.datetime.now(dt.UTC)
    own = layout.client_certificate
    own.write_bytes(nodedaemons.cluster().server.pem)
    code, words = _state(layout)
    assert (code, "self-signed" in words) == ("WARNING", True)
    stranger = certificates.make_client(nodedaemons.cluster("other").server.pem, "node1", now)
    own.write_bytes(stranger.pem)
    code, words = _state(layout)
    assert (code, "has not signed" in words) == ("ERROR", True)
    own.write_bytes(b"garbage")
    code, words = _state(layout)
    assert (code, "Failed to load X509 certificate" in words) == ("ERROR", True)
    own.unlink()
    code, words = _state(layout)
    assert (code, "does not exist" in words) == ("ERROR", True)


def test_one_that_is_over_is_known_by_the_clock(layout: paths.Paths) -> None:
    own, signer = str(layout.client_certificate), str(layout.server_certificate)
    code, words = certificatework.state(own, signer, 5e9)
    assert (code, "is expired" in words) == ("ERROR", True)


def test_a_disk_that_refuses_costs_nothing(layout: paths.Paths) -> None:
    nowhere = str(layout.state_dir / "nowhere/client.pem")
    with pytest.raises(errors.Unavailable, match="No such file"):
        certificatework.make(nowhere, str(layout.server_certificate), "node1")
    layout.server_certificate.write_text("garbage")
    with pytest.raises(errors.BadInput, match="no key and certificate"):
        certificatework.make(
            str(layout.client_certificate), str(layout.server_certificate), "node1"
        )
    assert layout.client_certificate.read_bytes() == nodedaemons.cluster().client.pem
