"""Keys of a cluster, and nobody else's."""

import pytest

from pyganeti.base import errors
from pyganeti.masterd.backing.etcd import keys

WHERE = keys.Keys("/ganeti/c1/")


@pytest.mark.parametrize("number", [1, 10, 123456789])
def test_a_job_s_key_says_its_number(number: int) -> None:
    assert WHERE.number(WHERE.job(number)) == number


@pytest.mark.parametrize(
    "key",
    [
        WHERE.serial,
        WHERE.jobs,
        WHERE.jobs + b"012",
        WHERE.jobs + b"1x",
        WHERE.jobs + b"1/2",
        b"/ganeti/c2/queue/jobs/1",
    ],
)
def test_another_key_is_no_job(key: bytes) -> None:
    assert WHERE.number(key) is None


@pytest.mark.parametrize("prefix", ["", "/", "ganeti/", "/ganeti", "//", "/a b/", "/a//b/"])
def test_a_prefix_begins_and_ends_with_a_slash(prefix: str) -> None:
    with pytest.raises(errors.BadInput, match="no place for a cluster"):
        keys.Keys(prefix)
