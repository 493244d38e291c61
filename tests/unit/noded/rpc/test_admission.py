from pathlib import Path

import pytest

from lab import nodedaemons
from pyganeti.base import paths, tls
from pyganeti.noded.rpc import admission


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    layout = paths.Paths(tmp_path)
    layout.state_dir.mkdir(parents=True)
    layout.server_certificate.write_bytes(nodedaemons.cluster().server.pem)
    return layout


def _admission(layout: paths.Paths) -> admission.Admission:
    return admission.Admission(layout, layout.server_certificate)


def _map(layout: paths.Paths) -> Path:
    return layout.ssconf("master_candidates_certs")


_OWN = tls.Peer("cluster", nodedaemons.cluster().server.digest)
_CANDIDATE = tls.Peer("node1", "AA:BB")
_OTHER = tls.Peer("node2", "CC:DD")


def test_only_the_maps_certificates_pass(layout: paths.Paths) -> None:
    _map(layout).write_text("uuid1=AA:BB\nuuid2=EE:FF\n")
    asked = _admission(layout)
    assert asked.refusal(_CANDIDATE) is None
    assert "no master candidate" in (asked.refusal(_OTHER) or "")
    assert "no master candidate" in (asked.refusal(_OWN) or "")
    assert asked.refusal(None) == "no certificate was shown"


@pytest.mark.parametrize("content", [None, "", "\n\n", "uuid=\n"])
def test_without_a_map_only_the_clusters_own_passes(
    content: str | None, layout: paths.Paths
) -> None:
    if content is not None:
        _map(layout).write_text(content)
    asked = _admission(layout)
    assert asked.refusal(_OWN) is None
    assert "not the cluster's" in (asked.refusal(_CANDIDATE) or "")


def test_who_is_struck_from_the_map_is_out_at_once(layout: paths.Paths) -> None:
    _map(layout).write_text("uuid1=AA:BB\n")
    asked = _admission(layout)
    assert asked.refusal(_CANDIDATE) is None
    _map(layout).write_text("uuid1=CC:DD\n")
    assert asked.refusal(_CANDIDATE) is not None
    assert asked.refusal(_OTHER) is None


def test_a_map_that_cannot_be_read_any_more_holds_on(layout: paths.Paths) -> None:
    _map(layout).write_text("uuid1=AA:BB\n")
    asked = _admission(layout)
    assert asked.refusal(_CANDIDATE) is None
    _map(layout).unlink()
    _map(layout).mkdir()
    assert asked.refusal(_CANDIDATE) is None
    assert asked.refusal(_OTHER) is not None


def test_a_map_that_never_could_be_read_admits_nobody(layout: paths.Paths) -> None:
    _map(layout).mkdir()
    asked = _admission(layout)
    assert "cannot be read" in (asked.refusal(_OWN) or "")
    assert "cannot be read" in (asked.refusal(_CANDIDATE) or "")
