"""Which steps are left of a renewal that was cut off, by what the master has."""

import contextlib
import datetime as dt
import itertools
import ssl
from pathlib import Path

import pytest

from pyganeti.base import certificates, errors, pem, tls
from pyganeti.masterd.ops.cluster import rollout

NOW = dt.datetime.now(dt.UTC)
PLACE = Path("server.pem.new")


@pytest.fixture(scope="module")
def old() -> str:
    return certificates.make_server(NOW, name="cluster").pem.decode()


@pytest.fixture(scope="module")
def new() -> str:
    return certificates.make_server(NOW, name="cluster", successor=True).pem.decode()


def trusted(content: str) -> set[str]:
    return set(pem.certificates(content))


def shown(content: str) -> str:
    return pem.certificates(content)[0]


def test_neighbouring_steps_trust_what_the_other_shows(old: str, new: str) -> None:
    steps = rollout.plan(PLACE, old, new)
    assert steps.trust is not None
    assert steps.speak is not None
    for one, two in itertools.pairwise((old, steps.trust, steps.speak, steps.forget)):
        assert shown(one) in trusted(two)
        assert shown(two) in trusted(one)
    for content in (steps.trust, steps.speak, steps.forget):
        certificates.load(content.encode())  # the key is the first certificate's
    assert trusted(steps.forget) == trusted(new)


def spoken(server: Path, client: Path) -> bytes | None:
    """Return the certificate that a server shows to a client who trusts it, by a real handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = tls.server_context(server, server, server).wrap_bio(incoming, outgoing, server_side=True)
    two = tls.client_context(client, client, client).wrap_bio(outgoing, incoming)
    for end in itertools.cycle((two, one)):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
            if one.version() and end is one:
                return two.getpeercert(binary_form=True)
    return None


def test_nodes_in_neighbouring_steps_speak_with_each_other(
    old: str, new: str, tmp_path: Path
) -> None:
    steps = rollout.plan(PLACE, old, new)
    files = []
    for name, content in enumerate((old, steps.trust, steps.speak, steps.forget)):
        assert content is not None
        files.append(tmp_path / f"{name}.pem")
        files[-1].write_text(content)
    for one, two in itertools.pairwise(files):
        for server, client in ((one, two), (two, one), (one, one), (two, two)):
            assert spoken(server, client) == tls.read_certificate(server)


def test_it_goes_on_from_where_the_master_is(old: str, new: str) -> None:
    steps = rollout.plan(PLACE, old, new)
    assert steps.trust is not None
    assert steps.speak is not None

    assert rollout.plan(PLACE, steps.trust, new) == steps
    after = rollout.plan(PLACE, steps.speak, new)
    assert (after.trust, after.speak, after.forget) == (None, steps.speak, steps.forget)
    done = rollout.plan(PLACE, steps.forget, new)
    assert (done.trust, done.speak, done.forget) == (None, None, steps.forget)


def test_what_is_no_certificate_is_rolled_out_to_nobody(old: str) -> None:
    with pytest.raises(errors.BadInput, match="no certificate"):
        rollout.plan(PLACE, old, "")
    with pytest.raises(errors.BadInput, match="no key"):
        rollout.plan(PLACE, old, pem.certificates(old)[0])
