import datetime as dt

import pytest

from pyganeti.base import certificates, errors, pem

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_a_file_is_taken_apart_and_put_together() -> None:
    one = certificates.make_server(NOW, name="one").pem.decode()
    two = certificates.make_server(NOW, name="two").pem.decode()

    both = one + pem.certificates(two)[0]

    assert pem.certificates(both) == [*pem.certificates(one), *pem.certificates(two)]
    assert pem.key(both) + pem.certificates(both)[0] == one
    assert certificates.load(both.encode()).name == "one"


def test_blocks_end_with_a_line_whatever_the_file_does() -> None:
    text = "-----BEGIN CERTIFICATE-----\r\nAA==\r\n-----END CERTIFICATE-----"
    assert pem.certificates(text) == [text.replace("\r\n", "\n") + "\n"]


def test_a_file_without_a_key_is_refused() -> None:
    assert pem.certificates("") == []
    with pytest.raises(errors.BadInput, match="no key"):
        pem.key("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
