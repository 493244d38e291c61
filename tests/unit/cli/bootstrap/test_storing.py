"""What a cluster is to be kept in, as the command's words say it."""

from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.cli.bootstrap import storing
from pyganeti.wire import storefile

NONE: dict[str, Path | None] = {"authority": None, "certificate": None, "key": None}
PEM = b"-----BEGIN CERTIFICATE-----\n"


def test_the_prefix_is_the_clusters_name_unless_it_is_said() -> None:
    found = storing.wanted("c.example.com", ["http://etcd1"], None, **NONE)
    assert found.prefix == "/ganeti/c.example.com/"
    assert found.authority is None
    said = storing.wanted("c.example.com", ["http://etcd1"], "/elsewhere/", **NONE)
    assert said.prefix == "/elsewhere/"


@pytest.mark.parametrize(
    ("endpoints", "prefix", "files", "words"),
    [
        ([], None, {}, "--etcd-endpoints"),
        (["http://etcd1"], "elsewhere", {}, "slash"),
        (["https://etcd1"], None, {"certificate": Path("c.pem")}, "go together"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    endpoints: list[str], prefix: str | None, files: dict[str, Path], words: str
) -> None:
    with pytest.raises(errors.BadInput, match=words):
        storing.wanted("c.example.com", endpoints, prefix, **(NONE | files))


def test_certificates_are_copied_to_where_candidates_are_sent_them_from(tmp_path: Path) -> None:
    layout = paths.Paths(tmp_path / "root", "node1.example.com")
    layout.state_dir.mkdir(parents=True)
    given: dict[str, Path | None] = {
        name: tmp_path / f"{name}.pem" for name in ("authority", "certificate", "key")
    }
    for name, path in given.items():
        assert path is not None
        path.write_bytes(PEM + name.encode())
    storing.copy_certificates(layout, **given)
    kept = storing.wanted("c.example.com", ["https://etcd1"], None, **given)
    assert {kept.authority, kept.certificate, kept.key} == storefile.CERTIFICATES
    for name in storefile.CERTIFICATES:
        path = layout.localize(name)
        assert path.read_bytes().startswith(PEM)
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_certificate_is_not_copied(tmp_path: Path) -> None:
    layout = paths.Paths(tmp_path / "root", "node1.example.com")
    layout.state_dir.mkdir(parents=True)
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not one")
    for path in (wrong, tmp_path / "missing.pem"):
        with pytest.raises(errors.BadInput, match=path.name):
            storing.copy_certificates(layout, **(NONE | {"authority": path}))
    assert not layout.localize(storefile.AUTHORITY).exists()
