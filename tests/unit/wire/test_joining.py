import base64
import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.wire import joining

TOKEN = joining.Token("192.0.2.7", 1811, bytes(range(32)), b"s" * 16)
BUNDLE = joining.Bundle(
    protocol=3000000,
    cluster_name="cluster.example.com",
    node_name="node2.example.com",
    server_pem="PRIVATE",
    settings={"cluster_name": "cluster.example.com\n"},
)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_a_token_is_one_word_that_says_everything(address: str) -> None:
    token = dataclasses.replace(TOKEN, address=address)

    word = token.encode()

    assert word.split() == [word]
    assert joining.Token.decode(f" {word}\n") == token


def test_a_token_keeps_its_secret_out_of_logs() -> None:
    assert "ssss" not in repr(TOKEN)
    assert "PRIVATE" not in repr(BUNDLE)


@given(st.integers(0, 90), st.sampled_from("abcXYZ019-_ =ä"))
@example(len(TOKEN.encode()), "=")
def test_a_token_with_any_letter_changed_or_missing_is_none(place: int, letter: str) -> None:
    word = TOKEN.encode()
    for wrong in (word[:place] + letter + word[place + 1 :], word[:place]):
        if wrong.strip() != word:
            with pytest.raises(errors.BadInput, match="no token"):
                joining.Token.decode(wrong)


@given(st.text(max_size=100))
def test_no_text_breaks_the_reading_of_tokens(text: str) -> None:
    encoded = "gnj1-" + base64.urlsafe_b64encode(text.encode()).decode()
    for wrong in (text, encoded):
        with pytest.raises(errors.BadInput):
            joining.Token.decode(wrong)


def test_only_the_secret_proves_itself_and_only_to_this_greeting() -> None:
    greeting, other = joining.greet("node2"), joining.greet("node2")
    stranger = dataclasses.replace(TOKEN, secret=b"t" * 16)

    assert joining.is_proof(TOKEN, greeting, joining.prove(TOKEN, greeting))
    assert not joining.is_proof(TOKEN, greeting, joining.prove(stranger, greeting))
    assert not joining.is_proof(TOKEN, greeting, joining.prove(TOKEN, other))
    assert not joining.is_proof(TOKEN, greeting, joining.Proof("ä\ud800"))


def test_a_certificate_is_held_against_the_token() -> None:
    token = joining.Token.draw("192.0.2.7", 1, b"certificate")
    assert joining.is_pinned(token, b"certificate")
    assert not joining.is_pinned(token, b"another")
    assert not joining.is_pinned(token, None)
    assert token.secret != joining.Token.draw("192.0.2.7", 1, b"certificate").secret


def test_messages_come_back_and_nonsense_does_not() -> None:
    framed = joining.framed(BUNDLE)
    assert joining.length(framed[:4], joining.LARGE) == len(framed) - 4
    assert joining.decode(framed[4:], joining.Bundle) == BUNDLE
    with pytest.raises(errors.Damaged):
        joining.length(framed[:4], 10)
    for wrong in (b"", b"[]", b'{"proof": 7}', b"\xff", b"[" * 100_000):
        with pytest.raises(errors.Damaged):
            joining.decode(wrong, joining.Proof)
    with pytest.raises(errors.BadInput, match="same version"):
        joining.decode(b'{"format": 2, "node": "n", "nonce": "1"}', joining.Greeting)
